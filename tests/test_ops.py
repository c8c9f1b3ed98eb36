"""Every property of ``op_checks`` for every case of the op table: one failing operation is one failing test."""

from __future__ import annotations

import op_checks
import pytest
from op_table import CASES, OpCase


def cases(chosen=lambda case: True):
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES if chosen(c)])


def has_derivatives(case: OpCase, order: int = 1) -> bool:
    return bool(case.argnums(op_checks.arrays(case))) and case.order >= order


NOT_IN_FLOAT32 = {
    "pow/negative base": "its exponents are float64 themselves",
    "nan_to_num/special values": "its values lie beyond the range of float32",
    "float_power": "its results are in double precision",
}

every_case = cases()
differentiable = cases(has_derivatives)


@every_case
def test_value_is_that_of_the_reference(case):
    op_checks.value(case)


def takes_floats(case: OpCase) -> bool:
    return any(x.dtype in op_checks.SINGLE for x in op_checks.arrays(case))


@cases(lambda case: takes_floats(case) and case.function != "astype" and case.name not in NOT_IN_FLOAT32)
def test_float32_stays_float32(case):
    op_checks.float32(case)


@every_case
def test_shape_rules_say_what_comes_out(case):
    op_checks.shapes(case)


@differentiable
def test_derivatives_agree_with_finite_differences(case):
    op_checks.gradients(case)


@cases(lambda case: has_derivatives(case, 2))
def test_second_derivatives_are_symmetric(case):
    op_checks.symmetry(case)


@every_case
def test_layout_in_memory_does_not_matter(case):
    op_checks.layouts(case)


@cases(lambda case: case.elementwise)
def test_0d_operands(case):
    op_checks.scalars(case)


@cases(lambda case: case.elementwise)
def test_operands_without_elements(case):
    op_checks.empties(case)


@cases(lambda case: case.elementwise)
def test_integer_operands(case):
    op_checks.integers(case)


@cases(lambda case: case.elementwise == 1 and has_derivatives(case))
def test_half_precision_loses_nothing_to_overflow(case):
    op_checks.half(case)


@every_case
def test_nothing_passed_in_changes(case):
    op_checks.purity(case)


@every_case
def test_recorded_where_asked_and_only_there(case):
    op_checks.recording(case)


@every_case
def test_cpu_backend_gives_what_the_reference_backend_gives(case):
    op_checks.backends(case)


@cases(lambda case: case.torch is not None)
def test_pytorch_gives_the_same(case):
    op_checks.peer(case, pytest.importorskip("torch"))

"""Every property of the op table for every case: one failing operation is one failing test.

Verdicts other than "" are refusals and reasons; ``test_ops_page`` compares them with docs/operations.md. Of a function
with many cases, what costs most is looked at for ``OF_EACH``; for all with ``--every-case``, on a device, and by
``test_ops_page``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import op_checks
import op_matrix
import pytest
from op_dtypes import INEXACT, WHOLE
from op_table import CASES, OpCase

OF_EACH = 2  # cases of one function, spread over their list


def cases(chosen=lambda case: True):
    return pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES if chosen(c)])


def has_derivatives(case: OpCase, order: int = 1) -> bool:
    return bool(case.argnums(op_checks.arrays(case))) and case.order >= order


every_case = cases()


def some_cases(chosen: Callable[[OpCase], bool] = lambda case: True) -> Callable[[Callable], Callable]:
    """Parametrizes a test as ``cases`` does, with ``OF_EACH`` of every function unless every case is asked for."""

    def mark(test: Callable) -> Callable:
        test.chosen = chosen
        return test

    return mark


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = getattr(metafunc.function, "chosen", None)
    if chosen is None:
        return
    own: dict[str, list[OpCase]] = defaultdict(list)
    for case in filter(chosen, CASES):
        own[case.function].append(case)
    if not (metafunc.config.getoption("--every-case") or metafunc.config.getoption("--device")):
        own = {f: found if len(found) <= OF_EACH else spread(found) for f, found in own.items()}
    found = [case for several in own.values() for case in several]
    metafunc.parametrize("case", found, ids=[case.name for case in found])


def spread(found: list[OpCase]) -> list[OpCase]:
    return [found[i * len(found) // OF_EACH] for i in range(OF_EACH)]


def verdict(case: OpCase, column: str) -> str:
    try:
        return op_matrix.COLUMNS[column](case)
    except op_matrix.Missing as judge:
        pytest.skip(str(judge))


@every_case
def test_value_is_that_of_the_reference(case):
    verdict(case, "value")


@every_case
def test_shape_rules_say_what_comes_out(case):
    op_checks.shapes(case)


@cases(has_derivatives)
def test_derivatives_agree_with_finite_differences(case):
    verdict(case, "vjp")
    verdict(case, "jvp")


@cases(lambda case: case.edge is not None)
def test_gradients_where_there_is_no_derivative(case):
    op_checks.edge(case)


@some_cases(lambda case: has_derivatives(case, 2))
def test_second_derivatives_are_symmetric(case):
    verdict(case, "2nd order")


@some_cases()
def test_vmap_is_the_loop(case):
    verdict(case, "vmap")


@some_cases()
def test_booleans_and_integers_are_right_or_refused(case):
    for name in WHOLE:
        verdict(case, name)


@some_cases()
def test_floating_and_complex_dtypes_are_right_or_refused(case):
    missing = []
    for name in INEXACT:
        try:
            op_matrix.COLUMNS[name](case)
        except op_matrix.Missing as judge:
            missing.append(str(judge))
    if missing:
        pytest.skip("; ".join(missing))


@some_cases()
def test_layout_in_memory_does_not_matter(case):
    verdict(case, "strided")


@some_cases()
def test_operands_without_elements_are_taken_or_refused(case):
    verdict(case, "zero-size")


@cases(lambda case: case.elementwise)
def test_0d_operands(case):
    op_checks.scalars(case)


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
    verdict(case, "PyTorch")


@cases(lambda case: not case.no_jax)
def test_jax_gives_the_same(case):
    verdict(case, "JAX")

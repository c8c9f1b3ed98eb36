"""No operation without a case, no case without its reasons: what the op table must hold."""

from __future__ import annotations

import op_checks
from op_catalog import NOT_OPERATIONS, families, primitives, public_functions
from op_table import CASES, OpCase
from op_table.exceptions import EXCEPTIONS
from op_table.jax_names import ADAPTED, COARSE, NOT_IN_JAX

import autograd_core as ag
from autograd_core import ops


def test_families_are_found():
    assert len(families()) > 20
    assert {"add", "matmul", "conv2d", "cross_entropy", "max_pool2d", "bernoulli"} <= public_functions().keys()


def functions_without(cases: list[OpCase]) -> set[str]:
    return public_functions().keys() - {case.function.removeprefix("random.") for case in cases} - NOT_OPERATIONS


def primitives_without(cases: list[OpCase]) -> set[str]:
    watcher = op_checks.Watcher()
    for case in cases:
        op_checks.shapes(case, watcher)
    return {name for primitive, name in primitives().items() if primitive not in watcher.seen}


def test_every_public_operation_has_a_case():
    assert not functions_without(CASES)


def test_every_primitive_runs_in_a_case_or_its_derivatives():
    assert not primitives_without(CASES)


def test_an_operation_without_a_case_would_be_found():
    others = [case for case in CASES if case.function != "tan"]
    assert functions_without(others) == {"tan"}
    assert primitives_without(others) == {"autograd_core.ops.trigonometric.tan_p"}


def test_operations_on_the_face_are_listed_by_their_family():
    """What ``from .ops.X import *`` puts on the face is what X lists, and not what X imports for itself."""
    listed = public_functions()
    stray = [
        name
        for name, value in vars(ag).items()
        if getattr(value, "__module__", "").startswith(ops.__name__) and name not in listed
    ]
    assert not stray, stray
    assert not {"Any", "np", "bind", "annotations"} & vars(ag).keys()


def test_case_names_are_unique():
    names = [case.name for case in CASES]
    assert not {name for name in names if names.count(name) > 1}


def test_cases_without_derivatives_say_why():
    assert not [case.name for case in CASES if case.differentiable == () and not case.why_not]


def test_cases_without_pytorch_say_why():
    assert not [case.name for case in CASES if case.torch is None and not case.no_torch]


def test_exceptions_name_cases_or_their_functions():
    assert EXCEPTIONS.keys() <= {name for case in CASES for name in (case.name, case.function)}


def test_what_jax_is_told_names_operations():
    told = ADAPTED.keys() | NOT_IN_JAX.keys() | COARSE.keys()
    assert told - {"random"} <= public_functions().keys(), told - public_functions().keys()


def test_gradients_are_stated_only_where_there_is_no_derivative():
    assert not [case.name for case in CASES if case.edge is not None and case.order]

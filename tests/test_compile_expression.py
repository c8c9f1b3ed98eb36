"""Formulas as expressions: every operation of the op table, captured, fused and run, gives the formula's numbers."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from compile_tools import captured, run, trace
from op_checks import arrays, as_float32
from op_table import CASES

import autograd_core as ag
from autograd_core.compiler.arrays import Array
from autograd_core.compiler.expression import Expressions, Inexpressible
from autograd_core.compiler.fuse import OpaqueUnit, schedule
from autograd_core.compiler.ir import Var
from autograd_core.compiler.namespace import Namespace
from autograd_core.compiler.simplify import simplify
from autograd_core.errors import CompileError

# What is not fused in float32, and why: part of the reason that is given.
OPAQUE = {
    "by LAPACK": (
        "xp.linalg",
        """cholesky cofactor_change cofactors complement det eig eigh eigvals eigvalsh inv pinv qr slogdet solve
        solve_triangular svd svdvals""",
    ),
    "by the FFT": ("xp.fft", "fftn ifftn irfft rfft"),
    "a matrix product, or made of some": (
        "xp.matmul",
        """attention convolution convolution_bias convolution_input gru linear lstm matmul matrix_exp rnn""",
    ),
    "an order among elements": ("", "argmax argmin argsort searchsorted"),
    "running totals": ("", "cumulative_sum"),
    "loops in Python over arrays": ("", "ctc_alignment eliminated pivots gcd lcm"),
    "elements chosen by values": (
        "",
        "add_at embed_diagonal joint_positions last pool_gather positions_along put resample take",
    ),
    "windows that overlap": ("", "avg_pool fold unfold"),
    "Philox": ("", "random_bernoulli random_bits random_integers random_normal random_permutation random_uniform"),
    "bits of floating-point numbers": ("", "exponent ldexp nextafter"),
    "a division that fails for 0": ("floor_divide of integers", "floor_divide"),
    "powers of integers": ("power of integers", "power"),
    "complex numbers": ("", "complex conj imag"),
    "steps that are no whole numbers": ("", "arange linspace"),
    "a diagonal": ("xp.diagonal", "diagonal"),
    "base 2": ("xp.logaddexp2", "logaddexp2"),
    "other places than a box": ("no box", "place"),
    "no elements": ("max of no elements", "softmax log_softmax"),
}
FAMILIES = sorted({case.fn.__module__ for case in CASES})


class Outcome(NamedTuple):
    """What became of a family's cases."""

    wrong: list[str]
    opaque: dict[str, set[str]]
    count: int


@cache
def outcome(family: str) -> Outcome:
    wrong: list[str] = []
    opaque: dict[str, set[str]] = {}
    count = 0
    for case in CASES:
        if case.fn.__module__ != family:
            continue
        try:
            found = captured(case.fn, *[np.asarray(x) for x in as_float32(arrays(case))])
        except CompileError:  # what cannot be captured is refused with a reason of its own
            continue
        graph = simplify(found.graph)
        plan = schedule(graph, trace=trace)
        count += 1
        for y, expected in zip(run(graph, plan, found.arrays), found.expected, strict=True):
            if not agrees(y, expected):
                wrong.append(case.name)
        if not any(v.dtype.kind == "c" for e in graph.equations for v in (*e.inputs, *e.outputs)):
            for unit in plan.units:
                if isinstance(unit, OpaqueUnit):
                    opaque.setdefault(unit.equation.primitive.name, set()).add(unit.reason)
    return Outcome(wrong, opaque, count)


def agrees(y: np.ndarray, expected: np.ndarray) -> bool:
    if (y.shape, y.dtype) != (expected.shape, expected.dtype):
        return False
    if expected.dtype.kind not in "fc":
        return np.array_equal(y, expected)
    tolerance = 1e-12 if expected.dtype.itemsize // (2 if expected.dtype.kind == "c" else 1) == 8 else 1e-5
    finite = np.abs(expected[np.isfinite(expected)])
    return np.allclose(y, expected, rtol=tolerance, atol=tolerance * finite.max(initial=0), equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_operations_give_the_numbers_of_the_formulas(family: str) -> None:
    assert outcome(family).wrong == []


def test_what_is_not_fused_has_a_reason() -> None:
    reasons = {name: part for part, names in OPAQUE.values() for name in names.split()}
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        for name, given in outcome(family).opaque.items():
            found.setdefault(name, set()).update(given)
    assert {name for name in found if name not in reasons} == set()
    for name, given in found.items():
        assert any(reasons[name] in reason for reason in given), (name, given)
    assert sum(outcome(family).count for family in FAMILIES) > 1000


# ------------------------------------------------------------------------------------------- the namespace


def inputs(*arrays_given: Any) -> tuple[Expressions, Namespace, list[Array]]:
    x = Expressions()
    made = [Array(x, x.input(Var(ag.tensor(a).aval)), shared=True) for a in arrays_given]
    return x, Namespace(x), made


DTYPES = ["bool", "int8", "int32", "int64", "uint8", "uint32", "float32", "float64"]
NUMBERS = [True, 2, 2.5, np.float32(2), np.float64(2), np.int64(2)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["add", "multiply", "divide", "maximum", "less", "subtract", "power", "bitwise_and"])
def test_dtypes_are_those_of_numpy(name: str, dtype: str) -> None:
    for other in [*DTYPES, *NUMBERS]:
        a = np.ones(3, dtype)
        b = np.ones(3, other) if isinstance(other, str) else other
        try:
            expected = getattr(np, name)(a, b).dtype
        except TypeError:
            expected = None
        _, xp, (x, *rest) = inputs(a, *([b] if isinstance(other, str) else []))
        try:
            found = getattr(xp, name)(x, *(rest or [b])).dtype
        except Inexpressible:
            continue
        assert found == expected, (other, found)


def test_equal_expressions_are_one_node() -> None:
    _, xp, (a, b) = inputs(np.ones(3), np.ones(3))
    assert (xp.exp(a) * b + 1.0).node is (xp.exp(a) * b + 1.0).node
    assert (a * 0.0).node is not (a * -0.0).node


def test_only_exact_algebra() -> None:
    _, xp, (a,) = inputs(np.ones(3, np.float32))
    assert (a * 1).node is a.node
    assert (a / 1).node is a.node
    assert (a - 0.0).node is a.node
    assert (a + -0.0).node is a.node
    assert (a + 0.0).node is not a.node  # -0.0 + 0.0 is 0.0
    assert (a * 0).node.kind == "map"  # NaN for infinities
    assert xp.where(np.bool_(True), a, 0.0).node is a.node


def test_changes_in_place() -> None:
    _, xp, (a,) = inputs(np.ones((2, 3), np.float32))
    y = a - 1.0
    xp.exp(y, out=y)
    y /= y.sum(axis=1, keepdims=True)
    expected = xp.exp(a - 1.0) / xp.exp(a - 1.0).sum(axis=1, keepdims=True)
    assert y.node is expected.node


def test_an_operand_is_not_to_be_changed() -> None:
    _, _, (a,) = inputs(np.ones(3))
    with pytest.raises(Inexpressible, match="others see"):
        a += 1.0


def test_what_a_view_was_taken_of_is_not_to_be_changed() -> None:
    _, _, (a,) = inputs(np.ones((2, 3)))
    y = a * 2.0
    kept = y[0]
    with pytest.raises(Inexpressible, match="others see"):
        y *= 2.0
    assert kept.shape == (3,)


@pytest.mark.parametrize(
    "look",
    [
        lambda xp, a: bool(a.sum() > 0),
        lambda xp, a: a[np.array([0, 1])],
        lambda xp, a: xp.linalg,
        lambda xp, a: a.flags,
        lambda xp, a: a + np.ones(3),
        lambda xp, a: a.astype("float16"),
        lambda xp, a: a // a.astype("int64"),
    ],
    ids=["bool", "index", "function", "attribute", "array", "half", "division"],
)
def test_what_cannot_be_expressed_is_refused(look: Any) -> None:
    _, xp, (a,) = inputs(np.ones(3, np.int64))
    with pytest.raises(Inexpressible):
        look(xp, a)

"""Elementwise operations where it is hard: singular points, ties, overflow, dtypes, senseless arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.errors import ArgumentError, DTypeError
from autograd_core.interpreters.eager import Eager
from autograd_core.ops import activation as F
from autograd_core.ops import units as U
from autograd_core.ops._error_function import erf, erfc
from autograd_core.primitive import Elementwise

INF = math.inf


def f64(*values: float) -> ag.Tensor:
    return ag.tensor(np.array(values, np.float64))


# A branch not taken ---------------------------------------------------------------------------------------------

# name: a function, a point where it or its slope is singular, and one where it is not
SINGULAR: dict[str, tuple[Callable, float, float]] = {
    "sqrt at 0": (ag.sqrt, 0.0, 2.0),
    "sqrt below 0": (ag.sqrt, -1.0, 2.0),
    "rsqrt": (ag.rsqrt, 0.0, 2.0),
    "log at 0": (ag.log, 0.0, 2.0),
    "log below 0": (ag.log, -1.0, 2.0),
    "log2": (ag.log2, 0.0, 2.0),
    "log10": (ag.log10, 0.0, 2.0),
    "log1p": (ag.log1p, -1.0, 2.0),
    "reciprocal": (ag.reciprocal, 0.0, 2.0),
    "number / x": (lambda x: 3 / x, 0.0, 2.0),
    "x / x": (lambda x: x / x, 0.0, 2.0),
    "x % x": (lambda x: 1 % x, 0.0, 2.3),
    "x ** 0.5": (lambda x: x**0.5, 0.0, 2.0),
    "x ** -1": (lambda x: x**-1, 0.0, 2.0),
    "x ** -2": (lambda x: x**-2, 0.0, 2.0),
    "x ** 0.3": (lambda x: x**0.3, 0.0, 2.0),
    "x ** tensor": (lambda x: x ** f64(-0.5, -0.5), 0.0, 2.0),
    "tensor ** x": (lambda x: f64(-1.0, 2.0) ** x, 2.0, 2.0),
    "exp": (ag.exp, 1e4, 2.0),
    "exp2": (ag.exp2, 1e4, 2.0),
    "expm1": (ag.expm1, 1e4, 2.0),
    "sinh": (ag.sinh, 1e4, 2.0),
    "cosh": (ag.cosh, 1e4, 2.0),
    "asin": (ag.asin, 1.0, 0.5),
    "acos beyond 1": (ag.acos, 2.0, 0.5),
    "acosh": (ag.acosh, 1.0, 2.0),
    "atanh": (ag.atanh, 1.0, 0.5),
    "xlogy": (lambda x: ag.xlogy(x, x), 0.0, 2.0),
    "log of sqrt": (lambda x: ag.log(ag.sqrt(x)), 0.0, 2.0),
    "log1p of exp": (lambda x: ag.log1p(ag.exp(x)), 1e4, 2.0),
}


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ag.grad(lambda x: f(x).sum()),
        lambda f: lambda x: ag.jvp(f, (x,), (ag.ones_like(x),))[1],
        lambda f: lambda x: ag.hvp(lambda x: f(x).sum(), (x,), (ag.ones_like(x),)),
        lambda f: ag.grad(lambda x: ag.grad(lambda x: f(x).sum())(x).sum()),
        lambda f: lambda x: ag.jvp(lambda x: ag.jvp(f, (x,), (ag.ones_like(x),))[1], (x,), (ag.ones_like(x),))[1],
        lambda f: ag.grad(lambda x: ag.jvp(f, (x,), (ag.ones_like(x),))[1].sum()),
    ],
    ids=[
        "reverse",
        "forward",
        "forward over reverse",
        "reverse over reverse",
        "forward over forward",
        "reverse over forward",
    ],
)
def test_a_branch_not_taken_gives_no_derivative(name: str, transform: Callable) -> None:
    f, singular, ordinary = SINGULAR[name]
    taken = f64(0.0, 1.0) > 0
    derivative = transform(lambda x: ag.where(taken, f(x), 0.0))(f64(singular, ordinary))
    alone = transform(f)(f64(ordinary, ordinary))
    np.testing.assert_allclose(derivative.numpy(), [0.0, alone.numpy()[1]])
    assert np.isfinite(alone.numpy()[1])


def test_the_condition_on_the_operand_itself() -> None:
    gradient = ag.grad(lambda x: ag.where(x > 0, ag.sqrt(x), 0).sum())(ag.tensor([-1.0, 0.0, 4.0]))
    assert gradient.tolist() == [0.0, 0.0, 0.25]


def test_a_taken_singular_branch_is_not_hidden() -> None:
    assert ag.grad(lambda x: ag.sqrt(x).sum())(f64(0.0)).tolist() == [INF]
    assert ag.grad(lambda x: ag.log(x).sum())(f64(0.0)).tolist() == [INF]


def test_guarded_products_keep_nan_cotangents() -> None:
    _, pull = ag.vjp(ag.sqrt, f64(4.0))
    assert math.isnan(pull(f64(math.nan))[0].item())


def test_what_a_choice_stops_cannot_leak() -> None:
    """An infinite cotangent that meets an inactive unit is dropped, not multiplied by 0."""
    for stop in (F.relu, F.relu6, lambda x: ag.clip(x, 0.0, 1.0), lambda x: ag.maximum(x, 0.0)):
        assert ag.grad(lambda x, stop=stop: ag.sqrt(stop(x)).sum())(f64(-1.0)).tolist() == [0.0]


# Formulas ------------------------------------------------------------------------------------------------------


class Expression:
    """What a code generator passes for operands: it can be combined, but holds no value to branch on."""

    def __bool__(self) -> bool:
        raise AssertionError("a formula branches on a value")

    def combined(self, *others: Any) -> Expression:
        return Expression()

    __hash__ = None
    __neg__ = __abs__ = __invert__ = combined
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = combined
    __pow__ = __rpow__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = combined
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = combined


class ExpressionNamespace:
    """Functions of expressions; ``used`` collects their names."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Callable:
        self.used.add(name)
        return lambda *operands: Expression()


def test_formulas_are_expressions_that_numpy_and_code_generators_share(monkeypatch: pytest.MonkeyPatch) -> None:
    run, programs = Eager.run, {}

    def spy(self: Eager, primitive: Any, inputs: Any, params: dict) -> Any:
        if isinstance(primitive, Elementwise) and primitive.name != "truncating_cast":
            programs[primitive, tuple(sorted(params.items()))] = len(inputs)
        return run(self, primitive, inputs, params)

    monkeypatch.setattr(Eager, "run", spy)
    families = ("arithmetic", "exponential", "trigonometric", "rounding", "comparison", "selection", "activation")
    for family in families:
        for case in import_module(f"op_table.{family}").CASES:
            operands = case.make(np.random.default_rng(0))
            case.fn(*[ag.tensor(x) for x in operands])
    xp = ExpressionNamespace()
    for (primitive, params), arity in programs.items():
        assert isinstance(primitive.forward(xp, *[Expression() for _ in range(arity)], **dict(params)), Expression)
    assert len(programs) > 90
    assert all(isinstance(getattr(np, name), np.ufunc) for name in xp.used - {"where"})


# Ties and kinks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [ag.maximum, ag.minimum])
def test_a_tie_is_shared_in_halves(f: Callable) -> None:
    assert [g.item() for g in ag.grad(f, (0, 1))(f64(1.0).sum(), f64(1.0).sum())] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (ag.abs, 0.0, 0.0),
        (F.relu, 0.0, 0.0),
        (F.leaky_relu, 0.0, 0.01),
        (lambda x: ag.clip(x, 0.0, 1.0), 0.0, 1.0),
        (lambda x: ag.clip(x, 0.0, 1.0), 1.0, 1.0),
        (lambda x: F.hardtanh(x, 0.0, 1.0), 0.0, 0.0),
        (lambda x: ag.hypot(x, 0.0), 0.0, 0.0),
        (lambda x: ag.atan2(x, 0.0), 0.0, 0.0),
        (lambda x: ag.xlogy(0.0, x), 0.0, 0.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x ** f64(0.0).sum(), 0.0, 0.0),
        (lambda x: f64(0.0).sum() ** x, 2.0, 0.0),
        (lambda x: x**1, 0.0, 1.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: ag.copysign(x, -1.0), 0.0, 0.0),
    ],
)
def test_the_slope_at_a_kink(f: Callable, x: float, slope: float) -> None:
    assert ag.grad(f)(f64(x).sum()).item() == slope


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
def test_whole_powers_have_every_derivative_at_0(exponent: int) -> None:
    f = lambda x: x**exponent  # noqa: E731
    for order in range(5):
        assert f(f64(0.0).sum()).item() == (math.factorial(exponent) if order == exponent else 0.0)
        f = ag.grad(f)


# Overflow and accuracy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("f", "low", "high"),
    [
        (F.sigmoid, 0.0, 1.0),
        (F.logsigmoid, -1e4, 0.0),
        (F.softplus, 0.0, 1e4),
        (F.silu, 0.0, 1e4),
        (F.mish, 0.0, 1e4),
        (F.gelu, 0.0, 1e4),
        (lambda x: F.gelu(x, "tanh"), 0.0, 1e4),
        (U.elu, -1.0, 1e4),
        (U.celu, -1.0, 1e4),
        (ag.tanh, -1.0, 1.0),
        (lambda x: ag.logaddexp(x, 0.0), 0.0, 1e4),
    ],
)
def test_nothing_overflows_far_from_0(f: Callable, low: float, high: float, dtype: str) -> None:
    x = ag.tensor([-1e4, 1e4], dtype=dtype)
    assert f(x).tolist() == [low, high]
    for order in (1, 2):
        derivative = f
        for _ in range(order):
            derivative = ag.grad(lambda x, d=derivative: d(x).sum())
        assert np.isfinite(derivative(x).numpy()).all()


def test_equal_infinite_operands_share_logaddexp() -> None:
    assert ag.logaddexp(f64(-INF), -INF).tolist() == [-INF]
    assert ag.grad(lambda x: ag.logaddexp(x, -INF).sum())(f64(-INF)).tolist() == [0.5]


@pytest.mark.parametrize(("dtype", "erf_ulps", "erfc_ulps"), [(np.float32, 4, 12), (np.float64, 4, 12)])
def test_erf_and_erfc_are_within_the_stated_error(dtype: type, erf_ulps: int, erfc_ulps: int) -> None:
    rng = np.random.default_rng(0)
    near, far = rng.uniform(-7, 7, 20_000), rng.uniform(-1, 9 if dtype is np.float32 else 26, 20_000)
    x = np.concatenate([near, far, rng.uniform(0.4, 0.6, 5_000), np.logspace(-30, 0, 100)]).astype(dtype)
    for f, exact, limit in ((erf, math.erf, erf_ulps), (erfc, math.erfc, erfc_ulps)):
        y = f(ag.tensor(x)).numpy()
        wanted = np.array([exact(v) for v in x.tolist()])
        assert y.dtype == dtype
        assert np.max(np.abs(y.astype(np.float64) - wanted) / np.spacing(np.abs(wanted).astype(dtype))) <= limit


def test_gelu_in_single_precision_is_within_the_stated_error() -> None:
    x = np.linspace(-8, 8, 100_001, dtype=np.float32)
    wanted = np.array([v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
    y = F.gelu(ag.tensor(x)).numpy()
    assert y.dtype == np.float32
    assert np.max(np.abs(y - wanted) / np.maximum(1, np.abs(wanted))) < 1e-6
    assert (y[x < -6] == 0).all()
    assert (y[x > 6] == x[x > 6]).all()


def test_erf_and_erfc_at_the_ends() -> None:
    ends = f64(0.0, -0.0, INF, -INF, math.nan)
    np.testing.assert_array_equal(erf(ends).numpy(), [0.0, -0.0, 1.0, -1.0, math.nan])
    np.testing.assert_array_equal(erfc(ends).numpy(), [1.0, 1.0, 0.0, 2.0, math.nan])
    assert ag.signbit(erf(ends)).tolist()[1]


def test_anything_to_the_power_0_is_1() -> None:
    assert (f64(math.nan, INF, 0.0, -2.0) ** 0).tolist() == [1.0, 1.0, 1.0, 1.0]
    assert (ag.tensor([0, 3]) ** 0).tolist() == [1, 1]


# Dtypes -----------------------------------------------------------------------------------------------------------

FLOATING = (
    *(ag.exp, ag.log1p, ag.sqrt, ag.erf, ag.sin, ag.atan, ag.reciprocal, ag.deg2rad),
    *(F.sigmoid, F.logsigmoid, F.softplus, F.silu, F.mish, F.gelu, F.leaky_relu, F.hardtanh, F.relu6, F.hardsigmoid),
    *(F.hardswish, U.elu, U.selu, U.celu, U.softsign, U.tanhshrink, U.softshrink),
)
KEPT = (
    ag.abs,
    ag.sign,
    ag.square,
    ag.negative,
    ag.positive,
    ag.floor,
    F.relu,
    U.hardshrink,
    lambda x: x**3,
    lambda x: x % 2,
)


@pytest.mark.parametrize("f", FLOATING)
def test_integers_become_float32_where_a_result_is_fractional(f: Callable) -> None:
    assert f(ag.tensor([1, 2])).dtype == np.float32
    assert f([1, 2]).tolist() == f(ag.tensor([1, 2])).tolist()


@pytest.mark.parametrize("f", KEPT)
@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_dtypes_are_kept_where_results_are_exact(f: Callable, dtype: str) -> None:
    assert f(ag.tensor([1, 2], dtype=dtype)).dtype == dtype


def test_limits_of_clip_are_promoted_like_operands() -> None:
    x = ag.tensor([-3, 0, 3])
    assert ag.clip(x, -1, 1).dtype == np.int64
    assert ag.clip(x, -0.5, None).tolist() == [-0.5, 0.0, 3.0]
    assert ag.clip(x, -0.5, None).dtype == np.float32


def test_where_promotes_its_branches() -> None:
    condition = ag.tensor([True, False])
    assert ag.where(condition, 1, 2).dtype == np.int64
    assert ag.where(condition, 1.0, 2).dtype == np.float32
    assert ag.where(condition, ag.tensor([1, 2]), 0.5).tolist() == [1.0, 0.5]
    assert ag.where(condition, ag.tensor([1.0], dtype="float64"), np.float32(2)).dtype == np.float64
    assert ag.where(True, ag.tensor([1.0]), 0).tolist() == [1.0]


# What makes no sense ---------------------------------------------------------------------------------------------


def test_what_is_no_array_equals_no_tensor() -> None:
    x = ag.tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != "text") is True
    assert x not in (None, "text")
    with pytest.raises(ArgumentError):
        x < None  # noqa: B015


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ag.tensor([1, 2]) ** -1, DTypeError, r"pow: int64\[2\] to the power -1 .* x\.astype"),
        (lambda x: x & True, DTypeError, r"bitwise_and: needs booleans or integers, got float32\[2\] and float32\[\]"),
        (lambda x: ag.bitwise_left_shift(x, 1), DTypeError, r"bitwise_left_shift: needs integers, got float32"),
        (lambda x: ag.where(x, 1.0, 2.0), DTypeError, r"where: condition must be boolean, got float32"),
        (lambda x: F.gelu(x, "erf"), ArgumentError, r"'none' or 'tanh', got 'erf'"),
        (lambda x: F.softplus(x, beta=0), ArgumentError, r"beta must not be 0"),
        (lambda x: U.celu(x, alpha=0), ArgumentError, r"alpha must not be 0"),
        (lambda x: U.softshrink(x, -1.0), ArgumentError, r"lambd must not be negative, got -1.0"),
        (lambda x: U.hardshrink(x, -1.0), ArgumentError, r"lambd must not be negative, got -1.0"),
        (lambda x: F.hardtanh(x, 1.0, -1.0), ArgumentError, r"min_val 1.0 is greater than max_val -1.0"),
        (lambda x: ag.add(x, ag.ones(3)), ag.ShapeError, r"add: shapes \(2,\) and \(3,\) do not broadcast"),
    ],
)
def test_errors_say_what_was_given_and_what_to_write(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(ag.tensor([1.0, 2.0]))

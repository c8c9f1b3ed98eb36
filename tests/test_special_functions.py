"""Special functions: errors no larger than their docstrings say, hard points, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import special

RNG = np.random.default_rng(3)
POSITIVE = np.concatenate([RNG.uniform(0, 12, 150), 10 ** RNG.uniform(-9, 9, 50), [1 + 1e-7, 2 - 1e-7, 0.5, 1.5, 2.5]])
NEGATIVE = RNG.uniform(-20, 0, 100)
SIGNED = RNG.uniform(-20, 20, 200)


def units(y: np.ndarray, exact: np.ndarray, least: float = 0.0) -> float:
    """The largest error in units in the last place of the exact value (of ``least``, where that is larger)."""
    with np.errstate(over="ignore"):
        exact = exact.astype(y.dtype)
    tiny = np.finfo(y.dtype).tiny
    normal = np.isfinite(exact) & (np.abs(exact) >= tiny)
    y, exact = y[normal], exact[normal]
    return float(np.max(np.abs(y - exact) / np.spacing(np.maximum(np.abs(exact), y.dtype.type(least)))))


def log_cumulative(mp, v):
    return mp.log1p(-mp.erfc(v / mp.sqrt(2)) / 2) if v > 0 else mp.log(mp.erfc(-v / mp.sqrt(2)) / 2)


ACCURACY: dict[str, tuple[Callable, Callable, np.ndarray, float, float]] = {
    # function, the same of multiple precision, points, units allowed, least magnitude that they are measured by
    "i0": (special.i0, lambda mp, v: mp.besseli(0, v), SIGNED, 5, 0),
    "i0e": (special.i0e, lambda mp, v: mp.besseli(0, v) * mp.exp(-abs(v)), SIGNED, 5, 0),
    "i1": (special.i1, lambda mp, v: mp.besseli(1, v), SIGNED, 5, 0),
    "i1e": (special.i1e, lambda mp, v: mp.besseli(1, v) * mp.exp(-abs(v)), SIGNED, 5, 0),
    "lgamma": (ag.lgamma, lambda mp, v: mp.loggamma(v).real, POSITIVE, 8, 0),
    "lgamma/negative": (ag.lgamma, lambda mp, v: mp.log(abs(mp.gamma(v))), NEGATIVE, 8, 1),
    "digamma": (ag.digamma, lambda mp, v: mp.digamma(v), POSITIVE, 8, 1),
    "polygamma 1": (lambda x: ag.polygamma(1, x), lambda mp, v: mp.polygamma(1, v), POSITIVE, 8, 0),
    "polygamma 4": (lambda x: ag.polygamma(4, x), lambda mp, v: mp.polygamma(4, v), POSITIVE[:150], 8, 0),
    "polygamma 12": (lambda x: ag.polygamma(12, x), lambda mp, v: mp.polygamma(12, v), POSITIVE[:150], 8, 0),
    "erfinv": (ag.erfinv, lambda mp, v: mp.erfinv(v), np.tanh(SIGNED), 8, 0),
    "erfcx": (special.erfcx, lambda mp, v: mp.exp(v * v) * mp.erfc(v), SIGNED, 8, 0),
    "ndtri": (special.ndtri, lambda mp, v: mp.sqrt(2) * mp.erfinv(2 * v - 1), 1 / (1 + np.exp(SIGNED)), 8, 0),
    "ndtr": (special.ndtr, lambda mp, v: mp.ncdf(v), np.clip(SIGNED, -4, 20), 40, 0),
    "log_ndtr": (special.log_ndtr, log_cumulative, -np.abs(SIGNED), 8, 0),
    "log_ndtr/right": (special.log_ndtr, log_cumulative, np.abs(SIGNED) / 5, 40, 0),
    "logit": (ag.logit, lambda mp, v: mp.log(v / (1 - v)), 1 / (1 + np.exp(SIGNED)), 8, 0),
    "sinc": (ag.sinc, lambda mp, v: mp.sinc(mp.pi * v), np.array([0.1, 0.3, 0.5, 0.75, -0.9]), 8, 0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACCURACY)
def test_errors_are_as_small_as_said(name: str, dtype: str):
    mpmath = pytest.importorskip("mpmath")
    f, exact, points, allowed, least = ACCURACY[name]
    x = points.astype(dtype)
    if name.startswith(("erfinv", "ndtri", "logit")):
        x = x[np.abs(2 * x - 1) < 1] if name != "erfinv" else x[np.abs(x) < 1]
    y = f(ag.asarray(x)).numpy()
    assert y.dtype == dtype
    with mpmath.workdps(40):
        wanted = np.array([float(exact(mpmath, mpmath.mpf(float(v)))) for v in x])
    assert units(y, wanted, least) <= allowed


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("f", "points", "values"),
    [
        (ag.lgamma, [0, -1, INF, -INF, NAN, 1, 2], [INF, INF, INF, INF, NAN, 0, 0]),
        (ag.digamma, [0.0, -0.0, -1, INF, NAN], [-INF, INF, NAN, INF, NAN]),
        (lambda x: ag.polygamma(1, x), [0, -1, INF, NAN], [INF, INF, 0, NAN]),
        (lambda x: ag.polygamma(2, x), [0, -1, INF, NAN], [-INF, NAN, 0, NAN]),
        (ag.erfinv, [-1, 0, 1, 1.5, NAN], [-INF, 0, INF, NAN, NAN]),
        (special.ndtri, [0, 0.5, 1, -0.1, NAN], [-INF, 0, INF, NAN, NAN]),
        (special.erfcx, [INF, -INF, NAN, 0], [0, INF, NAN, 1]),
        (special.ndtr, [INF, -INF, NAN], [1, 0, NAN]),
        (special.log_ndtr, [INF, -INF, NAN], [0, -INF, NAN]),
        (special.i0, [INF, -INF, NAN, 0], [INF, INF, NAN, 1]),
        (special.i1, [INF, -INF, NAN, 0], [INF, -INF, NAN, 0]),
        (special.i0e, [INF, -INF, NAN, 0], [0, 0, NAN, 1]),
        (special.i1e, [INF, -INF, NAN, 0], [0, 0, NAN, 0]),
        (special.entr, [0, -1, INF, NAN], [0, -INF, -INF, NAN]),
        (ag.logit, [0, 1, 2, NAN], [-INF, INF, NAN, NAN]),
        (ag.sinc, [0, NAN], [1, NAN]),
        (ag.cbrt, [0, INF, -INF, NAN], [0, INF, -INF, NAN]),
        (ag.frac, [-0.5, 2.0, NAN], [-0.5, 0, NAN]),
        (lambda x: ag.xlog1py(x, ag.asarray([-1.0, 2.0, NAN])), [0, 0, 0], [0, 0, NAN]),
        (lambda x: ag.heaviside(x, 0.5), [INF, -INF, NAN, -0.0], [1, 0, NAN, 0.5]),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values(f, points, values, dtype):
    y = f(ag.asarray(points, dtype=dtype)).numpy()
    np.testing.assert_array_equal(y, np.array(values, y.dtype))


def derivatives(f: Callable, x: float, order: int) -> list[float]:
    """f(x), f'(x), f''(x), ... by forward mode over and over."""
    values = []
    for _ in range(order + 1):
        values.append(f(ag.asarray(np.float64(x))).item())
        f = (lambda inner: lambda x: ag.jvp(inner, (x,), (ag.ones_like(x),))[1])(f)
    return values


def test_derivatives_at_zero_where_formulas_divide_by_x():
    pi2 = math.pi**2
    np.testing.assert_allclose(derivatives(ag.sinc, 0.0, 4), [1, 0, -pi2 / 3, 0, pi2**2 / 5], rtol=1e-14)
    np.testing.assert_allclose(derivatives(special.i0, 0.0, 4), [1, 0, 1 / 2, 0, 3 / 8], rtol=1e-14)
    np.testing.assert_allclose(derivatives(special.i1, 0.0, 5), [0, 1 / 2, 0, 3 / 8, 0, 5 / 16], rtol=1e-14)
    np.testing.assert_allclose(derivatives(special.i1e, 0.0, 1), [0, 1 / 2], rtol=1e-14)


def test_derivatives_of_higher_order():
    ag.check_grads(ag.lgamma, (np.array([-1.4, 0.3, 1.5, 7.0]),), order=3)
    ag.check_grads(ag.sinc, (np.array([0.0, 1e-4, 0.9, 3.5]),), order=3)
    ag.check_grads(special.i0e, (np.array([-9.5, -2.0, 0.5, 7.9, 12.0]),), order=3)
    ag.check_grads(special.log_ndtr, (np.array([-30.0, -1.0, 0.5, 3.0]),), order=3)
    ag.check_grads(special.erfcx, (np.array([-1.0, 0.2, 49.9, 60.0]),), order=3)


@pytest.mark.parametrize("f", [special.entr, ag.logit, ag.cbrt, ag.lgamma, ag.digamma, special.ndtri])
def test_what_is_infinite_stays_out_of_the_branch_not_taken(f):
    x = ag.tensor(np.array([0.0, 0.25]), requires_grad=True)
    ag.where(x > 0, f(x), 0).sum().backward()
    assert x.grad[0].item() == 0
    assert math.isfinite(x.grad[1].item())


def test_missing_values_count_for_nothing():
    x = ag.tensor(np.array([[1.0, NAN, 3.0], [NAN, NAN, NAN]]), requires_grad=True)
    assert ag.nansum(x, axis=1).tolist() == [4, 0]
    assert ag.nanprod(x, axis=1).tolist() == [3, 1]
    np.testing.assert_array_equal(ag.nanmean(x, axis=1).detach().numpy(), [2, NAN])
    np.testing.assert_array_equal(ag.nanmax(x, axis=1).detach().numpy(), [3, NAN])
    np.testing.assert_array_equal(ag.nanmin(x, axis=1, keepdims=True).detach().numpy(), [[1], [NAN]])
    for f, expected in ((ag.nansum, [1, 0, 1]), (ag.nanmean, [0.5, 0, 0.5]), (ag.nanmax, [0, 0, 1])):
        x.grad = None
        f(x[0]).backward()
        assert x.grad[0].tolist() == expected


def test_missing_values_of_integers():
    assert ag.nansum(ag.tensor([1, 2])).item() == 3
    assert ag.nanmax(ag.tensor([1, 2])).item() == 2
    assert ag.nanmean(ag.tensor([1, 2])).dtype == np.float32


def test_interpolation_meets_both_ends():
    start, end = ag.tensor([1e8, -3.0]), ag.tensor([0.1, 7.0])
    for weight in (1.0, ag.ones(2)):
        assert ag.lerp(start, end, weight).tolist() == end.tolist()
    for weight in (0.0, ag.zeros(2)):
        assert ag.lerp(start, end, weight).tolist() == start.tolist()


def test_whole_numbers():
    assert ag.gcd(ag.tensor([0, -6, 7]), ag.tensor([0, 4, 0])).tolist() == [0, 2, 7]
    assert ag.lcm(ag.tensor([0, -6, 7]), ag.tensor([5, 4, 7])).tolist() == [0, 12, 7]
    assert ag.frac(ag.tensor([3, -4])).tolist() == [0, 0]
    assert ag.fmod(ag.tensor([True, False]), 2).dtype == np.int64


def test_powers_of_two_neither_overflow_nor_vanish_between():
    x, n = (
        ag.asarray([2.0**-1074, 2.0**1000, 0.75, INF, 0.0], dtype="float64"),
        ag.tensor([2000, -2000, 1025, -5000, 5000]),
    )
    assert ag.ldexp(x, n).tolist() == [2.0**926, 2.0**-1000, INF, INF, 0]
    mantissa, exponent = ag.frexp(x[:4])
    assert mantissa.tolist() == [0.5, 0.5, 0.75, INF]
    assert exponent.tolist()[:3] == [-1073, 1001, 0]


def test_float_power_is_in_double_precision():
    assert ag.float_power(ag.tensor([2], dtype="int32"), ag.tensor([0.5])).dtype == np.float64
    assert ag.float_power(2.0, ag.tensor([1j])).dtype == np.complex128


def test_names_by_which_others_know_them():
    x = ag.tensor([0.3])
    assert special.gammaln(x).item() == ag.lgamma(x).item()
    assert special.psi(x).item() == ag.digamma(x).item()
    assert special.expit(x).item() == x.sigmoid().item()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ag.polygamma(-1, 1.0), ag.ArgumentError, "polygamma: n, the order of the derivative, .* got -1"),
        (lambda: ag.polygamma(1.5, 1.0), ag.ArgumentError, "must be an int of at least 0, got 1.5"),
        (lambda: special.multigammaln(3.0, 0), ag.ArgumentError, "must be an int of at least 1, got 0"),
        (lambda: ag.gcd(ag.tensor([1.5]), 2), ag.DTypeError, "gcd: x1 and x2 must hold integers, got float32"),
        (lambda: ag.lgamma(ag.tensor([1j])), ag.DTypeError, r"lgamma: takes real numbers, got complex64\[1\]"),
        (lambda: special.i0(1j), ag.DTypeError, "i0: takes real numbers, got 1j"),
        (lambda: ag.cbrt(ag.tensor([1j])), ag.DTypeError, "cbrt: takes real numbers"),
        (lambda: ag.nanmax(ag.tensor([1j])), ag.DTypeError, "complex numbers have no order"),
        (lambda: ag.fmod(ag.tensor([1j]), 2), ag.DTypeError, "fmod: takes real numbers"),
        (lambda: ag.ldexp(ag.ones(2), 0.5), ag.DTypeError, "ldexp: exponent must hold integers, got float32"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()

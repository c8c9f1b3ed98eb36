"""Elementary functions in native code: within the stated error, right at the edges, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

import llvmlite.binding as llvm
from native_vectors import LEVELS, code, run

from autograd_core.backends.cpu.native import machine
from autograd_core.backends.cpu.native.elementary.vector_math import STATED_ERROR

FLOATS = ("float32", "float64")
BINARY = ("pow", "hypot", "atan2")
OPS = tuple(STATED_ERROR)
FUSED = "+fma" in machine.host().features.split(",") or not llvm.get_process_triple().startswith("x86_64")
WIDER = {"float32": np.float64, "float64": np.longdouble}
BITS = {"float32": np.uint32, "float64": np.uint64}
# magnitudes at which some function overflows, underflows or turns, and numbers at the format's own edges
EDGES = (0.0, 1.0, 0.5, 2.0, 3.0, 1e9, 2.5, 17.3, 88.72, 88.73, 89.4, 89.5, 103.9, 104.1, 126.5, 150.0, 709.7, 709.8)
EDGES += (710.4, 710.5, 745.1, 745.2, 1e5, 1.001e5, 16777217.0, 1e-8, 1e-20, np.inf, np.nan)


def erf(x: np.ndarray) -> np.ndarray:
    """exp(-x*x) times a series without cancellation, in the precision of x."""
    x = np.clip(x, -7, 7)
    term = 2 * x / np.sqrt(np.arccos(x.dtype.type(-1)))
    total = term.copy()
    for n in range(1, 170):
        term = term * (2 * x * x / (2 * n + 1))
        total += term
    return total * np.exp(-x * x)


REFERENCES: dict[str, Callable[..., np.ndarray]] = {
    "sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "erf": erf,
    "pow": np.power,
    "atan2": np.arctan2,
    **{name: getattr(np, "arc" + name[1:]) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
}


def special(dtype: str) -> np.ndarray:
    limits = np.finfo(dtype)
    own = [limits.max, limits.tiny, limits.smallest_subnormal, limits.tiny * 0.75, 1 + limits.eps, 1 - limits.epsneg]
    values = np.array([*EDGES, *own]).astype(dtype)
    return np.concatenate([values, -values])


@cache
def samples(dtype: str, op: str) -> tuple[np.ndarray, ...]:
    """Special values, all patterns of bits, and where functions bend: dense there."""
    rng = np.random.default_rng(11)
    count = 6000
    limit = np.iinfo(BITS[dtype]).max

    def patterns() -> np.ndarray:
        return rng.integers(0, limit, 2 * count, BITS[dtype], endpoint=True).view(dtype)

    spread = [rng.uniform(-scale, scale, count) for scale in (0.5, 1, 3, 10, 40, 110, 760)]
    spread += [10.0 ** rng.uniform(-9, 2, count), 1 + rng.uniform(-0.1, 0.1, count), 2.0 ** rng.uniform(-3, 3, count)]
    if op not in BINARY:
        return (np.concatenate([special(dtype), patterns(), np.concatenate(spread).astype(dtype)]),)
    first, second = (each.ravel() for each in np.meshgrid(special(dtype), special(dtype)))
    x = np.concatenate([*spread, np.abs(rng.standard_normal(4 * count)), rng.standard_normal(count) * 5])
    y = np.concatenate([*spread[::-1], rng.uniform(-60, 60, 4 * count), np.rint(rng.uniform(-9, 9, count))])
    return (
        np.concatenate([first, patterns(), x.astype(dtype)]),
        np.concatenate([second, patterns(), y.astype(dtype)]),
    )


@cache
def reference(dtype: str, op: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return (REFERENCES.get(op) or getattr(np, op))(*(x.astype(WIDER[dtype]) for x in samples(dtype, op)))


@cache
def computed(level: str, dtype: str, op: str) -> np.ndarray:
    kernels = tuple((name, (dtype,) * (2 if name in BINARY else 1), dtype) for name in OPS)
    return run(code(level, kernels), op, samples(dtype, op), dtype)


def errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """In units in the last place of the exact result; infinite where only one of the two is finite, or a NaN."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        unit = np.spacing(np.minimum(np.abs(rounded), np.finfo(got.dtype).max)).astype(exact.dtype)
        apart = np.abs(got.astype(exact.dtype) - exact) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    # Beside the largest number infinity is one unit away.
    beside = np.isinf(got) != np.isinf(rounded)
    apart = np.where(beside & (np.abs(np.where(np.isinf(got), rounded, got)) == np.finfo(got.dtype).max), 1, apart)
    return np.where(same & ~np.isfinite(got), 0, np.where(np.isnan(apart), np.inf, apart)).astype(float)


def exact_enough(dtype: str) -> None:
    if np.finfo(WIDER[dtype]).eps > np.finfo(dtype).eps / 1000:
        pytest.skip("long double is no wider than double here: nothing to compare with")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_error_is_within_the_stated_bound(dtype: str, op: str) -> None:
    exact_enough(dtype)
    got, exact = computed("host", dtype, op), reference(dtype, op)
    apart = errors(got, exact)
    worst = int(apart.argmax())
    args = [x[worst] for x in samples(dtype, op)]
    more = 0 if FUSED else 1
    assert apart[worst] <= STATED_ERROR[op][dtype] + more, f"{op}{args} = {got[worst]!r}, exact {exact[worst]!r}"


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_signs_are_right_also_of_zero(dtype: str, op: str) -> None:
    got, exact = computed("host", dtype, op), reference(dtype, op)
    wrong = (np.signbit(got) != np.signbit(exact)) & ~np.isnan(got)
    assert not wrong.any(), [x[wrong][:5] for x in samples(dtype, op)]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("level", LEVELS[1:])
def test_every_machine_computes_the_same(level: str, dtype: str, op: str) -> None:
    """Vectors of any width and scalars: the same operations in the same order, bit for bit where both fuse them."""
    np.testing.assert_array_equal(computed(level, dtype, op), computed("host", dtype, op))


@pytest.mark.parametrize("dtype", FLOATS)
def test_limits_are_reached(dtype: str) -> None:
    x = np.linspace(-1000, 1000, 40001).astype(dtype)
    kernels = tuple((name, (dtype,), dtype) for name in ("tanh", "sigmoid", "erf", "expm1"))
    loaded = code("host", kernels)
    tanh, sigmoid, erf_, expm1 = (run(loaded, name, (x,), dtype) for name, _, _ in kernels)
    for name, values in (("tanh", tanh), ("erf", erf_)):
        assert np.all(values[x > 25] == 1), name
        assert np.all(values[x < -25] == -1), name
        assert np.all(np.abs(values) <= 1), name
    assert np.all(sigmoid[x > 40] == 1)
    assert np.all(sigmoid[x < -800] == 0)
    assert np.all(expm1[x < -50] == -1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_exact_powers_and_logarithms(dtype: str) -> None:
    whole = np.arange(-120, 120).astype(dtype)
    loaded = code("host", (("exp2", (dtype,), dtype), ("log2", (dtype,), dtype), ("pow", (dtype, dtype), dtype)))
    powers = np.ldexp(np.ones_like(whole), whole.astype(int))
    np.testing.assert_array_equal(run(loaded, "exp2", (whole,), dtype), powers)
    np.testing.assert_array_equal(run(loaded, "log2", (powers,), dtype), whole)
    small = np.arange(-200, 201).astype(dtype)
    np.testing.assert_array_equal(run(loaded, "pow", (small, np.full_like(small, 2)), dtype), small * small)
    np.testing.assert_array_equal(run(loaded, "pow", (small, np.full_like(small, 3)), dtype), small**3)

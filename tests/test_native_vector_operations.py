"""Arithmetic, rounding, integers, bools, comparisons and casts in native code: NumPy's results to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_vectors import LEVELS, Operation, code, run

from autograd_core.backends.cpu.native.elementary.vector_math import STATED_ERROR
from autograd_core.compiler.loops import SCALAR_OPS

FLOATS = ("float32", "float64")
SIGNED, UNSIGNED = ("int8", "int16", "int32", "int64"), ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
DTYPES = (*FLOATS, *INTEGERS, "bool")

COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
LOGIC = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor, "not": np.logical_not}
PREDICATES = {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite}
BITWISE = {"bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor, "invert": np.invert}
ARITHMETIC = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum, "abs": np.abs}
NUMERIC = {
    **ARITHMETIC,
    "sub": np.subtract,
    "neg": np.negative,
    "sign": np.sign,
    "floor_div": np.floor_divide,
    "mod": np.mod,
    "fmod": np.fmod,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "rint": np.rint,
    "copy": np.copy,
}
FLOATING = {
    "div": np.divide,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "copysign": np.copysign,
    "signbit": np.signbit,
}
SHIFTS = {"shl": np.left_shift, "shr": np.right_shift}


def table() -> dict[Operation, Callable[..., np.ndarray]]:
    """Every operation that has one exact result, for every dtype that has the operation."""
    found: dict[Operation, Callable[..., np.ndarray]] = {}

    def enter(dtypes: tuple[str, ...], functions: dict, result: str | None = None) -> None:
        for dtype in dtypes:
            for op, function in functions.items():
                boolean = op in PREDICATES or op == "signbit"
                found[op, (dtype,) * SCALAR_OPS[op], result or ("bool" if boolean else dtype)] = function

    enter(DTYPES, COMPARISONS | LOGIC | PREDICATES, "bool")
    enter(FLOATS, NUMERIC)
    enter(INTEGERS, NUMERIC | {"rint": np.copy})  # NumPy's own makes them floats
    enter(FLOATS, FLOATING)
    enter(INTEGERS, SHIFTS | BITWISE)
    enter(INTEGERS, {"signbit": np.signbit}, "bool")
    enter(("bool",), ARITHMETIC | BITWISE)
    return found


TABLE = table()
CASTS = {("cast", (a,), b): (lambda x, b=b: x.astype(b)) for a in DTYPES for b in DTYPES}


@cache
def values(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    if dtype == "bool":
        return np.array([False, True])
    if dtype in FLOATS:
        limits = np.finfo(dtype)
        edges = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 7.0, 1e-3, 8388609.0, 1e10, limits.max, limits.tiny]
        edges += [limits.smallest_subnormal, np.inf, np.nan, *rng.uniform(0, 20, 12), *np.arange(4, 12)]
        return np.concatenate([edges, -np.array(edges)]).astype(dtype)
    limits = np.iinfo(dtype)
    edges = [0, 1, 2, 3, 5, 7, 8, 10, 31, 32, 63, 64, 100, limits.max, limits.max - 1, limits.min, limits.min + 1]
    negative = -np.array(edges[:13]).astype(dtype)
    return np.concatenate([np.array(edges, dtype), negative, rng.integers(limits.min, limits.max, 12, dtype)])


def grid(dtypes: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    return tuple(each.ravel() for each in np.meshgrid(*(values(d) for d in dtypes)))


def check(level: str, operations: dict[Operation, Callable[..., np.ndarray]]) -> None:
    loaded = code(level, tuple(operations))
    wrong = []
    for (op, dtypes, dtype), function in operations.items():
        args = grid(dtypes)
        with np.errstate(all="ignore"):
            expected = function(*args)
        keep = np.ones(expected.shape, bool)
        if op in ("max", "min"):  # of two zeros either may come
            keep = ~((args[0] == 0) & (args[1] == 0)) if dtype in FLOATS else keep
        if op == "cast" and dtypes[0] in FLOATS and dtype in INTEGERS:  # others are unspecified
            with np.errstate(all="ignore"):
                low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
                keep = (args[0] > low - 1) & (args[0] < high)
        got = run(loaded, op, args, dtype)
        assert got.dtype == expected.dtype, (op, dtypes)
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        if dtype in FLOATS:
            same &= np.isnan(got) | (np.signbit(got) == np.signbit(expected))
        if not np.all(same | ~keep):
            worst = np.flatnonzero(~same & keep)[:3]
            wrong.append((op, dtypes, dtype, [a[worst] for a in args], got[worst], expected[worst]))
    assert not wrong, wrong


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", LEVELS)
def test_operations(level: str, dtype: str) -> None:
    check(level, {key: function for key, function in TABLE.items() if key[1][0] == dtype})


@pytest.mark.parametrize("level", LEVELS)
def test_casts(level: str) -> None:
    check(level, CASTS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("level", LEVELS)
def test_remainders_beside_whole_multiples(level: str, dtype: str) -> None:
    """There the division rounds up to the multiple that x has not reached."""
    rng = np.random.default_rng(5)
    y = rng.uniform(0.1, 10, 8000).astype(dtype)
    x = (np.rint(10.0 ** rng.uniform(0, 9, y.size)) * y).astype(dtype)
    x = np.concatenate([x, np.nextafter(x, 0), np.nextafter(x, np.inf), -x, np.nextafter(-x, 0)]).astype(dtype)
    y = np.concatenate([y, y, -y, y, -y])
    names = {"mod": np.mod, "fmod": np.fmod, "floor_div": np.floor_divide}
    loaded = code(level, tuple((op, (dtype, dtype), dtype) for op in names))
    for op, function in names.items():
        np.testing.assert_array_equal(run(loaded, op, (x, y), dtype), function(x, y), op)


def test_every_scalar_operation_is_tested() -> None:
    elsewhere = {"cast", "select", "fma", *STATED_ERROR}
    assert {op for op, _, _ in TABLE} | elsewhere == set(SCALAR_OPS)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_of_integers(level: str, dtype: str) -> None:
    bases, exponents = grid((dtype, dtype))
    bases, exponents = bases[exponents >= 0], exponents[exponents >= 0]
    loaded = code(level, tuple(("pow", (d, d), d) for d in INTEGERS))
    np.testing.assert_array_equal(run(loaded, "pow", (bases, exponents), dtype), np.power(bases, exponents))


@pytest.mark.parametrize("level", LEVELS)
def test_select_and_fma(level: str) -> None:
    loaded = code(
        level,
        tuple(("select", ("bool", d, d), d) for d in DTYPES) + tuple(("fma", (d, d, d), d) for d in FLOATS + INTEGERS),
    )
    for dtype in DTYPES:
        condition, yes, no = grid(("bool", dtype, dtype))
        np.testing.assert_array_equal(run(loaded, "select", (condition, yes, no), dtype), np.where(condition, yes, no))
    small = np.arange(0, 11)
    for dtype in FLOATS + INTEGERS:
        x, y, z = (each.ravel().astype(dtype) for each in np.meshgrid(small, small, small))
        np.testing.assert_array_equal(run(loaded, "fma", (x, y, z), dtype), x * y + z)


@pytest.mark.parametrize("level", LEVELS)
def test_arguments_of_other_dtypes_are_converted(level: str) -> None:
    """A whole number's root, a comparison of unlike numbers, logic of numbers, a choice between unlike ones."""
    whole, real = np.arange(-4, 12, dtype=np.int32), np.linspace(-3, 4.5, 16, dtype=np.float64)
    flags = whole > 3
    operations = (
        ("div", ("int32", "int32"), "float64"),
        ("add", ("int32", "float64"), "float64"),
        ("lt", ("int32", "float64"), "bool"),
        ("and", ("int32", "float64"), "bool"),
        ("select", ("float64", "int32", "bool"), "float64"),
        ("add", ("bool", "int32"), "int32"),
    )
    loaded = code(level, operations)
    with np.errstate(all="ignore"):
        expected = whole / whole[::-1]
    np.testing.assert_array_equal(run(loaded, "div", (whole, whole[::-1].copy()), "float64"), expected)
    np.testing.assert_array_equal(run(loaded, "add", (whole, real), "float64"), whole + real)
    np.testing.assert_array_equal(run(loaded, "lt", (whole, real), "bool"), whole < real)
    np.testing.assert_array_equal(run(loaded, "and", (whole, real), "bool"), np.logical_and(whole, real))
    np.testing.assert_array_equal(run(loaded, "select", (real, whole, flags), "float64"), np.where(real, whole, flags))
    np.testing.assert_array_equal(run(loaded, "add", (flags, whole), "int32"), flags + whole)


def test_an_operation_that_the_dtype_lacks_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no operation 'sub' with a result of bool"):
        code("host", (("sub", ("bool", "bool"), "bool"),))

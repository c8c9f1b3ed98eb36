"""Native orders: NumPy's stable one of any numbers along any axis, NaN last, and permutations to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, spread

import autograd_core as ag
from autograd_core.ops.random import random_permutation_p
from autograd_core.ops.searching import searchsorted_p
from autograd_core.ops.sorting import argsort_p

DTYPES = ["float32", "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
SHAPES = [
    ((7,), 0),
    ((1,), 0),
    ((5, 33), 1),
    ((300, 3), 0),
    ((2, 70, 3), 1),
    ((4, 1), 1),
    ((3, 0, 40), 2),
    ((2, 513), 1),
]


def numbers(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Few different ones, so that many are equal; or the whole range, with what is special in it."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if rng.random() < 0.5:
        return rng.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(dtype)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    x = (rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(dtype)
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).tiny / 4], dtype)
    return np.where(rng.random(shape) < 0.3, rng.choice(special, shape), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_is_the_formulas(dtype: str) -> None:
    rng = np.random.default_rng(len(dtype))
    for number, (shape, axis) in enumerate(SHAPES):
        level, threads = LEVELS[number % 3], THREADS[number // 2 % 3]
        x = numbers(rng, np.dtype(dtype), shape)
        x = spread(rng, x) if number % 2 else x
        params = {"axis": axis, "descending": (number + len(dtype)) % 4 < 2}
        check(argsort_p, [x], params, level=level, threads=threads)


def test_more_threads_than_lines() -> None:
    x = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    check(argsort_p, [x], {"axis": 1, "descending": False}, threads=3)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 64, 1000, 70000])
def test_permutations_are_those_of_the_formula(n: int) -> None:
    key = np.array([2**63 + 5, n], np.uint64)
    for level, threads in zip(LEVELS, THREADS, strict=True):
        check(random_permutation_p, [key], {"n": n}, level=level, threads=threads)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "int16"])
def test_places_in_an_order(dtype: str) -> None:
    rng = np.random.default_rng(7)
    for number, (n, shape) in enumerate([(0, (3,)), (1, (4,)), (33, (5, 7)), (1000, (40,)), (6, ())]):
        line, wanted = np.sort(numbers(rng, np.dtype(dtype), (n,))), numbers(rng, np.dtype(dtype), shape)
        line, wanted = (spread(rng, x) if number % 2 else x for x in (line, np.asarray(wanted, dtype)))
        how = {"level": LEVELS[number % 3], "threads": THREADS[number % 2]}
        check(searchsorted_p, [line, wanted], {"side": ("left", "right")[number % 2]}, **how)
        check(searchsorted_p, [line, line], {"side": "right"}, **how)


def test_a_compiled_step_sorts_and_shuffles_without_numpy() -> None:
    def step(x: ag.Tensor) -> tuple[ag.Tensor, ...]:
        ranked = ag.sort(x, axis=1, descending=True)[:, :3]
        ranked = ranked + ag.isin(ranked, x[0]) + ag.searchsorted(ag.arange(-3.0, 3.0, 1.0), ranked)
        return ranked, ag.grad(lambda x: (ag.sort(x, axis=0) ** 2)[1:3].sum())(x), x[ag.random.permutation(50)]

    with ag.default_device("cpu"):
        compiled = ag.compile(step)
        rng = np.random.default_rng(0)
        xs = [ag.tensor(rng.standard_normal((50, 40)).astype(np.float32)) for _ in range(4)]
        with ag.random.fork(1):
            expected = [step(x) for x in xs]
        with ag.random.fork(1):
            found = [compiled(x) for x in xs]
        for mine, wanted in zip(found, expected, strict=True):
            for y, z in zip(mine, wanted, strict=True):
                np.testing.assert_array_equal(y.numpy(), z.numpy())
        assert len(compiled.variants) == 1
        assert_native(compiled)

"""Native random draws have the formulas' bits, every one, whatever the size, the key and the team."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, formula, native

import autograd_core as ag
from autograd_core import nn
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_bits_p,
    random_integers_p,
    random_normal_p,
    random_uniform_p,
)

SIZES = [(1,), (3, 5), (64,), (7, 111), ()]
F4, F8 = np.dtype("float32"), np.dtype("float64")


def same(primitive, arrays, params, **how):
    (found,), code = native(primitive, arrays, params, **how)
    (wanted,) = formula(primitive, arrays, params)
    assert code == 0
    assert found.dtype == wanted.dtype
    assert found.tobytes() == wanted.tobytes()


def keys(rng):
    return rng.integers(0, 2**64, 2, np.uint64, endpoint=False)


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_bits_uniform_and_normal_numbers_are_the_formulas_bit_by_bit(number):
    rng, shape = np.random.default_rng(number), SIZES[number]
    threads, level = THREADS[number % 3], LEVELS[number // 2]
    same(random_bits_p, [keys(rng)], {"shape": shape}, level=level, threads=threads)
    for dtype in (F4, F8):
        params = {"shape": shape, "dtype": dtype}
        same(random_uniform_p, [keys(rng)], params, level=level, threads=threads)
        same(random_normal_p, [keys(rng)], params, level=level, threads=threads)


@pytest.mark.parametrize("level", LEVELS)
def test_many_normal_numbers(level):
    for dtype in (F4, F8):
        params = {"shape": (100_001,), "dtype": dtype}
        same(random_normal_p, [np.array([7, 2**40], np.uint64)], params, level=level, threads=2)


@pytest.mark.parametrize("number", range(6))
def test_booleans_of_one_probability(number):
    rng, level = np.random.default_rng(0), LEVELS[number % 3]
    p = (0.0, 1.0, 0.5, 0.1, 2.0**-33, 1 - 2.0**-33)[number]
    for dtype in (F4, F8):
        same(random_bernoulli_p, [keys(rng), np.array(p, dtype)], {"shape": (5, 27)}, level=level, threads=2)


@pytest.mark.parametrize("level", LEVELS)
def test_booleans_of_many_probabilities(level):
    rng = np.random.default_rng(1)
    for dtype in (F4, F8):
        p = rng.choice([0.0, 0.3, 1.0, 0.999], (9, 13)).astype(dtype)
        same(random_bernoulli_p, [keys(rng), p], {"shape": (9, 13)}, level=level, threads=3)


RANGES = [(0, 2), (-5, 2**16 - 5), (3, 2**40), (-(2**63), 2**63), (-(2**62), 2**62 + 1), (0, 2**16 + 1)]


@pytest.mark.parametrize("number", range(6))
def test_integers(number):
    (low, high), rng = RANGES[number], np.random.default_rng(2)
    params = {"shape": (5, 21), "low": low, "high": high}
    same(random_integers_p, [keys(rng)], params, level=LEVELS[number % 3], threads=2)


def test_an_empty_draw():
    same(random_uniform_p, [np.array([1, 2], np.uint64)], {"shape": (0, 3), "dtype": F4})


def test_a_compiled_dropout_keeps_what_the_eager_one_keeps():
    def step(x):
        y = nn.functional.dropout(x, 0.3) + ag.random.normal(x.shape) * ag.random.uniform(x.shape)
        return y * nn.functional.dropout(y, 0.5)

    def run(f):
        with ag.default_device("cpu"), ag.random.fork(4):
            x = ag.tensor(np.random.default_rng(0).standard_normal((5, 33)).astype(np.float32))
            return [f(x).numpy() for _ in range(5)]

    compiled = ag.compile(step)
    wanted, found = run(step), run(compiled)
    assert_native(compiled)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
        np.testing.assert_array_equal(mine == 0, theirs == 0)

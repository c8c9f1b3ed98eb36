"""Native running sums and places of maxima: the formulas', for any strides, and nothing outside of the arrays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, formula, native, spread

import autograd_core as ag
from autograd_core.ops.extrema import argmax_p, argmin_p
from autograd_core.ops.scans import cumulative_prod_p, cumulative_sum_p

SHAPES = [((7,), 0), ((5, 9), 1), ((6, 37), 0), ((3, 4, 20), 1), ((2, 3, 4), 2), ((1, 5), 0)]


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_scans_do_what_the_formulas_do(number):
    (shape, axis), rng = SHAPES[number], np.random.default_rng(number)
    level, threads = LEVELS[number % 3], THREADS[number // 2 % 3]
    for dtype in ("float32", "float64", "int64", "uint8", "bool"):
        x = np.round(rng.standard_normal(shape) * 3).astype(dtype)
        if np.dtype(dtype).kind == "f":
            x[rng.random(shape) < 0.05] = np.nan
        x = spread(rng, x) if number % 2 else x
        for primitive in (argmax_p, argmin_p):
            check(primitive, [x], {"axis": axis, "keepdims": bool(number % 2)}, level=level, threads=threads)
        if dtype not in ("uint8", "bool"):
            check(cumulative_sum_p, [x], {"axis": axis}, level=level, threads=threads)
            check(cumulative_prod_p, [x], {"axis": axis}, level=level, threads=threads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_sums_of_zeros_keep_their_sign(dtype):
    x = np.array([[-0.0, -0.0, 0.0, -0.0], [0.0, -0.0, -0.0, -0.0]], dtype)
    for axis in (0, 1):
        ((found,), _), (wanted,) = (run(cumulative_sum_p, [x], {"axis": axis}) for run in (native, formula))
        np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


def test_a_compiled_step_counts_its_hits_without_numpy():
    def step(scores, labels):
        hits = (ag.argmax(scores, axis=1) == labels).sum()
        return hits, ag.cumulative_sum(scores * scores, axis=0)

    with ag.default_device("cpu"):
        compiled = ag.compile(step)
        rng = np.random.default_rng(0)
        for _ in range(4):
            given = ag.tensor(rng.standard_normal((9, 4)).astype(np.float32)), ag.tensor(rng.integers(0, 4, 9))
            for mine, wanted in zip(compiled(*given), step(*given), strict=True):
                np.testing.assert_allclose(mine.numpy(), wanted.numpy(), rtol=1e-6)
        assert_native(compiled)

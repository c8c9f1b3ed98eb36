"""Native resampling: the formula's sums, for any strides, and nothing outside of the arrays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, spread

import autograd_core as ag
from autograd_core import nn
from autograd_core.ops._sampling import Sampling, resample_p

CASES = [
    ((2, 3, 5), 1, Sampling(3, 7, "linear")),
    ((4, 6), 1, Sampling(6, 12, "nearest")),
    ((5, 37), 0, Sampling(5, 9, "cubic", align_corners=True)),
    ((2, 9, 4, 3), 1, Sampling(9, 4, "mean")),
    ((8, 2), 0, Sampling(8, 3, "linear", antialias=True)),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_resampling_and_its_transpose_are_the_formula(number):
    (shape, axis, rule), rng = CASES[number], np.random.default_rng(number)
    level, threads = LEVELS[number % 3], THREADS[number // 2 % 3]
    for dtype, near in (("float32", 2e-6), ("float64", 1e-14)):
        x = spread(rng, rng.standard_normal(shape).astype(dtype))
        g = rng.standard_normal((*shape[:axis], rule.t, *shape[axis + 1 :])).astype(dtype)
        for array, transposed in ((x, False), (g, True)):
            params = {"axis": axis, "rule": rule, "transposed": transposed}
            check(resample_p, [array], params, level=level, threads=threads, rtol=near, atol=near)


def test_a_decoder_that_grows_images_needs_no_numpy():
    grow = nn.Upsample(scale_factor=2, mode="bilinear")

    def step(x):
        w = x.detach() * 1
        return ag.grad(lambda v: (grow(v) ** 2).sum())(w)

    with ag.default_device("cpu"):
        compiled = ag.compile(step)
        rng = np.random.default_rng(0)
        for _ in range(4):
            x = ag.tensor(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
            np.testing.assert_allclose(compiled(x).numpy(), step(x).numpy(), rtol=1e-5, atol=1e-5)
        assert_native(compiled)

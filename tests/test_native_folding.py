"""Native windows as columns and back: the formulas', for any strides, paddings and dilations."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, spread

import autograd_core as ag
from autograd_core.nn import functional as F
from autograd_core.ops._windows import windows
from autograd_core.ops.folding import fold_p, unfold_p

# size, kernel, stride, padding, dilation
CASES = [
    ((5, 40), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((7, 9), (2, 3), (2, 3), (0, 2), (1, 1)),
    ((6, 21), (3, 2), (1, 1), (3, 4), (2, 5)),
    ((1, 1), (4, 4), (3, 2), (5, 6), (1, 1)),
    ((8, 8), (1, 1), (3, 1), (0, 0), (1, 1)),
    ((33, 5), (5, 5), (4, 1), (2, 2), (1, 1)),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_columns_and_images_are_the_formulas(number: int) -> None:
    size, kernel, stride, padding, dilation = CASES[number]
    where = windows("test", size, kernel, stride, tuple((p, p) for p in padding), dilation)
    rng = np.random.default_rng(number)
    for i, dtype in enumerate(("float32", "float64", "int16")):
        how = {"level": LEVELS[(number + i) % 3], "threads": THREADS[number // 2 % 3]}
        x = (10 * rng.standard_normal((2, 3, *size))).astype(dtype)
        v = (10 * rng.standard_normal((2, 3 * where.taps, where.outputs))).astype(dtype)
        x, v = (spread(rng, a) if (number + i) % 2 else a for a in (x, v))
        check(unfold_p, [x], {"windows": where}, **how)
        check(fold_p, [v], {"windows": where}, **how, rtol=1e-5, atol=1e-4)


def test_a_compiled_step_of_patches_needs_no_numpy() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        columns = ag.tanh(F.unfold(x, 3, padding=1))
        return (F.fold(columns * columns, (8, 9), 3, padding=1) ** 2).sum()

    step = ag.value_and_grad(f)
    with ag.default_device("cpu"):
        x = ag.tensor(np.random.default_rng(0).standard_normal((2, 4, 8, 9)).astype(np.float32))
        compiled = ag.compile(step)
        for _ in range(3):
            for found, expected in zip(compiled(x), step(x), strict=True):
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-4)
        assert_native(compiled)

"""Native adjoints of strided slices and of diagonals: every element in its place, zeros elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, spread

import autograd_core as ag
from autograd_core.ops._elements import place_p
from autograd_core.ops._keys import read_basic
from autograd_core.ops.diagonals import embed_diagonal_p

KEYS: list[tuple[tuple[int, ...], Any]] = [
    ((9,), slice(None, None, 2)),
    ((300, 7), slice(1, None, 3)),
    ((4, 10), (slice(None), slice(None, None, -1))),
    ((3, 8, 5), (1, slice(7, 0, -2), None, slice(None))),
    ((6, 6), (slice(None, None, 5), slice(4, None, -4))),
]


@pytest.mark.parametrize("number", range(len(KEYS)))
def test_parts_that_are_steps_apart(number: int) -> None:
    (shape, key), rng = KEYS[number], np.random.default_rng(number)
    for dtype, level, threads in zip(("float32", "float64", "int8"), LEVELS, THREADS, strict=True):
        v = (10 * rng.standard_normal(np.empty(shape)[key].shape)).astype(dtype)
        v = spread(rng, v) if number % 2 else v
        check(place_p, [v], {"key": read_basic(shape, key), "shape": shape}, level=level, threads=threads)


@pytest.mark.parametrize("offset", [0, 2, -1])
def test_diagonals_in_their_places(offset: int) -> None:
    rng = np.random.default_rng(3)
    for shape, level, threads in zip(((5, 5), (2, 4, 7), (3, 40, 5)), LEVELS, THREADS, strict=True):
        v = np.diagonal(rng.standard_normal(shape), offset, -2, -1).astype(np.float32)
        check(embed_diagonal_p, [v], {"shape": shape, "offset": offset}, level=level, threads=threads)


def test_a_compiled_step_takes_every_other_element_without_numpy() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        turned = ag.stack([-x[:, 1::2], x[:, ::2]], axis=-1).reshape(x.shape)  # pairs of features, turned
        return (turned * x.flip(1)[:, ::-3].sum()).sum() + (ag.diagonal(x, offset=1) ** 2).sum() + ag.trace(x @ x.mT)

    step = ag.value_and_grad(f)
    with ag.default_device("cpu"):
        compiled, x = ag.compile(step), ag.tensor(np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32))
        for _ in range(3):
            for found, expected in zip(compiled(x), step(x), strict=True):
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
        assert_native(compiled)

"""Random draws by the fills of ``philox_kernels``: the same bits as the formulas, some thirty times sooner."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from autograd_core.backend import Kernel
from autograd_core.ops import philox
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_integers_p,
    random_normal_p,
    random_uniform_p,
)
from autograd_core.primitive import Primitive

from . import philox_kernels

Shape = tuple[int, ...]

FIRST_BLOCK = np.uint64(0)
UNIFORM = {
    np.dtype(np.float32): philox_kernels.fill_uniform_float32,
    np.dtype(np.float64): philox_kernels.fill_uniform_float64,
}
NORMAL = {
    np.dtype(np.float32): philox_kernels.fill_normal_float32,
    np.dtype(np.float64): philox_kernels.fill_normal_float64,
}


def _filled(fill: Callable[..., None], key: np.ndarray, shape: Shape, dtype: Any, *given: np.uint64) -> np.ndarray:
    out = np.empty(prod(shape), dtype)
    fill(out, key[0], key[1], FIRST_BLOCK, *given)
    return out.reshape(shape)


def _uniform(key: np.ndarray, *, shape: Shape, dtype: np.dtype) -> np.ndarray:
    return _filled(UNIFORM[dtype], key, shape, dtype)


def _normal(key: np.ndarray, *, shape: Shape, dtype: np.dtype) -> np.ndarray:
    return _filled(NORMAL[dtype], key, shape, dtype)


def _bernoulli(key: np.ndarray, p: np.ndarray, *, shape: Shape) -> np.ndarray:
    threshold = philox.to_threshold(np, p)
    if p.ndim:
        return _filled(philox_kernels.fill_random_bits, key, shape, np.uint32) < threshold
    return _filled(philox_kernels.fill_bernoulli, key, shape, np.bool_, threshold)


def _integers(key: np.ndarray, *, shape: Shape, low: int, high: int) -> np.ndarray:
    n, offset = high - low, np.uint64(low % 2**64)
    if n <= 2**16:
        return _filled(philox_kernels.fill_integers_short, key, shape, np.int64, np.uint64(n), offset)
    halves = np.uint64(n & philox.MASK), np.uint64(n >> 32)
    return _filled(philox_kernels.fill_integers_long, key, shape, np.int64, *halves, offset)


KERNELS: dict[Primitive, Kernel] = {
    random_uniform_p: _uniform,
    random_normal_p: _normal,
    random_bernoulli_p: _bernoulli,
    random_integers_p: _integers,
}

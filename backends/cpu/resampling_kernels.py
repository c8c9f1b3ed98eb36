"""Resampling on the CPU: every output once, from the few elements that it is made of."""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops import _sampling as ops
from autograd_core.primitive import Primitive

from .threads import shared

_jit = njit(nogil=True, error_model="numpy", cache=True)

RATE = 1000  # elements met in a microsecond
COMPILED = (np.dtype(np.float32), np.dtype(np.float64))


@_jit
def _line_jobs(first, last, x, y, starts, columns, weights):
    """The last axis: x (lines, n), y (lines, t)."""
    for line in range(first, last):
        source, target = x[line], y[line]
        for i in range(len(target)):
            total = weights[0] * 0
            for e in range(starts[i], starts[i + 1]):
                total += weights[e] * source[np.uint64(columns[e])]
            target[i] = total


@_jit
def _row_jobs(first, last, x, y, starts, columns, weights):
    """An axis with others behind it: x (blocks, n, inner), y (blocks, t, inner); a job is one row of y."""
    height = y.shape[1]
    for job in range(first, last):
        block, i = job // height, job % height
        target = y[block, i]
        target[:] = 0
        for e in range(starts[i], starts[i + 1]):
            source, weight = x[block, columns[e]], weights[e]
            for j in range(len(target)):
                target[j] += weight * source[j]


@lru_cache(maxsize=256)
def _rows(rule: ops.Sampling, transposed: bool, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Where each row of the matrix starts among all elements, their columns and weights."""
    rows, columns, weights = ops.matrix(rule, transposed)
    height = rule.n if transposed else rule.t
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=height))])
    return starts, columns, weights.astype(dtype)


def resample(x: np.ndarray, *, axis: int, rule: ops.Sampling, transposed: bool) -> np.ndarray:
    if x.dtype not in COMPILED or not x.size:
        return ops.resample_p.forward(np, x, axis=axis, rule=rule, transposed=transposed)
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    y = np.empty((*before, rule.n if transposed else rule.t, *after), x.dtype)
    blocks, inner, (starts, columns, weights) = prod(before), prod(after), _rows(rule, transposed, x.dtype)
    microseconds = blocks * inner * len(columns) / RATE
    if inner == 1:
        lines = np.ascontiguousarray(x).reshape(blocks, -1)
        shared(_line_jobs, blocks, microseconds, lines, y.reshape(blocks, -1), starts, columns, weights)
        return y
    planes, target = np.ascontiguousarray(x).reshape(blocks, -1, inner), y.reshape(blocks, -1, inner)
    shared(_row_jobs, blocks * target.shape[1], microseconds, planes, target, starts, columns, weights)
    return y


KERNELS: dict[Primitive, Kernel] = {ops.resample_p: resample}

"""Pooling on the CPU: the planes of samples and channels one by one, every element read once.

Windows are taken apart by axis: first every row by itself, then the rows' results down the columns.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops import pooling as ops
from autograd_core.ops._windows import Windows
from autograd_core.ops.pooling import Divisor
from autograd_core.primitive import Primitive

from . import volumes
from .threads import shared

_jit = njit(nogil=True, error_model="numpy", cache=True)

RATE = 1000  # elements met in a microsecond
COMPILED = (np.dtype(np.float32), np.dtype(np.float64))


# ------------------------------------------------------------------------------------------ maxima


@_jit
def _max_of_pairs(x, y, index):
    """Windows of 2 by 2, side by side: the usual case, without inner loops."""
    width = np.int32(x.shape[1])
    for t in range(y.shape[0]):
        top, bottom, target, found = x[2 * t], x[2 * t + 1], y[t], index[t]
        start = np.int32(2 * t) * width
        for u in range(len(target)):
            a, b, c, d = top[2 * u], top[2 * u + 1], bottom[2 * u], bottom[2 * u + 1]
            at = start + np.int32(2 * u)
            right = (b > a) | (b != b)
            upper, upper_at = (b, at + np.int32(1)) if right else (a, at)
            right = (d > c) | (d != d)
            lower, lower_at = (d, at + width + np.int32(1)) if right else (c, at + width)
            below = (lower > upper) | (lower != lower)
            target[u] = lower if below else upper
            found[u] = lower_at if below else upper_at


@_jit
def _max_jobs(first, last, x, y, index, down_axis, across_axis):
    """Of equal elements the first stays; a NaN replaces everything before it, and only a NaN replaces a NaN."""
    kernel_h, stride_h, before_h, dilation_h = down_axis
    kernel_w, stride_w, before_w, dilation_w = across_axis
    height, width = x.shape[1:]
    down, across = y.shape[1:]
    pairs = kernel_h == 2 and kernel_w == 2 and stride_h == 2 and stride_w == 2 and before_h == 0 and before_w == 0
    if pairs and dilation_h == 1 and dilation_w == 1 and 2 * down <= height and 2 * across <= width:
        for plane in range(first, last):
            _max_of_pairs(x[plane], y[plane], index[plane])
        return
    low, high = np.empty(across, np.intp), np.empty(across, np.intp)
    for u in range(across):
        left = u * stride_w - before_w
        low[u], high[u] = max(0, -(left // dilation_w)), min(kernel_w, (width - 1 - left) // dilation_w + 1)
    best, found = np.empty((height, across), x.dtype), np.empty((height, across), np.int32)
    for plane in range(first, last):
        source, target, target_index = x[plane], y[plane], index[plane]
        for row in range(height):
            for u in range(across):
                left = u * stride_w - before_w
                column = left + low[u] * dilation_w
                value, at = source[row, column], column
                for k in range(low[u] + 1, high[u]):
                    column = left + k * dilation_w
                    other = source[row, np.uint64(column)]
                    better = (other > value) | (other != other)
                    value, at = (other, column) if better else (value, at)
                best[row, u] = value
                found[row, u] = row * width + at
        for t in range(down):
            top = t * stride_h - before_h
            start, end = max(0, -(top // dilation_h)), min(kernel_h, (height - 1 - top) // dilation_h + 1)
            for k in range(start, end):
                row = top + k * dilation_h
                for u in range(across):
                    value, other = target[t, u], best[row, u]
                    better = (k == start) | (other > value) | (other != other)
                    target[t, u] = other if better else value
                    target_index[t, u] = found[row, u] if better else target_index[t, u]


@_jit
def _gather_jobs(first, last, x, index, y):
    for plane in range(first, last):
        source, at, target = x[plane], index[plane], y[plane]
        for i in range(len(at)):
            target[i] = source[np.uint64(at[i])]


@_jit
def _scatter_jobs(first, last, v, index, x):
    for plane in range(first, last):
        source, at, target = v[plane], index[plane], x[plane]
        target[:] = 0
        for i in range(len(at)):
            target[np.uint64(at[i])] += source[i]


# ------------------------------------------------------------------------------------------- means


@_jit
def _mean_jobs(first, last, x, y, down_axis, across_axis, down_counts, across_counts):
    kernel_h, stride_h, before_h, _ = down_axis
    kernel_w, stride_w, before_w, _ = across_axis
    height, width = x.shape[1:]
    down, across = y.shape[1:]
    padded = np.zeros(max(width + before_w, (across - 1) * stride_w + kernel_w), x.dtype)
    column_sums, sums = padded[before_w : before_w + width], np.empty(across, x.dtype)
    for plane in range(first, last):
        for t in range(down):
            top = t * stride_h - before_h
            column_sums[:] = 0
            for row in range(max(0, top), min(height, top + kernel_h)):
                source = x[plane, row]
                for j in range(width):
                    column_sums[j] += source[j]
            sums[:] = 0
            if across < kernel_w:
                for u in range(across):
                    for value in padded[stride_w * u : stride_w * u + kernel_w]:
                        sums[u] += value
            for k in range(kernel_w if across >= kernel_w else 0):
                part = padded[k:]
                # known strides become vector instructions
                if stride_w == 1:
                    for u in range(across):
                        sums[u] += part[u]
                elif stride_w == 2:
                    for u in range(across):
                        sums[u] += part[2 * u]
                else:
                    for u in range(across):
                        sums[u] += part[stride_w * u]
            target, count = y[plane, t], down_counts[t]
            for u in range(across):
                target[u] = sums[u] / (count * across_counts[u])


@_jit
def _spread_jobs(first, last, v, x, down_axis, across_axis, down_counts, across_counts):
    kernel_h, stride_h, before_h, _ = down_axis
    kernel_w, stride_w, before_w, _ = across_axis
    height, width = x.shape[1:]
    down, across = v.shape[1:]
    padded = np.empty(max(width + before_w, (across - 1) * stride_w + kernel_w), x.dtype)
    shares, inner = np.empty(across, x.dtype), padded[before_w : before_w + width]
    for plane in range(first, last):
        x[plane] = 0
        for t in range(down):
            source, count = v[plane, t], down_counts[t]
            for u in range(across):
                shares[u] = source[u] / (count * across_counts[u])
            padded[:] = 0
            for k in range(kernel_w):
                part = padded[k:]
                # known strides become vector instructions
                if stride_w == 1:
                    for u in range(across):
                        part[u] += shares[u]
                elif stride_w == 2:
                    for u in range(across):
                        part[2 * u] += shares[u]
                else:
                    for u in range(across):
                        part[stride_w * u] += shares[u]
            top = t * stride_h - before_h
            for row in range(max(0, top), min(height, top + kernel_h)):
                target = x[plane, row]
                for j in range(width):
                    target[j] += inner[j]


# --------------------------------------------------------------------------------------- overrides


def _suits(windows: Windows, x: np.ndarray) -> bool:
    """Whether the kernels take these: float32 or float64 in at most two spatial axes, and something to compute."""
    return x.dtype in COMPILED and x.size > 0 and len(windows.size) < 3


def _planes(a: np.ndarray) -> np.ndarray:
    """(N, C, H, W) or (N, C, L) as (N C, H or 1, W or L), contiguous."""
    return np.ascontiguousarray(a).reshape(-1, *(1,) * (4 - a.ndim), *a.shape[2:])


def _rows(a: np.ndarray) -> np.ndarray:
    """(N, C, ...) as (N C, everything else), contiguous."""
    return np.ascontiguousarray(a).reshape(a.shape[0] * a.shape[1], -1)


@lru_cache(maxsize=1024)
def _axes(windows: Windows) -> tuple[tuple[int, ...], ...]:
    """kernel, stride, padding before and dilation, down and across; a missing axis has windows of one element."""
    before = tuple(pair[0] for pair in windows.padding)
    given = tuple(zip(windows.kernel, windows.stride, before, windows.dilation))
    return ((1, 1, 0, 1),) * (2 - len(given)) + given


def _max_of_volumes(x: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Every plane by itself, then the planes' maxima, the first of equal ones staying."""
    planes = x.reshape(x.shape[0], -1, *x.shape[3:])
    within, found = (a.reshape(*x.shape[:3], *a.shape[2:]) for a in max_pool(planes, windows=volumes.across(windows)))
    found += np.arange(x.shape[2], dtype=ops.INDEX)[:, None, None] * (x.shape[3] * x.shape[4])
    stride, dilation, before = windows.stride[0], windows.dilation[0], windows.padding[0][0]
    starts = np.arange(windows.output[0]) * stride - before
    first = starts + np.maximum(dilation - 1 - starts, 0) // dilation * dilation  # that is not padding
    best, index = within[:, :, first], found[:, :, first]
    for k in range(windows.kernel[0]):
        planes_met = starts + k * dilation
        met = slice(*np.searchsorted(planes_met, (0, x.shape[2])))
        if met.start < met.stop:
            seen = slice(planes_met[met.start], planes_met[met.stop - 1] + 1, stride)
            value = within[:, :, seen]
            better = (value > best[:, :, met]) | (value != value)
            np.copyto(best[:, :, met], value, where=better)
            np.copyto(index[:, :, met], found[:, :, seen], where=better)
    return best, index


def max_pool(x: np.ndarray, *, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    if len(windows.size) == 3 and x.dtype in COMPILED and x.size:
        return _max_of_volumes(x, windows)
    if not _suits(windows, x):
        return ops.max_pool_p.forward(np, x, windows=windows)
    shape = (*x.shape[:2], *windows.output)
    y, index = np.empty(shape, x.dtype), np.empty(shape, ops.INDEX)
    planes = _planes(x)
    shared(_max_jobs, len(planes), y.size * windows.taps / RATE, planes, _planes(y), _planes(index), *_axes(windows))
    return y, index


def pool_gather(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    if x.dtype not in COMPILED or not index.size:
        return ops.pool_gather_p.forward(np, x, index)
    y = np.empty(index.shape, x.dtype)
    source, at, target = _rows(x), _rows(index), _rows(y)
    shared(_gather_jobs, len(at), index.size / RATE, source, at, target)
    return y


def pool_scatter(v: np.ndarray, index: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    if v.dtype not in COMPILED or not v.size:
        return ops.pool_scatter_p.forward(np, v, index, size=size)
    x = np.empty((*v.shape[:2], *size), v.dtype)
    source, at, target = _rows(v), _rows(index), _rows(x)
    shared(_scatter_jobs, len(at), (v.size + x.size) / RATE, source, at, target)
    return x


@lru_cache(maxsize=1024)
def _counts(windows: Windows, divisor: Divisor, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of which the products are what each window's sum is divided by."""
    output = (*(1,) * (2 - len(windows.output)), *windows.output)
    if isinstance(divisor, int):
        return np.full(output[0], divisor, dtype), np.ones(output[1], dtype)
    down = divisor[0] if len(divisor) == 2 else (1,)
    return np.array(down, dtype), np.array(divisor[-1], dtype)


def avg_pool(x: np.ndarray, *, windows: Windows, divisor: Divisor) -> np.ndarray:
    if not _suits(windows, x):
        return ops.avg_pool_p.forward(np, x, windows=windows, divisor=divisor)
    y = np.empty((*x.shape[:2], *windows.output), x.dtype)
    planes = _planes(x)
    given = (*_axes(windows), *_counts(windows, divisor, x.dtype))
    shared(_mean_jobs, len(planes), y.size * windows.taps / RATE, planes, _planes(y), *given)
    return y


def avg_spread(v: np.ndarray, *, windows: Windows, divisor: Divisor) -> np.ndarray:
    if not _suits(windows, v):
        return ops.avg_spread_p.forward(np, v, windows=windows, divisor=divisor)
    x = np.empty((*v.shape[:2], *windows.size), v.dtype)
    planes = _planes(x)
    given = (*_axes(windows), *_counts(windows, divisor, v.dtype))
    shared(_spread_jobs, len(planes), (v.size * windows.taps + x.size) / RATE, _planes(v), planes, *given)
    return x


KERNELS: dict[Primitive, Kernel] = {
    ops.max_pool_p: max_pool,
    ops.pool_gather_p: pool_gather,
    ops.pool_scatter_p: pool_scatter,
    ops.avg_pool_p: avg_pool,
    ops.avg_spread_p: avg_spread,
}

"""Normalization in as few passes as its sums allow: the moments in two, the normalization in one, its vjp in two.

Contiguous operands are seen in one of two ways:

    channels  x: (N, C, S), a mean, weight and bias for every c (batch norm), in the rows x[n, c] if S is long, else in
              the columns of x: (N, C S), of which S belong to a channel
    rows      x: (R, M), a mean for every row, M weights and biases (layer norm); or, R = N G and M = W S, a weight and
              bias for every segment of length S (group and instance norm)

Everything else is left to the formulas. Sums run in the operands' dtype over a block at a time, over blocks in float64.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import lru_cache, partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops.normalization import moments_p, normalize_p, normalize_vjp_p
from autograd_core.primitive import Primitive

from .threads import shared

Shape = tuple[int, ...]

# sums may be taken in any order, by which they become vector instructions; NaN and infinities keep their meaning
_jit = njit(nogil=True, error_model="numpy", cache=True, fastmath={"contract"})
_jit_sum = njit(nogil=True, error_model="numpy", cache=True, fastmath={"contract", "reassoc", "nsz"})

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))
RATE = 1500  # elements met in a microsecond
BLOCK = 1024  # elements of a row that are summed in their own dtype, in as many lanes as the compiler likes
ROWS = 32  # elements of a column that are
GROUP = 128  # columns of one job
SHORT = 16  # a row of fewer elements is not worth a loop of its own
SHORT_SUM = 32  # nor a sum


# -------------------------------------------------------------------------------------------- sums


@_jit_sum
def _block_sum(x):
    total = x.dtype.type(0)
    for i in range(len(x)):
        total += x[i]
    return total


@_jit_sum
def _block_squares(x, mean):
    total = x.dtype.type(0)
    for i in range(len(x)):
        d = x[i] - mean
        total += d * d
    return total


@_jit_sum
def _block_products(g, x, mean):
    """The sums of g and of g (x - mean)."""
    total, product = x.dtype.type(0), x.dtype.type(0)
    for i in range(len(x)):
        total += g[i]
        product += g[i] * (x[i] - mean)
    return total, product


@_jit_sum
def _block_weighted(g, x, mean, w):
    """The sums of g w and of g w (x - mean)."""
    total, product = x.dtype.type(0), x.dtype.type(0)
    for i in range(len(x)):
        gw = g[i] * w[i]
        total += gw
        product += gw * (x[i] - mean)
    return total, product


@_jit
def _row_products(g, x, mean):
    total, product = 0.0, 0.0
    for start in range(0, len(x), BLOCK):
        s, p = _block_products(g[start : start + BLOCK], x[start : start + BLOCK], mean)
        total += s
        product += p
    return total, product


# ----------------------------------------------------------------------------------------- channels


@_jit
def _store(c, mean_of, var_of, rstd_of, mean, var, eps):
    number = mean_of.dtype.type
    mean_of[c], var_of[c] = number(mean), number(var)
    rstd_of[c] = number(1) / np.sqrt(var_of[c] + number(eps))


@_jit
def _moments_of_rows(first, last, x, mean_of, var_of, rstd_of, eps):
    count = x.shape[0] * x.shape[2]
    for c in range(first, last):
        total, squares = 0.0, 0.0
        for n in range(x.shape[0]):
            row = x[n, c]
            for start in range(0, len(row), BLOCK):
                total += _block_sum(row[start : start + BLOCK])
        mean = x.dtype.type(total / count)
        for n in range(x.shape[0]):
            row = x[n, c]
            for start in range(0, len(row), BLOCK):
                squares += _block_squares(row[start : start + BLOCK], mean)
        _store(c, mean_of, var_of, rstd_of, mean, squares / count, eps)


@_jit
def _column_squares(x, first, means, squares):
    """Added to ``squares``: the sums of (x - means)^2 down the columns of x from ``first`` on."""
    sums = np.empty(len(means), x.dtype)
    for n in range(0, len(x), ROWS):
        sums[:] = 0
        for m in range(n, min(n + ROWS, len(x))):
            row = x[m, first : first + len(means)]
            for j in range(len(row)):
                d = row[j] - means[j]
                sums[j] += d * d
        for j in range(len(sums)):
            squares[j] += sums[j]


@_jit
def _column_sums(x, first, totals):
    sums = np.empty(len(totals), x.dtype)
    for n in range(0, len(x), ROWS):
        sums[:] = 0
        for m in range(n, min(n + ROWS, len(x))):
            row = x[m, first : first + len(totals)]
            for j in range(len(row)):
                sums[j] += row[j]
        for j in range(len(sums)):
            totals[j] += sums[j]


@_jit
def _moments_of_columns(first, last, x, width, mean_of, var_of, rstd_of, eps):
    """Jobs: groups of channels, each of them ``width`` columns."""
    count = x.shape[0] * width
    group = max(1, GROUP // width)
    for job in range(first, last):
        begin = job * group
        channels = min(group, len(mean_of) - begin)
        totals, squares = np.zeros(channels * width), np.zeros(channels * width)
        means = np.empty(channels * width, x.dtype)
        _column_sums(x, begin * width, totals)
        for c in range(channels):
            means[c * width : (c + 1) * width] = totals[c * width : (c + 1) * width].sum() / count
        _column_squares(x, begin * width, means, squares)
        for c in range(channels):
            var = squares[c * width : (c + 1) * width].sum() / count
            _store(begin + c, mean_of, var_of, rstd_of, means[c * width], var, eps)


@_jit
def _normalize_rows(first, last, x, w, b, mean_of, rstd_of, y):
    for n in range(first, last):
        for c in range(x.shape[1]):
            mean, scale, shift = mean_of[c], rstd_of[c] * w[c], b[c]
            source, target = x[n, c], y[n, c]
            for i in range(len(source)):
                target[i] = (source[i] - mean) * scale + shift


@_jit
def _normalize_columns(first, last, x, width, w, b, mean_of, rstd_of, y):
    mean, scale, shift = np.empty_like(x[0]), np.empty_like(x[0]), np.empty_like(x[0])
    for c in range(len(w)):
        for j in range(c * width, (c + 1) * width):
            mean[j], scale[j], shift[j] = mean_of[c], rstd_of[c] * w[c], b[c]
    for n in range(first, last):
        source, target = x[n], y[n]
        for j in range(len(source)):
            target[j] = (source[j] - mean[j]) * scale[j] + shift[j]


@_jit
def _vjp_of_rows(first, last, g, x, w, mean_of, rstd_of, dx, dw, db):
    count = x.shape[0] * x.shape[2]
    number = x.dtype.type
    for c in range(first, last):
        mean, rstd = mean_of[c], rstd_of[c]
        total, product = 0.0, 0.0
        for n in range(x.shape[0]):
            s, p = _row_products(g[n, c], x[n, c], mean)
            total += s
            product += p
        db[c], dw[c] = number(total), number(product * rstd)
        shift, slope, scale = number(total / count), number(product * rstd / count) * rstd, rstd * w[c]
        for n in range(x.shape[0]):
            cotangent, source, target = g[n, c], x[n, c], dx[n, c]
            for i in range(len(source)):
                target[i] = (cotangent[i] - (source[i] - mean) * slope - shift) * scale


@_jit
def _vjp_of_columns(first, last, g, x, width, w, mean_of, rstd_of, dx, dw, db):
    count = x.shape[0] * width
    number = x.dtype.type
    group = max(1, GROUP // width)
    for job in range(first, last):
        begin = job * group
        channels = min(group, len(w) - begin)
        columns = channels * width
        means, shift = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
        slope, scale = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
        for c in range(channels):
            means[c * width : (c + 1) * width] = mean_of[begin + c]
        total, product = np.zeros(columns), np.zeros(columns)
        sums, products = np.empty(columns, x.dtype), np.empty(columns, x.dtype)
        for n in range(0, len(x), ROWS):
            sums[:] = 0
            products[:] = 0
            for m in range(n, min(n + ROWS, len(x))):
                cotangent = g[m, begin * width : begin * width + columns]
                source = x[m, begin * width : begin * width + columns]
                for j in range(columns):
                    sums[j] += cotangent[j]
                    products[j] += cotangent[j] * (source[j] - means[j])
            for j in range(columns):
                total[j] += sums[j]
                product[j] += products[j]
        for c in range(channels):
            at, rstd = slice(c * width, (c + 1) * width), rstd_of[begin + c]
            s, p = total[at].sum(), product[at].sum() * rstd
            db[begin + c], dw[begin + c] = number(s), number(p)
            shift[at], slope[at], scale[at] = number(s / count), number(p / count) * rstd, rstd * w[begin + c]
        for n in range(len(x)):
            cotangent = g[n, begin * width : begin * width + columns]
            source = x[n, begin * width : begin * width + columns]
            target = dx[n, begin * width : begin * width + columns]
            for j in range(columns):
                target[j] = (cotangent[j] - (source[j] - means[j]) * slope[j] - shift[j]) * scale[j]


# --------------------------------------------------------------------------------------------- rows


@_jit
def _normalize_by_vector(first, last, x, w, b, mean_of, rstd_of, y):
    for r in range(first, last):
        mean, rstd = mean_of[r], rstd_of[r]
        source, target = x[r], y[r]
        for j in range(len(source)):
            target[j] = (source[j] - mean) * rstd * w[j] + b[j]


@_jit
def _vjp_by_vector(first, last, g, x, w, mean_of, rstd_of, dx, dw, db):
    """Jobs: blocks of ROWS rows, each with sums dw and db of its own."""
    number = x.dtype.type
    for job in range(first, last):
        weight_sums, bias_sums = dw[job], db[job]
        weight_sums[:] = 0
        bias_sums[:] = 0
        for r in range(job * ROWS, min((job + 1) * ROWS, len(x))):
            mean, rstd = mean_of[r], rstd_of[r]
            cotangent, source, target = g[r], x[r], dx[r]
            total, product = 0.0, 0.0
            for start in range(0, len(source), BLOCK):
                end = start + BLOCK
                s, p = _block_weighted(cotangent[start:end], source[start:end], mean, w[start:end])
                total += s
                product += p
            shift, slope = number(total / len(source)), number(product * rstd / len(source))
            for j in range(len(source)):
                z = (source[j] - mean) * rstd
                bias_sums[j] += cotangent[j]
                weight_sums[j] += cotangent[j] * z
                target[j] = (cotangent[j] * w[j] - z * slope - shift) * rstd


@_jit
def _normalize_segments(first, last, x, w, b, mean_of, rstd_of, y):
    for r in range(first, last):
        group = r % w.shape[0]
        for k in range(x.shape[1]):
            mean, scale, shift = mean_of[r], rstd_of[r] * w[group, k], b[group, k]
            source, target = x[r, k], y[r, k]
            for i in range(len(source)):
                target[i] = (source[i] - mean) * scale + shift


@_jit
def _vjp_of_segments(first, last, g, x, w, mean_of, rstd_of, dx, dw, db):
    """Sums dw and db: one for every segment of every row."""
    number = x.dtype.type
    count = x.shape[1] * x.shape[2]
    for r in range(first, last):
        group = r % w.shape[0]
        mean, rstd = mean_of[r], rstd_of[r]
        total, product = 0.0, 0.0
        for k in range(x.shape[1]):
            s, p = _row_products(g[r, k], x[r, k], mean)
            db[r, k], dw[r, k] = s, p * rstd
            total += s * w[group, k]
            product += p * w[group, k]
        shift, slope = number(total / count), number(product * rstd / count) * rstd
        for k in range(x.shape[1]):
            weight = w[group, k]
            cotangent, source, target = g[r, k], x[r, k], dx[r, k]
            for i in range(len(source)):
                target[i] = (cotangent[i] * weight - (source[i] - mean) * slope - shift) * rstd


# ------------------------------------------------------------------------------------------ layouts


class Channels(NamedTuple):
    """x: (n, c, s), w, b and the moments: (c,)."""

    n: int
    c: int
    s: int

    def column_jobs(self) -> int:
        return -(-self.c // max(1, GROUP // self.s))


class Rows(NamedTuple):
    """x: (r, k, s), the moments: (r,), w and b: (g, k), of which row i has the (i mod g)-th."""

    r: int
    g: int
    k: int
    s: int


@lru_cache(maxsize=1024)
def _moments_layout(shape: Shape, axes: Shape) -> Channels | None:
    kept = [i for i in range(len(shape)) if i not in axes]
    start, end = (kept[0], kept[-1] + 1) if kept else (0, 0)
    if 0 in shape or not axes or len(kept) != end - start:
        return None
    return Channels(prod(shape[:start]), prod(shape[start:end]), prod(shape[end:]))


@lru_cache(maxsize=1024)
def _layout(shape: Shape, axes: Shape, affine: Shape) -> Channels | Rows | None:
    channels = _moments_layout(shape, axes)
    if channels is None:
        return None
    if affine == tuple(1 if i in axes else n for i, n in enumerate(shape)):
        return channels
    lead = len(shape) - len(axes)
    if axes != tuple(range(lead, len(shape))):
        return None
    weighted = [i for i, n in enumerate(affine) if n != 1]
    start, end = min([lead, *weighted]), max([lead, *(i + 1 for i in weighted)])
    if affine[start:end] != shape[start:end]:
        return None
    rows = Rows(prod(shape[:lead]), prod(shape[start:lead]), prod(shape[lead:end]), prod(shape[end:]))
    return rows if rows.s >= SHORT or rows.s == rows.g == 1 else None


def _compiled(first: np.ndarray, *others: np.ndarray) -> bool:
    """Whether the arrays are contiguous and of one dtype that the loops are made for."""
    dtype = first.dtype
    if dtype not in COMPILED or not first.flags.c_contiguous:
        return False
    return all(a.dtype == dtype and a.flags.c_contiguous for a in others)


# ------------------------------------------------------------------------------------------ kernels

_moments_formula = np.errstate(all="ignore")(partial(moments_p.forward, np))
_normalize_formula = np.errstate(all="ignore")(partial(normalize_p.forward, np))
_vjp_formula = np.errstate(all="ignore")(partial(normalize_vjp_p.forward, np))


def _moments(x: np.ndarray, *, axes: Shape, eps: float) -> tuple[np.ndarray, ...]:
    layout = _moments_layout(x.shape, axes)
    if layout is None or not _compiled(x):
        return _moments_formula(x, axes=axes, eps=eps)
    results = np.empty((3, layout.c), x.dtype)
    cost = x.size / RATE
    if layout.s < SHORT_SUM and layout.n > 1:
        columns = x.reshape(layout.n, -1)
        shared(_moments_of_columns, layout.column_jobs(), cost, columns, layout.s, *results, eps)
    else:
        shared(_moments_of_rows, layout.c, cost, x.reshape(layout), *results, eps)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    mean, var, rstd = results
    return mean.reshape(shape), var.reshape(shape), rstd.reshape(shape)


def _normalize(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, mean: np.ndarray, rstd: np.ndarray, **params: Any
) -> np.ndarray:
    layout = _layout(x.shape, params["axes"], params["affine"])
    if layout is None or not _compiled(x, w, b, mean, rstd):
        return _normalize_formula(x, w, b, mean, rstd, **params)
    shape: Shape
    y = np.empty(x.shape, x.dtype)
    vectors, cost = [w, b, mean.reshape(-1), rstd.reshape(-1)], x.size / RATE
    if isinstance(layout, Channels):
        if layout.s < SHORT and layout.n > 1:
            shape = (layout.n, layout.c * layout.s)
            shared(_normalize_columns, layout.n, cost, x.reshape(shape), layout.s, *vectors, y.reshape(shape))
        else:
            shared(_normalize_rows, layout.n, cost, x.reshape(layout), *vectors, y.reshape(layout))
    elif layout.s == 1:
        shape = (layout.r, layout.k)
        shared(_normalize_by_vector, layout.r, cost, x.reshape(shape), *vectors, y.reshape(shape))
    else:
        shape = (layout.r, layout.k, layout.s)
        w, b = w.reshape(layout.g, layout.k), b.reshape(layout.g, layout.k)
        shared(_normalize_segments, layout.r, cost, x.reshape(shape), w, b, *vectors[2:], y.reshape(shape))
    return y


def _normalize_vjp(
    g: np.ndarray, x: np.ndarray, w: np.ndarray, mean: np.ndarray, rstd: np.ndarray, **params: Any
) -> tuple[np.ndarray, ...]:
    layout = _layout(x.shape, params["axes"], params["affine"])
    if layout is None or g.shape != x.shape or not _compiled(g, x, w, mean, rstd):
        return _vjp_formula(g, x, w, mean, rstd, **params)
    arrays: tuple[Any, ...]
    dx = np.empty(x.shape, x.dtype)
    mean, rstd, cost = mean.reshape(-1), rstd.reshape(-1), 2 * x.size / RATE
    if isinstance(layout, Channels):
        dw, db = np.empty((2, layout.c), x.dtype)
        if layout.s < SHORT_SUM and layout.n > 1:
            shape = (layout.n, layout.c * layout.s)
            arrays = (g.reshape(shape), x.reshape(shape), layout.s, w, mean, rstd, dx.reshape(shape), dw, db)
            shared(_vjp_of_columns, layout.column_jobs(), cost, *arrays)
        else:
            arrays = (g.reshape(layout), x.reshape(layout), w, mean, rstd, dx.reshape(layout), dw, db)
            shared(_vjp_of_rows, layout.c, cost, *arrays)
        return dx, dw, db
    if layout.s == 1:
        shape, jobs = (layout.r, layout.k), -(-layout.r // ROWS)
        sums = np.empty((2, jobs, layout.k), x.dtype)
        shared(_vjp_by_vector, jobs, cost, g.reshape(shape), x.reshape(shape), w, mean, rstd, dx.reshape(shape), *sums)
    else:
        segments = (layout.r, layout.k, layout.s)
        sums = np.empty((2, layout.r, layout.k))
        arrays = (g.reshape(segments), x.reshape(segments), w.reshape(layout.g, layout.k), mean, rstd)
        shared(_vjp_of_segments, layout.r, cost, *arrays, dx.reshape(segments), *sums)
    dw, db = sums.reshape(2, -1, w.size).sum(axis=1, dtype=np.float64).astype(x.dtype)
    return dx, dw, db


KERNELS: dict[Primitive, Kernel] = {moments_p: _moments, normalize_p: _normalize, normalize_vjp_p: _normalize_vjp}

"""Elementwise operations that NumPy computes with a branch or in several passes, in one pass without branches."""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops.activation import between_p, hardtanh_p, leak_p, leaky_relu_p, relu_p, where_positive_p
from autograd_core.ops.selection import clip_p, inside_p, share_p, where_p
from autograd_core.primitive import Elementwise, Primitive

from .threads import shared

_jit = njit(nogil=True, error_model="numpy", cache=True)

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))
BITS = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}
SMALL = 4096  # elements that NumPy has computed by the time a kernel is called
RATE = 5000  # elements in a microsecond


# ---------------------------------------------------------------------------------- of one and more numbers


@_jit
def _relu(first, last, x, y):
    x, y = x[first:last], y[first:last]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        y[i] = zero if x[i] <= zero else x[i]  # NaN is kept


@_jit
def _where_positive(first, last, c, x, y):
    c, x, y = c[first:last], x[first:last], y[first:last]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        y[i] = c[i] if x[i] > zero else zero


@_jit
def _leaky_relu(first, last, x, y, slope):
    x, y = x[first:last], y[first:last]
    zero, slope = x.dtype.type(0), x.dtype.type(slope)
    for i in range(len(x)):
        v = x[i]
        y[i] = v if v > zero else v * slope


@_jit
def _leak(first, last, c, x, y, slope):
    c, x, y = c[first:last], x[first:last], y[first:last]
    zero, slope = x.dtype.type(0), x.dtype.type(slope)
    for i in range(len(x)):
        v = c[i]
        y[i] = v if x[i] > zero else v * slope


@_jit
def _clip(first, last, x, y, low, high):
    x, y = x[first:last], y[first:last]
    low, high = x.dtype.type(low), x.dtype.type(high)
    for i in range(len(x)):
        v = low if x[i] < low else x[i]
        y[i] = high if v > high else v


@_jit
def _between(first, last, c, x, y, low, high):
    c, x, y = c[first:last], x[first:last], y[first:last]
    zero, low, high = x.dtype.type(0), x.dtype.type(low), x.dtype.type(high)
    for i in range(len(x)):
        v = c[i]
        y[i] = v if (x[i] > low) & (x[i] < high) else zero


@_jit
def _inside(first, last, c, x, y, low, high):
    c, x, y = c[first:last], x[first:last], y[first:last]
    zero, low, high = x.dtype.type(0), x.dtype.type(low), x.dtype.type(high)
    for i in range(len(x)):
        v = c[i]
        y[i] = v if (x[i] >= low) & (x[i] <= high) else zero


@_jit
def _share(first, last, c, x1, x2, y):
    c, x1, x2, y = c[first:last], x1[first:last], x2[first:last], y[first:last]
    zero, half = c.dtype.type(0), c.dtype.type(0.5)
    for i in range(len(c)):
        v, a, b = c[i], x1[i], x2[i]
        other = v * half if a == b else zero
        y[i] = v if a > b else other


def _cheap(operands: tuple[np.ndarray, ...]) -> bool:
    """Whether what must be copied to be contiguous (a repeated cotangent) costs less than NumPy's branches do."""
    return sum(not x.flags.c_contiguous for x in operands) <= (len(operands) > 1)


def _row(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1)


def _kernel(primitive: Elementwise, run: Callable[..., Any], *names: str) -> Kernel:
    """``run`` for large operands of one shape and a dtype it is made for; the formula for others.

    names: of the static parameters, in the order in which ``run`` takes them.
    """
    formula = primitive.forward

    def kernel(*operands: np.ndarray, **params: float) -> np.ndarray:
        x = operands[0]
        if x.size < SMALL or x.dtype not in COMPILED or not _cheap(operands):
            return formula(np, *operands, **params)
        for other in operands:
            if other.shape != x.shape or other.dtype is not x.dtype:
                return formula(np, *operands, **params)
        numbers = [float(params[name]) for name in names]
        for number in numbers:
            if number != number:  # a limit that every comparison fails
                return formula(np, *operands, **params)
        y = np.empty(x.shape, x.dtype)
        shared(run, x.size, x.size / RATE, *[_row(a) for a in operands], y.reshape(-1), *numbers)
        return y

    return kernel


# ------------------------------------------------------------------------------------------ choices


@_jit
def _choose(first, last, condition, x1, x2, y):
    condition, x1, x2, y = condition[first:last], x1[first:last], x2[first:last], y[first:last]
    for i in range(len(y)):
        a, b = x1[i], x2[i]
        y[i] = a if condition[i] else b


@_jit
def _keep(first, last, condition, x, other, y):
    condition, x, y = condition[first:last], x[first:last], y[first:last]
    for i in range(len(y)):
        a = x[i]
        y[i] = a if condition[i] else other


@_jit
def _replace(first, last, condition, other, x, y):
    condition, x, y = condition[first:last], x[first:last], y[first:last]
    for i in range(len(y)):
        a = x[i]
        y[i] = other if condition[i] else a


@_jit
def _pick(first, last, condition, one, other, y):
    condition, y = condition[first:last], y[first:last]
    for i in range(len(y)):
        y[i] = one if condition[i] else other


CHOICES = {(True, True): _choose, (True, False): _keep, (False, True): _replace, (False, False): _pick}


def _where(condition: np.ndarray, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Numbers are moved as they are, so it is enough to know how many bytes they have."""
    shape, dtype = condition.shape, x1.dtype
    bits = BITS.get(dtype.itemsize)
    if condition.size < 2 * SMALL or bits is None or x2.dtype != dtype or not _cheap((condition, x1, x2)):
        return where_p.forward(np, condition, x1, x2)
    first, second = _bits(x1, shape, bits), _bits(x2, shape, bits)
    if first is None or second is None:
        return where_p.forward(np, condition, x1, x2)
    run = CHOICES[bool(first.shape), bool(second.shape)]
    y = np.empty(shape, dtype)
    operands = [v if v.shape else v[()] for v in (first, second)]
    shared(run, y.size, y.size / RATE, _row(condition), *operands, y.reshape(-1).view(bits))
    return y


def _bits(x: np.ndarray, shape: tuple[int, ...], bits: np.dtype) -> np.ndarray | None:
    """The elements in one row, a repeated one as a 0-d array; None if they are of another shape."""
    if not any(x.strides) and x.shape in ((), shape):
        return x[(0,) * x.ndim].reshape(()).view(bits)
    return _row(x).view(bits) if x.shape == shape else None


KERNELS: dict[Primitive, Kernel] = {
    relu_p: _kernel(relu_p, _relu),
    where_positive_p: _kernel(where_positive_p, _where_positive),
    leaky_relu_p: _kernel(leaky_relu_p, _leaky_relu, "negative_slope"),
    leak_p: _kernel(leak_p, _leak, "negative_slope"),
    hardtanh_p: _kernel(hardtanh_p, _clip, "low", "high"),
    between_p: _kernel(between_p, _between, "low", "high"),
    clip_p: _kernel(clip_p, _clip, "low", "high"),
    inside_p: _kernel(inside_p, _inside, "low", "high"),
    share_p: _kernel(share_p, _share),
    where_p: _where,
}

"""Elementwise operations that NumPy computes with a branch or in several passes, in one pass without branches."""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops.activation import relu_p, where_positive_p
from autograd_core.primitive import Elementwise, Primitive

from .threads import shared

_jit = njit(nogil=True, error_model="numpy", cache=True)

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))
SMALL = 4096  # elements that NumPy has computed by the time a kernel is called
RATE = 5000  # elements in a microsecond


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


def _kernel(primitive: Elementwise, run: Callable[..., Any]) -> Kernel:
    """``run`` for large contiguous operands of one shape and a dtype it is made for; the formula for others."""
    formula = primitive.forward

    def kernel(*operands: np.ndarray) -> np.ndarray:
        x = operands[0]
        if x.size < SMALL or x.dtype not in COMPILED:
            return formula(np, *operands)
        for other in operands:
            if other.shape != x.shape or other.dtype is not x.dtype or not other.flags.c_contiguous:
                return formula(np, *operands)
        y = np.empty(x.shape, x.dtype)
        shared(run, x.size, x.size / RATE, *[a.reshape(-1) for a in operands], y.reshape(-1))
        return y

    return kernel


KERNELS: dict[Primitive, Kernel] = {
    relu_p: _kernel(relu_p, _relu),
    where_positive_p: _kernel(where_positive_p, _where_positive),
}

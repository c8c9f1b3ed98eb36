"""Pooling by p-norms: roots of the sums of powers."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

from ..errors import ArgumentError
from ._apply import as_tensor, to_float
from ._windows import planes, window_arguments
from .pooling import avg_pool1d, avg_pool2d, avg_pool3d
from .selection import where

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]

_MEANS = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}


def _power_pool(ndim: int, input: Any, p: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    op = f"lp_pool{ndim}d"
    if not isinstance(p, (int, float)) or not (p > 0 and isfinite(p)):
        raise ArgumentError(
            f"{op}: norm_type must be a positive number, got {p!r}; max_pool{ndim}d is the limit of large ones"
        )
    x = to_float(as_tensor(op, input))
    planes(op, ndim, x)  # so that a wrong shape is refused in this function's name
    kernel, strides, _ = window_arguments(op, ndim, kernel_size, stride)
    sums = _MEANS[ndim](x**p, kernel, strides, ceil_mode=ceil_mode) * prod(kernel)
    zero = sums == 0  # the slope of the root is infinite there
    return where(zero, 0.0, where(zero, 1.0, sums) ** (1 / p))


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """p-norms of windows along one axis; arguments as for ``lp_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.power_pooling import lp_pool1d
    >>> lp_pool1d(ag.tensor([[3.0, 4.0, 0.0, 1.0]]), 2, 2)
    tensor([[5., 1.]])
    """
    return _power_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """y[n, c, t, u] = (sum_k,l x[n, c, s t + k, s u + l]^p)^(1/p), p being ``norm_type``.

    input: (N, C, H, W) or (C, H, W); integers become float32. Powers are of x, not of its absolute value: sums below 0
    give NaN. Where a sum is 0 the gradient is 0. kernel_size, stride s (None: kernel_size): an int, or one for each
    axis. ceil_mode: as for ``avg_pool2d``; the mean over a window that ends outside counts for a whole one.
    ArgumentError unless p is positive and finite; ShapeError when no window fits. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.power_pooling import lp_pool2d
    >>> lp_pool2d(ag.tensor([[[1.0, 3.0], [1.0, 5.0]]]), 2, 2)
    tensor([[[6.]]])
    """
    return _power_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """p-norms of windows along three axes; as ``lp_pool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.power_pooling import lp_pool3d
    >>> lp_pool3d(ag.ones((1, 1, 2, 4, 4)), 1, 2)
    tensor([[[[[8., 8.],
               [8., 8.]]]]])
    """
    return _power_pool(3, input, norm_type, kernel_size, stride, ceil_mode)

"""Pooling to a given output size: bin i of n elements goes from floor(i n / bins) to ceil((i + 1) n / bins)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..aval import DEFAULT_INT
from ..errors import ArgumentError
from ..primitive import bind
from ._apply import as_tensor, to_float
from ._sampling import Sampling, bins, resample
from ._windows import Windows, per_axis, planes, windows
from .creation import arange, asarray
from .pooling import INDEX, as_ordered, avg_pool_p, max_pool_p, pool_gather_p

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def _output_size(op: str, size: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
    """The number of bins along each axis; None stands for the input's length."""
    ndim = len(size)
    given = output_size if isinstance(output_size, Sequence) else (output_size,) * ndim
    if len(given) != ndim:
        raise ArgumentError(f"{op}: output_size must be an int or {ndim} of them, got {output_size!r}")
    return per_axis(op, "output_size", [n if m is None else m for n, m in zip(size, given)], ndim, least=1)


def _even(op: str, size: tuple[int, ...], output: tuple[int, ...]) -> Windows | None:
    """The bins as windows, where all have one size."""
    if any(n % t for n, t in zip(size, output)):
        return None
    kernel = tuple(n // t for n, t in zip(size, output))
    return windows(op, size, kernel, kernel, ((0, 0),) * len(size), (1,) * len(size))


# ------------------------------------------------------------------------------------------- means


def _adaptive_avg(ndim: int, input: Any, output_size: Any) -> Any:
    op = f"adaptive_avg_pool{ndim}d"
    x, batched = planes(op, ndim, to_float(as_tensor(op, input)))
    size = x.shape[2:]
    output = _output_size(op, size, output_size)
    where = _even(op, size, output)
    if where is not None:
        x = bind(avg_pool_p, (x,), {"windows": where, "divisor": where.taps})
    else:
        for axis, (n, t) in enumerate(zip(size, output), start=2):
            x = resample(x, axis, Sampling(n, t, "mean"))
    return x if batched else x.reshape(x.shape[1:])


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Mean over ``output_size`` bins along one axis; as ``adaptive_avg_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_avg_pool1d
    >>> adaptive_avg_pool1d(ag.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2. , 2.5]])
    """
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Mean over a grid of bins; bin i of n elements goes from floor(i n / bins) to ceil((i + 1) n / bins).

    input: (N, C, H, W) or (C, H, W); integers become float32. output_size: an int, or one for each axis (None: the
    input's). Returns (N, C, *output_size). ShapeError for an input without elements along an axis. Signature as in
    PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_avg_pool2d
    >>> adaptive_avg_pool2d(ag.ones((2, 3, 7, 5)), 1).shape
    (2, 3, 1, 1)
    """
    return _adaptive_avg(2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Mean over bins along three axes; as ``adaptive_avg_pool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_avg_pool3d
    >>> adaptive_avg_pool3d(ag.ones((2, 3, 7, 5, 4)), (1, None, 2)).shape
    (2, 3, 1, 5, 2)
    """
    return _adaptive_avg(3, input, output_size)


# ------------------------------------------------------------------------------------------ maxima


def max_of_taps(x: Any, taps: Any) -> tuple[Any, Any]:
    """The largest of listed elements of each plane, and which it is: (N, C, *size), (N, C, T, K) -> twice (N, C, T)."""
    seen = bind(pool_gather_p, (x.detach(), taps), {})
    rows = arange(taps.shape[2], device=x.device) * taps.shape[3]
    index = bind(pool_gather_p, (taps, (seen.argmax(-1) + rows).astype(INDEX)), {})
    return bind(pool_gather_p, (x, index), {}), index


def flat_taps(size: tuple[int, ...], axes: list[np.ndarray]) -> np.ndarray:
    """(bins, taps) along each axis -> (all bins, all taps) of flat indices within a plane."""
    ndim = len(size)
    total: Any = 0
    for axis, at in enumerate(axes):
        shape = [1] * (2 * ndim)
        shape[axis], shape[ndim + axis] = at.shape
        total = total + at.reshape(shape) * prod(size[axis + 1 :])
    return np.asarray(total, INDEX).reshape(prod(a.shape[0] for a in axes), prod(a.shape[1] for a in axes))


def _bin_taps(n: int, count: int) -> np.ndarray:
    """(count, longest bin): the elements of each bin, the last one repeated where a bin is shorter."""
    starts, ends = bins(n, count)
    return np.minimum(starts[:, None] + np.arange(int((ends - starts).max())), ends[:, None] - 1)


def _adaptive_max(ndim: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    op = f"adaptive_max_pool{ndim}d"
    x, batched = planes(op, ndim, as_ordered(op, input))
    size = x.shape[2:]
    output = _output_size(op, size, output_size)
    where = _even(op, size, output)
    if where is not None:
        y, index = bind(max_pool_p, (x,), {"windows": where})
    else:
        taps = asarray(flat_taps(size, [_bin_taps(n, t) for n, t in zip(size, output)]), device=x.device)
        y, index = max_of_taps(x, taps.broadcast_to((*x.shape[:2], *taps.shape)))
    shape = (*(x.shape[:2] if batched else x.shape[1:2]), *output)
    y = y.reshape(shape)
    return (y, index.detach().astype(DEFAULT_INT).reshape(shape)) if return_indices else y


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over ``output_size`` bins along one axis; as ``adaptive_max_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_max_pool1d
    >>> adaptive_max_pool1d(ag.tensor([[1.0, 3.0, 2.0]]), 2, return_indices=True)
    (tensor([[3., 3.]]), tensor([[1, 1]]))
    """
    return _adaptive_max(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of bins; bin i of n elements goes from floor(i n / bins) to ceil((i + 1) n / bins).

    input: (N, C, H, W) or (C, H, W), floating or integer. output_size: an int, or one for each axis (None: the
    input's). return_indices: also where in the plane each maximum was found, as h * W + w (int64).
    Of equal maxima the first counts, and alone receives the gradient; a NaN in a bin is its maximum.
    Returns (N, C, *output_size). ShapeError for an input without elements along an axis. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_max_pool2d
    >>> adaptive_max_pool2d(ag.ones((2, 3, 7, 5)), (3, None)).shape
    (2, 3, 3, 5)
    """
    return _adaptive_max(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over bins along three axes; as ``adaptive_max_pool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.adaptive_pooling import adaptive_max_pool3d
    >>> adaptive_max_pool3d(ag.ones((2, 3, 7, 5, 4)), 2).shape
    (2, 3, 2, 2, 2)
    """
    return _adaptive_max(3, input, output_size, return_indices)

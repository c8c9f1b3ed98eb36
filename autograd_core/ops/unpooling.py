"""Maxima put back where they were found, with zeros around them: the partial inverse of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, ShapeError
from ._apply import as_tensors, examine, require_integer
from ._windows import planes, window_arguments
from .indexing import scatter

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _output_size(
    op: str, size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...], given: Any
) -> tuple[int, ...]:
    """The size of the pooling's input: the smallest that gives ``size``, or the ``given`` one if that is possible."""
    ndim = len(size)
    smallest = tuple((n - 1) * s - 2 * p + k for n, k, s, p in zip(size, kernel, stride, pad))
    if given is None:
        output = smallest
    else:
        if not isinstance(given, Sequence) or len(given) not in (ndim, ndim + 2):
            raise ArgumentError(
                f"{op}: output_size must hold {ndim} lengths (or {ndim + 2}, with N and C), got {given!r}"
            )
        output = tuple(given[-ndim:])
        if not all(m - s < n < m + s for n, m, s in zip(output, smallest, stride)):
            raise ArgumentError(
                f"{op}: output_size {output} is not near {smallest}, what input of size {size}, kernel_size {kernel}, "
                f"stride {stride} and padding {pad} come from; each length may differ by less than the stride"
            )
    if min(output) < 1:
        raise ShapeError(f"{op}: the output would have size {output}; give output_size, or less padding")
    return output


def _unpool(ndim: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    op = f"max_unpool{ndim}d"
    x, index = as_tensors(op, input, indices)
    require_integer(op, "indices", index)
    if x.shape != index.shape:
        raise ShapeError(
            f"{op}: input has shape {x.shape}, indices {index.shape}: they must be equal, one index for each maximum"
        )
    x, batched = planes(op, ndim, x)
    output = _output_size(op, x.shape[2:], *window_arguments(op, ndim, kernel_size, stride, padding), output_size)
    places = prod(output)

    def check(values: np.ndarray) -> None:
        if values.size and not 0 <= values.min() <= values.max() < places:
            raise DataError(
                f"{op}: indices go from {values.min()} to {values.max()}, but the output of size {output} has places 0 "
                f"to {places - 1}; give output_size, that of the pooling's input"
            )

    examine(index, check)
    n, c = x.shape[:2]
    flat = (n * c, prod(x.shape[2:]))
    y = scatter(x.new_zeros((n * c, places)), 1, index.reshape(flat), x.reshape(flat))
    return y.reshape((n, c, *output) if batched else (c, *output))


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Maxima back where they were found along one axis; as ``max_unpool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.unpooling import max_unpool1d
    >>> max_unpool1d(ag.tensor([[3.0, 2.0]]), ag.tensor([[1, 2]]), 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Zeros, with input[n, c, t] at the place indices[n, c, t] (h * W + w) of plane (n, c).

    input, indices: what ``max_pool2d(..., return_indices=True)`` gives for the same kernel_size, stride (None:
    kernel_size) and padding: (N, C, H, W) or (C, H, W). Where two windows found one place, the last value counts, and
    alone receives the gradient. output_size: the size of the pooling's input, where it is not the smallest that gives
    this one, (H - 1) stride - 2 padding + kernel_size. DataError for an index outside the output; ShapeError when
    shapes differ. Zeiler and Fergus, 2013. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.unpooling import max_unpool2d
    >>> max_unpool2d(ag.tensor([[[3.0]]]), ag.tensor([[[1]]]), 2)
    tensor([[[0., 3.],
             [0., 0.]]])
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """Maxima back where they were found; as ``max_unpool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.unpooling import max_unpool3d
    >>> max_unpool3d(ag.ones((1, 1, 1, 1)), ag.tensor([[[[5]]]]), 2).sum(axis=(2, 3))
    tensor([[0., 1.]])
    """
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)

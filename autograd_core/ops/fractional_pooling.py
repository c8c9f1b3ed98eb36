"""Maxima over windows of one size whose distances vary at random. Graham, Fractional max-pooling, 2014."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..aval import DEFAULT_FLOAT, DEFAULT_INT
from ..errors import ArgumentError, ShapeError
from ._apply import as_tensor
from ._windows import AXIS_NAMES, per_axis, planes
from .adaptive_pooling import max_of_taps
from .creation import arange
from .joining import concat
from .pooling import INDEX, as_ordered
from .random import uniform

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]


def _output_size(op: str, size: tuple[int, ...], output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    ndim = len(size)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(
            f"{op}: takes output_size or output_ratio, one of the two; got {output_size}, {output_ratio}"
        )
    if output_size is not None:
        return per_axis(op, "output_size", output_size, ndim, least=1)
    ratios = tuple(output_ratio) if isinstance(output_ratio, Sequence) else (output_ratio,) * ndim
    if len(ratios) != ndim or not all(0 < r < 1 for r in ratios):
        raise ArgumentError(f"{op}: output_ratio must be between 0 and 1, or {ndim} such numbers, got {output_ratio!r}")
    output = tuple(int(n * r) for n, r in zip(size, ratios))
    if 0 in output:
        raise ShapeError(f"{op}: output_ratio {output_ratio} of size {size} leaves nothing: {output}; use a larger one")
    return output


def _starts(samples: Any, n: int, count: int, kernel: int) -> Any:
    """Where ``count`` windows begin along one axis, one offset in [0, 1) deciding: (N, C) -> (N, C, count)."""
    last = samples.new_zeros((*samples.shape, 1)).astype(INDEX) + (n - kernel)
    if count == 1:
        return last
    samples = samples.reshape((*samples.shape, 1))
    step = (n - kernel) / (count - 1)
    steps = arange(count - 1, dtype=samples.dtype, device=samples.device)
    return concat([((steps + samples) * step).astype(INDEX) - (samples * step).astype(INDEX), last], axis=-1)


def _fractional(
    ndim: int,
    input: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Any,
    generator: Any,
) -> Any:
    op = f"fractional_max_pool{ndim}d"
    x, batched = planes(op, ndim, as_ordered(op, input))
    size = x.shape[2:]
    kernel = per_axis(op, "kernel_size", kernel_size, ndim, least=1)
    output = _output_size(op, size, output_size, output_ratio)
    for name, n, k, t in zip(AXIS_NAMES[ndim], size, kernel, output):
        if t + k - 1 > n:
            raise ShapeError(
                f"{op}: {t} windows of {k} along {name} need at least {t + k - 1} elements, input has {n}; "
                "use a smaller kernel or output"
            )
    shape = (*x.shape[:2], ndim)
    if samples is None:
        samples = uniform(shape, device=x.device, generator=generator)
    samples = as_tensor(op, samples, x)
    samples = samples if samples.dtype.itemsize > 2 else samples.astype(DEFAULT_FLOAT)  # half would lose places
    if samples.shape != shape:
        raise ShapeError(f"{op}: _random_samples must have shape {shape}, (N, C, {ndim}), got {samples.shape}")
    order = range(ndim) if ndim == 3 else reversed(range(ndim))  # as PyTorch reads them: (w, h), but (d, h, w)
    lead = x.shape[:2]
    total: Any = 0
    for axis, place in enumerate(order):
        n, k, t = size[axis], kernel[axis], output[axis]
        at = _starts(samples[..., place], n, t, k).reshape((*lead, t, 1)) + arange(k, dtype=INDEX, device=x.device)
        spread = [1] * (2 * ndim)
        spread[axis], spread[ndim + axis] = t, k
        total = at.reshape((*lead, *spread)) * prod(size[axis + 1 :]) + total
    y, index = max_of_taps(x, total.detach().reshape((*lead, prod(output), prod(kernel))))
    shape = (*(lead if batched else lead[1:]), *output)
    y = y.reshape(shape)
    return (y, index.detach().astype(DEFAULT_INT).reshape(shape)) if return_indices else y


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
    *,
    generator: Any = None,
) -> Any:
    """Maximum over windows that begin at floor((i + u) a) - floor(u a), with a = (n - k) / (output - 1) and u random.

    input: (N, C, H, W) or (C, H, W). kernel_size k, output_size: an int, or one for each axis; output_ratio: the
    output size as a part of the input's, in (0, 1), instead. The last window ends with the input. u: one number in
    [0, 1) for each sample, channel and axis, drawn from ``generator`` (by default that of the context), or given as
    ``_random_samples``, (N, C, 2), the one for W first. return_indices: also where each maximum was found (int64).
    ShapeError when the windows do not fit. Graham, Fractional max-pooling, 2014. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.fractional_pooling import fractional_max_pool2d
    >>> fractional_max_pool2d(ag.ones((2, 3, 9, 9)), 2, output_ratio=0.7).shape
    (2, 3, 6, 6)
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
    *,
    generator: Any = None,
) -> Any:
    """``fractional_max_pool2d`` along three axes. input: (N, C, D, H, W) or (C, D, H, W).

    _random_samples: (N, C, 3), for D, H and W in this order.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.fractional_pooling import fractional_max_pool3d
    >>> fractional_max_pool3d(ag.ones((2, 3, 5, 9, 9)), 2, output_size=(3, 4, 5)).shape
    (2, 3, 3, 4, 5)
    """
    return _fractional(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)

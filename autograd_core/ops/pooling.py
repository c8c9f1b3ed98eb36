"""Pooling over one or more spatial axes: maxima and means of sliding windows.

A maximum is an element of the input, so its derivatives of every order only move elements: ``pool_gather`` takes them
from the windows' maxima, ``pool_scatter`` puts them back there; each is the transpose of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..aval import DEFAULT_INT, Aval
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import Multilinear, bind, general, multilinear
from ._apply import as_tensor, to_float
from ._windows import AXIS_NAMES, Windows, per_axis, windows
from .creation import asarray
from .linear_algebra import matmul

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]

INDEX = np.dtype(np.int32)  # within one plane; half the memory traffic of int64


# ------------------------------------------------------------------------------------------ maxima


def _first_positions(xp: Any, windows: Windows, valid: bool) -> Any:
    """The flat index, within a plane, of every window's first element, or (``valid``) its first that is not padding."""
    total, step = 0, 1
    for axis in reversed(range(len(windows.size))):
        before, dilation = windows.padding[axis][0], windows.dilation[axis]
        start = xp.arange(windows.output[axis], dtype=INDEX) * windows.stride[axis] - before
        if valid:
            start += (xp.maximum(-start, 0) + dilation - 1) // dilation * dilation
        total = total + start.reshape(-1, *(1,) * (len(windows.size) - 1 - axis)) * step
        step *= windows.size[axis]
    return total


def _max_pool(xp: Any, x: Any, *, windows: Windows) -> Any:
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = windows.pad(xp, x, lowest)
    steps = [int(np.prod(windows.size[axis + 1 :], dtype=np.int64)) for axis in range(len(windows.size))]
    first = _first_positions(xp, windows, valid=False)
    shape = (*x.shape[:2], *windows.output)
    best = xp.full(shape, lowest, dtype=x.dtype)
    index = xp.broadcast_to(_first_positions(xp, windows, valid=True), shape)
    for tap, positions in windows.slices():
        value = padded[positions]
        better = (value > best) | (value != value)
        best = xp.where(better, value, best)
        index = xp.where(better, first + sum(k * d * s for k, d, s in zip(tap, windows.dilation, steps)), index)
    return best, index


def _gather(xp: Any, x: Any, index: Any) -> Any:
    lead = x.shape[:2]
    return xp.take_along_axis(x.reshape(*lead, -1), index.reshape(*lead, -1), axis=2).reshape(index.shape)


def _scatter(xp: Any, v: Any, index: Any, *, size: tuple[int, ...]) -> Any:
    x = xp.zeros((*v.shape[:2], *size), dtype=v.dtype)
    planes = v.shape[0] * v.shape[1]
    starts = xp.arange(planes)[:, None] * int(np.prod(size, dtype=np.int64))
    xp.add.at(x.reshape(-1), (index.reshape(planes, -1) + starts).reshape(-1), v.reshape(-1))
    return x


pool_gather_p: Multilinear = multilinear(
    "pool_gather",
    _gather,
    transposes=(lambda g, index, avals: _scatter_to(g, index, avals[0].shape[2:]), None),
    shape=lambda x, index: Aval(index.shape, x.dtype),
)

pool_scatter_p: Multilinear = multilinear(
    "pool_scatter",
    _scatter,
    transposes=(lambda g, index: bind(pool_gather_p, (g, index), {}), None),
    shape=lambda v, index, *, size: Aval((*v.shape[:2], *size), v.dtype),
)


def _scatter_to(v: Any, index: Any, size: tuple[int, ...]) -> Any:
    return bind(pool_scatter_p, (v, index), {"size": size})


max_pool_p = general(
    "max_pool",
    _max_pool,
    lambda x, *, windows: (
        Aval((*x.shape[:2], *windows.output), x.dtype),
        Aval((*x.shape[:2], *windows.output), INDEX),
    ),
    # detached: the indices are an output, but nothing flows through them
    vjp=(lambda g, y, windows: _scatter_to(g[0], y[1].detach(), windows.size),),
    jvp=lambda ts, y: (bind(pool_gather_p, (ts[0], y[1].detach()), {}), None),
)


def _max(
    ndim: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    op = f"max_pool{ndim}d"
    x = as_tensor(op, input)
    if x.dtype.kind not in "iuf":
        raise DTypeError(f"{op}: input has dtype {x.dtype}, which has no order; write x.astype('float32') first")
    x, batched = _planes(op, ndim, x)
    kernel, stride, pad = _window_arguments(op, ndim, kernel_size, stride, padding)
    dilation = per_axis(op, "dilation", dilation, ndim, least=1)
    where = windows(op, x.shape[2:], kernel, stride, tuple((n, n) for n in pad), dilation, ceil_mode)
    y, index = bind(max_pool_p, (x,), {"windows": where})
    y = y if batched else y.reshape(y.shape[1:])
    if not return_indices:
        return y
    index = index.detach().astype(DEFAULT_INT)
    return y, (index if batched else index.reshape(index.shape[1:]))


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows along one axis; arguments as for ``max_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import max_pool1d
    >>> max_pool1d(ag.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _max(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows: y[n, c, t, u] = max_k,l x[n, c, s t + d k - p, s u + d l - p].

    input: (N, C, H, W) or (C, H, W), floating or integer. kernel_size, stride s (None: kernel_size), padding p (at
    most half a window, never the maximum), dilation d: an int, or one for each axis. ceil_mode: a last window may
    end outside, if it begins within input or left padding. return_indices: also where in the plane each maximum was
    found, as h * W + w (int64).
    Of equal maxima the first counts, and alone receives the gradient; a NaN in a window is its maximum.
    Returns (N, C, H', W') in the input's dtype. ShapeError when no window fits. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import max_pool2d
    >>> max_pool2d(ag.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2, return_indices=True)
    (tensor([[[3.]]]), tensor([[[1]]]))
    """
    return _max(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


# ------------------------------------------------------------------------------------------- means

# how many elements a mean divides by: one number, or for each axis one for each window
Divisor = int | tuple[tuple[int, ...], ...]


def _divided(xp: Any, v: Any, divisor: Divisor) -> Any:
    if isinstance(divisor, int):
        return v / divisor
    for axis, counts in enumerate(divisor):
        v = v / xp.asarray(counts, dtype=v.dtype).reshape(-1, *(1,) * (len(divisor) - 1 - axis))
    return v


def _avg_pool(xp: Any, x: Any, *, windows: Windows, divisor: Divisor) -> Any:
    padded = windows.pad(xp, x)
    total = xp.zeros((*x.shape[:2], *windows.output), dtype=x.dtype)
    for _, positions in windows.slices():
        total += padded[positions]
    return _divided(xp, total, divisor)


def _avg_spread(xp: Any, v: Any, *, windows: Windows, divisor: Divisor) -> Any:
    shares = _divided(xp, v, divisor)
    x = xp.zeros((*v.shape[:2], *windows.padded), dtype=v.dtype)
    for _, positions in windows.slices():
        x[positions] += shares
    return x[windows.interior]


avg_pool_p: Multilinear = multilinear(
    "avg_pool",
    _avg_pool,
    transposes=(lambda g, windows, divisor: _mean(avg_spread_p, g, windows, divisor),),
    shape=lambda x, *, windows, divisor: Aval((*x.shape[:2], *windows.output), x.dtype),
)

avg_spread_p: Multilinear = multilinear(
    "avg_spread",
    _avg_spread,
    transposes=(lambda g, windows, divisor: _mean(avg_pool_p, g, windows, divisor),),
    shape=lambda v, *, windows, divisor: Aval((*v.shape[:2], *windows.size), v.dtype),
)


def _mean(primitive: Any, x: Any, windows: Windows, divisor: Divisor) -> Any:
    return bind(primitive, (x,), {"windows": windows, "divisor": divisor})


def _divisor(windows: Windows, pad: tuple[int, ...], count_include_pad: bool) -> Divisor:
    """Elements of each window that count: those of the input, or those of the input and its padding."""
    counts = []
    for n, k, s, p, t in zip(windows.size, windows.kernel, windows.stride, pad, windows.output):
        low, high = (-p, n + p) if count_include_pad else (0, n)
        counts.append(tuple(min(i * s - p + k, high) - max(i * s - p, low) for i in range(t)))
    full = all(set(row) == {k} for row, k in zip(counts, windows.kernel))
    return windows.taps if full else tuple(counts)


def _avg(
    ndim: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    op = f"avg_pool{ndim}d"
    x, batched = _planes(op, ndim, to_float(as_tensor(op, input)))
    kernel, stride, pad = _window_arguments(op, ndim, kernel_size, stride, padding)
    where = windows(op, x.shape[2:], kernel, stride, tuple((n, n) for n in pad), (1,) * ndim, ceil_mode)
    if divisor_override is None:
        divisor = _divisor(where, pad, count_include_pad)
    elif isinstance(divisor_override, int) and divisor_override:
        divisor = divisor_override
    else:
        raise ArgumentError(f"{op}: divisor_override must be an int other than 0, got {divisor_override!r}")
    y = _mean(avg_pool_p, x, where, divisor)
    return y if batched else y.reshape(y.shape[1:])


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Mean over windows along one axis; arguments as for ``avg_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import avg_pool1d
    >>> avg_pool1d(ag.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _avg(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean over windows: y[n, c, t, u] = sum_k,l x[n, c, s t + k - p, s u + l - p] / count.

    input: (N, C, H, W) or (C, H, W); integers become float32. kernel_size, stride s (None: kernel_size), padding p (at
    most half a window): an int, or one for each axis. ceil_mode: as for ``max_pool2d``. count: the window's elements
    within the padded input, or within the input alone (count_include_pad=False), or divisor_override.
    Returns (N, C, H', W'). ShapeError when no window fits. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import avg_pool2d
    >>> avg_pool2d(ag.tensor([[[1.0, 3.0], [2.0, 0.0]]]), 2)
    tensor([[[1.5]]])
    """
    return _avg(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_avg(ndim: int, input: Any, output_size: Any) -> Any:
    op = f"adaptive_avg_pool{ndim}d"
    x, batched = _planes(op, ndim, to_float(as_tensor(op, input)))
    size = x.shape[2:]
    given = output_size if isinstance(output_size, Sequence) else (output_size,) * ndim
    if len(given) != ndim:
        raise ArgumentError(f"{op}: output_size must be an int or {ndim} of them, got {output_size!r}")
    filled = [n if wanted is None else wanted for n, wanted in zip(size, given)]
    output = per_axis(op, "output_size", filled, ndim, least=1)
    if not any(n % t for n, t in zip(size, output)):
        kernel = tuple(n // t for n, t in zip(size, output))
        where = windows(op, size, kernel, kernel, ((0, 0),) * ndim, (1,) * ndim)
        x = _mean(avg_pool_p, x, where, where.taps)
    else:
        for axis, (n, t) in enumerate(zip(size, output), start=2):
            means = asarray(_bin_means(n, t), dtype=x.dtype, device=x.device)
            x = matmul(x.swapaxes(axis, -1), means).swapaxes(axis, -1)
    return x if batched else x.reshape(x.shape[1:])


def _bin_means(n: int, bins: int) -> np.ndarray:
    """(n, bins): column i averages the elements from floor(i n / bins) to ceil((i + 1) n / bins)."""
    starts = np.arange(bins) * n // bins
    ends = -(-np.arange(1, bins + 1) * n // bins)
    rows = np.arange(n)[:, None]
    return ((rows >= starts) & (rows < ends)) / (ends - starts)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Mean over ``output_size`` bins along one axis; as ``adaptive_avg_pool2d``. input: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import adaptive_avg_pool1d
    >>> adaptive_avg_pool1d(ag.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2. , 2.5]])
    """
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Mean over a grid of bins; bin i of n elements goes from floor(i n / bins) to ceil((i + 1) n / bins).

    input: (N, C, H, W) or (C, H, W); integers become float32. output_size: an int, or one for each axis (None: the
    input's). Returns (N, C, *output_size). Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import adaptive_avg_pool2d
    >>> adaptive_avg_pool2d(ag.ones((2, 3, 7, 5)), 1).shape
    (2, 3, 1, 1)
    """
    return _adaptive_avg(2, input, output_size)


# --------------------------------------------------------------------------------------- arguments


def _planes(op: str, ndim: int, x: Any) -> tuple[Any, bool]:
    """``x`` as (N, C, *size), and whether it was given so."""
    if len(x.shape) not in (ndim + 1, ndim + 2):
        axes = ", ".join(AXIS_NAMES[ndim])
        raise ShapeError(f"{op}: input must be (N, C, {axes}) or (C, {axes}), got shape {x.shape}")
    batched = len(x.shape) == ndim + 2
    return (x if batched else x.reshape((1, *x.shape))), batched


def _window_arguments(
    op: str, ndim: int, kernel_size: Any, stride: Any, padding: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    kernel = per_axis(op, "kernel_size", kernel_size, ndim, least=1)
    stride = kernel if stride is None else per_axis(op, "stride", stride, ndim, least=1)
    pad = per_axis(op, "padding", padding, ndim, least=0)
    if any(2 * p > k for p, k in zip(pad, kernel)):
        raise ArgumentError(
            f"{op}: padding {pad} is more than half of kernel_size {kernel}: a window could see nothing but padding; "
            "pad the input itself for more"
        )
    return kernel, stride, pad

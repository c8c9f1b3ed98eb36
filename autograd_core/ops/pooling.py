"""Pooling over one or more spatial axes: maxima and means of sliding windows.

A maximum is an element of the input, so its derivatives of every order only move elements: ``pool_gather`` takes them
from the windows' maxima, ``pool_scatter`` puts them back there; each is the transpose of the other.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..aval import DEFAULT_INT, Aval
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import General, Multilinear, bind, general, multilinear
from ._apply import as_tensor, to_float
from ._windows import AXIS_NAMES, Windows, per_axis, planes, run_folded, window_arguments, windows

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]

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
    steps = [prod(windows.size[axis + 1 :]) for axis in range(len(windows.size))]
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


def _rows(a: Any) -> Any:
    """(N, C, ...) -> (N, C, all the rest)."""
    return a.reshape(*a.shape[:2], prod(a.shape[2:]))


def _gather(xp: Any, x: Any, index: Any) -> Any:
    return xp.take_along_axis(_rows(x), _rows(index), axis=2).reshape(index.shape)


def _scatter(xp: Any, v: Any, index: Any, *, size: tuple[int, ...]) -> Any:
    x = xp.zeros((*v.shape[:2], *size), dtype=v.dtype)
    starts = xp.arange(v.shape[0] * v.shape[1]).reshape(*v.shape[:2], 1) * prod(size)
    xp.add.at(x.reshape(-1), (_rows(index) + starts).reshape(-1), v.reshape(-1))
    return x


pool_gather_p: Multilinear = multilinear(
    "pool_gather",
    _gather,
    transposes=(lambda g, index, avals: _scatter_to(g, index, avals[0].shape[2:]), None),
    shape=lambda x, index: Aval(index.shape, x.dtype),
    batch=lambda xs, batched, size, **params: run_folded(pool_gather_p, xs, batched, size, params),
)

pool_scatter_p: Multilinear = multilinear(
    "pool_scatter",
    _scatter,
    transposes=(lambda g, index: bind(pool_gather_p, (g, index), {}), None),
    shape=lambda v, index, *, size: Aval((*v.shape[:2], *size), v.dtype),
    batch=lambda xs, batched, examples, **params: run_folded(pool_scatter_p, xs, batched, examples, params),
)


def _scatter_to(v: Any, index: Any, size: tuple[int, ...]) -> Any:
    return bind(pool_scatter_p, (v, index), {"size": size})


def _places(y: Any) -> Any:
    """Where the maxima are: an output, but nothing flows through it."""
    _, index = y
    return index.detach()


max_pool_p: General = general(
    "max_pool",
    _max_pool,
    lambda x, *, windows: (
        Aval((*x.shape[:2], *windows.output), x.dtype),
        Aval((*x.shape[:2], *windows.output), INDEX),
    ),
    vjp=(lambda g, y, windows: _scatter_to(g[0], _places(y), windows.size),),
    jvp=lambda ts, y: (bind(pool_gather_p, (ts[0], _places(y)), {}), None),
    batch=lambda xs, batched, size, **params: run_folded(max_pool_p, xs, batched, size, params),
)


def as_ordered(op: str, input: Any) -> Any:
    """``input`` as a tensor; DTypeError if its values have no order to find a maximum by."""
    x = as_tensor(op, input)
    if x.dtype.kind in "bc":
        raise DTypeError(f"{op}: input has dtype {x.dtype}, which has no order; write x.astype('float32') first")
    return x


def _check_met(op: str, windows: Windows) -> None:
    """ShapeError if a window passes over the whole input: there is no maximum of nothing."""
    for name, n, s, (before, _), d, t in zip(
        AXIS_NAMES[len(windows.size)], windows.size, windows.stride, windows.padding, windows.dilation, windows.output
    ):
        if any((i * s - before) % d >= n for i in range(min(t, -(-before // s)))):
            raise ShapeError(
                f"{op}: with padding {before} and dilation {d} a window along {name} meets nothing of the input's {n}; "
                "use less padding or a smaller dilation"
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
    x, batched = planes(op, ndim, as_ordered(op, input))
    kernel, stride, pad = window_arguments(op, ndim, kernel_size, stride, padding)
    dilation = per_axis(op, "dilation", dilation, ndim, least=1)
    where = windows(op, x.shape[2:], kernel, stride, tuple((n, n) for n in pad), dilation, ceil_mode)
    _check_met(op, where)
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


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows along three axes; arguments as for ``max_pool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    return_indices: where in the volume each maximum was found, as (d * H + h) * W + w.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import max_pool3d
    >>> max_pool3d(ag.ones((2, 3, 4, 6, 8)), 2).shape
    (2, 3, 2, 3, 4)
    """
    return _max(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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
    batch=lambda xs, batched, size, **params: run_folded(avg_pool_p, xs, batched, size, params),
)

avg_spread_p: Multilinear = multilinear(
    "avg_spread",
    _avg_spread,
    transposes=(lambda g, windows, divisor: _mean(avg_pool_p, g, windows, divisor),),
    shape=lambda v, *, windows, divisor: Aval((*v.shape[:2], *windows.size), v.dtype),
    batch=lambda xs, batched, size, **params: run_folded(avg_spread_p, xs, batched, size, params),
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
    x, batched = planes(op, ndim, to_float(as_tensor(op, input)))
    kernel, stride, pad = window_arguments(op, ndim, kernel_size, stride, padding)
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


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Mean over windows along three axes; arguments as for ``avg_pool2d``. input: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.pooling import avg_pool3d
    >>> avg_pool3d(ag.ones((2, 3, 4, 6, 8)), 2).shape
    (2, 3, 2, 3, 4)
    """
    return _avg(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)

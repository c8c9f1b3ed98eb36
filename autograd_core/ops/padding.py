"""Tensors continued at their ends: by a constant, by their own elements mirrored, repeated or wrapped round."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import Aval, is_inexact
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import General, bind, general
from ._apply import as_tensor
from .joining import concat
from .shaping import broadcast_to, flip

__all__ = ["pad"]

Widths = tuple[tuple[int, int], ...]  # before and after, for each axis


def _interior(shape: tuple[int, ...], widths: Widths) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, widths))


def _pad_shape(x: Aval, *, widths: Widths, value: Any) -> Aval:
    return Aval(tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)), x.dtype)


def _pad_forward(xp: Any, x: Any, *, widths: Widths, value: Any) -> Any:
    padded = xp.full(_pad_shape(x, widths=widths, value=value).shape, value, dtype=x.dtype)
    padded[_interior(x.shape, widths)] = x
    return padded


pad_p: General = general(
    "pad",
    _pad_forward,
    _pad_shape,
    vjp=(lambda g, avals, widths: g[_interior(avals[0].shape, widths)],),
    jvp=lambda ts, widths: bind(pad_p, (ts[0],), {"widths": widths, "value": 0}),
    signals=False,
    batch={"widths": lambda widths, size: ((0, 0), *widths)},
)


def _widths(pad_width: Any, ndim: int) -> Widths:
    """NumPy's forms of pad_width as a pair for every axis."""
    try:
        given = np.asarray(pad_width)
        pairs = np.broadcast_to(given, (ndim, 2)) if given.dtype.kind in "iu" else None
    except ValueError:
        pairs = None
    if pairs is None:
        raise ArgumentError(
            f"pad: pad_width is an int, a pair (before, after) or a pair for each of {ndim} axes, got {pad_width!r}"
        )
    return tuple((before, after) for before, after in pairs.tolist())


_MODES = {"replicate": "edge", "circular": "wrap"}


def _pad_axis(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """One axis continued by its own elements."""
    n = x.shape[axis]
    limit = {"reflect": n - 1, "wrap": n, "edge": max(before, after) if n else 0}[mode]
    if max(before, after) > limit:
        raise ShapeError(
            f"pad: mode {mode!r} can add 0 to {max(limit, 0)} elements at an end of axis {axis} of shape {x.shape}, "
            f"asked for {before} and {after}; pad less, or with another mode"
        )

    def part(start: int, stop: int) -> Any:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    def edge(piece: Any, length: int) -> Any:
        return broadcast_to(piece, (*x.shape[:axis], length, *x.shape[axis + 1 :]))

    if mode == "reflect":
        ends = flip(part(1, before + 1), axis=axis), flip(part(n - 1 - after, n - 1), axis=axis)
    elif mode == "wrap":
        ends = part(n - before, n), part(0, after)
    else:
        ends = edge(part(0, 1), before), edge(part(n - 1, n), after)
    return concat([end for end in (ends[0], x, ends[1]) if end.shape[axis]], axis=axis)


def _cropped(x: Any, widths: Widths) -> Any:
    """``x`` without as many elements as the negative widths say."""
    if all(n >= 0 for pair in widths for n in pair):
        return x
    return x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))]


def _check_value(x: Any, value: Any) -> None:
    """DTypeError if ``value`` would not be what it is among the elements of ``x``."""
    if isinstance(value, complex) and x.dtype.kind != "c":
        raise DTypeError(f"pad: constant_value {value} is complex, x has dtype {x.dtype}; write x.astype('complex64')")
    if isinstance(value, float) and not is_inexact(x.dtype) and not value.is_integer():
        raise DTypeError(f"pad: constant_value {value} is no value of dtype {x.dtype}; write x.astype('float32')")


def pad(x: Any, pad_width: Any, /, *, mode: str = "constant", constant_value: float = 0) -> Any:
    """``x`` with elements added at the ends of its axes. NumPy's ``pad``.

    pad_width: an int for all ends, a pair (before, after) for all axes, or a pair for each axis; a negative number
    removes elements. mode: "constant" (``constant_value``), "reflect" (mirrored without the edge), "edge" or
    "replicate", "wrap" or "circular". ShapeError where an axis is too short for the mode.

    >>> import autograd_core as ag
    >>> ag.pad(ag.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    x = as_tensor("pad", x)
    widths = _widths(pad_width, len(x.shape))
    mode = _MODES.get(mode, mode)
    if any(n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(x.shape, widths, strict=True)):
        raise ShapeError(f"pad: pad_width {pad_width!r} removes more than there is of shape {x.shape}")
    added = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    if mode in ("reflect", "edge", "wrap"):
        if mode == "wrap":  # what was removed does not come back at the other end
            x, widths = _cropped(x, widths), added
        for axis, (before, after) in enumerate(added):
            if before or after:
                x = _pad_axis(x, axis, before, after, mode)
        return _cropped(x, widths)
    if mode != "constant":
        raise ArgumentError(f"pad: mode must be 'constant', 'reflect', 'edge' or 'wrap', got {mode!r}")
    _check_value(x, constant_value)
    if any(map(any, added)):
        x = bind(pad_p, (x,), {"widths": added, "value": constant_value})
    return _cropped(x, widths)

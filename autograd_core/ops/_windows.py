"""Sliding windows over the spatial axes: what convolution, pooling and folding share.

A window at output position t covers, along each axis, the input positions

    stride * t - padding + dilation * k      for k = 0 .. kernel - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

from ..errors import ArgumentError, ShapeError
from ..primitive import bind

AXIS_NAMES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}


class Windows(NamedTuple):
    """Where the windows of one operation lie; every field has an entry for each spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    dilation: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Elements of one window."""
        return prod(self.kernel)

    @property
    def outputs(self) -> int:
        """Number of windows."""
        return prod(self.output)

    @property
    def padded(self) -> tuple[int, ...]:
        """Spatial lengths with the padding."""
        return tuple(n + before + after for n, (before, after) in zip(self.size, self.padding))

    @property
    def interior(self) -> tuple[Any, ...]:
        """The index of the input within the padded array."""
        return (..., *(slice(before, before + n) for n, (before, _) in zip(self.size, self.padding)))

    def slices(self) -> list[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """Each tap with the index, within the padded array, of what it meets in all windows."""
        return [
            (tap, (..., *map(slice, starts, ends, self.stride)))
            for tap in product(*map(range, self.kernel))
            for starts in [tuple(k * d for k, d in zip(tap, self.dilation))]
            for ends in [tuple(a + s * (n - 1) + 1 for a, s, n in zip(starts, self.stride, self.output))]
        ]

    def pad(self, xp: Any, x: Any, value: Any = 0) -> Any:
        """``x`` (..., *size) with ``value`` around it; ``x`` itself where there is no padding."""
        if self.padded == self.size:
            return x
        padded = xp.full((*x.shape[: -len(self.size)], *self.padded), value, dtype=x.dtype)
        padded[self.interior] = x
        return padded

    def view(self, xp: Any, padded: Any) -> Any:
        """What the windows see: (..., *padded) -> (..., *kernel, *output), a view that must not be written to."""
        lead = padded.ndim - len(self.size)
        steps = padded.strides[lead:]
        return xp.lib.stride_tricks.as_strided(
            padded,
            (*padded.shape[:lead], *self.kernel, *self.output),
            (
                *padded.strides[:lead],
                *(step * d for step, d in zip(steps, self.dilation)),
                *(step * s for step, s in zip(steps, self.stride)),
            ),
        )


@lru_cache(maxsize=4096)
def windows(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    ceil: bool = False,
) -> Windows:
    """The windows that fit into the padded input; with ``ceil`` a last one that begins inside it may end outside.

    The padding of the result is extended to hold such windows. ShapeError if there is none.
    """
    output, extended = [], []
    for name, n, k, s, (before, after), d in zip(AXIS_NAMES[len(size)], size, kernel, stride, padding, dilation):
        span, padded = d * (k - 1) + 1, n + before + after
        free = padded - span
        count = (free + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= n + before:
            count -= 1
        if count < 1 or (free < 0 and not ceil):
            at_dilation = f" at dilation {d}" if d > 1 else ""
            raise ShapeError(
                f"{op}: a kernel of {k}{at_dilation} spans {span} along {name}, more than the input's {n}"
                f"{f' with {before} + {after} of padding' if before or after else ''}; "
                "use a smaller kernel, more padding or a larger input"
            )
        output.append(count)
        extended.append((before, max(after, (count - 1) * s + span - n - before)))
    return Windows(size, kernel, stride, tuple(extended), dilation, tuple(output))


def per_axis(op: str, name: str, value: Any, ndim: int, *, least: int) -> tuple[int, ...]:
    """An int for all axes, or one for each, as a tuple."""
    given = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * ndim
    if len(given) == 1:
        given = (given[0],) * ndim
    try:
        result = tuple(n.__index__() for n in given)
    except AttributeError:
        result = ()
    if len(result) != ndim or min(result) < least:
        raise ArgumentError(f"{op}: {name} must be an int of at least {least} or {ndim} of them, got {value!r}")
    return result


def window_arguments(
    op: str, ndim: int, kernel_size: Any, stride: Any, padding: Any = 0
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """kernel_size, stride (None: kernel_size) and padding of a pooling, for every axis."""
    kernel = per_axis(op, "kernel_size", kernel_size, ndim, least=1)
    empty = stride is None or (isinstance(stride, Sequence) and not len(stride))
    strides = kernel if empty else per_axis(op, "stride", stride, ndim, least=1)
    pad = per_axis(op, "padding", padding, ndim, least=0)
    if any(2 * p > k for p, k in zip(pad, kernel)):
        raise ArgumentError(
            f"{op}: padding {pad} is more than half of kernel_size {kernel}: a window could see nothing but padding; "
            "pad the input itself for more"
        )
    return kernel, strides, pad


def planes(op: str, ndim: int, x: Any) -> tuple[Any, bool]:
    """``x`` as (N, C, *size), and whether it was given so."""
    if len(x.shape) not in (ndim + 1, ndim + 2):
        axes = ", ".join(AXIS_NAMES[ndim])
        hint = "; insert the axis of channels, x[None]" if len(x.shape) == ndim else ""
        raise ShapeError(f"{op}: input must be (N, C, {axes}) or (C, {axes}), got shape {x.shape}{hint}")
    if 0 in x.shape[-ndim:]:
        name = AXIS_NAMES[ndim][x.shape[-ndim:].index(0)]
        raise ShapeError(f"{op}: input {x.shape} has no elements along {name}; give at least one")
    batched = len(x.shape) == ndim + 2
    return (x if batched else x.reshape((1, *x.shape))), batched


def run_folded(primitive: Any, xs: Sequence[Any], batched: Sequence[bool], size: int, params: dict[str, Any]) -> Any:
    """``primitive``, whose samples are independent, on a batch: the batch axis becomes part of the samples' axis."""
    whole = [x if b else x.broadcast_to((size, *x.shape)) for x, b in zip(xs, batched, strict=True)]
    y = bind(primitive, [x.reshape((size * x.shape[1], *x.shape[2:])) for x in whole], params)
    samples = whole[0].shape[1]
    if type(y) is tuple:
        return tuple([piece.reshape((size, samples, *piece.shape[1:])) for piece in y])
    return y.reshape((size, samples, *y.shape[1:]))

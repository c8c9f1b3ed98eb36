"""Walks over sliding windows: for each row of windows along the last axis, the taps that are inside the image.

A row of windows is cut into columns whose windows lie inside the image, which are met as vectors, and those that
reach over its edges, which are met one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.ops._windows import Windows

from ..emit import I1, I32, I64, Kernel, constant, element, i64, intrinsic, load, loop, smaller, splat, suffix, vector
from ..indexing.strided import coordinates
from ..machine import Machine

UNROLLED = 16  # taps of a window that are written out one by one


class Axis(NamedTuple):
    """One spatial axis of the windows."""

    size: int
    kernel: int
    stride: int
    before: int
    dilation: int
    output: int

    @property
    def inside(self) -> tuple[int, int]:
        """The windows [first, last) that are inside the image."""
        span = (self.kernel - 1) * self.dilation
        first = -(-self.before // self.stride)
        last = min(self.output, (self.size - 1 - span + self.before) // self.stride + 1)
        return (first, last) if first < last else (0, 0)

    @property
    def whole(self) -> bool:
        return self.inside == (0, self.output)


def axes(windows: Windows) -> list[Axis]:
    before = [pair[0] for pair in windows.padding]
    fields = (windows.size, windows.kernel, windows.stride, before, windows.dilation, windows.output)
    return [Axis(*values) for values in zip(*fields, strict=True)]


class Taps(NamedTuple):
    """Of one window along an axis: where its first tap is (it may be outside), and the taps [low, high) inside."""

    axis: Axis
    start: ir.Value
    low: ir.Value
    high: ir.Value


def taps(builder: ir.IRBuilder, axis: Axis, window: ir.Value) -> Taps:
    start = builder.sub(builder.mul(window, i64(axis.stride)), i64(axis.before))
    if axis.whole:
        return Taps(axis, start, i64(0), i64(axis.kernel))
    outside = builder.sub(i64(0), start)
    outside = builder.select(builder.icmp_signed(">", outside, i64(0)), outside, i64(0))
    low = builder.udiv(builder.add(outside, i64(axis.dilation - 1)), i64(axis.dilation))
    room = builder.udiv(builder.sub(i64(axis.size - 1), start), i64(axis.dilation))
    return Taps(axis, start, low, smaller(builder, builder.add(room, i64(1)), i64(axis.kernel)))


def first_place(builder: ir.IRBuilder, found: Taps) -> ir.Value:
    """The position of the first tap that is inside the image."""
    if found.axis.whole:
        return found.start
    return builder.add(found.start, builder.mul(found.low, i64(found.axis.dilation)))


def position(builder: ir.IRBuilder, taps: Taps, tap: ir.Value | int) -> ir.Value:
    """Where tap number ``tap`` is."""
    step = i64(tap * taps.axis.dilation) if isinstance(tap, int) else builder.mul(tap, i64(taps.axis.dilation))
    return builder.add(taps.start, step)


def each_tap(builder: ir.IRBuilder, found: Taps, unroll: bool) -> Iterator[ir.Value]:
    """The positions of the taps inside the image; the loop's body is what is emitted before the next is asked for."""
    if unroll and found.axis.whole:
        for tap in range(found.axis.kernel):
            yield position(builder, found, tap)
    else:
        with loop(builder, found.low, found.high) as tap:
            yield position(builder, found, tap)


def each_place(builder: ir.IRBuilder, outer: Sequence[Taps], unroll: bool) -> Iterator[list[ir.Value]]:
    """The positions along all outer axes of a window's taps."""
    if not outer:
        yield []
        return
    for first in each_tap(builder, outer[0], unroll):
        for rest in each_place(builder, outer[1:], unroll):
            yield [first, *rest]


def is_unrolled(walked: Sequence[Axis]) -> bool:
    return prod(a.kernel for a in walked) <= UNROLLED


@contextmanager
def rows(builder: Kernel, walked: Sequence[Axis], planes: Sequence[int]) -> Iterator[tuple[ir.Value, list, list]]:
    """This thread's rows of windows: number, [sample, channel], window's number along each outer axis."""
    shape = (*planes, *(a.output for a in walked[:-1]))
    first, last = builder.share(prod(shape))
    with loop(builder, first, last) as row:
        at = coordinates(builder, row, shape)
        yield row, at[:2], at[2:]


def columns(
    builder: Kernel, axis: Axis, lanes: int, body: Callable[[ir.Value, int, bool], None], *, once: bool = False
) -> None:
    """``body(first window, how many, whether all are inside the image)`` until all windows of a row are met.

    Some may be met twice, so that every vector is full; with ``once`` each is met once.
    """
    low, high = axis.inside
    width = min(lanes, 1 << ((high - low).bit_length() - 1)) if high > low else 1
    if once:
        high -= (high - low) % width
    if width > 1:
        with loop(builder, low, high, width) as start:
            start = smaller(builder, start, i64(high - width)) if (high - low) % width else start
            body(start, width, True)
    else:
        low = high = 0
    rest = axis.output - (high - low)
    if rest:
        with loop(builder, 0, rest) as number:
            after = builder.add(number, i64(high - low))
            body(builder.select(builder.icmp_signed("<", number, i64(low)), number, after), 1, False)


def tap_values(
    builder: ir.IRBuilder, kind: ir.Type, axis: Axis, row: ir.Value, step: int, width: int
) -> Iterator[tuple[int, ir.Value]]:
    """Each tap's number and values for ``width`` neighbouring windows inside the image, written out one by one.

    row: the address of the first window's first tap; step: between neighbours of the image.
    """
    between = step * axis.stride
    for tap in range(axis.kernel):
        offset = tap * axis.dilation
        if between == 1 or width == 1:
            value = load(builder, element(builder, row, offset * step, kind), vector(kind, width))
        elif between == 2 and step == 1 and axis.kernel > 1:
            # an even tap's neighbours to the right are odd taps, or at least elements of the same window
            odd = int(tap > 0)
            both = load(builder, element(builder, row, offset - odd, kind), vector(kind, 2 * width))
            chosen = ir.Constant(ir.VectorType(I32, width), [2 * lane + odd for lane in range(width)])
            value = builder.shuffle_vector(both, ir.Constant(both.type, ir.Undefined), chosen)
        else:
            value = _gathered(builder, kind, element(builder, row, offset * step, kind), between, width)
        yield tap, value


def _gathered(builder: ir.IRBuilder, kind: ir.Type, first: ir.Value, step: int, width: int) -> ir.Value:
    wide = ir.VectorType(kind, width)
    offsets = ir.Constant(ir.VectorType(I64, width), [lane * step for lane in range(width)])
    pointers = builder.gep(splat(builder, first, width), [offsets], source_etype=kind)
    args = [pointers, constant(ir.VectorType(I1, width), 1), constant(wide, _zero(kind))]
    return intrinsic(builder, f"llvm.masked.gather.{suffix(wide)}.v{width}p0", wide, args)


def _zero(kind: ir.Type) -> float | int:
    return 0 if isinstance(kind, ir.IntType) else 0.0


def lanes_for(machine: Machine, dtype: np.dtype) -> int:
    """Windows met at once: as many as a register holds elements, or positions of 32 bits."""
    return min(machine.lanes(dtype), machine.lanes("int32"))

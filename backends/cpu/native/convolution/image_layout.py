"""Images in memory: copied into padded NHWC buffers, and results written back as planes, by blocked transposes.

Logical images are (N, C, H, W). In memory they are ``"NCHW"``, planes of pixels, or ``"NHWC"``, the channels of a pixel
together, which is how convolutions read them: an output pixel then is an inner product of stretches of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import (
    I32,
    constant,
    element,
    first_lanes,
    i64,
    load,
    loop,
    masked_load,
    masked_store,
    smaller,
    store,
    type_of,
    vector,
)
from ..machine import Machine

Layout = Literal["NCHW", "NHWC"]
LAYOUTS: tuple[Layout, Layout] = ("NCHW", "NHWC")


class Elements(NamedTuple):
    """What is moved: elements of a dtype, so many in a register."""

    scalar: ir.Type
    lanes: int

    @property
    def register(self) -> ir.Type:
        return vector(self.scalar, self.lanes)


def elements(machine: Machine, dtype: Any) -> Elements:
    return Elements(type_of(np.dtype(dtype)), machine.lanes(dtype))


class Extent(NamedTuple):
    """A length known when the kernel runs, and what it is at least."""

    length: ir.Value
    least: int


def larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """The larger of two i64."""
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def copy_run(builder: ir.IRBuilder, kind: Elements, source: ir.Value, target: ir.Value, count: int) -> None:
    """``target[:count] = source[:count]``."""
    _run(builder, kind, target, count, lambda at, k: load(builder, element(builder, source, at, kind.scalar), k))


def clear_run(builder: ir.IRBuilder, kind: Elements, target: ir.Value, count: int) -> None:
    """``target[:count] = 0``."""
    _run(builder, kind, target, count, lambda at, k: constant(k, 0.0))


def _run(
    builder: ir.IRBuilder,
    kind: Elements,
    target: ir.Value,
    count: int,
    value: Callable[[ir.Value, ir.Type], ir.Value],
) -> None:
    lanes = kind.lanes
    if count < lanes:
        with loop(builder, 0, count) as i:
            store(builder, value(i, kind.scalar), element(builder, target, i, kind.scalar))
        return
    # the last register overlaps the one before: the same elements are written twice
    with loop(builder, 0, count, lanes) as i:
        at = smaller(builder, i, i64(count - lanes))
        store(builder, value(at, kind.register), element(builder, target, at, kind.scalar))


def transpose(
    builder: ir.IRBuilder,
    kind: Elements,
    source: ir.Value,
    source_step: int,
    target: ir.Value,
    target_step: int,
    rows: int | Extent,
    columns: int | Extent,
    lines: Lines | None = None,
) -> None:
    """``target[j * target_step + i] = source[i * source_step + j]`` for i < rows and j < columns, for every line.

    Whichever of the two has the longer steps is cut up first, so that few pages are in use at a time.
    """
    height, width = min(kind.lanes, _least(rows)), min(kind.lanes, _least(columns))
    lines = lines or Lines(i64(1), 0, 0)

    def block(line: ir.Value, i: ir.Value, j: ir.Value) -> None:
        # blocks at the far edges overlap their neighbours, so that all of them are of one size
        row = smaller(builder, i, builder.sub(_length(rows), i64(height)))
        column = smaller(builder, j, builder.sub(_length(columns), i64(width)))
        from_ = _at(builder, kind, source, row, source_step, column)
        from_ = element(builder, from_, builder.mul(line, i64(lines.source)), kind.scalar)
        to = _at(builder, kind, target, column, target_step, row)
        to = element(builder, to, builder.mul(line, i64(lines.target)), kind.scalar)
        if kind.lanes == 1:
            store(builder, load(builder, from_, kind.scalar), to)
        else:
            _block(builder, kind, from_, source_step, to, target_step, height, width)

    def along(extent: int | Extent, size: int) -> Any:
        return loop(builder, 0, _length(extent), size)

    if source_step >= target_step:
        with along(rows, height) as i, loop(builder, 0, lines.length) as line, along(columns, width) as j:
            block(line, i, j)
    else:
        with along(columns, width) as j, loop(builder, 0, lines.length) as line, along(rows, height) as i:
            block(line, i, j)


def _length(extent: int | Extent) -> ir.Value:
    return i64(extent) if isinstance(extent, int) else extent.length


def _least(extent: int | Extent) -> int:
    return extent if isinstance(extent, int) else extent.least


def _at(builder: ir.IRBuilder, kind: Elements, base: ir.Value, row: ir.Value, step: int, column: ir.Value) -> ir.Value:
    return element(builder, base, builder.add(builder.mul(row, i64(step)), column), kind.scalar)


def _block(
    builder: ir.IRBuilder,
    kind: Elements,
    source: ir.Value,
    source_step: int,
    target: ir.Value,
    target_step: int,
    height: int,
    width: int,
) -> None:
    """At most one register's lanes either way, by log2(lanes) rounds of exchanges between pairs of registers."""
    register, lanes = kind.register, kind.lanes
    rows = []
    for i in range(lanes):
        address = element(builder, source, i * source_step, kind.scalar)
        if i >= height:
            rows.append(ir.Constant(register, ir.Undefined))
        elif width == lanes:
            rows.append(load(builder, address, register))
        else:
            rows.append(masked_load(builder, address, first_lanes(builder, i64(width), lanes), register))
    distance = 1
    while distance < lanes:
        for i in range(lanes):
            if not i & distance:
                rows[i], rows[i + distance] = _exchanged(builder, rows[i], rows[i + distance], distance, lanes)
        distance *= 2
    for j in range(width):
        address = element(builder, target, j * target_step, kind.scalar)
        if height == lanes:
            store(builder, rows[j], address)
        else:
            masked_store(builder, rows[j], address, first_lanes(builder, i64(height), lanes))


def _exchanged(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, distance: int, lanes: int) -> tuple[ir.Value, ir.Value]:
    """The 2 x 2 transposes, of blocks of ``distance`` lanes, in two registers."""
    low = [k if not k & distance else lanes + k - distance for k in range(lanes)]
    high = [k + distance if not k & distance else lanes + k for k in range(lanes)]
    masks = (ir.Constant(ir.VectorType(I32, lanes), lane) for lane in (low, high))
    first, second = (builder.shuffle_vector(a, b, mask) for mask in masks)
    return first, second


class Lines(NamedTuple):
    """How many times something is done, and how far apart in elements."""

    length: ir.Value
    source: int
    target: int


class Window(NamedTuple):
    """Rows [first_row, first_row + rows) and columns [left, right) of an image; what lies outside it is zero."""

    first_row: ir.Value
    rows: ir.Value
    left: int
    right: int


def fill(
    builder: ir.IRBuilder,
    kind: Elements,
    image: ir.Value,
    layout: Layout,
    channels: int,
    size: tuple[int, int],
    window: Window,
    target: ir.Value,
) -> None:
    """Copy a window of one image (C, H, W) into ``target`` [row][column][channel]."""
    height, width = size
    first, last = max(0, window.left), min(width, window.right)
    line = (window.right - window.left) * channels
    before, after = (first - window.left) * channels, (window.right - last) * channels
    packed = layout == "NHWC" or channels == 1
    with loop(builder, 0, window.rows) as r:
        row = builder.add(window.first_row, r)
        to = element(builder, target, builder.mul(r, i64(line)), kind.scalar)
        with builder.if_else(builder.icmp_unsigned("<", row, i64(height))) as (inside, outside):
            with inside:
                if before:
                    clear_run(builder, kind, to, before)
                if after:
                    clear_run(builder, kind, element(builder, to, line - after, kind.scalar), after)
                if packed:
                    at = builder.mul(builder.add(builder.mul(row, i64(width)), i64(first)), i64(channels))
                    source = element(builder, image, at, kind.scalar)
                    copy_run(builder, kind, source, element(builder, to, before, kind.scalar), line - before - after)
            with outside:
                clear_run(builder, kind, to, line)
    if packed:
        return
    low = larger(builder, window.first_row, i64(0))
    high = smaller(builder, builder.add(window.first_row, window.rows), i64(height))
    source = element(builder, image, builder.add(builder.mul(low, i64(width)), i64(first)), kind.scalar)
    start = builder.add(builder.mul(builder.sub(low, window.first_row), i64(line)), i64(before))
    to = element(builder, target, start, kind.scalar)
    lines = Lines(builder.sub(high, low), width, line)
    transpose(builder, kind, source, height * width, to, channels, channels, last - first, lines)

"""Products of matrices that one thread computes by itself, inside a larger kernel, with nothing packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import Kernel, element, i64, loop, rounded_up, smaller, type_of
from ..machine import Machine
from .packing import Panel, lane_mask, pack
from .tile import Segment, TileShape, accumulate, largest, zeros


class Factor(NamedTuple):
    """A matrix in memory: element (i, j) at ``pointer + i * row_stride + j * column_stride``, counted in elements."""

    pointer: ir.Value
    row_stride: int
    column_stride: int = 1

    @property
    def transposed(self) -> Factor:
        return Factor(self.pointer, self.column_stride, self.row_stride)


# (builder, row, first column, how many columns, register)
Finish = Callable[[Kernel, ir.Value, ir.Value, int, ir.Value], None]


def multiply(
    builder: Kernel,
    machine: Machine,
    dtype: np.dtype,
    shape: tuple[int, int, int | ir.Value],
    a: Factor,
    b: Factor,
    finish: Finish,
    *,
    padded: bool = False,
    rows_needed: ir.Value | None = None,
    columns_needed: ir.Value | None = None,
) -> None:
    """Each register of the (m, k) by (k, n) product goes to ``finish``, which may touch its first columns only.

    b: of contiguous rows. padded: whether whole registers may be read past its last column. rows_needed,
    columns_needed: tiles beyond them are left out.
    """
    m, n, k = shape
    kind, lanes, most = type_of(dtype), machine.lanes(dtype), largest(machine, dtype)
    width = most.vectors * lanes
    for rows, first_row, tiles in _row_tiles(m, most.rows):
        with loop(builder, first_row, _least(builder, first_row + tiles * rows, rows_needed), rows) as row:
            source = element(builder, a.pointer, builder.mul(row, i64(a.row_stride)), kind)
            for first, panels, columns in ((0, n // width, width), (n // width * width, 1, n % width)):
                if not (panels and columns):
                    continue
                cut = TileShape(dtype, rows, -(-columns // lanes), lanes)
                rest = columns % lanes
                mask = lane_mask(rest, lanes) if rest and not padded else None
                end = _least(builder, first + panels * columns, columns_needed)
                with loop(builder, first, end, columns) as column:
                    target = element(builder, b.pointer, column, kind)
                    offsets = [r * a.row_stride for r in range(rows)]
                    segment = Segment(k, source, offsets, a.column_stride, target, b.row_stride, mask=mask)
                    sums = accumulate(builder, cut, zeros(cut), segment)
                    for number, value in enumerate(sums):
                        r, v = divmod(number, cut.vectors)
                        here = builder.add(column, i64(v * lanes))
                        finish(builder, builder.add(row, i64(r)), here, min(lanes, columns - v * lanes), value)


def _least(builder: Kernel, bound: int, needed: ir.Value | None) -> ir.Value:
    return i64(bound) if needed is None else smaller(builder, i64(bound), needed)


def _row_tiles(m: int, most: int) -> list[tuple[int, int, int]]:
    """(rows, first row, how many) of tiles of equal height, if not much lower than can be; else of nearly equal."""
    even = [rows for rows in range(-(-most // 2), most + 1) if m % rows == 0]
    tiles = m // even[-1] if even else -(-m // most)
    base, taller = divmod(m, tiles)
    found = [(base + 1, 0, taller), (base, taller * (base + 1), tiles - taller)]
    return [tile for tile in found if tile[2]]


def pack_transposed(
    builder: Kernel, machine: Machine, dtype: np.dtype, source: Factor, shape: tuple[int, int], target: ir.Value
) -> None:
    """Copy a (rows, columns) matrix of contiguous rows so that its columns are, each as many whole registers."""
    rows, columns = shape
    kind, lanes = type_of(dtype), machine.lanes(dtype)
    stride = rounded_up(rows, lanes)
    whole = rows // lanes * lanes

    def some(start: ir.Value, count: int) -> None:
        first = element(builder, source.pointer, builder.mul(start, i64(source.row_stride)), kind)
        panel = Panel(dtype, lanes, stride, count)
        pack(builder, panel, first, 1, source.row_stride, columns, element(builder, target, start, kind))

    if whole:
        with loop(builder, 0, whole, lanes) as start:
            some(start, lanes)
    if rows > whole:
        some(i64(whole), rows - whole)

"""Copies of matrices in the order in which the register tile reads them, with transposition in registers.

A panel holds ``width`` columns of a k x n matrix: for each k its ``width`` elements, one after the other. Columns
past the last valid one hold anything that may be read: whoever writes the product leaves them out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import (
    I1,
    I32,
    constant,
    element,
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


class Panel(NamedTuple):
    """``columns`` valid ones of ``width``; a store may run over by less than one register."""

    dtype: np.dtype
    lanes: int
    width: int
    columns: int

    @property
    def scalar(self) -> ir.Type:
        return type_of(self.dtype)

    @property
    def register(self) -> ir.Type:
        return vector(self.scalar, self.lanes)


def lane_mask(count: int, lanes: int) -> ir.Constant:
    """The constant mask of the first ``count`` lanes."""
    return ir.Constant(ir.VectorType(I1, lanes), [int(lane < count) for lane in range(lanes)])


def load_first(builder: ir.IRBuilder, pointer: ir.Value, count: int, kind: ir.Type) -> ir.Value:
    """The vector whose first ``count`` lanes are read; nothing else is."""
    lanes = kind.count if isinstance(kind, ir.VectorType) else 1
    if count >= lanes:
        return load(builder, pointer, kind)
    if count == 0:
        return constant(kind, 0.0)
    return masked_load(builder, pointer, lane_mask(count, lanes), kind)


def store_first(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value, count: int) -> None:
    """Store the first ``count`` lanes."""
    lanes = value.type.count if isinstance(value.type, ir.VectorType) else 1
    if count >= lanes:
        store(builder, value, pointer)
    else:
        masked_store(builder, value, pointer, lane_mask(count, lanes))


def pack(
    builder: ir.IRBuilder,
    panel: Panel,
    source: ir.Value,
    k_stride: int,
    column_stride: int,
    count: int | ir.Value,
    target: ir.Value,
) -> None:
    """Copy ``count`` x ``panel.columns`` elements, element (k, j) at ``source + k * k_stride + j * column_stride``."""
    if column_stride == 1 or panel.columns == 1:
        _copy(builder, panel, source, k_stride, count, target)
    elif k_stride == 1 and panel.lanes > 1 and panel.width % panel.lanes == 0:
        _transpose(builder, panel, source, column_stride, count, target)
    else:
        _gather(builder, panel, source, k_stride, column_stride, count, target)


def _copy(
    builder: ir.IRBuilder, panel: Panel, source: ir.Value, k_stride: int, count: int | ir.Value, target: ir.Value
) -> None:
    with loop(builder, 0, count) as k:
        row = element(builder, source, builder.mul(k, i64(k_stride)), panel.scalar)
        place = element(builder, target, builder.mul(k, i64(panel.width)), panel.scalar)
        for start in range(0, panel.columns, panel.lanes):
            address = element(builder, row, start, panel.scalar)
            values = load_first(builder, address, panel.columns - start, panel.register)
            store(builder, values, element(builder, place, start, panel.scalar))


def _gather(
    builder: ir.IRBuilder,
    panel: Panel,
    source: ir.Value,
    k_stride: int,
    column_stride: int,
    count: int | ir.Value,
    target: ir.Value,
) -> None:
    with loop(builder, 0, count) as k:
        row = element(builder, source, builder.mul(k, i64(k_stride)), panel.scalar)
        place = element(builder, target, builder.mul(k, i64(panel.width)), panel.scalar)
        with loop(builder, 0, panel.columns) as column:
            address = element(builder, row, builder.mul(column, i64(column_stride)), panel.scalar)
            value = load(builder, address, panel.scalar)
            store(builder, value, element(builder, place, column, panel.scalar))


def _transpose(
    builder: ir.IRBuilder, panel: Panel, source: ir.Value, column_stride: int, count: int | ir.Value, target: ir.Value
) -> None:
    """Square blocks of one register a side. The last block along k starts earlier and repeats what was copied."""
    lanes = panel.lanes
    short = isinstance(count, int) and count < lanes
    if short and count == 0:
        return

    def blocks(start: ir.Value) -> None:
        """The blocks at k = start. Columns past the last are copies of it."""
        for first in range(0, panel.columns, lanes):
            corner = element(builder, source, builder.add(start, i64(first * column_stride)), panel.scalar)
            place = builder.add(builder.mul(start, i64(panel.width)), i64(first))
            place = element(builder, target, place, panel.scalar)
            columns = []
            for column in range(lanes):
                distance = min(column, panel.columns - first - 1) * column_stride
                address = element(builder, corner, distance, panel.scalar)
                columns.append(load_first(builder, address, count if short else lanes, panel.register))
            for k, row in enumerate(transposed(builder, columns)[: count if short else lanes]):
                store(builder, row, element(builder, place, k * panel.width, panel.scalar))

    if short:
        blocks(i64(0))
        return
    last = i64(count - lanes) if isinstance(count, int) else builder.sub(count, i64(lanes))
    with loop(builder, 0, count, lanes) as start:
        blocks(smaller(builder, start, last))


def transposed(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """The columns of the square matrix whose rows are these vectors, in shuffles that machines do in one step.

    First inside 16-byte pieces, by interleaving the low and the high halves of two of them; then whole pieces.
    """
    kind = rows[0].type
    lanes = kind.count
    inside = min(lanes, 4 if isinstance(kind.element, ir.FloatType) else 2)
    pieces = lanes // inside

    def shuffle(a: ir.Value, b: ir.Value, indices: list[int]) -> ir.Value:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, lanes), indices))

    def interleave(a: ir.Value, b: ir.Value, unit: int, high: bool) -> ir.Value:
        """In each piece: unit elements of a's chosen half, as many of b's, and so on."""
        indices: list[int] = []
        for piece in range(pieces):
            start = piece * inside + (inside // 2 if high else 0)
            for position in range(start, start + inside // 2, unit):
                indices += range(position, position + unit)
                indices += range(lanes + position, lanes + position + unit)
        return shuffle(a, b, indices)

    def join(a: ir.Value, b: ir.Value, chosen: list[int]) -> ir.Value:
        """Pieces of a, then pieces of b."""
        half = [piece * inside + lane for piece in chosen for lane in range(inside)]
        return shuffle(a, b, half + [lanes + index for index in half])

    groups = []  # groups[g][j]: in piece p the column p * inside + j of the rows of group g
    for g in range(pieces):
        part = rows[g * inside : (g + 1) * inside]
        if inside == 4:
            a, b, c, d = part
            ab, cd = interleave(a, b, 1, False), interleave(c, d, 1, False)
            ab_high, cd_high = interleave(a, b, 1, True), interleave(c, d, 1, True)
            groups.append(
                [interleave(x, y, 2, high) for x, y in ((ab, cd), (ab_high, cd_high)) for high in (False, True)]
            )
        else:
            groups.append([interleave(part[0], part[1], 1, high) for high in (False, True)])
    result: list = [None] * lanes
    for j in range(inside):
        parts = [group[j] for group in groups]
        if pieces == 1:
            columns = parts
        elif pieces == 2:
            columns = [join(parts[0], parts[1], [p]) for p in range(2)]
        else:
            low = join(parts[0], parts[1], [0, 1]), join(parts[2], parts[3], [0, 1])
            high = join(parts[0], parts[1], [2, 3]), join(parts[2], parts[3], [2, 3])
            columns = [join(left, right, chosen) for left, right in (low, high) for chosen in ([0, 2], [1, 3])]
        for piece, column in enumerate(columns):
            result[piece * inside + j] = column
    return result


def copy_rows(
    builder: ir.IRBuilder,
    panel: Panel,
    source: ir.Value,
    row_stride: int,
    count: int | ir.Value,
    target: ir.Value,
    target_stride: int,
) -> None:
    """Copy ``panel.columns`` rows of ``count`` neighbours each, at least one register full, to another distance."""
    last = i64(count - panel.lanes) if isinstance(count, int) else builder.sub(count, i64(panel.lanes))
    with loop(builder, 0, count, panel.lanes) as start:
        start = smaller(builder, start, last)
        row, place = element(builder, source, start, panel.scalar), element(builder, target, start, panel.scalar)
        for index in range(panel.columns):
            values = load(builder, element(builder, row, index * row_stride, panel.scalar), panel.register)
            store(builder, values, element(builder, place, index * target_stride, panel.scalar))

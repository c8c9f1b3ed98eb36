"""Matrix products: C = A B, or C + A B, for matrices and batches of any strides, of exactly known shapes.

Each thread takes a range of C's rows or of its columns and packs for itself what it reads, so that threads never wait
for one another. Transposition is a matter of strides: nothing is copied except in the order of the register tile.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import I8, I32, Kernel, constant, element, i64, load, loop, rounded_up, smaller, store, type_of
from ..engine import KernelSpec
from ..machine import WORKERS, Machine
from .blocking import BLOCK_BYTES, TALLEST, MatrixLayout, choose, depth_of
from .dots import dots
from .packing import Panel, copy_rows, lane_mask, load_first, pack, store_first
from .tile import Segment, TileShape, Values, accumulate, zeros

SLACK = 64 + 2 * 64  # bytes: what a packed row may run over, and a distance that no cache line shares


class BatchDimension(NamedTuple):
    """``size`` products, whose matrices lie that many elements apart; 0 for one that all share."""

    size: int
    a_stride: int
    b_stride: int
    c_stride: int


class Place(NamedTuple):
    """Where a register of C belongs: lanes are the columns ``column``, ``column + 1`` ... of ``row``.

    valid: how many of the lanes are columns of C, known when the code is written; the others hold anything, and their
    addresses may not be touched: use ``load`` and ``store``. batch: the indices of the product in its batch.
    """

    row: ir.Value
    column: ir.Value
    valid: int
    batch: tuple[ir.Value, ...]
    register: ir.Type

    def load(self, builder: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        """The lanes from neighbouring elements, 0 past the last column."""
        return load_first(builder, pointer, self.valid, self.register)

    def store(self, builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
        store_first(builder, value, pointer, self.valid)


Epilogue = Callable[[Kernel, Place, ir.Value], ir.Value]
Consumer = Callable[[Kernel, Place, ir.Value], None]


def gemm(
    m: int,
    n: int,
    k: int,
    dtype: Any,
    *,
    a: MatrixLayout,
    b: MatrixLayout,
    c: MatrixLayout | None,
    batch: Sequence[BatchDimension] = (),
    accumulate: bool = False,
    epilogue: Epilogue | None = None,
    consume: Consumer | None = None,
    operands: int = 0,
    key: Hashable = None,
    name: str = "gemm",
) -> KernelSpec:
    """The kernel of an (m, k) by (k, n) product; its operands are A, B, C and ``operands`` more for the callbacks.

    accumulate: add to what C holds. epilogue: ``(builder, place, vector) -> vector``, what is stored instead of the
    product (bias, activation); with ``accumulate`` it sees the sum. consume: ``(builder, place, vector)`` takes the
    result instead of C, which then does not exist (c is None, and the kernel's operands are A, B and the others).
    key: stands for the callbacks in the kernel's key: equal only if they write the same code. Without it they stand
    for themselves, and no two kernels with callbacks made anew are known to be the same.
    """
    dtype = np.dtype(dtype)
    if (c is None) != (consume is not None):
        raise ValueError("gemm: give c, or consume and c=None")
    if accumulate and c is None:
        raise ValueError("gemm: accumulate=True adds to C, and consume leaves none")
    product = _Product(m, n, k, dtype, a, b, c, tuple(batch), accumulate, epilogue, consume)
    depth, blocks = depth_of(k, dtype)
    size = dtype.itemsize
    packed_b = max(min(BLOCK_BYTES, depth * (rounded_up(product.n, 64) + 64) * size), depth * 64 * size) + SLACK
    packed_a = (depth + 64) * TALLEST * size + SLACK
    product.bytes_of_b, product.bytes_of_a = rounded_up(packed_b, 64), rounded_up(packed_a, 64)
    part = product.bytes_of_a + product.bytes_of_b
    products = prod(d.size for d in batch)
    if c is None and (blocks > 1 or m == 1):
        product.bytes_of_sums = rounded_up(m * n * products * size, 64)
    callbacks = key if key is not None else (epilogue, consume)
    return KernelSpec(
        name,
        ("gemm", m, n, k, dtype.name, a, b, c, tuple(batch), accumulate, operands, callbacks),
        2 + (c is not None) + operands,
        product.emit,
        product.bytes_of_sums + WORKERS * part,
        2 * m * n * k * products,
        (m * k + k * n + m * n) * size * products,
        parts=WORKERS,
        part=part,
    )


class _Product:
    """What one kernel computes, and the code of it."""

    bytes_of_a = bytes_of_b = 0
    bytes_of_sums = 0

    def __init__(
        self,
        m: int,
        n: int,
        k: int,
        dtype: np.dtype,
        a: MatrixLayout,
        b: MatrixLayout,
        c: MatrixLayout | None,
        batch: tuple[BatchDimension, ...],
        accumulate: bool,
        epilogue: Epilogue | None,
        consume: Consumer | None,
    ):
        self.swapped = False
        if c is not None and epilogue is None and m > 1 and (n == 1 or (c.column_stride != 1 and c.row_stride == 1)):
            self.swapped = True  # C's columns are contiguous, or its only one: C^T is a product of the transposes
            m, n = n, m
            a, b, c = b.transposed, a.transposed, c.transposed
            batch = tuple(BatchDimension(d.size, d.b_stride, d.a_stride, d.c_stride) for d in batch)
        self.m, self.n, self.k, self.dtype = m, n, k, dtype
        self.a, self.b, self.c, self.batch = a, b, c, batch
        self.accumulate, self.epilogue, self.consume = accumulate, epilogue, consume
        self.scalar = type_of(dtype)

    # -------------------------------------------------------------------------------- the loops

    def emit(self, builder: Kernel, machine: Machine) -> None:
        products = prod(d.size for d in self.batch)
        if not (self.m and self.n and products):
            return
        cut = choose(self.m, self.n, self.k, self.dtype, self.a, self.b, products, machine)
        self.builder, self.cut, self.lanes = builder, cut, machine.lanes(self.dtype)
        bytes_of_one = self.bytes_of_a + self.bytes_of_b
        start = builder.add(builder.mul(builder.index, i64(bytes_of_one)), i64(self.bytes_of_sums))
        own = builder.gep(builder.scratch, [start], source_etype=I8)
        self.packed_b = own
        self.packed_a = builder.gep(own, [i64(self.bytes_of_b)], source_etype=I8)
        a, b = builder.operands[1::-1] if self.swapped else builder.operands[:2]
        c = builder.operands[2] if self.c is not None else None
        jobs = cut.row_tiles if cut.by_rows else cut.column_panels
        first, last = builder.share(jobs * products, most=WORKERS)
        # a thread without a share has no workspace either, when there are many
        with builder.if_then(builder.icmp_signed("<", first, last)):
            self._products(a, b, c, first, last, jobs)

    def _products(
        self, a: ir.Value, b: ir.Value, c: ir.Value | None, first: ir.Value, last: ir.Value, jobs: int
    ) -> None:
        """Jobs first to last, of which each product of the batch has so many."""
        builder = self.builder
        if prod(d.size for d in self.batch) == 1:
            self._one(a, b, c, (i64(0),) * len(self.batch), first, last)
            return
        start = builder.sdiv(first, i64(jobs))
        stop = builder.sdiv(builder.add(last, i64(jobs - 1)), i64(jobs))
        with loop(builder, start, stop) as index:
            before = builder.mul(index, i64(jobs))
            lowest = builder.sub(first, before)
            lowest = builder.select(builder.icmp_signed("<", lowest, i64(0)), i64(0), lowest)
            highest = smaller(builder, builder.sub(last, before), i64(jobs))
            position, indices = index, list[ir.Value]()
            for dimension in reversed(self.batch):
                indices.insert(0, builder.srem(position, i64(dimension.size)))
                position = builder.sdiv(position, i64(dimension.size))

            def moved(pointer: ir.Value, strides: Sequence[int], indices: list = indices) -> ir.Value:
                for i, stride in zip(indices, strides, strict=True):
                    pointer = element(builder, pointer, builder.mul(i, i64(stride)), self.scalar)
                return pointer

            a_here, b_here = (
                moved(pointer, [getattr(d, field) for d in self.batch])
                for pointer, field in ((a, "a_stride"), (b, "b_stride"))
            )
            c_here = moved(c, [d.c_stride for d in self.batch]) if c is not None else None
            self._one(a_here, b_here, c_here, tuple(indices), lowest, highest, index)

    def _one(
        self,
        a: ir.Value,
        b: ir.Value,
        c: ir.Value | None,
        batch: tuple[ir.Value, ...],
        first: ir.Value,
        last: ir.Value,
        product: ir.Value | None = None,
    ) -> None:
        """One product of the batch: rows' tiles or columns' panels first to last of it."""
        builder, cut = self.builder, self.cut
        tiles = (first, last) if cut.by_rows else (i64(0), i64(cut.row_tiles))
        panels = (i64(0), i64(cut.column_panels)) if cut.by_rows else (first, last)
        if c is None and self.bytes_of_sums:
            sums = builder.scratch
            if product is not None:
                sums = element(builder, sums, builder.mul(product, i64(self.m * self.n)), self.scalar)
            target: tuple[ir.Value | None, MatrixLayout | None] = (sums, MatrixLayout(self.n, 1))
        else:
            target = (c, self.c)
        with loop(builder, 0, cut.blocks) as block:
            start = builder.mul(block, i64(cut.depth))
            count: int | ir.Value = self.k
            if cut.blocks > 1:
                count = smaller(builder, i64(cut.depth), builder.sub(i64(self.k), start))
            a_block = element(builder, a, builder.mul(start, i64(self.a.column_stride)), self.scalar)
            b_block = element(builder, b, builder.mul(start, i64(self.b.row_stride)), self.scalar)
            with loop(builder, *panels, cut.group) as lowest:
                highest = smaller(builder, builder.add(lowest, i64(cut.group)), panels[1])
                if cut.pack_b:
                    self._pack_b(b_block, count, lowest, highest)
                for rows, offset, number in ((cut.base + 1, 0, cut.tall), (cut.base, cut.tall, cut.short)):
                    if not number:
                        continue
                    begin, end = self._clipped(tiles, offset, number)
                    with loop(builder, begin, end) as index:
                        row = builder.mul(index, i64(rows))
                        if offset:
                            row = builder.add(row, i64(offset))  # tall tiles before it have one row more each
                        self._strip(a_block, b_block, target, batch, rows, row, (lowest, highest), block, count)

    def _clipped(self, bounds: tuple[ir.Value, ir.Value], offset: int, number: int) -> tuple[ir.Value, ir.Value]:
        """The part of bounds inside [offset, offset + number)."""
        builder = self.builder
        low, high = bounds
        low = builder.select(builder.icmp_signed("<", low, i64(offset)), i64(offset), low)
        return low, smaller(builder, high, i64(offset + number))

    # -------------------------------------------------------------------------------- panels of B

    def _each_panel(self, bounds: tuple[ir.Value, ir.Value], body: Callable[[ir.Value, bool], None]) -> None:
        """body(index, whether it is the rest) for each panel of bounds."""
        builder, cut = self.builder, self.cut
        if cut.panels:
            with loop(builder, *self._clipped(bounds, 0, cut.panels)) as index:
                body(index, False)
        if cut.rest:
            with loop(builder, *self._clipped(bounds, cut.panels, 1)) as index:
                body(index, True)

    def _panel(self, index: ir.Value, lowest: ir.Value) -> ir.Value:
        """Where the packed panel begins."""
        builder, cut = self.builder, self.cut
        distance = builder.mul(builder.sub(index, lowest), i64(cut.depth * cut.vectors * self.lanes))
        return element(builder, self.packed_b, distance, self.scalar)

    def _pack_b(self, b: ir.Value, count: int | ir.Value, lowest: ir.Value, highest: ir.Value) -> None:
        cut, lanes = self.cut, self.lanes
        if self.b.column_stride == 1:
            self._each_panel(
                (lowest, highest),
                lambda index, rest: self._pack_columns(
                    b, count, lowest, index, i64(0), cut.rest if rest else cut.vectors * lanes
                ),
            )
            return
        # one register of columns after another, so that the transposition's code stands here once
        builder = self.builder
        begin, end = (builder.mul(bound, i64(cut.vectors)) for bound in (lowest, highest))
        for bounds, columns in (((0, self.n // lanes), lanes), ((self.n // lanes, 1), self.n % lanes)):
            if columns and bounds[1]:
                with loop(builder, *self._clipped((begin, end), *bounds)) as register:
                    index = builder.sdiv(register, i64(cut.vectors))
                    within = builder.mul(builder.srem(register, i64(cut.vectors)), i64(lanes))
                    self._pack_columns(b, count, lowest, index, within, columns)

    def _pack_columns(
        self,
        b: ir.Value,
        count: int | ir.Value,
        lowest: ir.Value,
        index: ir.Value,
        within: ir.Value,
        columns: int,
    ) -> None:
        """``columns`` of the panel, from the one ``within`` it."""
        builder, width = self.builder, self.cut.vectors * self.lanes
        column = builder.add(builder.mul(index, i64(width)), within)
        source = element(builder, b, builder.mul(column, i64(self.b.column_stride)), self.scalar)
        target = element(builder, self._panel(index, lowest), within, self.scalar)
        panel = Panel(self.dtype, self.lanes, width, columns)
        pack(builder, panel, source, self.b.row_stride, self.b.column_stride, count, target)

    # -------------------------------------------------------------------------------- rows of C

    def _strip(
        self,
        a: ir.Value,
        b: ir.Value,
        target: tuple[ir.Value | None, MatrixLayout | None],
        batch: tuple[ir.Value, ...],
        rows: int,
        row: ir.Value,
        panels: tuple[ir.Value, ir.Value],
        block: ir.Value,
        count: int | ir.Value,
    ) -> None:
        """The tiles of ``rows`` rows from ``row`` on, over the panels."""
        builder, cut = self.builder, self.cut
        source = element(builder, a, builder.mul(row, i64(self.a.row_stride)), self.scalar)
        offsets, a_step = [r * self.a.row_stride for r in range(rows)], self.a.column_stride
        panel = Panel(self.dtype, self.lanes, rows, rows)
        if cut.pack_a == "panel":
            pack(builder, panel, source, self.a.column_stride, self.a.row_stride, count, self.packed_a)
            source, offsets, a_step = self.packed_a, list(range(rows)), rows
        elif cut.pack_a == "rows":
            stride = rounded_up(cut.depth, 16) + 16
            copy_rows(builder, panel, source, self.a.row_stride, count, self.packed_a, stride)
            source, offsets, a_step = self.packed_a, [r * stride for r in range(rows)], 1

        def body(index: ir.Value, rest: bool) -> None:
            width = cut.vectors * self.lanes
            valid = cut.rest if rest else width
            shape = TileShape(self.dtype, rows, ceil(valid / self.lanes), self.lanes)
            column = builder.mul(index, i64(width))
            if cut.pack_b:
                segment = Segment(count, source, offsets, a_step, self._panel(index, panels[0]), width)
            else:
                mask = lane_mask(valid % self.lanes, self.lanes) if valid % self.lanes else None
                start = element(builder, b, builder.mul(column, i64(self.b.column_stride)), self.scalar)
                segment = Segment(count, source, offsets, a_step, start, self.b.row_stride, mask=mask)
            self._tile(shape, segment, (row, column, valid), batch, target, block)

        self._each_panel(panels, body)

    def _tile(
        self,
        shape: TileShape,
        segment: Segment,
        corner: tuple[ir.Value, ir.Value, int],
        batch: tuple[ir.Value, ...],
        target: tuple[ir.Value | None, MatrixLayout | None],
        block: ir.Value,
    ) -> None:
        """One tile: its accumulators from ``target`` if they begin there, the sum, and what becomes of it."""
        builder, cut = self.builder, self.cut
        row, column, valid = corner
        pointer, layout = target
        counts = [min(self.lanes, valid - v * self.lanes) for v in range(shape.vectors)] * shape.rows
        addresses: list = [None] * len(counts)
        stride = layout.column_stride if layout is not None else 1
        if pointer is not None and layout is not None:
            first = builder.add(builder.mul(row, i64(layout.row_stride)), builder.mul(column, i64(stride)))
            first = element(builder, pointer, first, self.scalar)
            addresses = [
                element(builder, first, r * layout.row_stride + v * self.lanes * stride, self.scalar)
                for r in range(shape.rows)
                for v in range(shape.vectors)
            ]
        spots = list(zip(addresses, counts, strict=True))
        sums = self._start(shape, spots, stride, block)
        if cut.dots:
            panel = Panel(self.dtype, self.lanes, self.lanes, valid)
            product = dots(builder, panel, self.k, segment.a, segment.b, self.b.column_stride)
            sums = [builder.fadd(sums[0], product)] if self.accumulate else [product]
        else:
            sums = accumulate(builder, shape, sums, segment)

        def keep() -> None:
            for value, (address, count) in zip(sums, spots, strict=True):
                self._store(value, address, count, stride)

        def finish() -> None:
            if self.epilogue is None and self.consume is None:
                keep()
                return
            for number, (value, (address, count)) in enumerate(zip(sums, spots, strict=True)):
                r, v = divmod(number, shape.vectors)
                here = builder.add(row, i64(r)), builder.add(column, i64(v * self.lanes))
                place = Place(*here, count, batch, shape.register)
                if self.epilogue is not None:
                    value = self.epilogue(builder, place, value)
                if self.consume is not None:
                    self.consume(builder, place, value)
                else:
                    self._store(value, address, count, stride)

        if cut.blocks == 1 or (self.epilogue is None and self.consume is None):
            finish()
            return
        with builder.if_else(builder.icmp_signed("==", block, i64(cut.blocks - 1))) as (then, otherwise):
            with then:
                finish()
            with otherwise:
                keep()

    def _start(self, shape: TileShape, spots: list[tuple[ir.Value, int]], stride: int, block: ir.Value) -> Values:
        """What the accumulators hold first: C, or the sum over the blocks along k before this one."""
        builder = self.builder
        if not self.accumulate and self.cut.blocks == 1:
            return zeros(shape)
        if self.accumulate:
            return [self._load(shape, *spot, stride) for spot in spots]
        before = builder.block
        with builder.if_then(builder.icmp_signed(">", block, i64(0))):
            loaded = [self._load(shape, *spot, stride) for spot in spots]
            end = builder.block
        values = []
        for value in loaded:
            phi = builder.phi(shape.register)
            phi.add_incoming(constant(shape.register, 0.0), before)
            phi.add_incoming(value, end)
            values.append(phi)
        return values

    def _load(self, shape: TileShape, address: ir.Value, count: int, stride: int) -> ir.Value:
        builder = self.builder
        if stride == 1 or self.lanes == 1:
            return load_first(builder, address, count, shape.register)
        value = constant(shape.register, 0.0)
        for lane in range(count):
            one = load(builder, element(builder, address, lane * stride, self.scalar), self.scalar)
            value = builder.insert_element(value, one, ir.Constant(I32, lane))
        return value

    def _store(self, value: ir.Value, address: ir.Value, count: int, stride: int) -> None:
        builder = self.builder
        if stride == 1 or self.lanes == 1:
            store_first(builder, value, address, count)
            return
        for lane in range(count):
            one = builder.extract_element(value, ir.Constant(I32, lane))
            store(builder, one, element(builder, address, lane * stride, self.scalar))

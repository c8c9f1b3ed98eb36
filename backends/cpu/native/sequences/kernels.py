"""What recurrent layers' kernels are made of: a whole sequence in one kernel, a product and few operations a step.

A step's product runs on register tiles over weights that are packed once, so arranged that one ``block`` has all gates
of its units. A block's sums stay in a small buffer, which the step's other operations read row by row: they find all
gates of a unit side by side, and nothing of the size of the gates passes through memory but what is to be kept.

Threads share the tiles of rows, sequences that have nothing to do with one another, and never wait; where tiles are
fewer than threads, and than blocks, they share the blocks of units, and wait for one another after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import (
    I8,
    Kernel,
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
from ..engine import KernelSpec
from ..machine import WORKERS, Machine
from ..products.packing import Panel, pack
from ..products.tile import Segment, TileShape, Values, accumulate, zeros

PLANNED_THREADS = 2
CHUNK = 4  # tiles of rows, whose sums are in the buffer at a time
TALLEST = 14
WIDEST = 16  # registers of units in a block of one column each


class Layer(NamedTuple):
    """A layer's sizes: steps, sequences, features of x and hidden units; ``reverse``: whether it reads backwards."""

    dtype: np.dtype
    length: int
    batch: int
    features: int
    hidden: int
    reverse: bool


class Arrangement(NamedTuple):
    """How the columns of weights are put together.

    gates: columns of one unit, that are ``hidden`` apart in the weights. span: registers of units in a block, so that a
    block has gates * span registers of columns; they are summed ``vectors`` at a time. depths: of the factors along k.
    slots: registers of a row in the buffer, at least gates * span. split: after the first factor the last gate's sums
    go to the last slot and begin anew.
    """

    gates: int
    span: int
    vectors: int
    depths: tuple[int, ...]
    slots: int
    split: bool = False


class Weights(NamedTuple):
    """Element (k, column) of a factor lies at ``k * k_stride + column * column_stride`` elements from the pointer."""

    pointer: ir.Value
    k_stride: int
    column_stride: int


class Rows(NamedTuple):
    """What a factor is multiplied with: row b begins at ``pointer + b * stride``, its elements ``step`` apart."""

    pointer: ir.Value
    stride: int
    step: int = 1


class Chunk(NamedTuple):
    """Tiles [first, last) of the batch, which are rows [start, stop)."""

    first: ir.Value
    last: ir.Value
    start: ir.Value
    stop: ir.Value


class Units(NamedTuple):
    """One register of hidden units: ``unit`` is the first, ``mask`` the lanes that are units, None if all are."""

    builder: ir.IRBuilder
    kind: ir.Type
    unit: ir.Value
    mask: ir.Value | None

    def load(self, pointer: ir.Value) -> ir.Value:
        if self.mask is None:
            return load(self.builder, pointer, self.kind)
        return masked_load(self.builder, pointer, self.mask, self.kind)

    def store(self, value: ir.Value, pointer: ir.Value) -> None:
        if self.mask is None:
            store(self.builder, value, pointer)
        else:
            masked_store(self.builder, value, pointer, self.mask)


OfRow = Callable[[ir.Value, ir.Value], None]
Body = Callable[[Units], OfRow]


def span_of(layer: Layer, machine: Machine) -> int:
    """Registers of units in a block of a kernel with one column a unit: few where threads share the units."""
    registers = ceil(layer.hidden / machine.lanes(layer.dtype))
    _, tall, short = cut_rows(layer.batch, 2, machine)
    most = WIDEST if tall + short >= PLANNED_THREADS else 2
    return 1 if registers == 1 else min(most, registers + registers % 2)


def cut_rows(batch: int, vectors: int, machine: Machine) -> tuple[int, int, int]:
    """(base, tall, short): ``tall`` tiles of base + 1 rows come first, then ``short`` ones of base."""

    def cycles(rows: int) -> float:
        tiles = ceil(batch / rows)
        each = max(rows * vectors / 2, 0.62 * (rows + vectors), 5.0) + 0.7
        uneven = 1.02 if batch % tiles else 1.0  # two kinds of tiles are twice the code
        return each * (ceil(tiles / PLANNED_THREADS) + 0.2 * tiles) * uneven

    most = min(batch, TALLEST, (machine.registers - 1 - vectors) // vectors)
    tiles = ceil(batch / min(range(1, most + 1), key=lambda rows: (cycles(rows), -rows)))
    base, tall = divmod(batch, tiles)
    return base, tall, tiles - tall


class Workspace(NamedTuple):
    """Bytes that no kernel exceeds, whatever the machine: packed weights, and behind them each thread's buffer."""

    packed: int
    buffer: int

    def of(self, spec: KernelSpec) -> KernelSpec:
        """The kernel with this workspace."""
        return spec._replace(scratch=self.packed + WORKERS * self.buffer, parts=WORKERS, part=self.buffer)


def workspace(layer: Layer, gates: int, depth: int, slots: int | None = None) -> Workspace:
    """slots: as in the arrangement; None: as many as ``span_of`` says."""
    size = layer.dtype.itemsize
    columns = gates * (-(-layer.hidden // 64) + 2) * 64
    registers = slots or min(WIDEST, -(-layer.hidden * size // 64) + 1)
    buffer = CHUNK * min(TALLEST, layer.batch) * registers * 64
    return Workspace(columns * depth * size + 2 * 64, buffer)


class Place(NamedTuple):
    """Where a part of the workspace has packed weights, and where the first of the buffers, ``each`` bytes apart."""

    packed: int
    buffers: int
    each: int


class Recurrence:
    """The code of one kernel: ``pack``, then for every step ``blocks``, each ``multiply`` and ``each_row``."""

    def __init__(
        self,
        builder: Kernel,
        machine: Machine,
        layer: Layer,
        arrangement: Arrangement,
        place: Place | None = None,
    ):
        """place: in the workspace, which is all its own if None is given."""
        self.builder, self.layer, self.arrangement = builder, layer, arrangement
        self.lanes = machine.lanes(layer.dtype)
        self.scalar = type_of(layer.dtype)
        self.kind = vector(self.scalar, self.lanes)
        self.registers = ceil(layer.hidden / self.lanes)
        self.number_of_blocks = ceil(self.registers / arrangement.span)
        self.panels = arrangement.gates * arrangement.span // arrangement.vectors
        self.width = arrangement.vectors * self.lanes
        self.depth = sum(arrangement.depths)
        self.base, self.tall, self.short = cut_rows(layer.batch, arrangement.vectors, machine)
        rows = CHUNK * (self.base + bool(self.tall)) * arrangement.slots * self.lanes * layer.dtype.itemsize
        most = workspace(layer, arrangement.gates, self.depth, arrangement.slots)
        assert rows <= most.buffer
        place = place or Place(0, most.packed, rows)
        self.packed = builder.gep(builder.scratch, [i64(place.packed)], source_etype=I8)
        start = builder.add(builder.mul(builder.index, i64(place.each)), i64(place.buffers))
        self.buffer = builder.gep(builder.scratch, [start], source_etype=I8)
        threads = smaller(builder, builder.size, i64(WORKERS))
        tiles, blocks = self.tall + self.short, self.number_of_blocks
        self.alone = builder.icmp_signed("<=", smaller(builder, threads, i64(blocks)), i64(tiles))
        everything = [(i64(0), i64(jobs)) for jobs in (tiles, blocks)]
        shared = [builder.share(jobs, most=WORKERS) for jobs in (tiles, blocks)]
        self.tiles, self.own_blocks = (
            tuple(builder.select(choice, a, b) for a, b in zip(own, every, strict=True))
            for choice, own, every in (
                (self.alone, shared[0], everything[0]),
                (builder.not_(self.alone), shared[1], everything[1]),
            )
        )

    def at(self, pointer: ir.Value, *terms: tuple[ir.Value | int, int]) -> ir.Value:
        """The address of the element at the sum of index * stride."""
        for index, stride in terms:
            if isinstance(index, int):
                index = i64(index)
            if stride:
                pointer = element(self.builder, pointer, self.builder.mul(index, i64(stride)), self.scalar)
        return pointer

    # -------------------------------------------------------------------------------- weights

    def pack(self, factors: Sequence[Weights]) -> None:
        """Every thread its share of the columns; then all wait until the last is there."""
        b, whole = self.builder, self.layer.hidden // self.lanes
        gates, rest = self.arrangement.gates, self.layer.hidden % self.lanes
        for first_register, registers, columns in ((0, whole, self.lanes), (whole, 1 if rest else 0, rest)):
            if not registers:
                continue
            first, last = b.share(registers * gates)
            with loop(b, first, last) as job:
                register = b.add(b.sdiv(job, i64(gates)), i64(first_register))
                self._pack_column(factors, register, b.srem(job, i64(gates)), columns)
        b.barrier()

    def _pack_column(self, factors: Sequence[Weights], register: ir.Value, gate: ir.Value, columns: int) -> None:
        b, arrangement = self.builder, self.arrangement
        span, vectors = i64(arrangement.span), i64(arrangement.vectors)
        block = b.sdiv(register, span)
        slot = b.add(b.mul(gate, span), b.srem(register, span))
        target = self._panel(block, b.sdiv(slot, vectors))
        target = self.at(target, (b.srem(slot, vectors), self.lanes))
        column = b.add(b.mul(gate, i64(self.layer.hidden)), b.mul(register, i64(self.lanes)))
        panel = Panel(self.layer.dtype, self.lanes, self.width, columns)
        for weights, depth in zip(factors, arrangement.depths, strict=True):
            source = self.at(weights.pointer, (column, weights.column_stride))
            pack(b, panel, source, weights.k_stride, weights.column_stride, depth, target)
            target = element(b, target, depth * self.width, self.scalar)

    def _panel(self, block: ir.Value, number: ir.Value | int) -> ir.Value:
        size = self.depth * self.width
        return self.at(self.packed, (block, self.panels * size), (number, size))

    # -------------------------------------------------------------------------------- a step

    @contextmanager
    def blocks(self) -> Iterator[tuple[Chunk, ir.Value]]:
        """The body for all of this thread's rows and blocks of units."""
        b = self.builder
        begin, end = self.tiles
        with loop(b, begin, end, CHUNK) as first:
            last = smaller(b, b.add(first, i64(CHUNK)), end)
            chunk = Chunk(first, last, self._row_of(first), self._row_of(last))
            with loop(b, *self.own_blocks) as block:
                yield chunk, block

    def end_of_step(self) -> None:
        """What all threads wrote of this step can be read, if this one reads it."""
        b = self.builder
        with b.if_then(b.not_(self.alone)):
            b.barrier()

    def _row_of(self, tile: ir.Value) -> ir.Value:
        b = self.builder
        return b.add(b.mul(tile, i64(self.base)), smaller(b, tile, i64(self.tall)))

    def multiply(self, chunk: Chunk, block: ir.Value, sources: Sequence[Rows]) -> None:
        """The buffer: for each row of the chunk its sums of the block's columns."""
        b = self.builder
        with loop(b, 0, self._panels_of(block)) as number:
            weights = self._panel(block, number)
            for rows, offset, count in ((self.base + 1, 0, self.tall), (self.base, self.tall, self.short)):
                if not count:
                    continue
                low = b.select(b.icmp_signed("<", chunk.first, i64(offset)), i64(offset), chunk.first)
                with loop(b, low, smaller(b, chunk.last, i64(offset + count))) as tile:
                    row = self._row_of(tile)
                    place = self._place(chunk, row, b.mul(number, i64(self.arrangement.vectors)))
                    self._tile(rows, row, sources, weights, place)

    def _panels_of(self, block: ir.Value) -> ir.Value:
        """How many panels of the block have units; all, if they are of different gates."""
        b, arrangement = self.builder, self.arrangement
        if arrangement.gates > 1:
            return i64(self.panels)
        units = b.sub(i64(self.registers), b.mul(block, i64(arrangement.span)))
        filled = b.sdiv(b.add(units, i64(arrangement.vectors - 1)), i64(arrangement.vectors))
        return smaller(b, filled, i64(self.panels))

    def _place(self, chunk: Chunk, row: ir.Value, slot: ir.Value | int) -> ir.Value:
        """Where the buffer has that register of the row."""
        distance = self.builder.sub(row, chunk.start)
        return self.at(self.buffer, (distance, self.arrangement.slots * self.lanes), (slot, self.lanes))

    def _tile(self, rows: int, row: ir.Value, sources: Sequence[Rows], weights: ir.Value, place: ir.Value) -> None:
        b, arrangement = self.builder, self.arrangement
        shape = TileShape(self.layer.dtype, rows, arrangement.vectors, self.lanes)
        sums: Values = zeros(shape)

        def keep(r: int, v: int, slot: int) -> None:
            to = element(b, place, (r * arrangement.slots + slot) * self.lanes, self.scalar)
            store(b, sums[r * arrangement.vectors + v], to)

        for number, (source, depth) in enumerate(zip(sources, arrangement.depths, strict=True)):
            a = self.at(source.pointer, (row, source.stride))
            offsets = [r * source.stride for r in range(rows)]
            sums = accumulate(b, shape, sums, Segment(depth, a, offsets, source.step, weights, self.width))
            weights = element(b, weights, depth * self.width, self.scalar)
            if arrangement.split and number == 0:
                for r in range(rows):
                    keep(r, arrangement.vectors - 1, arrangement.slots - 1)
                    sums[(r + 1) * arrangement.vectors - 1] = zeros(shape)[0]
        for r in range(rows):
            for v in range(arrangement.vectors):
                keep(r, v, v)

    def put(self, chunk: Chunk, block: ir.Value, matrix: ir.Value) -> None:
        """The buffer: for each row and unit an element of this (batch, hidden) matrix."""

        def copy(units: Units) -> OfRow:
            def one(row: ir.Value, place: ir.Value) -> None:
                value = units.load(self.at(matrix, (row, self.layer.hidden), (units.unit, 1)))
                store(self.builder, value, place)

            return one

        self.each_row(chunk, block, copy)

    def each_row(self, chunk: Chunk, block: ir.Value, body: Body) -> None:
        """``body(units)`` for each of the block's registers of units, and what it returns for each row.

        That is called with the row and the address of the first gate's register in the buffer; ``gate`` loads others.
        """
        b = self.builder
        first = b.mul(block, i64(self.arrangement.span))
        last = smaller(b, b.add(first, i64(self.arrangement.span)), i64(self.registers))
        if self.arrangement.span > 2:  # along rows in memory
            with loop(b, chunk.start, chunk.stop) as row, loop(b, first, last) as register:
                body(self._units(register))(row, self._place(chunk, row, b.sub(register, first)))
            return
        with loop(b, first, last) as register:
            of_row = body(self._units(register))
            with loop(b, chunk.start, chunk.stop) as row:
                of_row(row, self._place(chunk, row, b.sub(register, first)))

    def _units(self, register: ir.Value) -> Units:
        b = self.builder
        unit = b.mul(register, i64(self.lanes))
        mask = None
        if self.layer.hidden % self.lanes:
            mask = first_lanes(b, b.sub(i64(self.layer.hidden), unit), self.lanes)
        return Units(b, self.kind, unit, mask)

    def gate(self, place: ir.Value, number: int) -> ir.Value:
        """The sum of that gate, or of the last slot, from the buffer."""
        distance = number * self.arrangement.span * self.lanes
        return load(self.builder, element(self.builder, place, distance, self.scalar), self.kind)

    # -------------------------------------------------------------------------------- where things lie

    def step_of(self, pointer: ir.Value, t: ir.Value, gates: int = 1) -> ir.Value:
        """Step t of an array (length, batch, gates * hidden)."""
        return self.at(pointer, (t, self.layer.batch * gates * self.layer.hidden))

    def spot(self, pointer: ir.Value, row: ir.Value, units: Units, gate: int = 0, gates: int = 1) -> ir.Value:
        """Those units of a gate in a row of an array (batch, gates * hidden)."""
        return self.at(pointer, (row, gates * self.layer.hidden), (units.unit, 1), (gate, self.layer.hidden))

"""Loop nests that read arrays across their grain: a tile at a time, turned in registers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from autograd_core.compiler.loops import Load

from ..emit import I32, Kernel, element, i64, load, loop, store, type_of, vector
from ..machine import Machine
from .accumulators import buffer
from .nest import Coordinates, Nest
from .plan import TILE, Plan
from .stages import TASK
from .statements import Point, Value, from_memory, spread, to_memory


class Tiles(Nest):
    """A task is a block of rows. Of each vector of columns, what lies along the rows is turned first, then used."""

    def __init__(self, planned: Plan, builder: Kernel, machine: Machine):
        super().__init__(planned, builder, machine)
        self.rows = planned.serial.dims[0]
        self.tiles = {p: buffer(builder, np.dtype(self.body[p].dtype), TILE * self.lanes) for p in planned.turned}

    def _task(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        outside, point = dict(self.values), self._point(coordinates)
        for position in self._in_task(0):
            point.perform(self.body, position, outside)
        (work,) = self.plan.work
        summed = self._summed(work)

        def lanes(column: ir.Value, width: int, valid: int | None) -> None:
            self._turn(coordinates, start, stop, column, valid)
            sums = {p: self.accumulators.running(p, width) for p in summed}
            with loop(self.b, start, stop) as row:
                values, point = dict(outside), self._at(coordinates, row, column, width, valid)
                for position in work:
                    if position in sums:
                        self._sum(position, sums[position].add, point, values)
                    elif position in self.tiles:
                        values[position] = self._turned(position, self.b.sub(row, start))
                    elif self.plan.levels[position] > TASK:
                        point.perform(self.body, position, values)
            for position, running in sums.items():
                self.accumulators.sums[position].fold(running.value)

        self.accumulators.columns(i64(0), i64(self.plan.columns), self.lanes, lanes)

    def _at(self, coordinates: Coordinates, row: ir.Value, column: ir.Value, lanes: int, valid: int | None) -> Point:
        known = list(coordinates)
        known[self.rows] = row
        return self._at_column(known, column, lanes, valid)

    def _turned(self, position: int, row: ir.Value) -> Value:
        dtype = np.dtype(self.body[position].dtype)
        place = self._place(position, row)
        return from_memory(self.b, load(self.b, place, vector(type_of(dtype), self.lanes)), dtype)

    def _place(self, position: int, row: ir.Value) -> ir.Value:
        place = self.b.mul(row, i64(self.lanes))
        return element(self.b, self.tiles[position], place, type_of(self.body[position].dtype))

    def _turn(
        self,
        coordinates: Coordinates,
        start: ir.Value,
        stop: ir.Value,
        column: ir.Value,
        valid: int | None,
    ) -> None:
        """Fill the tiles: squares of a vector's length by shuffles, what is left element by element."""
        b, lanes, done = self.b, self.lanes, start
        if valid is None and lanes > 1:
            done = b.sub(stop, b.urem(b.sub(stop, start), i64(lanes)))
            with loop(b, start, done, lanes) as row:
                for position in self.tiles:
                    self._square(position, self._at(coordinates, row, column, 1, None), b.sub(row, start))
        with loop(b, done, stop) as row:
            point = self._at(coordinates, row, column, lanes, valid)
            for position in self.tiles:
                value = point.value(self.body[position], {})
                memory = to_memory(b, Value(spread(b, value, lanes), value.dtype))
                store(b, memory, self._place(position, b.sub(row, start)))

    def _square(self, position: int, corner: Point, row: ir.Value) -> None:
        b, s = self.b, self.body[position]
        assert isinstance(s, Load)
        first, kind = corner.address(s.access), type_of(s.dtype)
        steps = [i64(s.access.strides[self.plan.along] * lane) for lane in range(self.lanes)]
        read = [load(b, element(b, first, step, kind), vector(kind, self.lanes)) for step in steps]
        for offset, turned in enumerate(transposed(b, read)):
            store(b, turned, self._place(position, b.add(row, i64(offset))))


def transposed(builder: Kernel, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """A square of vectors turned: log2(n) times, every two vectors that are half the square apart are interleaved."""
    n, rows = len(rows), list(rows)
    merge = [
        ir.Constant(ir.VectorType(I32, n), [lane // 2 + first + n * (lane % 2) for lane in range(n)])
        for first in (0, n // 2)
    ]
    for _ in range(n.bit_length() - 1):
        rows = [builder.shuffle_vector(rows[i // 2], rows[i // 2 + n // 2], merge[i % 2]) for i in range(n)]
    return rows

"""What a loop nest adds up: in registers over columns, in memory over rows, and at last over the team's threads.

Each thread has a part of the scratch. Parts are combined in the threads' order, so a result depends on how many threads
there are, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_core.compiler.loops import Accumulate, Reduce

from ..emit import I8, POINTER, Kernel, element, i64, load, loop, smaller, splat, store, type_of, vector
from .plan import PAD, Plan, padded
from .reductions import Running, combine, identity, narrowed
from .statements import Point, Value, apply, from_memory, spread, to_memory

SLOT = 8  # bytes of one partial result
SERIAL_POINTS = 16  # from here on threads share the serial points of a combination, not the columns


def scratch_layout(planned: Plan) -> tuple[dict[int, int], int]:
    """Where in a thread's part of the scratch each statement's partial result lies, and how large a part is."""
    offsets, size = dict[int, int](), 0
    for position, s in enumerate(planned.kernel.body):
        if isinstance(s, Accumulate) and planned.per_point(position):
            if planned.shape == "rows":
                offsets[position] = size
                row = padded(planned.columns) * planned.kernel.operands[s.access.operand].itemsize
                size += planned.serial.points * row
        elif isinstance(s, Accumulate) or (isinstance(s, Reduce) and planned.shape == "together"):
            offsets[position] = size
            size += SLOT
    return offsets, padded(size)


def buffer(builder: Kernel, dtype: np.dtype, count: int) -> ir.Value:
    """Memory of this thread's, for as long as the kernel runs."""
    with builder.goto_entry_block():
        place = builder.alloca(type_of(dtype), count)
    place.align = 64
    place.type = POINTER  # vectors are stored here too
    return place


class Accumulators:
    def __init__(self, planned: Plan, builder: Kernel, lanes: int):
        self.plan, self.b, self.lanes = planned, builder, lanes
        self.body: Sequence[Any] = list(planned.kernel.body)
        self.offsets, self.part = scratch_layout(planned)
        # how many threads take part: as many as have scratch
        self.active = smaller(builder, builder.size, i64(planned.threads)) if self.offsets else builder.size
        self.sums: dict[int, Running] = {}
        self.rows: dict[int, ir.Value] = {}

    def share(self, count: int) -> tuple[ir.Value, ir.Value]:
        """This thread's part of ``count`` jobs."""
        b = self.b
        first, last = (b.udiv(b.mul(i64(count), b.add(b.index, i64(more))), self.active) for more in (0, 1))
        return smaller(b, first, i64(count)), smaller(b, last, i64(count))

    def columns(
        self, start: ir.Value, stop: ir.Value, wide: int, emit: Callable[[ir.Value, int, int | None], None]
    ) -> None:
        """The columns in steps of ``wide``, then of one vector, then the rest of a vector."""
        b, lanes, count = self.b, self.lanes, self.plan.columns
        length, done = b.sub(stop, start), start
        if count >= wide > lanes:
            until = b.sub(stop, b.urem(length, i64(wide)))
            with loop(b, done, until, wide) as column:
                emit(column, wide, None)
            done = until
        if max(count % wide, self.plan.block % wide) >= lanes or wide == lanes <= count:
            until = b.sub(stop, b.urem(length, i64(lanes)))
            with loop(b, done, until, lanes) as column:
                emit(column, lanes, None)
            done = until
        if count % lanes:
            with loop(b, done, stop, lanes) as column:
                emit(column, lanes, count % lanes)

    def dtype(self, position: int) -> np.dtype:
        s = self.body[position]
        return np.dtype(self.plan.kernel.operands[s.access.operand] if isinstance(s, Accumulate) else s.dtype)

    def argument(self, position: int, values: Mapping[int, Value], lanes: int = 1) -> Value:
        """What is to be added, in the dtype that sums have."""
        value = apply(self.b, "cast", [values[self.body[position].arg]], self.dtype(position))
        return Value(spread(self.b, value, lanes), value.dtype)

    # ---------------------------------------------------------------------------- in registers

    def running(self, position: int, lanes: int, *, folds: bool = False) -> Running:
        return Running(self.b, self.body[position].kind, self.dtype(position), lanes, folds=folds)

    def open(self, position: int) -> None:
        """Start a reduction of columns."""
        self.sums[position] = self.running(position, self.lanes, folds=True)

    def close(self, positions: Sequence[int]) -> dict[int, Value]:
        """The results of these reductions; of all threads' columns where they share them."""
        b = self.b
        found = {p: narrowed(b, self.body[p].kind, self.sums[p].value, 1) for p in positions}
        if self.plan.shape != "together" or not positions:
            return found
        with self._taking_part():
            for position, value in found.items():
                store(b, to_memory(b, value), self._slot(position, b.index))
        b.barrier()
        return {p: self._total(p) for p in positions}

    # ---------------------------------------------------------------------------- in memory

    def start(self) -> None:
        for position, s in enumerate(self.body):
            if not isinstance(s, Accumulate):
                continue
            if not self.plan.per_point(position):
                vectors = s.over_inner or self.plan.shape == "across"
                self.sums[position] = self.running(position, self.lanes if vectors else 1, folds=True)
            elif self.plan.shape == "rows":
                self.rows[position] = self._slot(position, self.b.index)
                with self._taking_part():
                    self._clear(position, self.plan.serial.points * padded(self.plan.columns))
            else:
                self.rows[position] = buffer(self.b, self.dtype(position), padded(self.plan.block))

    def clear_columns(self) -> None:
        for position in self.rows:
            self._clear(position, padded(self.plan.block))

    def _clear(self, position: int, count: int) -> None:
        b, dtype = self.b, self.dtype(position)
        memory = splat(b, to_memory(b, identity(self.body[position].kind, dtype)), PAD)
        with loop(b, 0, count, PAD) as place:
            store(b, memory, element(b, self.rows[position], place, type_of(dtype)))

    def column(self, position: int, place: ir.Value, lanes: int) -> Value:
        """The sums at ``place`` and the lanes after it."""
        return self._load(self.rows[position], position, place, lanes)

    def add_column(self, position: int, place: ir.Value, values: Mapping[int, Value], lanes: int) -> None:
        b, value = self.b, self.argument(position, values, lanes)
        added = combine(b, self.body[position].kind, self.column(position, place, lanes), value)
        store(b, to_memory(b, added), element(b, self.rows[position], place, type_of(value.dtype)))

    def _load(self, rows: ir.Value, position: int, place: ir.Value, lanes: int) -> Value:
        kind = type_of(self.dtype(position))
        code = load(self.b, element(self.b, rows, place, kind), vector(kind, lanes))
        return from_memory(self.b, code, self.dtype(position))

    # ---------------------------------------------------------------------------- over threads

    def finish(self) -> None:
        """Combine what the threads have, and store it."""
        accumulates = [p for p, s in enumerate(self.body) if isinstance(s, Accumulate) and p in self.offsets]
        if not accumulates:
            return
        b = self.b
        totals = [p for p in accumulates if p in self.sums]
        with self._taking_part():
            for position in totals:
                value = narrowed(b, self.body[position].kind, self.sums[position].value, 1)
                store(b, to_memory(b, value), self._slot(position, b.index))
        b.barrier()
        if totals:
            with b.if_then(b.icmp_signed("==", b.index, i64(0))):
                point = self._point([None] * len(self.plan.sizes), 1, None)
                for position in totals:
                    point.store(self.body[position].access, self._total(position))
        for position in accumulates:
            if position in self.rows:
                self._combine_rows(position)

    def _total(self, position: int) -> Value:
        """All threads' partial results as one."""
        whole = self.running(position, 1)
        with loop(self.b, 0, self.active) as thread:
            whole.add(self._load(self._slot(position, thread), position, i64(0), 1))
        return whole.value

    def _combine_rows(self, position: int) -> None:
        b, plan = self.b, self.plan
        by_column = plan.serial.points < SERIAL_POINTS
        serial = (i64(0), i64(plan.serial.points)) if by_column else b.share(plan.serial.points)
        columns = b.share(plan.columns, self.lanes) if by_column else (i64(0), i64(plan.columns))
        with loop(b, *serial) as point:
            known: list[ir.Value | None] = [None] * len(plan.sizes)
            rest = point
            for dim in reversed(plan.serial.dims):
                known[dim] = b.urem(rest, i64(plan.sizes[dim]))
                rest = b.udiv(rest, i64(plan.sizes[dim]))

            def lanes(column: ir.Value, width: int, valid: int | None) -> None:
                whole = self.running(position, width)
                place = b.add(b.mul(point, i64(padded(plan.columns))), column)
                with loop(b, 0, self.active) as thread:
                    whole.add(self._load(self._slot(position, thread), position, place, width))
                self._point([*known[:-1], column], width, valid).store(self.body[position].access, whole.value)

            self.columns(*columns, self.lanes, lanes)

    def _point(self, coordinates: Sequence[ir.Value | None], lanes: int, valid: int | None) -> Point:
        dtypes = self.plan.kernel.operands
        return Point(self.b, self.b.operands, dtypes, coordinates, along=self.plan.along, lanes=lanes, valid=valid)

    def _slot(self, position: int, thread: ir.Value) -> ir.Value:
        b = self.b
        offset = b.add(b.mul(thread, i64(self.part)), i64(self.offsets[position]))
        return b.gep(b.scratch, [offset], source_etype=I8)

    def _taking_part(self) -> AbstractContextManager[None]:
        return self.b.if_then(self.b.icmp_signed("<", self.b.index, self.active))

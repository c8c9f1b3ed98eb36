"""Loop kernels as LLVM code: the loops of a plan around the statements, and what passes from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np
from llvmlite import ir

from autograd_core.compile.loops import Accumulate, Load, LoopKernel, Map, Reduce, Store

from .accumulators import Accumulators, buffer, scratch_layout
from .emit import Kernel, element, first_lanes, i64, load, loop, smaller, store, type_of, vector
from .engine import KernelSpec
from .loop_plan import LANE, ONCE, SERIAL, TASK, Group, Plan, padded, plan, stage_cost
from .machine import Machine
from .reductions import lanes_that_exist
from .statements import Point, Value, from_memory, spread, to_memory

LIGHT = 20  # operations a lane below which a loop takes several vectors at once
VECTORS_AT_ONCE = 4

Coordinates = Sequence[ir.Value | None]


def loop_kernel(kernel: LoopKernel, name: str) -> KernelSpec:
    """The kernel's code. Operands are pointers in the order of ``kernel.operands``."""
    planned = plan(kernel)

    def emit(builder: Kernel, machine: Machine) -> None:
        _Nest(planned, builder, machine).emit()

    points = prod(kernel.outer + kernel.inner)
    flops = points * sum(isinstance(s, Map | Reduce | Accumulate) for s in kernel.body)
    scratch = scratch_layout(planned)[1] * planned.threads
    return KernelSpec(name, kernel, len(kernel.operands), emit, scratch, flops, _bytes_moved(kernel))


def _bytes_moved(kernel: LoopKernel) -> int:
    sizes, moved = kernel.outer + kernel.inner, set()
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            reached = prod(size for size, stride in zip(sizes, s.access.strides, strict=True) if stride)
            moved.add((isinstance(s, Load), s.access, reached * kernel.operands[s.access.operand].itemsize))
    return sum(size for *_, size in moved)


class _Nest:
    def __init__(self, planned: Plan, builder: Kernel, machine: Machine):
        self.plan, self.b = planned, builder
        self.body, self.operands = planned.kernel.body, planned.kernel.operands
        self.lanes = self._lanes(machine)
        self.accumulators = Accumulators(planned, builder, self.lanes)
        self.values: dict[int, Value] = {}  # what is known once, and in this task
        row = planned.serial.count * padded(planned.block)
        self.buffers = {p: buffer(builder, np.dtype(self.body[p].dtype), row) for p in sorted(planned.kept)}

    def _lanes(self, machine: Machine) -> int:
        """As many as one register holds of the floating-point type; of the largest type where there is none."""
        held = []
        for s, level in zip(self.body, self.plan.levels, strict=True):
            if isinstance(s, Store | Accumulate) and level == LANE:
                held.append(np.dtype(self.operands[s.access.operand]))
            elif isinstance(s, Reduce) or (isinstance(s, Load | Map) and level == LANE):
                held.append(np.dtype(s.dtype))
        sizes = [d.itemsize for d in held if d.kind == "f"] or [d.itemsize for d in held]
        return max(1, machine.vector_bytes // max(sizes, default=8))

    # ---------------------------------------------------------------------------- loops

    def emit(self) -> None:
        nowhere: Coordinates = [None] * len(self.plan.sizes)
        once = self._point(nowhere)
        for position, level in enumerate(self.plan.levels):
            if level == ONCE and not isinstance(self.body[position], Store):
                self.values[position] = once.value(self.body[position], self.values)
        self.accumulators.start()
        with self._points(self.plan.tasks, nowhere) as (_, coordinates, start, stop):
            self._task(coordinates, start, stop)
        self.accumulators.finish()
        self._store_once(once)

    @contextmanager
    def _points(
        self, group: Group, coordinates: Coordinates
    ) -> Iterator[tuple[ir.Value, list[ir.Value | None], ir.Value, ir.Value]]:
        """This thread's points of the group: its number, the coordinates now known, and the columns from, to."""
        b, count = self.b, group.count * group.blocks
        shared = group is self.plan.shared
        first, last = self.accumulators.share(count) if shared else (i64(0), i64(count))
        with loop(b, first, last) as point:
            known, start, stop = list(coordinates), i64(0), i64(self.plan.columns)
            if group.blocks > 1:
                start = b.mul(b.urem(point, i64(group.blocks)), i64(self.plan.block))
                stop = smaller(b, b.add(start, i64(self.plan.block)), stop)
                point = b.udiv(point, i64(group.blocks))
            rest = point
            for place, dim in reversed(list(enumerate(group.dims))):
                known[dim] = b.urem(rest, i64(self.plan.sizes[dim])) if place else rest
                rest = b.udiv(rest, i64(self.plan.sizes[dim]))
            yield point, known, start, stop

    def _task(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        point = self._point(coordinates)
        if self.plan.shape == "columns":
            self.accumulators.clear_columns()
        for stage, work in enumerate(self.plan.work):
            for position, s in enumerate(self.body):
                if self.plan.levels[position] != TASK or self.plan.stages[position] != stage or isinstance(s, Reduce):
                    continue
                if isinstance(s, Store | Accumulate):
                    with self._one_thread():
                        if isinstance(s, Store):
                            point.store(s.access, self.values[s.arg])
                        else:
                            self.accumulators.add(position, self.accumulators.argument(position, self.values))
                else:
                    self.values[position] = point.value(s, self.values)
            if work:
                self._stage(stage, work, coordinates, start, stop)
        if self.plan.shape == "columns":
            self._store_columns(coordinates, start, stop)
        elif self.plan.shape == "together":
            self.b.barrier()  # the next task writes where this one's partial results are read

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Where all threads run the task together, one of them writes."""
        if self.plan.shape != "together":
            yield
            return
        with self.b.if_then(self.b.icmp_signed("==", self.b.index, i64(0))):
            yield

    def _stage(
        self, stage: int, work: Sequence[int], coordinates: Coordinates, start: ir.Value, stop: ir.Value
    ) -> None:
        b, plan, accumulators = self.b, self.plan, self.accumulators
        reductions = [p for p in work if isinstance(self.body[p], Reduce)]
        sums = reductions + [p for p in work if isinstance(self.body[p], Accumulate) and not plan.per_point(p)]
        for position in reductions:
            accumulators.open(position)
        wide = self.lanes * self._vectors_at_once(work)
        with self._points(plan.serial, coordinates) as (serial, known, low, high):
            if plan.serial.blocks == 1:
                low, high = start, stop
            values = dict(self.values)
            here = self._point(known)
            for position in work:
                if plan.levels[position] == SERIAL:
                    self._statement(position, here, values)
            # sums of sums: one set of lanes for these columns, added to another for all
            partial = {p: accumulators.local(p, wide) for p in sums}

            def lanes(column: ir.Value, width: int, mask: ir.Value | None) -> None:
                inside = dict(values)
                point = self._point([*known[:-1], column], width, mask)
                if plan.shape == "columns":
                    place = b.sub(column, low)
                else:
                    place = b.add(b.mul(serial, i64(padded(plan.columns))), column)
                for position in work:
                    if position in partial:
                        kind = self.body[position].kind
                        value = accumulators.argument(position, inside, width)
                        value = lanes_that_exist(b, kind, value, mask)
                        if width == wide:
                            accumulators.add_to(partial[position], kind, value)
                        else:
                            accumulators.add(position, value)
                    elif plan.levels[position] == LANE:
                        self._lane_statement(position, stage, point, inside, place)

            self._columns(low, high, wide, lanes)
            for position in sums:
                accumulators.fold(partial[position], position)
        self.values.update(accumulators.close(reductions))

    def _vectors_at_once(self, work: Sequence[int]) -> int:
        several = VECTORS_AT_ONCE * self.lanes
        light = self.lanes > 1 and stage_cost(self.plan.kernel, work) <= LIGHT
        return VECTORS_AT_ONCE if light and self.plan.block >= several else 1

    def _columns(
        self, start: ir.Value, stop: ir.Value, wide: int, emit: Callable[[ir.Value, int, ir.Value | None], None]
    ) -> None:
        """The columns in steps of ``wide``, then of one vector, then the rest of a vector."""
        b, lanes, count = self.b, self.lanes, self.plan.columns
        length, done = b.sub(stop, start), start
        if count >= wide > lanes:
            until = b.sub(stop, b.urem(length, i64(wide)))
            with loop(b, done, until, wide) as column:
                emit(column, wide, None)
            done = until
        if count % wide >= lanes or wide == lanes <= count:
            until = b.sub(stop, b.urem(length, i64(lanes)))
            with loop(b, done, until, lanes) as column:
                emit(column, lanes, None)
            done = until
        if count % lanes:
            with loop(b, done, stop, lanes) as column:
                emit(column, lanes, first_lanes(b, b.sub(stop, column), lanes))

    # ---------------------------------------------------------------------------- statements

    def _point(self, coordinates: Coordinates, lanes: int = 0, mask: ir.Value | None = None) -> Point:
        """The point itself, or with ``lanes`` a vector of neighbours that starts there."""
        along = self.plan.along if lanes else None
        return Point(self.b, self.b.operands, self.operands, coordinates, along=along, lanes=lanes or 1, mask=mask)

    def _statement(self, position: int, point: Point, values: dict[int, Value]) -> None:
        s = self.body[position]
        if isinstance(s, Store):
            point.store(s.access, values[s.arg])
        else:
            values[position] = point.value(s, values)

    def _lane_statement(
        self, position: int, stage: int, point: Point, values: dict[int, Value], place: ir.Value
    ) -> None:
        b, s = self.b, self.body[position]
        if isinstance(s, Accumulate):
            self.accumulators.add_column(position, place, values, point.lanes)
            return
        if position not in self.plan.kept:
            self._statement(position, point, values)
            return
        kind = type_of(s.dtype)
        address = element(b, self.buffers[position], place, kind)
        if self.plan.stages[position] < stage:
            values[position] = from_memory(b, load(b, address, vector(kind, point.lanes)), np.dtype(s.dtype))
        else:
            self._statement(position, point, values)
            value = values[position]
            store(b, to_memory(b, Value(spread(b, value, point.lanes), value.dtype)), address)

    def _store_columns(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        def lanes(column: ir.Value, width: int, mask: ir.Value | None) -> None:
            point = self._point([*coordinates[:-1], column], width, mask)
            for position, s in enumerate(self.body):
                if self.plan.per_point(position):
                    place = self.b.sub(column, start)
                    point.store(s.access, self.accumulators.column(position, place, width))

        self._columns(start, stop, self.lanes, lanes)

    def _store_once(self, once: Point) -> None:
        """What varies along nothing, by one thread, when no thread reads the old value any more."""
        stores = [s for s, lv in zip(self.body, self.plan.levels, strict=True) if lv == ONCE and isinstance(s, Store)]
        if not stores:
            return
        if {s.access.operand for s in stores} & {s.access.operand for s in self.body if isinstance(s, Load)}:
            self.b.barrier()
        with self.b.if_then(self.b.icmp_signed("==", self.b.index, i64(0))):
            for s in stores:
                once.store(s.access, self.values[s.arg])

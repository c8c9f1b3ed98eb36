"""The loops of a plan around the statements of its kernel, and what passes from stage to stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from math import gcd
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_core.compiler.loops import Accumulate, Load, Reduce, Store

from ..emit import Kernel, element, i64, load, loop, smaller, store, type_of, vector
from ..machine import Machine
from .accumulators import Accumulators, buffer
from .plan import Group, Plan, padded
from .reductions import Running, lanes_that_exist
from .stages import LANE, ONCE, SERIAL, TASK, at_once, lanes_held
from .statements import Point, Value, from_memory, spread, to_memory

RUN = 64  # serial points across rows that are summed before they are folded into what was summed before

Coordinates = Sequence[ir.Value | None]
Values = MutableMapping[int, Value]


class Nest:
    """What nests of any shape have in common. ``_task`` does one task."""

    def __init__(self, planned: Plan, builder: Kernel, machine: Machine):
        self.plan, self.b = planned, builder
        self.body: Sequence[Any] = list(planned.kernel.body)
        self.operands = planned.kernel.operands
        self.lanes = self._lanes(machine)
        self.accumulators = Accumulators(planned, builder, self.lanes)
        self.values: dict[int, Value] = {}  # what is known before any task
        self.buffers = {p: buffer(builder, np.dtype(self.body[p].dtype), planned.row) for p in sorted(planned.kept)}

    def _lanes(self, machine: Machine) -> int:
        lanes = lanes_held(self.plan.kernel, self.plan.levels, machine)
        if lanes % self.plan.repeats:
            return 1
        # only the last block of columns ends with a part of a vector
        return lanes if self.plan.block >= self.plan.columns else gcd(lanes, self.plan.block)

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

    def _task(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        raise NotImplementedError

    def _store_once(self, once: Point) -> None:
        """What varies along nothing, by one thread, when no thread reads the old value any more."""
        levels = self.plan.levels
        stores = [s for s, level in zip(self.body, levels, strict=True) if level == ONCE and isinstance(s, Store)]
        if not stores:
            return
        if any(level == ONCE and isinstance(s, Load) for s, level in zip(self.body, levels, strict=True)):
            self.b.barrier()
        with self.b.if_then(self.b.icmp_signed("==", self.b.index, i64(0))):
            for s in stores:
                once.store(s.access, self.values[s.arg])

    # ---------------------------------------------------------------------------- loops

    @contextmanager
    def _points(
        self, group: Group, coordinates: Coordinates, run: tuple[ir.Value, ir.Value] | None = None
    ) -> Iterator[tuple[ir.Value, list[ir.Value | None], ir.Value, ir.Value]]:
        """This thread's points of the group, or a run of them: its number, the coordinates now known, the columns."""
        b, count = self.b, group.points * group.blocks
        if run is None:
            run = self.accumulators.share(count) if group is self.plan.shared else (i64(0), i64(count))
        with loop(b, *run) as point:
            known, start, stop = list(coordinates), i64(0), i64(self.plan.extent)
            if group.blocks > 1:
                start = b.mul(b.urem(point, i64(group.blocks)), i64(self.plan.block))
                stop = smaller(b, b.add(start, i64(self.plan.block)), stop)
                point = b.udiv(point, i64(group.blocks))
            rest = point
            for place, dim in reversed(list(enumerate(group.dims))):
                known[dim] = b.urem(rest, i64(self.plan.sizes[dim])) if place else rest
                rest = b.udiv(rest, i64(self.plan.sizes[dim]))
            yield point, known, start, stop

    def _vectors_at_once(self, work: Sequence[int]) -> int:
        vectors = at_once(self.plan.kernel, work, self.lanes)
        return vectors if self.plan.block >= vectors * self.lanes else 1

    # ---------------------------------------------------------------------------- statements

    def _point(self, coordinates: Coordinates, lanes: int = 0, valid: int | None = None) -> Point:
        """The point itself, or with ``lanes`` a vector of neighbours that starts there."""
        along = self.plan.along if lanes else None
        fine = None if self.plan.fine is None else (self.plan.fine, self.plan.repeats)
        return Point(
            self.b,
            self.b.operands,
            self.operands,
            coordinates,
            along=along,
            lanes=lanes or 1,
            valid=valid,
            fine=fine,
        )

    def _at_column(self, coordinates: Coordinates, column: ir.Value, lanes: int, valid: int | None) -> Point:
        known = list(coordinates)
        if self.plan.fine is not None:
            repeats = i64(self.plan.repeats)
            known[self.plan.fine] = i64(0) if lanes > 1 else self.b.urem(column, repeats)
            column = self.b.udiv(column, repeats)
        known[self.plan.along] = column
        return self._point(known, lanes, valid)

    def _in_task(self, stage: int) -> Iterator[int]:
        """The statements of a stage that stand outside the task's loops."""
        for position, s in enumerate(self.body):
            here = self.plan.levels[position] == TASK and self.plan.stages[position] == stage
            if here and not isinstance(s, Reduce):
                yield position

    def _summed(self, work: Sequence[int]) -> list[int]:
        """The statements among these that sum in registers."""
        return [p for p in work if isinstance(self.body[p], Reduce | Accumulate) and not self.plan.per_point(p)]

    def _kept_or_computed(self, position: int, stage: int, point: Point, values: Values, place: ir.Value) -> None:
        """A statement whose value a buffer may hold at ``place``: put there in one stage, taken from it in later."""
        if position not in self.plan.kept:
            point.perform(self.body, position, values)
            return
        b, dtype = self.b, np.dtype(self.body[position].dtype)
        kind = type_of(dtype)
        address = element(b, self.buffers[position], place, kind)
        if self.plan.stages[position] < stage:
            values[position] = from_memory(b, load(b, address, vector(kind, point.lanes)), dtype)
        else:
            point.perform(self.body, position, values)
            store(b, to_memory(b, Value(spread(b, values[position], point.lanes), dtype)), address)

    def _sum(self, position: int, sums: Callable[[Value], None], point: Point, values: Values) -> None:
        """Add the lanes that exist."""
        value = self.accumulators.argument(position, values, point.lanes)
        sums(lanes_that_exist(self.b, self.body[position].kind, value, point.valid))


class Along(Nest):
    """Vectors along the last inner dimension: what is known of a task is scalar."""

    def _task(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        point, values = self._point(coordinates), dict(self.values)
        if self.plan.shape == "columns":
            self.accumulators.clear_columns()
        for stage, work in enumerate(self.plan.work):
            for position in self._in_task(stage):
                with self._one_thread(isinstance(self.body[position], Store | Accumulate)):
                    if isinstance(self.body[position], Accumulate):
                        self._sum(position, self.accumulators.sums[position].fold, point, values)
                    else:
                        point.perform(self.body, position, values)
            if work:
                self._stage(stage, work, values, coordinates, start, stop)
        if self.plan.shape == "columns":
            self._store_columns(coordinates, start, stop)
        elif self.plan.shape == "together":
            self.b.barrier()  # the next task writes where this one's partial results are read

    @contextmanager
    def _one_thread(self, writes: bool) -> Iterator[None]:
        """Where all threads do a task together, one of them writes."""
        if self.plan.shape != "together" or not writes:
            yield
            return
        with self.b.if_then(self.b.icmp_signed("==", self.b.index, i64(0))):
            yield

    def _stage(
        self,
        stage: int,
        work: Sequence[int],
        known: Values,
        coordinates: Coordinates,
        start: ir.Value,
        stop: ir.Value,
    ) -> None:
        b, plan, accumulators = self.b, self.plan, self.accumulators
        reductions = [p for p in work if isinstance(self.body[p], Reduce)]
        summed = self._summed(work)
        for position in reductions:
            accumulators.open(position)
        wide = self.lanes * self._vectors_at_once(work)
        with self._points(plan.serial, coordinates) as (serial, here, low, high):
            if plan.serial.blocks == 1:
                low, high = start, stop
            outside = dict(known)
            point = self._point(here)
            for position in work:
                if plan.levels[position] == SERIAL:
                    point.perform(self.body, position, outside)
            # sums of sums: of these columns first, by wide and by single vectors
            widths = {wide, self.lanes} if plan.columns % wide or plan.block % wide else {wide}
            partial = {w: {p: accumulators.running(p, w) for p in summed} for w in sorted(widths)}

            def lanes(column: ir.Value, width: int, valid: int | None) -> None:
                values = dict(outside)
                point = self._at_column(here, column, width, valid)
                if plan.shape == "columns":
                    place = b.sub(column, low)
                else:
                    place = b.add(b.mul(serial, i64(padded(plan.columns))), column)
                for position in work:
                    if position in partial[width]:
                        self._sum(position, partial[width][position].add, point, values)
                    elif plan.per_point(position):
                        accumulators.add_column(position, place, values, width)
                    elif plan.levels[position] == LANE:
                        self._kept_or_computed(position, stage, point, values, place)

            self.accumulators.columns(low, high, wide, lanes)
            for sums in partial.values():
                for position, running in sums.items():
                    accumulators.sums[position].fold(running.value)
        known.update(accumulators.close(reductions))

    def _store_columns(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        def lanes(column: ir.Value, width: int, valid: int | None) -> None:
            point = self._at_column(coordinates, column, width, valid)
            for position, s in enumerate(self.body):
                if self.plan.per_point(position):
                    place = self.b.sub(column, start)
                    point.store(s.access, self.accumulators.column(position, place, width))

        self.accumulators.columns(start, stop, self.lanes, lanes)


class Across(Nest):
    """Vectors along the last outer dimension: a task is a vector of outer points, and so is what is known of it."""

    def _task(self, coordinates: Coordinates, start: ir.Value, stop: ir.Value) -> None:
        wide = self.lanes * min(self._vectors_at_once(work) for work in self.plan.work)

        def lanes(column: ir.Value, width: int, valid: int | None) -> None:
            values = dict(self.values)
            point = self._at_column(coordinates, column, width, valid)
            for stage, work in enumerate(self.plan.work):
                for position in self._in_task(stage):
                    if isinstance(self.body[position], Accumulate):
                        self._sum(position, self.accumulators.sums[position].fold, point, values)
                    else:
                        point.perform(self.body, position, values)
                if work:
                    self._stage(stage, work, values, point)

        self.accumulators.columns(start, stop, wide, lanes)

    def _stage(self, stage: int, work: Sequence[int], known: Values, outer: Point) -> None:
        b, summed = self.b, self._summed(work)
        sums = {p: self._running(p, outer.lanes) for p in summed}
        count = self.plan.serial.points
        with loop(b, 0, count, RUN) as first:
            run = (first, smaller(b, b.add(first, i64(RUN)), i64(count)))
            partial = {p: self.accumulators.running(p, outer.lanes) for p in summed}
            with self._points(self.plan.serial, outer.coordinates, run) as (serial, here, _, _):
                values, point = dict(known), self._point(here, outer.lanes, outer.valid)
                place = b.mul(serial, i64(self.plan.block))
                for position in work:
                    if position in partial:
                        self._sum(position, partial[position].add, point, values)
                    else:
                        self._kept_or_computed(position, stage, point, values, place)
            for position in summed:
                sums[position].fold(partial[position].value)
        known.update((p, sums[p].value) for p in summed if isinstance(self.body[p], Reduce))

    def _running(self, position: int, lanes: int) -> Running:
        """A total is there before, and stays; a reduction starts here."""
        if isinstance(self.body[position], Accumulate):
            return self.accumulators.sums[position]
        return self.accumulators.running(position, lanes, folds=True)

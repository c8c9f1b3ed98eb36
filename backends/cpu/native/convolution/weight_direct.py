"""The weight's gradient tap by tap: a contraction over pixels.

The same as the convolution itself with other roles: rows of a tile are (tap, channel), its registers are outputs.
"""

from __future__ import annotations

from llvmlite import ir

from ..emit import Kernel, element, first_lanes, i64, loop, store
from ..machine import Machine
from .image_layout import transpose
from .sums import Band, WeightGradient, WeightPlan, WeightSums
from .tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles


class DirectWeightPlan(WeightPlan):
    def summed(self) -> int:
        return self.shape.groups * self.shape.taps * self.shape.channels * self.padded_outputs


class DirectWeight(WeightSums):
    plan: DirectWeightPlan

    def __init__(self, builder: Kernel, machine: Machine, problem: WeightGradient):
        super().__init__(builder, machine, problem)
        vectors = block_vectors(machine, problem.dtype, problem.shape.outputs)
        self.plan = DirectWeightPlan(problem, self.kind.lanes, vectors)

    def add(self, band: Band) -> None:
        """To the sums [group][tap][channel][output]."""
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        rows, columns = plan.rows, plan.columns
        per_tap = shape.channels * plan.padded_outputs
        axes = [
            Axis(rows.taps, rows.tap_step * band.pitch, columns.taps * per_tap),
            Axis(columns.taps, columns.tap_step * plan.x_channels, per_tap),
            Axis(shape.channels, 1, plan.padded_outputs),
        ]
        terms = [
            Term(band.images if plan.images > 1 else 1, band.x_step, band.g_step),
            Term(band.rows, rows.source_step * band.pitch, plan.across * plan.g_channels),
            Term(plan.across, columns.source_step * plan.x_channels, plan.g_channels),
        ]
        with loop(b, 0, shape.groups * plan.blocks) as unit:
            group, block = b.sdiv(unit, i64(plan.blocks)), b.srem(unit, i64(plan.blocks))
            inside = b.mul(block, i64(plan.block))
            outputs = element(b, band.g, b.add(b.mul(group, i64(shape.outputs)), inside), kind.scalar)
            source = element(b, band.x, b.mul(group, i64(shape.channels)), kind.scalar)
            at = b.add(b.mul(group, i64(shape.taps * per_tap)), inside)
            sums = element(b, self.sums, at, kind.scalar)
            mask = None
            if plan.g_direct and shape.outputs % plan.lanes:
                left = b.sub(i64(shape.outputs - (plan.vectors - 1) * plan.lanes), inside)
                mask = first_lanes(b, left, plan.lanes)

            def body(to_x: ir.Value, to_sum: ir.Value, points: list[Point]) -> None:
                start = element(b, source, to_x, kind.scalar)
                found = summed(b, self.machine, self.problem.dtype, points, plan.vectors, terms, start, outputs, mask)
                self.accumulate(element(b, sums, to_sum, kind.scalar), points, found)

            tiles(b, axes, most_rows(self.machine, plan.vectors), body)

    def combine(self, slots: int, workers: ir.Value) -> None:
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        taps = shape.taps
        first, last = b.share(shape.groups * shape.channels)
        with loop(b, first, last) as job:
            group, channel = b.sdiv(job, i64(shape.channels)), b.srem(job, i64(shape.channels))
            row = b.add(b.mul(group, i64(taps * shape.channels)), channel)
            start = b.mul(row, i64(plan.padded_outputs))
            step = shape.channels * plan.padded_outputs
            # into the first slot, and from there into the order of the result
            with loop(b, 0, taps) as tap, loop(b, 0, plan.padded_outputs, plan.lanes) as output:
                at = b.add(start, b.add(b.mul(tap, i64(step)), output))
                store(b, self.total(at, slots, kind.register), element(b, b.scratch, at, kind.scalar))
            to = b.add(b.mul(group, i64(shape.outputs * shape.channels)), channel)
            target = element(b, self.w, b.mul(to, i64(taps)), kind.scalar)
            source = element(b, b.scratch, start, kind.scalar)
            transpose(b, kind, source, step, target, shape.channels * taps, taps, shape.outputs)

"""The weight's gradient tap by tap: a contraction over pixels.

The same as the convolution itself with other roles: rows of a tile are (tap, channel), its registers are outputs.
"""

from __future__ import annotations

from llvmlite import ir

from .convolution_sums import WeightGradient, WeightPlan, WeightSums
from .convolution_tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles
from .emit import Kernel, element, first_lanes, i64, loop, store
from .machine import Machine


class DirectWeightPlan(WeightPlan):
    def summed(self) -> int:
        return self.shape.groups * self.shape.taps * self.shape.channels * self.padded_outputs


class DirectWeight(WeightSums):
    plan: DirectWeightPlan

    def __init__(self, builder: Kernel, machine: Machine, problem: WeightGradient):
        super().__init__(builder, machine, problem)
        vectors = block_vectors(machine, problem.dtype, problem.shape.outputs)
        self.plan = DirectWeightPlan(problem, self.kind.lanes, vectors)

    def add(self, x: ir.Value, pitch: int, g: ir.Value, count: ir.Value) -> None:
        """To the sums [group][tap][channel][output]."""
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        rows, columns = plan.rows, plan.columns
        per_tap = shape.channels * plan.padded_outputs
        axes = [
            Axis(rows.taps, rows.tap_step * pitch, columns.taps * per_tap),
            Axis(columns.taps, columns.tap_step * plan.x_channels, per_tap),
            Axis(shape.channels, 1, plan.padded_outputs),
        ]
        terms = [
            Term(count, rows.source_step * pitch, plan.across * plan.g_channels),
            Term(plan.across, columns.source_step * plan.x_channels, plan.g_channels),
        ]
        with loop(b, 0, shape.groups * plan.blocks) as unit:
            group, block = b.sdiv(unit, i64(plan.blocks)), b.srem(unit, i64(plan.blocks))
            inside = b.mul(block, i64(plan.block))
            outputs = element(b, g, b.add(b.mul(group, i64(shape.outputs)), inside), kind.scalar)
            source = element(b, x, b.mul(group, i64(shape.channels)), kind.scalar)
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

    def combine(self, workers: ir.Value) -> None:
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        first, last = b.share(plan.g_channels)
        with loop(b, first, last) as output:
            group, inside = b.sdiv(output, i64(shape.outputs)), b.srem(output, i64(shape.outputs))
            start = b.add(b.mul(group, i64(shape.taps * shape.channels * plan.padded_outputs)), inside)
            with loop(b, 0, shape.channels) as channel, loop(b, 0, shape.taps) as tap:
                row = b.add(b.mul(tap, i64(shape.channels)), channel)
                value = self.total(b.add(start, b.mul(row, i64(plan.padded_outputs))), workers, kind.scalar)
                to = b.add(b.mul(output, i64(shape.channels)), channel)
                store(b, value, element(b, self.w, b.add(b.mul(to, i64(shape.taps)), tap), kind.scalar))

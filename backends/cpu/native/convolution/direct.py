"""Direct convolution: register tiles of pixels x channels that walk the taps, nothing unfolded.

In the padded source the terms of an output pixel are a few stretches of neighbours, and pixels of one row are a
constant distance apart. The weights are packed once, [tap][channel][output], in blocks of the outputs of one tile.

Source: Georganas and others, Anatomy of high-performance deep learning convolutions on SIMD architectures, 2018.
"""

from __future__ import annotations

from llvmlite import ir

from ..emit import Kernel, element, i64, load, loop, smaller, store
from ..machine import Machine
from .correlation import Correlation, Correlator, Fusion, Plan
from .image_layout import Extent, clear_run, larger, transpose
from .shape import Line, Pass, covers
from .tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles

WEIGHT_BYTES = 512 * 1024  # of packed weights: with more, a second-level cache does not hold them beside an image


class DirectPlan(Plan):
    def packed(self) -> int:
        return sum(self.packed_sizes)

    @property
    def packed_sizes(self) -> list[int]:
        """Of each pass."""
        per_tap = self.c.groups * self.blocks * self.c.channels * self.block
        return [rows.taps * columns.taps * per_tap for rows, columns in self.c.passes]


class Direct(Correlator):
    plan: DirectPlan

    def __init__(self, builder: Kernel, machine: Machine, c: Correlation, fusion: Fusion | None):
        super().__init__(builder, machine, c, fusion)
        self.plan = DirectPlan(c, self.kind.lanes, block_vectors(machine, c.dtype, c.outputs))

    def pack(self) -> None:
        """[pass][group][block][tap][channel][output of the block]; what stands after the last output, nobody reads."""
        at = 0
        for one, size in zip(self.c.passes, self.plan.packed_sizes, strict=True):
            packed = element(self.b, self.b.scratch, at, self.kind.scalar)
            steps = {line.tap_delta if line.taps > 1 else None for line in one} - {None}
            if len(self.c.passes) == 1 and steps in ({1}, {-1}):
                self._pack_transposed(one, packed, 1 in steps)
            else:
                self._pack_taps(one, packed)
            at += size

    def _pack_transposed(self, one: Pass, packed: ir.Value, forwards: bool) -> None:
        """All taps, in their order or from the last to the first."""
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        taps = one[0].taps * one[1].taps
        first, last = b.share(c.groups * plan.blocks * c.channels)
        with loop(b, first, last) as job:
            channel, unit = b.srem(job, i64(c.channels)), b.sdiv(job, i64(c.channels))
            block, group = b.srem(unit, i64(plan.blocks)), b.sdiv(unit, i64(plan.blocks))
            from_ = b.add(b.mul(group, i64(c.weights.group)), b.mul(channel, i64(c.weights.channel)))
            from_ = b.add(from_, b.mul(block, i64(plan.block * c.weights.output)))
            source = element(b, self.w, from_, kind.scalar)
            step = c.channels * plan.block
            to = b.add(b.mul(unit, i64(taps * step)), b.mul(channel, i64(plan.block)))
            target = element(b, packed, to if forwards else b.add(to, i64((taps - 1) * step)), kind.scalar)
            rest = c.outputs - (plan.blocks - 1) * plan.block
            rows: int | Extent = plan.block
            if rest < plan.block:
                left = b.sub(i64(c.outputs), b.mul(block, i64(plan.block)))
                rows = Extent(smaller(b, i64(plan.block), left), rest) if plan.blocks > 1 else rest
            transpose(b, kind, source, c.weights.output, target, step if forwards else -step, rows, taps)

    def _pack_taps(self, one: Pass, packed: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        rows, columns = one
        taps = rows.taps * columns.taps
        first, last = b.share(c.groups * plan.blocks * taps)
        with loop(b, first, last) as job:
            tap, unit = b.srem(job, i64(taps)), b.sdiv(job, i64(taps))
            block, group = b.srem(unit, i64(plan.blocks)), b.sdiv(unit, i64(plan.blocks))
            down, across = b.sdiv(tap, i64(columns.taps)), b.srem(tap, i64(columns.taps))
            from_ = b.mul(group, i64(c.weights.group))
            from_ = b.add(from_, b.mul(block, i64(plan.block * c.weights.output)))
            for place, line, step in ((down, rows, c.weights.tap_row), (across, columns, 1)):
                kernel = b.add(b.mul(place, i64(line.tap_delta)), i64(line.first_tap))
                from_ = b.add(from_, b.mul(kernel, i64(step)))
            source = element(b, self.w, from_, kind.scalar)
            target = element(b, packed, b.mul(job, i64(c.channels * plan.block)), kind.scalar)
            held = smaller(b, i64(plan.block), b.sub(i64(c.outputs), b.mul(block, i64(plan.block))))
            with loop(b, 0, c.channels) as channel:
                line_of = element(b, source, b.mul(channel, i64(c.weights.channel)), kind.scalar)
                to = element(b, target, b.mul(channel, i64(plan.block)), kind.scalar)
                with loop(b, 0, held) as i:
                    value = load(b, element(b, line_of, b.mul(i, i64(c.weights.output)), kind.scalar), kind.scalar)
                    store(b, value, element(b, to, i, kind.scalar))

    def rows(self, first: ir.Value, last: ir.Value) -> None:
        """Compute target rows [first, last)."""
        b, plan, c = self.b, self.plan, self.c
        if not covers(list(c.passes), c.target):
            line = c.target[1] * plan.target_channels
            with loop(b, first, last) as row:
                at = b.mul(b.sub(b.mul(row, i64(c.target[1])), self.base_pixel), i64(plan.target_channels))
                clear_run(b, self.kind, element(b, self.base, at, self.kind.scalar), line)
        packed = 0
        for (rows, columns), size in zip(c.passes, plan.packed_sizes, strict=True):
            self._pass(rows, columns, packed, first, last)
            packed += size

    def _pass(self, rows: Line, columns: Line, packed: int, first: ir.Value, last: ir.Value) -> None:
        b, plan, c = self.b, self.plan, self.c
        across = Axis(columns.length, columns.source_step * plan.source_channels, columns.step)
        down = Axis(rows.length, rows.source_step * self.pitch, rows.step * c.target[1])
        most = most_rows(self.machine, plan.vectors)
        whole = plan.bands * plan.chunks == 1 and 2 * columns.length <= most
        low, high = (i64(0), i64(1)) if whole else self.steps(rows, first, last)

        def units(t: ir.Value, unit: ir.Value) -> None:
            a = b.mul(b.sub(b.add(b.mul(t, i64(rows.source_step)), i64(rows.origin)), self.top), i64(self.pitch))
            a = b.add(a, i64((columns.origin - self.left) * plan.source_channels))
            pixel = b.add(b.mul(t, i64(rows.step * c.target[1])), i64(rows.start * c.target[1] + columns.start))
            group, block = b.sdiv(unit, i64(plan.blocks)), b.srem(unit, i64(plan.blocks))
            a = b.add(a, b.mul(group, i64(c.channels)))
            per_unit = rows.taps * columns.taps * c.channels * plan.block
            panel = b.add(b.mul(unit, i64(per_unit)), i64(packed))
            taps: int | ir.Value = rows.taps
            if c.skips and not whole and not (rows.origin >= 0 and rows.last_source < c.source[0]):
                skipped, taps = self._real_taps(rows, t)
                a = b.add(a, b.mul(skipped, i64(rows.tap_step * self.pitch)))
                panel = b.add(panel, b.mul(skipped, i64(columns.taps * c.channels * plan.block)))

            def body(to_a: ir.Value, to_pixel: ir.Value, points: list[Point]) -> None:
                place = b.add(pixel, to_pixel)
                self._tile(rows, columns, taps, b.add(a, to_a), panel, place, group, block, points)

            tiles(b, [down, across] if whole else [across], most, body)

        # all weights for one row, or all rows for one block of weights: the larger stays where it is
        if plan.packed_bytes > WEIGHT_BYTES:
            with loop(b, 0, c.groups * plan.blocks) as unit, loop(b, low, high) as t:
                units(t, unit)
        else:
            with loop(b, low, high) as t, loop(b, 0, c.groups * plan.blocks) as unit:
                units(t, unit)

    def _real_taps(self, line: Line, t: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The first tap of position ``t`` that meets the source, and how many do."""
        b, step = self.b, i64(line.tap_step)
        at = b.add(b.mul(t, i64(line.source_step)), i64(line.origin))
        # truncation towards zero is of no matter where the quotient is not positive
        first = larger(b, b.sdiv(b.sub(i64(line.tap_step - 1), at), step), i64(0))
        end = smaller(b, b.sdiv(b.sub(i64(self.c.source[0] - 1 + line.tap_step), at), step), i64(line.taps))
        return first, b.sub(end, first)

    def _tile(
        self,
        rows: Line,
        columns: Line,
        taps: int | ir.Value,
        a: ir.Value,
        panel: ir.Value,
        pixel: ir.Value,
        group: ir.Value,
        block: ir.Value,
        points: list[Point],
    ) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        per_tap = c.channels * plan.block
        terms = [
            Term(taps, rows.tap_step * self.pitch, columns.taps * per_tap),
            Term(columns.taps, columns.tap_step * plan.source_channels, per_tap),
            Term(c.channels, 1, plan.block),
        ]
        source = element(b, self.origin, a, kind.scalar)
        weights = element(b, b.scratch, panel, kind.scalar)
        sums = summed(b, self.machine, c.dtype, points, plan.vectors, terms, source, weights)
        inside = b.mul(block, i64(plan.block))
        first = b.add(b.mul(group, i64(c.outputs)), inside)
        base = self.address(pixel, first)
        for v in range(plan.vectors):
            in_group, channel = (b.add(start, i64(v * plan.lanes)) for start in (inside, first))
            mask = self.lanes_mask(in_group)
            bias = self.bias_of(channel, mask)
            for point, values in zip(points, sums, strict=True):
                place = element(b, base, point.c * plan.target_channels + v * plan.lanes, kind.scalar)
                self.finish(values[v], bias, place, b.add(pixel, i64(point.c)), channel, mask)

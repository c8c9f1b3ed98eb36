"""Convolution by Winograd's algorithm, for 3 x 3 kernels at stride 1: 16 matrix products on transformed tiles.

A thread takes a few rows of tiles at a time: transforms their sources, multiplies, transforms back. What it keeps on
the way stays in its second-level cache.
"""

from __future__ import annotations

from itertools import product

from llvmlite import ir

from ..ahead import Ahead
from ..emit import Kernel, element, i64, load, loop, smaller, store
from ..machine import Machine
from . import filtering as winograd
from .correlation import Correlation, Correlator, Fusion, Plan
from .filtering import POINTS
from .tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles

TILES = 48  # of a block of tiles: enough for a matrix product, few enough for the cache
LEAST_CHANNELS = 16
LEAST_COLUMNS = 6  # tiles in a row of them: with fewer, products of few rows would waste what is saved
LEAST_TILES = 64  # in all images: with fewer, transforming the weights costs more than it saves
SKEW = 16  # elements, so that the 16 products do not compete for one place in the cache


def suits(c: Correlation) -> bool:
    """Whether this is the fastest way."""
    if len(c.passes) != 1 or c.groups > 1:
        return False
    rows, columns = c.passes[0]
    for line in (rows, columns):
        if (line.step, line.source_step, line.taps, line.tap_step) != (1, 1, 3, 1):
            return False
    if (rows.length, columns.length) != c.target or c.n * columns.length * rows.length < 4 * LEAST_TILES:
        return False
    return min(c.channels, c.outputs) >= LEAST_CHANNELS and columns.length >= 2 * LEAST_COLUMNS


class WinogradPlan(Plan):
    def __init__(self, c: Correlation, lanes: int, vectors: int):
        across = -(-c.target[1] // 2)
        pieces = -(-across // TILES)
        self.across = across
        self.columns = -(-across // pieces)  # tiles of a block, and rows of them
        self.pieces = pieces
        self.rows = min(max(1, TILES // self.columns), -(-c.target[0] // 2))
        self.tiles = self.rows * self.columns
        self.channel_pitch = -(-c.channels // lanes) * lanes
        super().__init__(c, lanes, vectors, 2)

    @property
    def output_pitch(self) -> int:
        return self.blocks * self.block

    @property
    def source_step(self) -> int:
        """From one point's transformed sources to the next's."""
        return self.tiles * self.channel_pitch + SKEW

    @property
    def product_step(self) -> int:
        return self.tiles * self.output_pitch + SKEW

    @property
    def weight_step(self) -> int:
        return self.output_pitch * self.c.channels

    def packed(self) -> int:
        return POINTS * self.weight_step

    def workspace(self) -> int:
        return POINTS * (self.source_step + self.product_step)


class Winograd(Correlator):
    plan: WinogradPlan
    ahead: Ahead

    def __init__(self, builder: Kernel, machine: Machine, c: Correlation, fusion: Fusion | None):
        super().__init__(builder, machine, c, fusion)
        plan = self.plan = WinogradPlan(c, self.kind.lanes, block_vectors(machine, c.dtype, c.outputs))
        turns = plan.pieces * POINTS * plan.blocks  # of the products' loop for some rows of tiles
        groups = -(-(plan.units // plan.bands // plan.chunks) // plan.rows) * plan.chunks
        self.ahead = Ahead(builder, plan.next_source, groups * turns)
        self.results_ahead = Ahead(builder, plan.results(2 * plan.rows), turns, written=True)

    def pack(self) -> None:
        """Transformed weights, [point][block][channel][output of the block], zeros after the last output."""
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        rows, columns = c.passes[0]
        # taps of one channel for a block's outputs, side by side as registers need them
        with b.goto_entry_block():
            beside = b.alloca(kind.scalar, 9 * plan.block)
        first, last = b.share(plan.blocks * c.channels)
        with loop(b, first, last) as job:
            block, channel = b.sdiv(job, i64(c.channels)), b.srem(job, i64(c.channels))
            with loop(b, 0, plan.block) as i:
                # beyond the last output stands what the last one's weights are, which nobody reads
                output = smaller(b, b.add(b.mul(block, i64(plan.block)), i), i64(c.outputs - 1))
                at = b.add(b.mul(output, i64(c.weights.output)), b.mul(channel, i64(c.weights.channel)))
                source = element(b, self.w, at, kind.scalar)
                for tap, (y, x) in enumerate(product(range(3), range(3))):
                    down, across = rows.first_tap + y * rows.tap_delta, columns.first_tap + x * columns.tap_delta
                    value = load(b, element(b, source, down * c.weights.tap_row + across, kind.scalar), kind.scalar)
                    store(b, value, element(b, beside, b.add(i, i64(tap * plan.block)), kind.scalar))
            with loop(b, 0, plan.block, plan.lanes) as i:
                taps = [
                    load(b, element(b, beside, b.add(i, i64(tap * plan.block)), kind.scalar), kind.register)
                    for tap in range(9)
                ]
                to = element(b, b.scratch, b.add(b.mul(job, i64(plan.block)), i), kind.scalar)
                square = [taps[3 * y : 3 * y + 3] for y in range(3)]
                for point, value in enumerate(winograd.both_ways(b, winograd.weight, square)):
                    store(b, value, element(b, to, point * plan.weight_step, kind.scalar))

    def rows(self, first: ir.Value, last: ir.Value) -> None:
        b, plan = self.b, self.plan
        self.sources = self.workspace
        self.products = element(b, self.workspace, POINTS * plan.source_step, self.kind.scalar)
        rows_of_tiles = b.sdiv(b.add(b.sub(last, first), i64(1)), i64(2))
        with loop(b, 0, rows_of_tiles, plan.rows) as tile_row, loop(b, 0, plan.pieces) as piece:
            held = smaller(b, i64(plan.rows), b.sub(rows_of_tiles, tile_row))
            row = b.add(first, b.mul(tile_row, i64(2)))
            self.results_ahead.start(self.result_of(row))
            # the last piece overlaps the one before, so that all are of one width
            column = smaller(b, b.mul(piece, i64(plan.columns)), i64(plan.across - plan.columns))
            column = b.mul(column, i64(2))
            self._sources(row, column, held)
            self._products(held)
            self._results(row, column, held)

    def _sources(self, row: ir.Value, column: ir.Value, held: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        rows, columns = c.passes[0]
        at = b.mul(b.sub(b.add(row, i64(rows.origin)), self.top), i64(self.pitch))
        at = b.add(at, b.mul(b.add(column, i64(columns.origin - self.left)), i64(plan.source_channels)))
        base = element(b, self.origin, at, kind.scalar)
        with loop(b, 0, held) as r, loop(b, 0, plan.columns) as t, loop(b, 0, c.channels, plan.lanes) as i:
            # the last register overlaps the one before
            channel = smaller(b, i, i64(c.channels - plan.lanes))
            at = b.add(b.mul(r, i64(2 * self.pitch)), b.mul(t, i64(2 * plan.source_channels)))
            corner = element(b, base, b.add(at, channel), kind.scalar)
            tile = [
                [
                    load(b, element(b, corner, y * self.pitch + x * plan.source_channels, kind.scalar), kind.register)
                    for x in range(4)
                ]
                for y in range(4)
            ]
            place = b.add(b.mul(self._tile(r, t), i64(plan.channel_pitch)), channel)
            to = element(b, self.sources, place, kind.scalar)
            for point, value in enumerate(winograd.both_ways(b, winograd.source, tile)):
                store(b, value, element(b, to, point * plan.source_step, kind.scalar))

    def _tile(self, r: ir.Value, t: ir.Value) -> ir.Value:
        return self.b.add(self.b.mul(r, i64(self.plan.columns)), t)

    def _products(self, held: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        axes = [
            Axis(held, plan.columns * plan.channel_pitch, plan.columns * plan.output_pitch),
            Axis(plan.columns, plan.channel_pitch, plan.output_pitch),
        ]
        terms = [Term(c.channels, 1, plan.block)]
        with loop(b, 0, POINTS) as point, loop(b, 0, plan.blocks) as block:
            self.ahead.step()
            self.results_ahead.step()
            sources = element(b, self.sources, b.mul(point, i64(plan.source_step)), kind.scalar)
            panel = b.add(b.mul(point, i64(plan.weight_step)), b.mul(block, i64(c.channels * plan.block)))
            weights = element(b, b.scratch, panel, kind.scalar)
            to = b.add(b.mul(point, i64(plan.product_step)), b.mul(block, i64(plan.block)))
            products = element(b, self.products, to, kind.scalar)

            def body(a: ir.Value, place: ir.Value, points: list[Point]) -> None:
                start = element(b, sources, a, kind.scalar)
                sums = summed(b, self.machine, c.dtype, points, plan.vectors, terms, start, weights)
                base = element(b, products, place, kind.scalar)
                for where, values in zip(points, sums, strict=True):
                    for v, value in enumerate(values):
                        store(b, value, element(b, base, where.c + v * plan.lanes, kind.scalar))

            tiles(b, axes, most_rows(self.machine, plan.vectors), body)

    def _results(self, row: ir.Value, column: ir.Value, held: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        height, width = c.target
        with loop(b, 0, held) as r, loop(b, 0, plan.columns) as t, loop(b, 0, c.outputs, plan.lanes) as channel:
            place = b.add(b.mul(self._tile(r, t), i64(plan.output_pitch)), channel)
            products = element(b, self.products, place, kind.scalar)
            points = [
                load(b, element(b, products, point * plan.product_step, kind.scalar), kind.register)
                for point in range(POINTS)
            ]
            tile = [points[4 * i : 4 * i + 4] for i in range(4)]
            values = winograd.both_ways(b, winograd.result, tile)
            mask = self.lanes_mask(channel)
            bias = self.bias_of(channel, mask)
            top, left = b.add(row, b.mul(r, i64(2))), b.add(column, b.mul(t, i64(2)))
            corner = b.add(b.mul(top, i64(width)), left)
            base = self.address(corner, channel)
            for i, value in enumerate(values):
                down, across = divmod(i, 2)
                inside = None
                if down and height % 2:
                    inside = b.icmp_signed("<", b.add(top, i64(1)), i64(height))
                if across and width % 2:
                    fits = b.icmp_signed("<", b.add(left, i64(1)), i64(width))
                    inside = fits if inside is None else b.and_(inside, fits)
                pixel = b.add(corner, i64(down * width + across))
                to = element(b, base, (down * width + across) * plan.target_channels, kind.scalar)
                if inside is None:
                    self.finish(value, bias, to, pixel, channel, mask)
                else:
                    with b.if_then(inside):
                        self.finish(value, bias, to, pixel, channel, mask)

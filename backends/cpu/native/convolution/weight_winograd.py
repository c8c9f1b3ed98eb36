"""The weight's gradient by Winograd's algorithm, for 3 x 3 kernels at stride 1: 16 products summed over tiles."""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from ..ahead import Ahead
from ..emit import Kernel, element, i64, load, loop, smaller, store
from ..machine import Machine
from . import filtering as winograd
from .filtering import POINTS
from .image_layout import transpose
from .shape import Shape
from .sums import Band, WeightGradient, WeightPlan, WeightSums
from .tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles
from .winograd import LEAST_CHANNELS, LEAST_COLUMNS, LEAST_TILES, SKEW

TILES = 48  # summed at once: enough to hide that sums are loaded and stored, few enough for the cache
MOST_TILES, SUMS_BYTES = 128, 1024 * 1024


def suits(shape: Shape) -> bool:
    """Whether this is the fastest way."""
    w = shape.windows
    if (w.kernel, w.stride, w.dilation) != ((3, 3), (1, 1), (1, 1)) or shape.groups > 1:
        return False
    if shape.n * w.outputs < 4 * LEAST_TILES:
        return False
    return min(shape.channels, shape.outputs) >= LEAST_CHANNELS and 2 * LEAST_COLUMNS <= w.output[1] <= 2 * TILES


class WinogradWeightPlan(WeightPlan):
    def __init__(self, problem: WeightGradient, lanes: int, vectors: int):
        height, width = problem.shape.windows.output
        self.tile_columns = -(-width // 2)
        # where the sums are in no cache, each pass through them is to be worth it
        sums = POINTS * problem.shape.channels * problem.shape.outputs * problem.dtype.itemsize
        tiles = TILES if sums <= SUMS_BYTES else MOST_TILES
        self.tile_rows = min(max(1, tiles // self.tile_columns), -(-height // 2) * problem.shape.n)
        self.tiles = self.tile_rows * self.tile_columns
        self.channel_pitch = -(-problem.shape.channels // lanes) * lanes
        super().__init__(problem, lanes, vectors, 2)

    @property
    def x_step_of_points(self) -> int:
        """From one point's transformed inputs to the next's."""
        return self.tiles * self.channel_pitch + SKEW

    @property
    def g_step_of_points(self) -> int:
        return self.tiles * self.padded_outputs + SKEW

    @property
    def sum_step(self) -> int:
        return self.shape.channels * self.padded_outputs

    def summed(self) -> int:
        return POINTS * self.sum_step

    def workspace(self) -> int:
        return POINTS * (self.x_step_of_points + self.g_step_of_points)


class Tiled(NamedTuple):
    """How square tiles of images are transformed. pitch, channels: an image's; step: from one point to the next."""

    transform: winograd.Transform
    size: int
    pitch: int
    image_step: int
    channels: int
    step: int
    target_pitch: int


class WinogradWeight(WeightSums):
    plan: WinogradWeightPlan

    def __init__(self, builder: Kernel, machine: Machine, problem: WeightGradient):
        super().__init__(builder, machine, problem)
        vectors = block_vectors(machine, problem.dtype, problem.shape.outputs)
        plan = self.plan = WinogradWeightPlan(problem, self.kind.lanes, vectors)
        groups = -(-(plan.images * plan.band_rows // 2) // plan.tile_rows)
        steps = groups * POINTS * plan.blocks
        self.ahead = tuple(Ahead(builder, wanted, steps) for wanted in plan.next_images)

    def add(self, band: Band) -> None:
        """To the sums [point][channel][output]."""
        b, plan, kind = self.b, self.plan, self.kind
        self.g_tiles = element(b, self.workspace, POINTS * plan.x_step_of_points, kind.scalar)
        g_pitch = plan.g_width * plan.g_channels
        inputs = Tiled(
            winograd.source, 4, band.pitch, band.x_step, plan.x_channels, plan.x_step_of_points, plan.channel_pitch
        )
        outputs = Tiled(
            winograd.result_transposed,
            2,
            g_pitch,
            band.g_step,
            plan.g_channels,
            plan.g_step_of_points,
            plan.padded_outputs,
        )
        rows = b.mul(b.sdiv(band.rows, i64(2)), band.images)
        with loop(b, 0, rows, plan.tile_rows) as row:
            held = smaller(b, i64(plan.tile_rows), b.sub(rows, row))
            self._transform(inputs, band.x, self.workspace, row, held)
            self._transform(outputs, band.g, self.g_tiles, row, held)
            self._products(b.mul(held, i64(plan.tile_columns)))

    def _transform(self, how: Tiled, images: ir.Value, target: ir.Value, row: ir.Value, held: ir.Value) -> None:
        """``held`` rows of tiles, counted through all images, into [point][tile][channel]."""
        b, plan, kind = self.b, self.plan, self.kind
        with loop(b, 0, held) as r:
            at = b.mul(b.add(row, r), i64(2 * how.pitch))
            if plan.images > 1:
                image, within = (f(b.add(row, r), i64(plan.band_rows // 2)) for f in (b.sdiv, b.srem))
                at = b.add(b.mul(image, i64(how.image_step)), b.mul(within, i64(2 * how.pitch)))
            with loop(b, 0, plan.tile_columns) as t, loop(b, 0, how.channels, plan.lanes) as i:
                # the last register overlaps the one before
                channel = smaller(b, i, i64(how.channels - plan.lanes))
                corner = b.add(at, b.add(b.mul(t, i64(2 * how.channels)), channel))
                pixel = element(b, images, corner, kind.scalar)
                tile = [
                    [
                        load(b, element(b, pixel, y * how.pitch + x * how.channels, kind.scalar), kind.register)
                        for x in range(how.size)
                    ]
                    for y in range(how.size)
                ]
                place = b.add(b.mul(r, i64(plan.tile_columns)), t)
                to = element(b, target, b.add(b.mul(place, i64(how.target_pitch)), channel), kind.scalar)
                for point, value in enumerate(winograd.both_ways(b, how.transform, tile)):
                    store(b, value, element(b, to, point * how.step, kind.scalar))

    def _products(self, held: ir.Value) -> None:
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        axes = [Axis(shape.channels, 1, plan.padded_outputs)]
        terms = [Term(held, plan.channel_pitch, plan.padded_outputs)]
        with loop(b, 0, POINTS) as point, loop(b, 0, plan.blocks) as block:
            for ahead in self.ahead:
                ahead.step()
            column = b.mul(block, i64(plan.block))
            x = element(b, self.workspace, b.mul(point, i64(plan.x_step_of_points)), kind.scalar)
            g = element(b, self.g_tiles, b.add(b.mul(point, i64(plan.g_step_of_points)), column), kind.scalar)
            sums = element(b, self.sums, b.add(b.mul(point, i64(plan.sum_step)), column), kind.scalar)

            def body(to_x: ir.Value, to_sum: ir.Value, points: list[Point]) -> None:
                start = element(b, x, to_x, kind.scalar)
                found = summed(b, self.machine, self.problem.dtype, points, plan.vectors, terms, start, g)
                self.accumulate(element(b, sums, to_sum, kind.scalar), points, found)

            tiles(b, axes, most_rows(self.machine, plan.vectors), body)

    def combine(self, slots: int, workers: ir.Value) -> None:
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        first, last = self.share(shape.channels, workers)
        with loop(b, first, last) as channel, loop(b, 0, shape.outputs, plan.lanes) as i:
            # the last register overlaps the one before
            output = smaller(b, i, i64(shape.outputs - plan.lanes))
            at = b.add(b.mul(channel, i64(plan.padded_outputs)), output)
            points = [
                self.total(b.add(at, i64(point * plan.sum_step)), slots, kind.register) for point in range(POINTS)
            ]
            tile = [points[4 * y : 4 * y + 4] for y in range(4)]
            for tap, value in enumerate(winograd.both_ways(b, winograd.weight_transposed, tile)):
                store(b, value, element(b, self.workspace, tap * plan.lanes, kind.scalar))
            row = b.add(b.mul(output, i64(shape.channels)), channel)
            to = element(b, self.w, b.mul(row, i64(shape.taps)), kind.scalar)
            transpose(b, kind, self.workspace, plan.lanes, to, shape.channels * shape.taps, shape.taps, plan.lanes)

"""What every kernel for a weight gradient does beside its products: threads, bands of both images, the bias.

Both images are read as NHWC, where channels and outputs of a pixel lie together. A thread sums over its images, a
band of rows at a time so that it stays in cache while all taps and channels pass. The images are divided into so many
parts, each with sums of its own, which are added in their order: a team of another size gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from ..ahead import Ahead, Stretches, rows_of_image
from ..emit import I8, Kernel, constant, element, i64, load, local, loop, smaller, store
from ..machine import Machine
from .correlation import aligned
from .image_layout import Elements, Layout, Window, clear_run, elements, fill
from .shape import Line, Shape, forward_passes
from .tiles import Point

BAND_BYTES = 512 * 1024  # of both images: in a second-level cache while all taps and channels pass


class WeightGradient(NamedTuple):
    """What one kernel computes. slots: parts of the work with sums of their own; more threads find nothing to do."""

    dtype: np.dtype
    shape: Shape
    x_layout: Layout
    g_layout: Layout
    bias: bool
    slots: int


class Band(NamedTuple):
    """What is summed at once: ``rows`` rows of the output of ``images`` images, from where their pixels begin.

    pitch, x_step, g_step: elements from one row, or image, to the next.
    """

    rows: ir.Value
    images: ir.Value
    x: ir.Value
    pitch: int
    x_step: int
    g: ir.Value
    g_step: int


class WeightPlan:
    """Bands, buffers and blocks of a weight gradient on a machine with ``lanes`` elements in a register.

    unit: rows and columns of the output that are taken together; images are continued with zeros to whole units.
    """

    def __init__(self, problem: WeightGradient, lanes: int, vectors: int, unit: int = 1):
        self.problem, self.shape, self.vectors, self.lanes, self.unit = problem, problem.shape, vectors, lanes, unit
        shape, itemsize = self.shape, problem.dtype.itemsize
        self.rows, self.columns = forward_passes(shape.windows)[0]
        self.height, self.width = shape.windows.size
        self.down, self.across = shape.windows.output
        self.block = vectors * lanes
        self.blocks = -(-shape.outputs // self.block)
        self.padded_outputs = self.blocks * self.block
        self.x_channels, self.g_channels = shape.groups * shape.channels, shape.groups * shape.outputs
        self.left, self.right = self.columns.origin, self.columns.last_source + 1 + -self.across % unit
        inside = self.rows.origin >= 0 and self.rows.last_source < self.height
        inside = inside and self.left >= 0 and self.right <= self.width
        # one tile reads a few pixels of several rows: faster from a copy made in order than from far memory
        self.x_direct = unit == 1 and inside and (problem.x_layout == "NHWC" or self.x_channels == 1)
        self.g_direct = unit == 1 and (problem.g_layout == "NHWC" or self.g_channels == 1)
        self.g_width = self.across + -self.across % unit
        per_row = self.across * self.g_channels + self.rows.source_step * (self.right - self.left) * self.x_channels
        self.band_rows = min(self.down, max(1, BAND_BYTES // (per_row * itemsize)))
        if shape.n % problem.slots and shape.n < 8 * problem.slots:
            self.band_rows = min(self.band_rows, -(-self.down * shape.n // (8 * problem.slots)))
        self.bands = -(-self.down // self.band_rows)
        self.band_rows = -(-self.down // (self.bands * unit)) * unit
        self.bands = -(-self.down // self.band_rows)
        # elements: the sums of one thread, and the outputs' own for the bias
        self.sums = self.summed()
        self.bias_sums = self.g_channels if problem.bias else 0
        self.sums_bytes = aligned((self.sums + self.bias_sums) * itemsize)
        # several small images at once, and the more the longer it takes to go through all sums
        held = max(BAND_BYTES, self.sums_bytes // 4) // (per_row * self.band_rows * itemsize)
        self.images = min(max(held, 1), -(-shape.n // problem.slots)) if self.bands == 1 else 1
        self.jobs = -(-shape.n // self.images)
        self.images = -(-shape.n // self.jobs)
        # a register may be read that begins with the last channel of the last pixel
        x_rows = self.rows.source_step * (self.band_rows - 1) + self.rows.tap_step * (self.rows.taps - 1) + 1
        self.pitch = (self.width if self.x_direct else self.right - self.left) * self.x_channels
        self.x_step = (self.height if self.x_direct else x_rows) * self.pitch
        self.g_step = (self.down if self.g_direct else self.band_rows) * self.g_width * self.g_channels
        x_elements = 0 if self.x_direct else self.images * self.x_step + 64 // itemsize
        g_elements = 0 if self.g_direct else self.images * self.g_step + 64 // itemsize
        self.x_bytes, self.g_bytes = aligned(x_elements * itemsize), aligned(g_elements * itemsize)
        self.slot_bytes = self.sums_bytes + self.x_bytes + self.g_bytes + aligned(self.workspace() * itemsize)
        self.scratch = problem.slots * self.slot_bytes

    @property
    def next_images(self) -> tuple[Stretches, Stretches]:
        """What the next band reads of both."""
        itemsize, shapes = self.problem.dtype.itemsize, ((self.height, self.width), (self.down, self.across))
        x, g = (
            rows_of_image(layout, channels, *size, itemsize, rows=-(-size[0] // self.bands), images=self.images)
            for layout, channels, size in (
                (self.problem.x_layout, self.x_channels, shapes[0]),
                (self.problem.g_layout, self.g_channels, shapes[1]),
            )
        )
        return x, g

    def summed(self) -> int:
        """Elements of a thread's sums."""
        raise NotImplementedError

    def workspace(self) -> int:
        """Elements that a thread needs beside its buffers."""
        return 0


class WeightSums:
    """Writes the kernel: each thread's bands, bias and combination; what is summed, and how, is a subclass's."""

    plan: WeightPlan
    ahead: tuple[Ahead, ...] = ()

    def __init__(self, builder: Kernel, machine: Machine, problem: WeightGradient):
        self.b, self.machine, self.problem, self.shape = builder, machine, problem, problem.shape
        self.kind: Elements = elements(machine, problem.dtype)
        self.x, self.g, self.w = builder.operands[:3]

    def emit(self) -> None:
        b, plan, problem = self.b, self.plan, self.problem
        # as many sums as the problem says, however many threads there are: they fix the order of summation
        slots = min(problem.slots, plan.jobs * plan.bands)
        workers = smaller(b, b.size, i64(slots))
        first_slot, last_slot = self.share(slots, workers)
        with loop(b, first_slot, last_slot) as slot:
            self._enter(slot)
            clear_run(b, self.kind, self.sums, plan.sums + plan.bias_sums)
            first, last = _part(b, plan.jobs * plan.bands, slot, i64(slots))
            with loop(b, first, last) as job:
                self._band(b.sdiv(job, i64(plan.bands)), b.srem(job, i64(plan.bands)))
        b.barrier()
        self._enter(b.index)
        self.combine(slots, workers)
        if problem.bias:
            self._combine_bias(slots)

    def _enter(self, slot: ir.Value) -> None:
        """Work in this slot of the scratch from here on."""
        b, plan = self.b, self.plan
        self.sums = element(b, b.scratch, b.mul(slot, i64(plan.slot_bytes)), I8)
        self.x_buffer = element(b, self.sums, plan.sums_bytes, I8)
        self.g_buffer = element(b, self.x_buffer, plan.x_bytes, I8)
        self.workspace = element(b, self.g_buffer, plan.g_bytes, I8)

    def share(self, count: int, workers: ir.Value) -> tuple[ir.Value, ir.Value]:
        """This thread's part of so many jobs: nothing if it has no slot."""
        b = self.b
        first, last = _part(b, count, b.index, workers)
        return first, b.select(b.icmp_signed("<", b.index, workers), last, first)

    def add(self, band: Band) -> None:
        """Add a band's products to the sums."""
        raise NotImplementedError

    def combine(self, slots: int, workers: ir.Value) -> None:
        """Write the result from the sums in all slots, added in their order, by so many threads."""
        raise NotImplementedError

    def _band(self, job: ir.Value, band: ir.Value) -> None:
        b, plan, kind = self.b, self.plan, self.kind
        image = b.mul(job, i64(plan.images))
        images = smaller(b, i64(plan.images), b.sub(i64(self.shape.n), image))
        first = b.mul(band, i64(plan.band_rows))
        left = b.sub(i64(plan.down), first)
        count = smaller(b, i64(plan.band_rows), left if plan.unit == 1 else b.add(left, b.srem(left, i64(plan.unit))))
        x = element(b, self.x, b.mul(image, i64(plan.x_channels * plan.height * plan.width)), kind.scalar)
        g = element(b, self.g, b.mul(image, i64(plan.g_channels * plan.down * plan.across)), kind.scalar)
        rows: Line = plan.rows
        self._ask_ahead(x, g, images, b.add(first, count))
        top = b.add(b.mul(first, i64(rows.source_step)), i64(rows.origin))
        if plan.x_direct:
            at = b.add(b.mul(top, i64(plan.pitch)), i64(plan.left * plan.x_channels))
            x = element(b, x, at, kind.scalar)
        else:
            seen = b.add(b.mul(b.sub(count, i64(1)), i64(rows.source_step)), i64(rows.tap_step * (rows.taps - 1) + 1))
            window = Window(top, seen, plan.left, plan.right)
            size = (plan.height, plan.width)
            self._copy(images, x, self.problem.x_layout, plan.x_channels, size, window, self.x_buffer, plan.x_step)
            x = self.x_buffer
        if plan.g_direct:
            g = element(b, g, b.mul(first, i64(plan.across * plan.g_channels)), kind.scalar)
        else:
            window = Window(first, count, 0, plan.g_width)
            size = (plan.down, plan.across)
            self._copy(images, g, self.problem.g_layout, plan.g_channels, size, window, self.g_buffer, plan.g_step)
            g = self.g_buffer
        if self.problem.bias:
            # several images are whole ones, whose pixels follow each other
            self._add_outputs(g, b.mul(b.mul(images, count), i64(plan.g_width)))
        self.add(Band(count, images, x, plan.pitch, plan.x_step, g, plan.g_step))

    def _ask_ahead(self, x: ir.Value, g: ir.Value, images: ir.Value, last: ir.Value) -> None:
        """From now on ask for what the band after this one reads; last: the row after this band's last."""
        b, plan = self.b, self.plan
        x_row = plan.width * (1 if self.problem.x_layout == "NCHW" else plan.x_channels)
        g_row = plan.across * (1 if self.problem.g_layout == "NCHW" else plan.g_channels)
        sizes = ((plan.height, x_row, plan.x_channels * plan.width), (plan.down, g_row, plan.g_channels * plan.across))
        for ahead, image, (height, row, whole) in zip(self.ahead, (x, g), sizes, strict=False):
            if plan.bands == 1:
                at = b.mul(images, i64(height * whole))
            else:
                at = b.mul(smaller(b, last, i64(height)), i64(row))
            ahead.start(element(b, image, at, self.kind.scalar))

    def _copy(
        self,
        images: ir.Value,
        source: ir.Value,
        layout: Layout,
        channels: int,
        size: tuple[int, int],
        window: Window,
        target: ir.Value,
        step: int,
    ) -> None:
        b, scalar = self.b, self.kind.scalar
        with loop(b, 0, images) as image:
            start = element(b, source, b.mul(image, i64(channels * size[0] * size[1])), scalar)
            to = element(b, target, b.mul(image, i64(step)), scalar)
            fill(b, self.kind, start, layout, channels, size, window, to)

    def _add_outputs(self, g: ir.Value, pixels: ir.Value) -> None:
        """Add each output's gradient over the pixels of a band to the bias's sums."""
        b, plan, kind = self.b, self.plan, self.kind
        sums = element(b, self.sums, plan.sums, kind.scalar)

        def add(at: ir.Value, register: ir.Type) -> None:
            place = element(b, sums, at, kind.scalar)
            total = local(b, register, constant(register, 0.0))
            with loop(b, 0, pixels) as pixel:
                value = element(b, g, b.add(b.mul(pixel, i64(plan.g_channels)), at), kind.scalar)
                b.store(b.fadd(b.load(total, typ=register), load(b, value, register)), total)
            store(b, b.fadd(load(b, place, register), b.load(total, typ=register)), place)

        whole = plan.g_channels // kind.lanes * kind.lanes
        with loop(b, 0, whole, kind.lanes) as i:
            add(i, kind.register)
        with loop(b, whole, plan.g_channels) as i:
            add(i, kind.scalar)

    def accumulate(self, sums: ir.Value, points: list[Point], found: list[list[ir.Value]]) -> None:
        """Add a tile's registers to the sums that begin there: partial sums round less than a single chain."""
        b, register = self.b, self.kind.register
        for point, values in zip(points, found, strict=True):
            for v, value in enumerate(values):
                place = element(b, sums, point.c + v * self.plan.lanes, self.kind.scalar)
                store(b, b.fadd(load(b, place, register), value), place)

    def total(self, at: ir.Value, slots: int, kind: ir.Type) -> ir.Value:
        """The sums at a distance from the start of each slot's, added in their order."""
        b, scalar = self.b, self.kind.scalar
        step = self.plan.slot_bytes // self.problem.dtype.itemsize
        place = local(b, kind, load(b, element(b, b.scratch, at, scalar), kind))
        with loop(b, 1, slots) as slot:
            value = load(b, element(b, b.scratch, b.add(at, b.mul(slot, i64(step))), scalar), kind)
            b.store(b.fadd(b.load(place, typ=kind), value), place)
        return b.load(place, typ=kind)

    def _combine_bias(self, slots: int) -> None:
        b, scalar = self.b, self.kind.scalar
        first, last = b.share(self.plan.g_channels)
        with loop(b, first, last) as output:
            value = self.total(b.add(i64(self.plan.sums), output), slots, scalar)
            store(b, value, element(b, b.operands[3], output, scalar))


def _part(b: Kernel, count: int, index: ir.Value, parts: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Where the part ``index`` of so many jobs begins and ends."""
    jobs = i64(count)
    return b.sdiv(b.mul(jobs, index), parts), b.sdiv(b.mul(jobs, b.add(index, i64(1))), parts)

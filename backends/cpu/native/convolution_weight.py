"""The weight's gradient of a convolution: for each tap, channel and output the sum over all pixels of x * g.

The same contraction as the convolution itself, with other roles: rows of a tile are (tap, channel), its registers
outputs, and the sum runs over pixels. Both images are read as NHWC, where channels and outputs of a pixel lie
together. Each thread sums over its images, a band of rows at a time so that a band's outputs stay in cache while all
taps and channels pass; the threads' sums are added in their order, whoever finished first.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from llvmlite import ir

from autograd_core.ops._windows import Windows

from .convolution_correlation import aligned
from .convolution_shape import Line, Shape, forward_passes, shape_of
from .convolution_tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles
from .emit import I8, Kernel, constant, element, first_lanes, i64, load, local, loop, smaller, store
from .engine import KernelSpec
from .image_layout import Elements, Layout, Window, clear_run, elements, fill
from .machine import Machine, default_threads

BAND_BYTES = 512 * 1024  # of both images: in a second-level cache while all taps and channels pass


class WeightGradient(NamedTuple):
    """What one kernel computes. slots: threads that have sums of their own; more find nothing to do."""

    dtype: np.dtype
    shape: Shape
    x_layout: Layout
    g_layout: Layout
    bias: bool
    slots: int


def convolution_weight(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    x_layout: Layout = "NCHW",
    g_layout: Layout = "NCHW",
    bias: bool = False,
    threads: int | None = None,
) -> KernelSpec:
    """The gradient of <g, x * w> with respect to w. Operands: x (N, C_in, H, W), g (N, C_out, H', W'), the result
    (C_out, C_in/groups, kH, kW) and, if ``bias``, the sums of g over images and pixels, (C_out,). threads: at most so
    many get work; by default as many as a team has.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, x_layout == g_layout == "NHWC")
    problem = WeightGradient(np.dtype(dtype), shape, x_layout, g_layout, bias, threads or default_threads())
    key = ("convolution_weight", problem)
    height, width = shape.windows.size
    x, g = n * c_in * height * width, n * c_out * shape.windows.outputs
    w = c_out * shape.channels * shape.taps
    return KernelSpec(
        f"convolution_weight_{n}x{c_in}x{height}x{width}_{c_out}_{crc32(repr(key).encode()):08x}",
        key,
        4 if bias else 3,
        lambda builder, machine: _Emitter(builder, machine, problem).emit(),
        Plan(problem, 64 // problem.dtype.itemsize, 1).scratch,
        shape.flops,
        (x + g + w) * problem.dtype.itemsize,
    )


class Plan:
    """Bands, buffers and blocks of a weight gradient on a machine with ``lanes`` elements in a register."""

    def __init__(self, problem: WeightGradient, lanes: int, vectors: int):
        self.problem, self.shape, self.vectors, self.lanes = problem, problem.shape, vectors, lanes
        shape, itemsize = self.shape, problem.dtype.itemsize
        self.rows, self.columns = forward_passes(shape.windows)[0]
        self.height, self.width = shape.windows.size
        self.down, self.across = shape.windows.output
        self.block = vectors * lanes
        self.blocks = -(-shape.outputs // self.block)
        self.padded_outputs = self.blocks * self.block
        self.x_channels, self.g_channels = shape.groups * shape.channels, shape.groups * shape.outputs
        self.left, self.right = self.columns.origin, self.columns.last_source + 1
        inside = self.rows.origin >= 0 and self.rows.last_source < self.height
        inside = inside and self.left >= 0 and self.right <= self.width
        self.x_direct = inside and (problem.x_layout == "NHWC" or self.x_channels == 1)
        self.g_direct = problem.g_layout == "NHWC" or self.g_channels == 1
        per_row = self.across * self.g_channels + self.rows.source_step * (self.right - self.left) * self.x_channels
        self.band_rows = min(self.down, max(1, BAND_BYTES // (per_row * itemsize)))
        if shape.n % problem.slots and shape.n < 8 * problem.slots:
            self.band_rows = min(self.band_rows, -(-self.down * shape.n // (8 * problem.slots)))
        self.bands = -(-self.down // self.band_rows)
        self.band_rows = -(-self.down // self.bands)
        # elements: the sums of one thread, and the outputs' own for the bias
        self.sums = shape.groups * shape.taps * shape.channels * self.padded_outputs
        self.bias_sums = self.g_channels if problem.bias else 0
        self.sums_bytes = aligned((self.sums + self.bias_sums) * itemsize)
        x_rows = self.rows.source_step * (self.band_rows - 1) + self.rows.tap_step * (self.rows.taps - 1) + 1
        x_elements = 0 if self.x_direct else x_rows * (self.right - self.left) * self.x_channels
        # a register may be read that begins with the last output of the last pixel
        g_elements = 0 if self.g_direct else self.band_rows * self.across * self.g_channels + 64 // itemsize
        self.x_bytes, self.g_bytes = aligned(x_elements * itemsize), aligned(g_elements * itemsize)
        self.slot_bytes = self.sums_bytes + self.x_bytes + self.g_bytes
        self.scratch = problem.slots * self.slot_bytes


class _Emitter:
    def __init__(self, builder: Kernel, machine: Machine, problem: WeightGradient):
        self.b, self.machine, self.problem, self.shape = builder, machine, problem, problem.shape
        self.kind: Elements = elements(machine, problem.dtype)
        vectors = block_vectors(machine, problem.dtype, problem.shape.outputs)
        self.plan = Plan(problem, self.kind.lanes, vectors)
        self.x, self.g, self.w = builder.operands[:3]

    def emit(self) -> None:
        b, plan, problem = self.b, self.plan, self.problem
        workers = smaller(b, b.size, i64(problem.slots))
        self.sums = element(b, b.scratch, b.mul(b.index, i64(plan.slot_bytes)), I8)
        self.x_buffer = element(b, self.sums, plan.sums_bytes, I8)
        self.g_buffer = element(b, self.x_buffer, plan.x_bytes, I8)
        with b.if_then(b.icmp_signed("<", b.index, workers)):
            clear_run(b, self.kind, self.sums, plan.sums + plan.bias_sums)
            jobs = i64(self.shape.n * plan.bands)
            first = b.sdiv(b.mul(jobs, b.index), workers)
            last = b.sdiv(b.mul(jobs, b.add(b.index, i64(1))), workers)
            with loop(b, first, last) as job:
                self._band(b.sdiv(job, i64(plan.bands)), b.srem(job, i64(plan.bands)))
        b.barrier()
        self._combine(workers)

    def _band(self, image: ir.Value, band: ir.Value) -> None:
        b, plan, kind, problem = self.b, self.plan, self.kind, self.problem
        first = b.mul(band, i64(plan.band_rows))
        count = smaller(b, i64(plan.band_rows), b.sub(i64(plan.down), first))
        x = element(b, self.x, b.mul(image, i64(plan.x_channels * plan.height * plan.width)), kind.scalar)
        g = element(b, self.g, b.mul(image, i64(plan.g_channels * plan.down * plan.across)), kind.scalar)
        rows: Line = plan.rows
        top = b.add(b.mul(first, i64(rows.source_step)), i64(rows.origin))
        if plan.x_direct:
            pitch = plan.width * plan.x_channels
            at = b.add(b.mul(top, i64(pitch)), i64(plan.left * plan.x_channels))
            x = element(b, x, at, kind.scalar)
        else:
            seen = b.add(b.mul(b.sub(count, i64(1)), i64(rows.source_step)), i64(rows.tap_step * (rows.taps - 1) + 1))
            window = Window(top, seen, plan.left, plan.right)
            fill(b, kind, x, problem.x_layout, plan.x_channels, (plan.height, plan.width), window, self.x_buffer)
            x, pitch = self.x_buffer, (plan.right - plan.left) * plan.x_channels
        if plan.g_direct:
            g = element(b, g, b.mul(first, i64(plan.across * plan.g_channels)), kind.scalar)
        else:
            window = Window(first, count, 0, plan.across)
            fill(b, kind, g, problem.g_layout, plan.g_channels, (plan.down, plan.across), window, self.g_buffer)
            g = self.g_buffer
        if problem.bias:
            self._add_outputs(g, b.mul(count, i64(plan.across)))
        self._taps(x, pitch, g, count)

    def _taps(self, x: ir.Value, pitch: int, g: ir.Value, count: ir.Value) -> None:
        """Add a band's products to the sums [group][tap][channel][output]."""
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
                base = element(b, sums, to_sum, kind.scalar)
                places = [
                    element(b, base, point.c + v * plan.lanes, kind.scalar)
                    for point in points
                    for v in range(plan.vectors)
                ]
                # loaded first, what was summed before arrives while the first products are computed
                before = [load(b, place, kind.register) for place in places]
                after = summed(
                    b, self.machine, self.problem.dtype, points, plan.vectors, terms, start, outputs, mask, before
                )
                for place, value in zip(places, chain.from_iterable(after), strict=True):
                    store(b, value, place)

            tiles(b, axes, most_rows(self.machine, plan.vectors), body)

    def _add_outputs(self, g: ir.Value, pixels: ir.Value) -> None:
        """Add each output's gradient over the pixels of a band to the bias's sums."""
        b, plan, kind = self.b, self.plan, self.kind
        sums = element(b, self.sums, plan.sums, kind.scalar)

        def add(at: ir.Value, register: ir.Type) -> None:
            place = element(b, sums, at, kind.scalar)
            total = local(b, register, load(b, place, register))
            with loop(b, 0, pixels) as pixel:
                value = element(b, g, b.add(b.mul(pixel, i64(plan.g_channels)), at), kind.scalar)
                b.store(b.fadd(b.load(total, typ=register), load(b, value, register)), total)
            store(b, b.load(total, typ=register), place)

        whole = plan.g_channels // kind.lanes * kind.lanes
        with loop(b, 0, whole, kind.lanes) as i:
            add(i, kind.register)
        with loop(b, whole, plan.g_channels) as i:
            add(i, kind.scalar)

    def _combine(self, workers: ir.Value) -> None:
        """Each result is the sum of the threads', in their order."""
        b, plan, shape, kind = self.b, self.plan, self.shape, self.kind
        slot = plan.slot_bytes // self.problem.dtype.itemsize

        def total(at: ir.Value) -> ir.Value:
            place = local(b, kind.scalar, constant(kind.scalar, 0.0))
            with loop(b, 0, workers) as worker:
                value = load(b, element(b, b.scratch, b.add(at, b.mul(worker, i64(slot))), kind.scalar), kind.scalar)
                b.store(b.fadd(b.load(place, typ=kind.scalar), value), place)
            return b.load(place, typ=kind.scalar)

        first, last = b.share(plan.g_channels)
        with loop(b, first, last) as output:
            group, inside = b.sdiv(output, i64(shape.outputs)), b.srem(output, i64(shape.outputs))
            start = b.add(b.mul(group, i64(shape.taps * shape.channels * plan.padded_outputs)), inside)
            with loop(b, 0, shape.channels) as channel, loop(b, 0, shape.taps) as tap:
                row = b.add(b.mul(tap, i64(shape.channels)), channel)
                value = total(b.add(start, b.mul(row, i64(plan.padded_outputs))))
                to = b.add(b.mul(output, i64(shape.channels)), channel)
                store(b, value, element(b, self.w, b.add(b.mul(to, i64(shape.taps)), tap), kind.scalar))
            if self.problem.bias:
                value = total(b.add(i64(plan.sums), output))
                store(b, value, element(b, b.operands[3], output, kind.scalar))

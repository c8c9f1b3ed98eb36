"""What every kernel for a correlation does beside its sums: threads, bands of the source, layouts, epilogues.

A band is some rows of one image's result, and what of the source they are sums over. It is copied into a padded NHWC
buffer of the thread's own, unless it lies so already. Results are written where they belong if channels come last
there, otherwise to a small buffer that is then transposed into planes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from ..ahead import Ahead, Stretches, rows_of_image
from ..emit import (
    CACHE_LINE,
    I8,
    Kernel,
    element,
    first_lanes,
    i64,
    load,
    loop,
    masked_load,
    masked_store,
    rounded_up,
    smaller,
    store,
)
from ..machine import Machine
from .image_layout import Elements, Extent, Layout, Window, elements, fill, larger, transpose
from .shape import Line, Pass

SOURCE_BYTES = 400 * 1024  # of the buffer for one band of the source: with the weights in a second-level cache
RESULT_BYTES = 32 * 1024  # of results on their way into planes

Epilogue = Callable[[Kernel, ir.Value, ir.Value, ir.Value, ir.Value | None], ir.Value]


class Fusion(NamedTuple):
    """What else happens to a result while it is in a register.

    epilogue(builder, pixel, channel, vector, mask): the vector to store in place of ``vector``, which holds one
    register of channels from ``channel`` on of output pixel ``pixel``, counted through all images; mask: the lanes that
    exist, None for all. operands: pointers that the kernel takes for it, builder.operands after the convolution's own
    and before the result. key: equal for equal epilogues.
    """

    key: Hashable
    epilogue: Epilogue
    operands: int = 0


class Weights(NamedTuple):
    """Where the weight of (group, channel, output, tap) lies: distances in elements."""

    group: int
    channel: int
    output: int
    tap_row: int


class Correlation(NamedTuple):
    """What one kernel computes; channels and outputs: of a group."""

    dtype: np.dtype
    n: int
    groups: int
    channels: int
    outputs: int
    source: tuple[int, int]
    target: tuple[int, int]
    passes: tuple[Pass, ...]
    weights: Weights
    source_layout: Layout
    target_layout: Layout
    slots: int  # threads that have a buffer; more find nothing to do
    bias: bool
    skips: bool  # taps beyond the source's first and last row, which are not terms of the sum, rather than zeros


class Plan:
    """Bands, buffers and blocks for a correlation on a machine with ``lanes`` elements in a register.

    unit: rows and columns of the target that are computed together, and may reach beyond its end by all but one.
    """

    def __init__(self, c: Correlation, lanes: int, vectors: int, unit: int = 1):
        self.c, self.lanes, self.vectors, self.unit = c, lanes, vectors, unit
        self.itemsize = c.dtype.itemsize
        self.block = vectors * lanes  # outputs of one tile
        self.blocks = -(-c.outputs // self.block)
        self.source_channels, self.target_channels = c.groups * c.channels, c.groups * c.outputs
        self.left = min((columns.origin for _, columns in c.passes), default=0)
        self.right = max((columns.last_source + 1 for _, columns in c.passes), default=0) + -c.target[1] % unit
        rows = [line for line, _ in c.passes]
        inside = all(r.origin >= 0 and r.last_source < c.source[0] for r in rows)
        inside = inside and self.left >= 0 and self.right <= c.source[1]
        # one tile reads a few pixels of several rows: faster from a copy made in order than from far memory
        self.direct = unit == 1 and inside and (c.source_layout == "NHWC" or self.source_channels == 1)
        self.planes = c.target_layout == "NCHW" and self.target_channels > 1
        self.units = -(-c.target[0] // unit)
        self.bands = self._bands()
        band_units = -(-self.units // self.bands)
        per_row = c.target[1] * self.target_channels * self.itemsize
        wanted = max(1, RESULT_BYTES // (per_row * unit), -(-lanes // (c.target[1] * unit)))
        self.chunks = -(-band_units // wanted) if self.planes else 1
        self.chunk_rows = -(-band_units // self.chunks) * unit
        # the last unit may be of a single row
        self.least_rows = max(1, (self.units // self.bands // self.chunks - 1) * unit + 1)
        # where each piece of scratch begins
        self.packed_bytes = aligned(self.packed() * self.itemsize)
        pitch = (self.right - self.left) * self.source_channels
        # a register may be read that begins at the last element
        rows_held = self._source_rows(self.bands)
        self.source_bytes = 0 if self.direct else aligned(rows_held * pitch * self.itemsize) + 64
        self.result_bytes = aligned(self.chunk_rows * per_row) if self.planes else 0
        self.slot_bytes = self.source_bytes + self.result_bytes + aligned(self.workspace() * self.itemsize)
        self.scratch = self.packed_bytes + c.slots * self.slot_bytes

    @property
    def next_source(self) -> Stretches:
        """What the next band reads."""
        rows = -(-self.c.source[0] // self.bands)
        return rows_of_image(self.c.source_layout, self.source_channels, *self.c.source, self.itemsize, rows=rows)

    def results(self, rows: int) -> Stretches:
        """Where these rows of the result are written."""
        rows = min(rows, self.c.target[0])
        return rows_of_image(self.c.target_layout, self.target_channels, *self.c.target, self.itemsize, rows=rows)

    def packed(self) -> int:
        """Elements of packed weights."""
        raise NotImplementedError

    def workspace(self) -> int:
        """Elements that a thread needs beside its buffers."""
        return 0

    def _bands(self) -> int:
        """Of one image: so many that all threads have work and the buffer stays in cache, and no more."""
        c = self.c
        bands = 1
        while bands < self.units and not self._fits(bands):
            bands += 1
        jobs = 8 * c.slots
        while c.slots > 1 and bands < self.units and c.n * bands % c.slots and c.n * bands < jobs:
            bands += 1
        return bands

    def _fits(self, bands: int) -> bool:
        pitch = (self.right - self.left) * self.source_channels * self.itemsize
        return self.direct or self._source_rows(bands) * pitch <= SOURCE_BYTES

    def _source_rows(self, bands: int) -> int:
        """Rows of the source that the longest band reads."""
        longest = 1
        for band in range(bands):
            first, last = (edge * self.units // bands * self.unit for edge in (band, band + 1))
            last = min(last, self.c.target[0])
            spans = [_source_range(line, first, last) for line, _ in self.c.passes]
            seen = [span for span in spans if span]
            if seen:
                longest = max(longest, max(end for _, end in seen) - min(start for start, _ in seen))
        return longest + self.unit - 1


def aligned(size: int) -> int:
    """The size in whole cache lines."""
    return rounded_up(size, CACHE_LINE)


def _steps(line: Line, first: int, last: int) -> tuple[int, int]:
    """Which of a line's positions lie in [first, last)."""
    bounds = (-((line.start - edge) // line.step) for edge in (first, last))
    low, high = (min(max(bound, 0), line.length) for bound in bounds)
    return low, high


def _source_range(line: Line, first: int, last: int) -> tuple[int, int] | None:
    low, high = _steps(line, first, last)
    if low >= high:
        return None
    start = line.origin + line.source_step * low
    return start, start + line.source_step * (high - 1 - low) + line.tap_step * (line.taps - 1) + 1


class Correlator:
    """Writes the kernel: bands of the source into buffers, chunks of results into planes; the sums are a subclass's."""

    plan: Plan
    ahead: Ahead | None = None

    def __init__(self, builder: Kernel, machine: Machine, c: Correlation, fusion: Fusion | None):
        self.b, self.machine, self.c, self.fusion = builder, machine, c, fusion
        self.kind: Elements = elements(machine, c.dtype)
        self.source, self.w, *rest = builder.operands
        self.bias = rest[0] if c.bias else None
        self.target = rest[-1]

    def pack(self) -> None:
        """Write the packed weights to the start of the scratch, shared among all threads."""
        raise NotImplementedError

    def rows(self, first: ir.Value, last: ir.Value) -> None:
        """Compute target rows [first, last) of the image whose source begins at ``origin``."""
        raise NotImplementedError

    def emit(self) -> None:
        b, plan, c = self.b, self.plan, self.c
        self.pack()
        b.barrier()
        buffers = element(b, b.scratch, plan.packed_bytes, I8)
        self.buffer = element(b, buffers, b.mul(b.index, i64(plan.slot_bytes)), I8)
        self.results = element(b, self.buffer, plan.source_bytes, I8)
        self.workspace = element(b, self.results, plan.result_bytes, I8)
        workers = smaller(b, b.size, i64(c.slots))
        jobs = b.select(b.icmp_signed("<", b.index, workers), i64(c.n * plan.bands), i64(0))
        first = b.sdiv(b.mul(jobs, b.index), workers)
        last = b.sdiv(b.mul(jobs, b.add(b.index, i64(1))), workers)
        with loop(b, first, last) as job:
            self._band(b.sdiv(job, i64(plan.bands)), b.srem(job, i64(plan.bands)))

    def _band(self, image: ir.Value, band: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        first, last = self._part(i64(0), i64(c.target[0]), band, plan.bands)
        at = element(b, self.source, b.mul(image, i64(plan.source_channels * c.source[0] * c.source[1])), kind.scalar)
        if plan.direct:
            self.origin, self.top, self.pitch = at, i64(0), c.source[1] * plan.source_channels
            self.left = 0
        else:
            self.top, bottom = self._source_rows(first, last)
            if self.ahead is not None:
                self.ahead.start(self._after(at, bottom))
            seen = b.add(b.sub(bottom, self.top), i64(plan.unit - 1))
            window = Window(self.top, seen, plan.left, plan.right)
            fill(b, kind, at, c.source_layout, plan.source_channels, c.source, window, self.buffer)
            self.origin, self.pitch = self.buffer, (plan.right - plan.left) * plan.source_channels
            self.left = plan.left
        area = c.target[0] * c.target[1]
        self.image_pixel = b.mul(image, i64(area))
        if not plan.planes:
            start = b.mul(self.image_pixel, i64(plan.target_channels))
            self.base, self.base_pixel = element(b, self.target, start, kind.scalar), i64(0)
            self.rows(first, last)
            return
        with loop(b, 0, plan.chunks) as chunk:
            low, high = self._part(first, last, chunk, plan.chunks)
            self.base, self.base_pixel = self.results, b.mul(low, i64(c.target[1]))
            self.rows(low, high)
            start = b.add(b.mul(image, i64(area * plan.target_channels)), self.base_pixel)
            pixels = Extent(b.mul(b.sub(high, low), i64(c.target[1])), plan.least_rows * c.target[1])
            planes = element(b, self.target, start, kind.scalar)
            transpose(b, kind, self.results, plan.target_channels, planes, area, pixels, plan.target_channels)

    def _after(self, image: ir.Value, bottom: ir.Value) -> ir.Value:
        """Where the rows begin that the next band of the source starts with, which may be of the next image."""
        b, plan, (height, width) = self.b, self.plan, self.c.source
        if plan.bands == 1:
            return element(b, image, height * width * plan.source_channels, self.kind.scalar)
        row = width if self.c.source_layout == "NCHW" else width * plan.source_channels
        return element(b, image, b.mul(smaller(b, bottom, i64(height)), i64(row)), self.kind.scalar)

    def result_of(self, row: ir.Value) -> ir.Value:
        """Where the results of a row of the present image will be."""
        b, plan, width = self.b, self.plan, self.c.target[1]
        image = b.mul(self.image_pixel, i64(plan.target_channels))
        at = b.mul(row, i64(width if plan.planes else width * plan.target_channels))
        return element(b, self.target, b.add(image, at), self.kind.scalar)

    def _part(self, first: ir.Value, last: ir.Value, index: ir.Value, count: int) -> tuple[ir.Value, ir.Value]:
        """Part ``index`` of ``count`` of the rows [first, last), in whole units."""
        b, unit = self.b, i64(self.plan.unit)
        units = b.sdiv(b.add(b.sub(last, first), i64(self.plan.unit - 1)), unit)
        edges = (b.mul(b.sdiv(b.mul(edge, units), i64(count)), unit) for edge in (index, b.add(index, i64(1))))
        low, high = (smaller(b, b.add(first, edge), last) for edge in edges)
        return low, high

    def _source_rows(self, first: ir.Value, last: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The rows [top, bottom) of the source that target rows [first, last) read."""
        b = self.b
        top, bottom = i64(2**62), i64(-(2**62))
        for line in {rows for rows, _ in self.c.passes}:
            low, high = self.steps(line, first, last)
            start = b.add(b.mul(low, i64(line.source_step)), i64(line.origin))
            end = b.add(b.mul(b.sub(high, i64(1)), i64(line.source_step)), i64(line.origin))
            end = b.add(end, i64(line.tap_step * (line.taps - 1) + 1))
            some = b.icmp_signed("<", low, high)
            top = b.select(some, smaller(b, top, start), top)
            bottom = b.select(some, larger(b, bottom, end), bottom)
        return top, bottom

    def steps(self, line: Line, first: ir.Value, last: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Which of a line's positions lie in target rows [first, last)."""
        if (line.start, line.step, line.length) == (0, 1, self.c.target[0]):
            return first, last
        b, bounds = self.b, []
        for edge in (first, last):
            # both before and after the line's start the quotient must round up: dividends are made positive
            away = b.add(b.sub(edge, i64(line.start)), i64(line.step - 1 + line.step * line.length))
            bound = b.sub(b.sdiv(larger(b, away, i64(0)), i64(line.step)), i64(line.length))
            bounds.append(smaller(b, larger(b, bound, i64(0)), i64(line.length)))
        return bounds[0], bounds[1]

    def lanes_mask(self, in_group: ir.Value) -> ir.Value | None:
        """The lanes that exist of the register that begins with that output of a group; None if all always do."""
        if self.c.outputs % self.plan.lanes == 0:
            return None
        return first_lanes(self.b, self.b.sub(i64(self.c.outputs), in_group), self.plan.lanes)

    def bias_of(self, channel: ir.Value, mask: ir.Value | None) -> ir.Value | None:
        if self.bias is None:
            return None
        address, register = element(self.b, self.bias, channel, self.kind.scalar), self.kind.register
        return load(self.b, address, register) if mask is None else masked_load(self.b, address, mask, register)

    def address(self, pixel: ir.Value, channel: ir.Value) -> ir.Value:
        """Where a result of the present image is written."""
        b = self.b
        at = b.add(b.mul(b.sub(pixel, self.base_pixel), i64(self.plan.target_channels)), channel)
        return element(b, self.base, at, self.kind.scalar)

    def finish(
        self,
        value: ir.Value,
        bias: ir.Value | None,
        place: ir.Value,
        pixel: ir.Value,
        channel: ir.Value,
        mask: ir.Value | None,
    ) -> None:
        """What remains to be done with a register of sums."""
        b = self.b
        if bias is not None:
            value = b.fadd(value, bias)
        if self.fusion is not None:
            value = self.fusion.epilogue(b, b.add(self.image_pixel, pixel), channel, value, mask)
        if mask is None:
            store(b, value, place)
        else:
            masked_store(b, value, place, mask)

"""Convolution and its input's gradient: register tiles of pixels x channels that walk the taps, nothing unfolded.

The source image is copied, a band of rows at a time, into a padded NHWC buffer of the thread's own, unless it lies so
already. There, the terms of an output pixel are a few stretches of neighbours, and pixels of one row are a constant
distance apart. The weights are packed once, [tap][channel][output], in blocks of the outputs that one tile computes.
Both directions are this one kernel, with different positions (see ``convolution_shape``) and packing.

Source: Georganas and others, Anatomy of high-performance deep learning convolutions on SIMD architectures, 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from llvmlite import ir

from autograd_core.ops._windows import Windows

from .convolution_shape import Line, Pass, Shape, covers, forward_passes, input_passes, shape_of
from .convolution_tiles import Axis, Point, Term, block_vectors, most_rows, summed, tiles
from .emit import I8, Kernel, constant, element, first_lanes, i64, load, loop, masked_load, masked_store, smaller, store
from .engine import KernelSpec
from .image_layout import Elements, Extent, Layout, Window, clear_run, elements, fill, larger, transpose
from .machine import Machine, default_threads

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


def supports(dtype: Any, n: int, c_in: int, c_out: int, windows: Windows, groups: int) -> bool:
    """Whether these kernels compute such a convolution and its gradients, and well.

    Not volumes, nor groups of fewer channels than half a register: nearly all of each register would be idle.
    """
    if np.dtype(dtype) not in (np.float32, np.float64) or len(windows.size) > 2:
        return False
    if 0 in (n, c_in, c_out, *windows.size):
        return False
    return groups == 1 or min(c_in, c_out) // groups >= 8


def convolution(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    x_layout: Layout = "NCHW",
    y_layout: Layout = "NCHW",
    bias: bool = False,
    fusion: Fusion | None = None,
    threads: int | None = None,
) -> KernelSpec:
    """y = x * w (+ b). Operands: x (N, C_in, H, W), w (C_out, C_in/groups, kH, kW), b (C_out,) if ``bias``, those of
    the fusion, y (N, C_out, H', W'). The layouts say how x and y lie in memory; w is contiguous as written.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, x_layout == y_layout == "NHWC")
    per_output = shape.channels * shape.taps
    correlation = Correlation(
        np.dtype(dtype),
        shape.n,
        groups,
        shape.channels,
        shape.outputs,
        _pair(shape.windows.size),
        _pair(shape.windows.output),
        tuple(forward_passes(shape.windows)),
        Weights(shape.outputs * per_output, shape.taps, per_output, shape.windows.kernel[1]),
        x_layout,
        y_layout,
        threads or default_threads(),
        bias,
        False,
    )
    return _spec("convolution", correlation, shape, fusion)


def convolution_input(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    g_layout: Layout = "NCHW",
    x_layout: Layout = "NCHW",
    fusion: Fusion | None = None,
    threads: int | None = None,
) -> KernelSpec:
    """The gradient of <g, x * w> with respect to x. Operands: g (N, C_out, H', W'), w, those of the fusion, and the
    result (N, C_in, H, W). An epilogue is not called for positions that no window sees: they are zero.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, g_layout == x_layout == "NHWC")
    per_output = shape.channels * shape.taps
    correlation = Correlation(
        np.dtype(dtype),
        shape.n,
        groups,
        shape.outputs,
        shape.channels,
        _pair(shape.windows.output),
        _pair(shape.windows.size),
        tuple(input_passes(shape.windows)),
        Weights(shape.outputs * per_output, per_output, shape.taps, shape.windows.kernel[1]),
        g_layout,
        x_layout,
        threads or default_threads(),
        False,
        True,
    )
    return _spec("convolution_input", correlation, shape, fusion)


def _pair(lengths: Sequence[int]) -> tuple[int, int]:
    height, width = lengths
    return height, width


def _spec(name: str, correlation: Correlation, shape: Shape, fusion: Fusion | None) -> KernelSpec:
    key = (name, correlation, fusion and (fusion.key, fusion.operands))
    operands = 3 + correlation.bias + (fusion.operands if fusion else 0)
    size, target = correlation.source, correlation.target
    sizes = f"{shape.n}x{shape.channels * shape.groups}x{size[0]}x{size[1]}_{shape.outputs * shape.groups}"
    moved = shape.n * shape.groups * (correlation.channels * size[0] * size[1])
    moved += shape.n * shape.groups * correlation.outputs * target[0] * target[1]
    moved += shape.groups * shape.channels * shape.outputs * shape.taps
    # vectors' widths differ between machines, and with them the padding of packed weights
    scratch = Plan(correlation, 64 // correlation.dtype.itemsize, 1).scratch
    return KernelSpec(
        f"{name}_{sizes}_{crc32(repr(key).encode()):08x}",
        key,
        operands,
        lambda builder, machine: _Emitter(builder, machine, correlation, fusion).emit(),
        scratch,
        shape.flops,
        moved * correlation.dtype.itemsize,
    )


# ------------------------------------------------------------------------------------------------- plan


class Plan:
    """Bands, buffers and blocks for a correlation on a machine with ``lanes`` elements in a register."""

    def __init__(self, c: Correlation, lanes: int, vectors: int):
        self.c, self.lanes, self.vectors = c, lanes, vectors
        self.itemsize = c.dtype.itemsize
        self.block = vectors * lanes  # outputs of one tile
        self.blocks = -(-c.outputs // self.block)
        self.source_channels, self.target_channels = c.groups * c.channels, c.groups * c.outputs
        self.left = min((columns.origin for _, columns in c.passes), default=0)
        self.right = max((columns.last_source + 1 for _, columns in c.passes), default=0)
        rows = [line for line, _ in c.passes]
        inside = all(r.origin >= 0 and r.last_source < c.source[0] for r in rows)
        inside = inside and self.left >= 0 and self.right <= c.source[1]
        self.direct = inside and (c.source_layout == "NHWC" or self.source_channels == 1)
        self.planes = c.target_layout == "NCHW" and self.target_channels > 1
        self.bands = self._bands()
        band_rows = -(-c.target[0] // self.bands)
        per_row = c.target[1] * self.target_channels * self.itemsize
        self.chunk_rows = max(1, RESULT_BYTES // per_row, -(-lanes // c.target[1])) if self.planes else band_rows
        self.chunks = -(-band_rows // self.chunk_rows)
        self.chunk_rows = -(-band_rows // self.chunks)
        self.least_rows = c.target[0] // self.bands // self.chunks
        # where each piece of scratch begins
        self.packed_sizes = [
            c.groups * self.blocks * rows.taps * columns.taps * c.channels * self.block for rows, columns in c.passes
        ]
        self.packed_bytes = _aligned(sum(self.packed_sizes) * self.itemsize)
        pitch = (self.right - self.left) * self.source_channels
        self.source_bytes = 0 if self.direct else _aligned(self._source_rows(self.bands) * pitch * self.itemsize)
        self.result_bytes = _aligned(self.chunk_rows * per_row) if self.planes else 0
        self.scratch = self.packed_bytes + c.slots * (self.source_bytes + self.result_bytes)

    def _bands(self) -> int:
        """Of one image: so many that all threads have work and the buffer stays in cache, and no more."""
        c = self.c
        bands = 1
        while bands < c.target[0] and not self._fits(bands):
            bands += 1
        jobs = 8 * c.slots
        while c.slots > 1 and bands < c.target[0] and c.n * bands % c.slots and c.n * bands < jobs:
            bands += 1
        return bands

    def _fits(self, bands: int) -> bool:
        pitch = (self.right - self.left) * self.source_channels * self.itemsize
        return self.direct or self._source_rows(bands) * pitch <= SOURCE_BYTES

    def _source_rows(self, bands: int) -> int:
        """Rows of the source that the longest band reads."""
        height = self.c.target[0]
        longest = 1
        for band in range(bands):
            first, last = band * height // bands, (band + 1) * height // bands
            seen = [_source_range(line, first, last) for line, _ in self.c.passes]
            seen = [span for span in seen if span]
            if seen:
                longest = max(longest, max(end for _, end in seen) - min(start for start, _ in seen))
        return longest


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _steps(line: Line, first: int, last: int) -> tuple[int, int]:
    """Which of a line's positions lie in [first, last)."""
    bounds = (-((line.start - edge) // line.step) for edge in (first, last))
    low, high = (min(max(bound, 0), line.count) for bound in bounds)
    return low, high


def _source_range(line: Line, first: int, last: int) -> tuple[int, int] | None:
    low, high = _steps(line, first, last)
    if low >= high:
        return None
    start = line.origin + line.source_step * low
    return start, start + line.source_step * (high - 1 - low) + line.tap_step * (line.taps - 1) + 1


# ------------------------------------------------------------------------------------------------- code


class _Emitter:
    def __init__(self, builder: Kernel, machine: Machine, c: Correlation, fusion: Fusion | None):
        self.b, self.machine, self.c, self.fusion = builder, machine, c, fusion
        self.kind: Elements = elements(machine, c.dtype)
        vectors = block_vectors(machine, c.dtype, c.outputs)
        self.plan = Plan(c, self.kind.lanes, vectors)
        self.source, self.w, *rest = builder.operands
        self.bias = rest[0] if c.bias else None
        self.target = rest[-1]

    def emit(self) -> None:
        b, plan, c = self.b, self.plan, self.c
        self._pack()
        b.barrier()
        buffers = element(b, b.scratch, plan.packed_bytes, I8)
        own = element(b, buffers, b.mul(b.index, i64(plan.source_bytes + plan.result_bytes)), I8)
        self.buffer, self.results = own, element(b, own, plan.source_bytes, I8)
        workers = smaller(b, b.size, i64(c.slots))
        jobs = b.select(b.icmp_signed("<", b.index, workers), i64(c.n * plan.bands), i64(0))
        first = b.sdiv(b.mul(jobs, b.index), workers)
        last = b.sdiv(b.mul(jobs, b.add(b.index, i64(1))), workers)
        with loop(b, first, last) as job:
            self._band(b.sdiv(job, i64(plan.bands)), b.srem(job, i64(plan.bands)))

    # ------------------------------------------------------------------ weights

    def _pack(self) -> None:
        """[pass][group][block][tap][channel][output of the block], zeros after the last output."""
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        at = 0
        for (rows, columns), size in zip(c.passes, plan.packed_sizes, strict=True):
            packed = element(b, b.scratch, at, kind.scalar)
            at += size
            taps = rows.taps * columns.taps
            # job: (group, block, tap)
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
                    with loop(b, held, plan.block) as i:
                        store(b, constant(kind.scalar, 0.0), element(b, to, i, kind.scalar))

    # ------------------------------------------------------------------ rows

    def _band(self, image: ir.Value, band: ir.Value) -> None:
        b, plan, c, kind = self.b, self.plan, self.c, self.kind
        first, last = (b.sdiv(b.mul(edge, i64(c.target[0])), i64(plan.bands)) for edge in (band, b.add(band, i64(1))))
        at = element(b, self.source, b.mul(image, i64(plan.source_channels * c.source[0] * c.source[1])), kind.scalar)
        if plan.direct:
            self.origin, self.top, self.pitch = at, i64(0), c.source[1] * plan.source_channels
            self.left = 0
        else:
            self.top, bottom = self._source_rows(first, last)
            window = Window(self.top, b.sub(bottom, self.top), plan.left, plan.right)
            fill(b, kind, at, c.source_layout, plan.source_channels, c.source, window, self.buffer)
            self.origin, self.pitch = self.buffer, (plan.right - plan.left) * plan.source_channels
            self.left = plan.left
        area = c.target[0] * c.target[1]
        self.image_pixel = b.mul(image, i64(area))
        if not plan.planes:
            start = b.mul(self.image_pixel, i64(plan.target_channels))
            self.base, self.base_pixel = element(b, self.target, start, kind.scalar), i64(0)
            self._rows(first, last)
            return
        with loop(b, 0, plan.chunks) as chunk:
            rows = b.sub(last, first)
            low, high = (
                b.add(first, b.sdiv(b.mul(edge, rows), i64(plan.chunks))) for edge in (chunk, b.add(chunk, i64(1)))
            )
            self.base, self.base_pixel = self.results, b.mul(low, i64(c.target[1]))
            self._rows(low, high)
            start = b.add(b.mul(image, i64(area * plan.target_channels)), self.base_pixel)
            pixels = Extent(b.mul(b.sub(high, low), i64(c.target[1])), plan.least_rows * c.target[1])
            planes = element(b, self.target, start, kind.scalar)
            transpose(b, kind, self.results, plan.target_channels, planes, area, pixels, plan.target_channels)

    def _source_rows(self, first: ir.Value, last: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The rows [top, bottom) of the source that target rows [first, last) read."""
        b = self.b
        top, bottom = i64(2**62), i64(-(2**62))
        for line in {rows for rows, _ in self.c.passes}:
            low, high = self._steps(line, first, last)
            start = b.add(b.mul(low, i64(line.source_step)), i64(line.origin))
            end = b.add(b.mul(b.sub(high, i64(1)), i64(line.source_step)), i64(line.origin))
            end = b.add(end, i64(line.tap_step * (line.taps - 1) + 1))
            some = b.icmp_signed("<", low, high)
            top = b.select(some, smaller(b, top, start), top)
            bottom = b.select(some, larger(b, bottom, end), bottom)
        return top, bottom

    def _steps(self, line: Line, first: ir.Value, last: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Which of a line's positions lie in target rows [first, last)."""
        if (line.start, line.step, line.count) == (0, 1, self.c.target[0]):
            return first, last
        b, bounds = self.b, []
        for edge in (first, last):
            # both before and after the line's start the quotient must round up: dividends are made positive
            away = b.add(b.sub(edge, i64(line.start)), i64(line.step - 1 + line.step * line.count))
            bound = b.sub(b.sdiv(larger(b, away, i64(0)), i64(line.step)), i64(line.count))
            bounds.append(smaller(b, larger(b, bound, i64(0)), i64(line.count)))
        return bounds[0], bounds[1]

    # ------------------------------------------------------------------ tiles

    def _rows(self, first: ir.Value, last: ir.Value) -> None:
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
        across = Axis(columns.count, columns.source_step * plan.source_channels, columns.step)
        down = Axis(rows.count, rows.source_step * self.pitch, rows.step * c.target[1])
        most = most_rows(self.machine, plan.vectors)
        whole = plan.bands * plan.chunks == 1 and 2 * columns.count <= most
        low, high = (i64(0), i64(1)) if whole else self._steps(rows, first, last)
        with loop(b, low, high) as t, loop(b, 0, c.groups * plan.blocks) as unit:
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
        at = b.add(b.mul(b.sub(pixel, self.base_pixel), i64(plan.target_channels)), first)
        base = element(b, self.base, at, kind.scalar)
        for v in range(plan.vectors):
            in_group, channel = (b.add(start, i64(v * plan.lanes)) for start in (inside, first))
            mask = None
            if c.outputs % plan.block:
                mask = first_lanes(b, b.sub(i64(c.outputs), in_group), plan.lanes)
            start = None
            if self.bias is not None:
                start = self._load(element(b, self.bias, channel, kind.scalar), mask)
            for point, values in zip(points, sums, strict=True):
                place = element(b, base, point.c * plan.target_channels + v * plan.lanes, kind.scalar)
                value = values[v]
                if start is not None:
                    value = b.fadd(value, start)
                if self.fusion is not None:
                    in_all = b.add(self.image_pixel, b.add(pixel, i64(point.c)))
                    value = self.fusion.epilogue(b, in_all, channel, value, mask)
                if mask is None:
                    store(b, value, place)
                else:
                    masked_store(b, value, place, mask)

    def _load(self, address: ir.Value, mask: ir.Value | None) -> ir.Value:
        register = self.kind.register
        return load(self.b, address, register) if mask is None else masked_load(self.b, address, mask, register)

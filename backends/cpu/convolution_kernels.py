"""Convolution on the CPU: padded planes in cache, register tiles over them, nothing unfolded.

An input is copied, a band of rows at a time, into planes so laid out that every tap of the kernel reads the very same
elements from another start. Along each axis a tap k reads input positions

    stride * t + dilation * k - padding  =  stride * (t + e) + r - padding,      dilation * k = stride * e + r,

so there is one plane for each residue r, padded, holding every stride-th position, and tap k reads it shifted by e.
With rows laid end to end, a tap over all outputs of a band is one run of consecutive elements; the few that wrap
round the end of a row are computed for nothing and dropped. The sum over channels and taps is then a matrix product
whose second factor is read at offsets (see ``tiles``).

The input gradient is the same with the roles of input and output exchanged, once for every residue. The weight
gradient is the dot product of each output row with each tap's run.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops import convolution as ops
from autograd_core.ops._windows import Windows
from autograd_core.primitive import Primitive

from . import volumes
from .native import eager
from .threads import shared, threads
from .tiles import (
    COLUMNS,
    DOT_TILE,
    ROWS,
    VECTOR_BYTES,
    copy_run,
    dot_tile,
    product_tile_1,
    product_tile_2,
    product_tile_3,
)

_jit = njit(nogil=True, error_model="numpy", cache=True)

CACHE_BYTES = 384 * 1024  # for the planes of one band: well within a core's second-level cache
BLOCK_ROWS, BLOCK_TAPS = 64, 576  # outputs, and taps of all channels, of a weight gradient summed at once
RATE = 80_000  # multiply-adds in a microsecond
LEAST_CHANNELS = 3  # of an input whose gradient native kernels compute: with fewer, most of each register is idle


# ------------------------------------------------------------------------------------------- layout


class Planes(NamedTuple):
    """How one array is laid out for the taps of an operation, a band of rows of windows at a time."""

    rows: int  # of windows in a band
    bands: int
    width: int  # of a plane: from one row of windows to the next
    channel: int  # elements of all planes of a channel
    layout: np.ndarray  # what ``_fill`` reads: see there
    phases: np.ndarray  # (row residue, column residue) of each plane
    taps: np.ndarray  # the start of each tap's run within a channel

    def offsets(self, channels: int) -> np.ndarray:
        """The start of the run of each tap of each channel, with room for a last tile to read past the end."""
        starts = np.arange(channels)[:, None] * self.channel + self.taps
        return np.concatenate([starts.reshape(-1), np.zeros(COLUMNS, np.int64)])


def _planes(
    size: tuple[int, ...],
    windows: tuple[int, ...],
    stride: tuple[int, ...],
    before: tuple[int, ...],
    taps: list[tuple[int, ...]],
    channel_bytes: int,
    least_bands: int,
) -> Planes:
    """taps: each one's distance, along both axes, from the start of its window in the padded input.

    channel_bytes: of one element in every channel; the band is made so small that its planes stay in cache.
    """
    phases = list(product(*(sorted({tap[axis] % stride[axis] for tap in taps}) for axis in (0, 1))))
    reach = [max(tap[axis] // stride[axis] for tap in taps) for axis in (0, 1)]
    width = windows[1] + reach[1]
    fitting = CACHE_BYTES // (channel_bytes * len(phases) * width) - reach[0]
    rows = max(fitting, 128 // width, 1)
    bands = min(max(-(-windows[0] // rows), least_bands), windows[0])
    rows = -(-windows[0] // bands)
    height = rows + reach[0]
    starts = []
    for down, across in taps:
        phase = phases.index((down % stride[0], across % stride[1]))
        starts.append((phase * height + down // stride[0]) * width + across // stride[1])
    layout = [*size, stride[0], before[0], stride[1], before[1], height, width]
    return Planes(
        rows,
        -(-windows[0] // rows),
        width,
        len(phases) * height * width,
        np.array(layout, np.int64),
        np.array(phases, np.int64),
        np.array(starts, np.int64),
    )


@_jit
def _fill(planes, start, x, x_start, channels, layout, phases, first_row):
    """Copy what the taps read for a band that begins at row ``first_row``.

    Columns of padding are never written: they are zero from the allocation on.
    """
    height, width, stride_h, before_h, stride_w, before_w, plane_height, plane_width = layout
    for c in range(channels):
        for f in range(len(phases)):
            shift = phases[f, 1] - before_w
            low = max(0, -(shift // stride_w))
            high = min(plane_width, (width - 1 - shift) // stride_w + 1)
            for q in range(first_row, first_row + plane_height):
                row = stride_h * q + phases[f, 0] - before_h
                source = x_start + (c * height + row) * width + shift
                if row < 0 or row >= height:
                    planes[start : start + plane_width] = 0
                elif stride_w == 1:
                    copy_run(planes, start + low, x, source + low, high - low)
                else:
                    for j in range(low, high):
                        planes[start + j] = x[source + stride_w * j]
                start += plane_width


@_jit
def _pack_weights(w, group_step, row_step, channel_step, taps, rows, channels, groups, bias):
    """Weights as the product tile reads them, (groups, tiles, channels * taps, ROWS), and the bias likewise."""
    tiles = (rows + ROWS - 1) // ROWS
    packed = np.zeros((groups * tiles * channels * len(taps) * ROWS), w.dtype)
    starts = np.zeros((groups * tiles * ROWS), w.dtype)
    at = 0
    for g in range(groups):
        for tile in range(tiles):
            held = min(ROWS, rows - tile * ROWS)
            for r in range(held if len(bias) else 0):
                starts[(g * tiles + tile) * ROWS + r] = bias[g * rows + tile * ROWS + r]
            for c in range(channels):
                for tap in taps:
                    source = g * group_step + tile * ROWS * row_step + c * channel_step + tap
                    for r in range(held):
                        packed[at + r] = w[source + r * row_step]
                    at += ROWS
    return packed, starts


# --------------------------------------------------------------------------- output and input gradient


@_jit
def _product_jobs(first, last, x, w, bias, y, sizes, layout, phases, offsets, place):
    """y = w * x for the bands ``first`` to ``last`` of all samples and groups.

    place: height and width of y; where the first window goes and how far apart windows are, along both axes.
    """
    groups, channels, outputs, taps, rows, bands, down, across, channel = sizes
    width = layout[-1]
    source_size = layout[0] * layout[1]
    y_height, y_width, start_h, step_h, start_w, step_w = place
    lanes = VECTOR_BYTES // x.itemsize
    full = COLUMNS * lanes
    tiles = (outputs + ROWS - 1) // ROWS
    length = (rows * width + full - 1) // full * full
    planes = np.zeros(channels * channel + length, x.dtype)
    sums = np.empty(ROWS * length, x.dtype)
    for job in range(first, last):
        image, band = job // bands, job % bands
        group = image % groups
        row = band * rows
        held = min(rows, down - row)
        run = (held - 1) * width + across
        _fill(planes, 0, x, image * channels * source_size, channels, layout, phases, row)
        for tile in range(tiles):
            at = (group * tiles + tile) * ROWS
            for p in range(0, run, full):
                left = run - p
                if left > 2 * lanes:
                    product_tile_3(sums, p, length, w, at * taps, 1, ROWS, planes, p, offsets, taps, bias, at)
                elif left > lanes:
                    product_tile_2(sums, p, length, w, at * taps, 1, ROWS, planes, p, offsets, taps, bias, at)
                else:
                    product_tile_1(sums, p, length, w, at * taps, 1, ROWS, planes, p, offsets, taps, bias, at)
            for r in range(min(ROWS, outputs - tile * ROWS)):
                plane = (image * outputs + tile * ROWS + r) * y_height
                for t in range(held):
                    target = (plane + start_h + step_h * (row + t)) * y_width + start_w
                    source = r * length + t * width
                    if step_w == 1:
                        copy_run(y, target, sums, source, across)
                    else:
                        for j in range(across):
                            y[target + step_w * j] = sums[source + j]


class ProductPlan(NamedTuple):
    """One run of ``_product_jobs``: the weights it takes, and what else it is given."""

    weights: tuple[Any, ...]  # arguments of _pack_weights between w and bias
    arrays: tuple[np.ndarray, ...]  # sizes, layout, phases, offsets, place
    jobs: int
    microseconds: float


def _product_plan(
    planes: Planes,
    windows: tuple[int, ...],
    n: int,
    groups: int,
    channels: int,
    outputs: int,
    weights: tuple[Any, ...],
    place: list[int],
) -> ProductPlan:
    offsets = planes.offsets(channels)
    taps = channels * len(planes.taps)
    sizes = [groups, channels, outputs, taps, planes.rows, planes.bands, *windows, planes.channel]
    return ProductPlan(
        weights,
        (np.array(sizes, np.int64), planes.layout, planes.phases, offsets, np.array(place, np.int64)),
        n * groups * planes.bands,
        n * groups * windows[0] * planes.width * outputs * taps / RATE,
    )


def _run_product(plan: ProductPlan, x: np.ndarray, w: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    packed, starts = _pack_weights(w, *plan.weights, bias)
    shared(_product_jobs, plan.jobs, plan.microseconds, x, packed, starts, y, *plan.arrays)


@lru_cache(maxsize=1024)
def _forward_plan(windows: Windows, groups: int, n: int, c: int, o: int, itemsize: int, sharers: int) -> ProductPlan:
    taps = [tuple(k * d for k, d in zip(tap, windows.dilation)) for tap in product(*map(range, windows.kernel))]
    channels, outputs = c // groups, o // groups
    before = tuple(pair[0] for pair in windows.padding)
    least_bands = -(-sharers // (n * groups))
    planes = _planes(windows.size, windows.output, windows.stride, before, taps, channels * itemsize, least_bands)
    per_row = channels * len(taps)
    weights = (outputs * per_row, per_row, len(taps), np.arange(len(taps)), outputs, channels, groups)
    place = [*windows.output, 0, 1, 0, 1]
    return _product_plan(planes, windows.output, n, groups, channels, outputs, weights, place)


@lru_cache(maxsize=1024)
def _input_plans(
    windows: Windows, groups: int, n: int, c: int, o: int, itemsize: int, sharers: int
) -> tuple[list[ProductPlan], bool]:
    """A plan for each class of input positions that see the same taps, and whether these are all positions.

    Padded position stride * v + r sees the taps k with dilation * k = stride * e + r, of the outputs v - e.
    """
    channels, outputs = o // groups, c // groups
    plans, seen = [], 0
    all_taps = list(enumerate(product(*map(range, windows.kernel))))
    for residues in product(*map(range, windows.stride)):
        kept = [
            (i, tuple(k * d // s for k, d, s in zip(tap, windows.dilation, windows.stride)))
            for i, tap in all_taps
            if all(k * d % s == r for k, d, s, r in zip(tap, windows.dilation, windows.stride, residues))
        ]
        before = [pair[0] for pair in windows.padding]
        first = [max(0, -((r - b) // s)) for r, b, s in zip(residues, before, windows.stride)]
        end = [(b + m - 1 - r) // s + 1 for r, b, m, s in zip(residues, before, windows.size, windows.stride)]
        count = tuple(b - a for a, b in zip(first, end))
        if not kept or min(count) < 1:
            continue
        seen += count[0] * count[1]
        furthest = [max(shift[axis] for _, shift in kept) for axis in (0, 1)]
        taps = [tuple(m - e for m, e in zip(furthest, shift)) for _, shift in kept]
        start = tuple(m - a for m, a in zip(furthest, first))
        least_bands = -(-sharers // (n * groups))
        planes = _planes(windows.output, count, (1, 1), start, taps, channels * itemsize, least_bands)
        per_row = outputs * windows.taps
        weights = (
            channels * per_row,
            windows.taps,
            per_row,
            np.array([i for i, _ in kept]),
            outputs,
            channels,
            groups,
        )
        places = [(s * a + r - b, s) for s, a, r, b in zip(windows.stride, first, residues, before)]
        place = [*windows.size, *places[0], *places[1]]
        plans.append(_product_plan(planes, count, n, groups, channels, outputs, weights, place))
    return plans, seen == windows.size[0] * windows.size[1]


# --------------------------------------------------------------------------------- weight gradient


@_jit
def _dot_jobs(first, last, x, v, w, sizes, layout, phases, offsets):
    """The weight gradient of blocks of output rows and input channels, ``first`` to ``last``.

    A unit is one band of one sample; so many units are summed in registers before a weight is touched.
    """
    samples, groups, channels, outputs, taps, rows, bands, down, across, channel = sizes[:10]
    units, block_rows, block_channels, row_blocks, channel_blocks = sizes[10:]
    width = layout[-1]
    x_size, v_size = layout[0] * layout[1], down * across
    lanes = VECTOR_BYTES // x.itemsize
    run = ((rows - 1) * width + across + lanes - 1) // lanes * lanes
    columns = (block_channels * taps + COLUMNS - 1) // COLUMNS
    x_unit, v_unit = block_channels * channel, block_rows * run
    planes = np.zeros(units * x_unit + run + lanes, x.dtype)
    lines = np.empty(units * v_unit, x.dtype)
    sums = np.empty(block_rows // ROWS * columns * DOT_TILE, x.dtype)
    for job in range(first, last):
        group = job // (row_blocks * channel_blocks)
        o = job // channel_blocks % row_blocks * block_rows
        c = job % channel_blocks * block_channels
        held_rows, held_channels = min(block_rows, outputs - o), min(block_channels, channels - c)
        held_taps = held_channels * taps
        sums[:] = 0
        lines[:] = 0
        for base in range(0, samples * bands, units):
            held = min(units, samples * bands - base)
            for u in range(held):
                image = (base + u) // bands * groups + group
                row = (base + u) % bands * rows
                x_start = (image * channels + c) * x_size
                _fill(planes, u * x_unit, x, x_start, held_channels, layout, phases, row)
                for r in range(held_rows):
                    source = (image * outputs + o + r) * v_size + row * across
                    target = u * v_unit + r * run
                    for _ in range(min(rows, down - row)):
                        copy_run(lines, target, v, source, across)
                        target += width
                        source += across
                    if rows > down - row:
                        lines[target : u * v_unit + (r + 1) * run] = 0
            for r in range(0, held_rows, ROWS):
                for k in range(0, held_taps, COLUMNS):
                    tile = (r // ROWS * columns + k // COLUMNS) * DOT_TILE
                    dot_tile(sums, tile, lines, r * run, run, v_unit, planes, x_unit, offsets, k, held, run)
        for r in range(held_rows):
            target = ((group * outputs + o + r) * channels + c) * taps
            for k in range(held_taps):
                tile = (r // ROWS * columns + k // COLUMNS) * DOT_TILE
                w[target + k] = sums[tile + r % ROWS * COLUMNS + k % COLUMNS]


class DotPlan(NamedTuple):
    """One run of ``_dot_jobs``."""

    arrays: tuple[np.ndarray, ...]  # sizes, layout, phases, offsets
    jobs: int
    microseconds: float


@lru_cache(maxsize=1024)
def _weight_plan(windows: Windows, groups: int, n: int, c: int, o: int, itemsize: int, sharers: int) -> DotPlan:
    taps = [tuple(k * d for k, d in zip(tap, windows.dilation)) for tap in product(*map(range, windows.kernel))]
    channels, outputs = c // groups, o // groups
    before = tuple(pair[0] for pair in windows.padding)
    # blocks, bands and units are chosen by sizes alone, not by threads: they fix the order of summation
    rows = min(outputs, BLOCK_ROWS)
    block = min(channels, max(BLOCK_TAPS // len(taps), 1))
    planes = _planes(windows.size, windows.output, windows.stride, before, taps, (block + rows) * itemsize, 1)
    unit_bytes = (block * planes.channel + rows * planes.rows * planes.width) * itemsize
    units = min(max(CACHE_BYTES // unit_bytes, 1), n * planes.bands)
    # smaller blocks, where there would be too few for all threads, sum the same products in the same order
    wanted = -(-2 * sharers // groups)
    while rows > ROWS and -(-outputs // rows) * -(-channels // block) < wanted:
        rows = -(-rows // (2 * ROWS)) * ROWS
    while block > 1 and -(-outputs // rows) * -(-channels // block) < wanted:
        block = -(-block // 2)
    rows = -(-rows // ROWS) * ROWS
    row_blocks, channel_blocks = -(-outputs // rows), -(-channels // block)
    sizes = [n, groups, channels, outputs, len(taps), planes.rows, planes.bands, *windows.output, planes.channel]
    sizes += [units, rows, block, row_blocks, channel_blocks]
    return DotPlan(
        (np.array(sizes, np.int64), planes.layout, planes.phases, planes.offsets(block)),
        groups * row_blocks * channel_blocks,
        n * groups * windows.output[0] * planes.width * outputs * channels * len(taps) / RATE,
    )


# --------------------------------------------------------------------------------------- overrides

_NO_BIAS = {np.dtype(t): np.zeros(0, t) for t in (np.float32, np.float64)}


def _plane(windows: Windows) -> Windows:
    """One axis as two, the first of length 1."""
    if len(windows.size) == 2:
        return windows
    before_that: tuple[Any, ...] = (1, 1, 1, (0, 0), 1, 1)
    return Windows._make((first, *field) for first, field in zip(before_that, windows))


def _suits(*arrays: np.ndarray) -> bool:
    """Whether the kernels take these: float32 or float64, and something to compute."""
    return arrays[0].dtype in _NO_BIAS and all(a.dtype == arrays[0].dtype and a.size for a in arrays)


def _is_large(n: int, weights: int, windows: Windows) -> bool:
    """Whether there may be a kernel made for these shapes."""
    return 2 * n * weights * windows.outputs >= eager.CONVOLUTION


def convolution(x: np.ndarray, w: np.ndarray, *, windows: Windows, groups: int) -> np.ndarray:
    return convolution_bias(x, w, None, windows=windows, groups=groups)


def convolution_bias(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, *, windows: Windows, groups: int
) -> np.ndarray:
    if not _suits(x, w):
        formula, operands = (ops.convolution_p, (x, w)) if b is None else (ops.convolution_bias_p, (x, w, b))
        return formula.forward(np, *operands, windows=windows, groups=groups)
    if len(windows.size) == 3:
        planes, weights = volumes.input_planes(x, windows, groups), volumes.weight_planes(w)
        y = convolution_bias(planes, weights, b, windows=volumes.across(windows), groups=groups)
        return volumes.from_output_planes(y, windows)
    n, c, o = x.shape[0], x.shape[1], w.shape[0]
    if _is_large(n, w.size, windows):
        primitive, operands = (ops.convolution_p, (x, w)) if b is None else (ops.convolution_bias_p, (x, w, b))
        y = eager.run(primitive, operands, {"windows": windows, "groups": groups})
        if y is not None:
            return y
    y = np.empty((n, o, *windows.output), x.dtype)
    plan = _forward_plan(_plane(windows), groups, n, c, o, x.itemsize, threads())
    _run_product(plan, x.ravel(), w.ravel(), _NO_BIAS[x.dtype] if b is None else b, y.reshape(-1))
    return y


def convolution_input(v: np.ndarray, w: np.ndarray, *, windows: Windows, groups: int) -> np.ndarray:
    # around the outputs lie zeros here, which an infinite weight would turn into NaN
    if not _suits(v, w) or not np.isfinite(w).all():
        return ops.convolution_input_p.forward(np, v, w, windows=windows, groups=groups)
    if len(windows.size) == 3:
        planes, weights = volumes.output_planes(v), volumes.weight_planes(w)
        x = convolution_input(planes, weights, windows=volumes.across(windows), groups=groups)
        return volumes.add_input_planes(x, windows, groups)
    n, o, c = v.shape[0], v.shape[1], w.shape[1] * groups
    if w.shape[1] >= LEAST_CHANNELS and _is_large(n, w.size, windows):
        x = eager.run(ops.convolution_input_p, (v, w), {"windows": windows, "groups": groups})
        if x is not None:
            return x
    plans, everywhere = _input_plans(_plane(windows), groups, n, c, o, v.itemsize, threads())
    x = (np.empty if everywhere else np.zeros)((n, c, *windows.size), v.dtype)
    for plan in plans:
        _run_product(plan, v.ravel(), w.ravel(), _NO_BIAS[v.dtype], x.reshape(-1))
    return x


def convolution_weight(x: np.ndarray, v: np.ndarray, *, windows: Windows, groups: int) -> np.ndarray:
    if _suits(x, v) and len(windows.size) == 3:
        planes, outputs = volumes.input_planes(x, windows, groups), volumes.output_planes(v)
        w = convolution_weight(planes, outputs, windows=volumes.across(windows), groups=groups)
        return volumes.from_weight_planes(w, windows)
    if _suits(x, v):
        n, c, o = x.shape[0], x.shape[1], v.shape[1]
        w = None
        if _is_large(n, o * c // groups * windows.taps, windows):
            w = eager.run(ops.convolution_weight_p, (x, v), {"windows": windows, "groups": groups})
        if w is None:
            plan = _weight_plan(_plane(windows), groups, n, c, o, x.itemsize, threads())
            w = np.empty((o, c // groups, *windows.kernel), x.dtype)
            shared(_dot_jobs, plan.jobs, plan.microseconds, x.ravel(), v.ravel(), w.reshape(-1), *plan.arrays)
        # dropped positions meet a zero, which an infinity in x would have turned into NaN
        if np.isfinite(w).all():
            return w
    return ops.convolution_weight_p.forward(np, x, v, windows=windows, groups=groups)


KERNELS: dict[Primitive, Kernel] = {
    ops.convolution_p: convolution,
    ops.convolution_bias_p: convolution_bias,
    ops.convolution_input_p: convolution_input,
    ops.convolution_weight_p: convolution_weight,
}

"""Pooling: maxima of windows with their places, means, and what carries gradients back.

Threads share rows of windows, or planes where elements of one plane can be met by several windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.ops._windows import Windows
from autograd_core.ops.pooling import (
    Divisor,
    avg_pool_p,
    avg_spread_p,
    max_pool_p,
    pool_gather_p,
    pool_scatter_p,
)
from autograd_core.primitive import Primitive

from ..emit import I32, I64, TYPES, Kernel, constant, element, i64, load, local, loop, splat, store, type_of, vector
from ..engine import KernelSpec
from ..indexing.strided import coordinates, distance, merged, nest, runs, table
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine
from . import means_last
from .maxima import lowest, replace
from .pooling_last import channels_together, emit_max, emit_scattered
from .window_walk import (
    Axis,
    axes,
    columns,
    each_place,
    each_tap,
    first_place,
    is_unrolled,
    lanes_for,
    rows,
    tap_values,
    taps,
)

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _key(name: str, inputs: Sequence[Located], *params: object) -> tuple:
    return (name, *((x.shape, x.dtype.name, x.strides) for x in inputs), *params)


def _bytes(*arrays: Located) -> int:
    return sum(prod(a.shape) * a.dtype.itemsize for a in arrays)


# ------------------------------------------------------------------------------------------- maxima


def _max_pool(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (x,), windows = inputs, equation.params["windows"]
    if x.dtype.name not in TYPES or x.dtype.kind == "b":
        return None
    emit = partial(_emit_max, x=x, windows=windows)
    y, index = outputs
    if not (x.contiguous and index.contiguous) and channels_together(x, index):
        if not y.contiguous and not channels_together(y):
            return None
        emit = partial(emit_max, x=x, y=y, index=index, windows=windows)
    elif not (y.contiguous and index.contiguous):
        return None
    flops = 4 * prod(outputs[0].shape) * windows.taps
    key = _key("max_pool", [x, *outputs], windows)
    spec = KernelSpec("max_pool", key, 3, emit, flops=flops, bytes=_bytes(*inputs, *outputs))
    return Lowered(spec, operands_in_order(1, 2))


def _emit_max(builder: Kernel, machine: Machine, *, x: Located, windows: Windows) -> None:
    walked = axes(windows)
    across, unroll = walked[-1], is_unrolled(walked)
    kind, lanes = type_of(x.dtype), lanes_for(machine, x.dtype)
    steps = row_major(windows.size)
    with rows(builder, walked, x.shape[:2]) as (number, plane, at):
        outer = [taps(builder, axis, window) for axis, window in zip(walked, at)]
        source = element(builder, builder.operands[0], distance(builder, plane, x.strides[:2]), kind)
        target = builder.mul(number, i64(across.output))
        first = [first_place(builder, t) for t in outer]

        def body(window: ir.Value, width: int, inside: bool) -> None:
            here = taps(builder, across, window)
            start = here.start if inside else first_place(builder, here)
            best = local(builder, vector(kind, width), lowest(x.dtype, width))
            found = local(builder, vector(I32, width), _places(builder, [*first, start], steps, across.stride, width))
            for place in each_place(builder, outer, unroll):
                row = element(builder, source, distance(builder, place, x.strides[2:-1]), kind)
                if inside and unroll:
                    begin = element(builder, row, builder.mul(here.start, i64(x.strides[-1])), kind)
                    for tap, value in tap_values(builder, kind, across, begin, x.strides[-1], width):
                        column = builder.add(here.start, i64(tap * across.dilation))
                        at = _places(builder, [*place, column], steps, across.stride, width)
                        replace(builder, x.dtype, best, found, value, at)
                else:
                    for column in each_tap(builder, here, False):
                        begin = element(builder, row, builder.mul(column, i64(x.strides[-1])), kind)
                        single = across._replace(kernel=1)
                        ((_, value),) = tap_values(builder, kind, single, begin, x.strides[-1], width)
                        at = _places(builder, [*place, column], steps, across.stride, width)
                        replace(builder, x.dtype, best, found, value, at)
            at = builder.add(target, window)
            for result, pointer, of in zip((best, found), builder.operands[1:], (kind, I32), strict=True):
                store(builder, builder.load(result, typ=vector(of, width)), element(builder, pointer, at, of))

        columns(builder, across, lanes, body)


def _places(builder: Kernel, at: Sequence[ir.Value], steps: Sequence[int], stride: int, width: int) -> ir.Value:
    """The number within a plane of the element at these positions, and of those met by the next windows."""
    first = builder.trunc(distance(builder, at, steps), I32)
    if width == 1:
        return first
    lanes = ir.Constant(ir.VectorType(I32, width), [lane * stride for lane in range(width)])
    return builder.add(splat(builder, first, width), lanes)


# ------------------------------------------------------------------------------------------- elements by place


def _gather(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    x, index = inputs
    if x.dtype.name not in TYPES or index.dtype.kind not in "iu":
        return None
    if len(merged(x.shape[2:], (x.strides[2:],))[0]) > 1:
        return Copies((0,))
    emit = partial(_emit_moved, plane=x, index=index, scatter=False)
    spec = KernelSpec("pool_gather", _key("pool_gather", inputs), 3, emit, bytes=_bytes(*inputs, *outputs))
    return Lowered(spec, operands_in_order(2))


def _scatter(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    v, index = inputs
    if v.dtype.name not in TYPES or v.dtype.kind == "b" or index.dtype.kind not in "iu":
        return None
    emit = partial(_emit_moved, plane=outputs[0], index=index, scatter=True, v=v)
    if not outputs[0].contiguous:
        if not channels_together(index, *outputs):
            return None
        emit = partial(emit_scattered, v=v, index=index, x=outputs[0])
    key = _key("pool_scatter", [*inputs, *outputs])
    spec = KernelSpec("pool_scatter", key, 3, emit, bytes=_bytes(*inputs, *outputs))
    return Lowered(spec, operands_in_order(2))


def _emit_moved(
    builder: Kernel, machine: Machine, *, plane: Located, index: Located, scatter: bool, v: Located | None = None
) -> None:
    """Elements picked from planes, or added to planes of zeros. A place outside of the plane counts as its last."""
    kind, size, dtype = type_of(plane.dtype), prod(plane.shape[2:]), plane.dtype
    if not size:
        return
    _, (steps,) = merged(plane.shape[2:], (plane.strides[2:],))
    step = steps[-1] if steps else 1
    of_result = row_major(index.shape) if v is None else v.strides
    shape, (index_steps, value_steps) = merged(index.shape[2:], (index.strides[2:], of_result[2:]))
    x, places, y = builder.operands
    whole, values = (y, x) if scatter else (x, y)
    first, last = builder.share(prod(index.shape[:2]))
    with loop(builder, first, last) as number:
        at = coordinates(builder, number, index.shape[:2])
        own = element(builder, whole, distance(builder, at, plane.strides[:2]), kind)
        if scatter:
            zero = 0.0 if dtype.kind == "f" else 0
            for start, width in runs(builder, machine.lanes(dtype), size):
                store(builder, constant(vector(kind, width), zero), element(builder, own, start, kind))
        listed = distance(builder, at, index.strides[:2])
        held = distance(builder, at, of_result[:2])
        with nest(builder, shape) as inner:
            place = builder.add(listed, distance(builder, inner, index_steps))
            place = load(builder, element(builder, places, place, type_of(index.dtype)), type_of(index.dtype))
            place = builder.zext(place, I64) if index.dtype.itemsize < 8 else place
            place = builder.select(builder.icmp_unsigned("<", place, i64(size)), place, i64(size - 1))
            chosen = element(builder, own, builder.mul(place, i64(step)), kind)
            value = element(builder, values, builder.add(held, distance(builder, inner, value_steps)), kind)
            if scatter:
                add = builder.fadd if dtype.kind == "f" else builder.add
                store(builder, add(load(builder, chosen, kind), load(builder, value, kind)), chosen)
            else:
                store(builder, load(builder, chosen, kind), value)


# ------------------------------------------------------------------------------------------- means


def _mean(name: str, emit: Callable[..., None], emit_last: Callable[..., None]) -> Lowering:
    def lowering(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
        (x,), params = inputs, equation.params
        if x.dtype not in FLOATS:
            return None
        windows, divisor = params["windows"], params["divisor"]
        written = partial(emit, x=x, windows=windows, divisor=divisor)
        images = outputs if name == "avg_spread" else (x, *outputs)
        if not all(image.contiguous for image in images) and channels_together(*images):
            written = partial(emit_last, x=x, y=outputs[0], windows=windows, divisor=divisor)
        elif not outputs[0].contiguous:
            return None
        flops = windows.taps * windows.outputs * prod(x.shape[:2])
        key = _key(name, [x, *outputs], windows, divisor)
        return Lowered(
            KernelSpec(name, key, 2, written, flops=flops, bytes=_bytes(*inputs, *outputs)), operands_in_order(1)
        )

    return lowering


class _Divisor:
    """What the sums of windows are divided by: one number, or a table for each axis."""

    def __init__(self, builder: Kernel, kind: ir.Type, divisor: Divisor):
        self.builder, self.kind, self.divisor = builder, kind, divisor
        counts = () if isinstance(divisor, int) else divisor
        self.tables = [table(builder, f"counts{i}", [float(n) for n in row], kind) for i, row in enumerate(counts)]

    def divide(self, value: ir.Value, at: Sequence[ir.Value], width: int) -> ir.Value:
        """The windows at these coordinates, and the next ones along the last axis."""
        builder, kind = self.builder, vector(self.kind, width)
        if isinstance(self.divisor, int):
            return builder.fdiv(value, constant(kind, float(self.divisor)))
        for counts, coordinate in zip(self.tables[:-1], at, strict=False):
            count = load(builder, element(builder, counts, coordinate, self.kind), self.kind)
            value = builder.fdiv(value, splat(builder, count, width))
        return builder.fdiv(value, load(builder, element(builder, self.tables[-1], at[-1], self.kind), kind))


def _emit_mean(builder: Kernel, machine: Machine, *, x: Located, windows: Windows, divisor: Divisor) -> None:
    walked = axes(windows)
    across, unroll = walked[-1], is_unrolled(walked)
    kind, lanes, counts = type_of(x.dtype), machine.lanes(x.dtype), _Divisor(builder, type_of(x.dtype), divisor)
    with rows(builder, walked, x.shape[:2]) as (number, plane, at):
        outer = [taps(builder, axis, window) for axis, window in zip(walked, at)]
        source = element(builder, builder.operands[0], distance(builder, plane, x.strides[:2]), kind)
        target = builder.mul(number, i64(across.output))

        def body(window: ir.Value, width: int, inside: bool) -> None:
            here, wide = taps(builder, across, window), vector(kind, width)
            total = local(builder, wide, constant(wide, 0.0))

            def add(value: ir.Value) -> None:
                builder.store(builder.fadd(builder.load(total, typ=wide), value), total)

            for place in each_place(builder, outer, unroll):
                row = element(builder, source, distance(builder, place, x.strides[2:-1]), kind)
                if inside and unroll:
                    begin = element(builder, row, builder.mul(here.start, i64(x.strides[-1])), kind)
                    for _, value in tap_values(builder, kind, across, begin, x.strides[-1], width):
                        add(value)
                else:
                    for column in each_tap(builder, here, False):
                        begin = element(builder, row, builder.mul(column, i64(x.strides[-1])), kind)
                        single = across._replace(kernel=1)
                        ((_, value),) = tap_values(builder, kind, single, begin, x.strides[-1], width)
                        add(value)
            value = counts.divide(builder.load(total, typ=wide), [*at, window], width)
            store(builder, value, element(builder, builder.operands[1], builder.add(target, window), kind))

        columns(builder, across, lanes, body)


def _emit_spread(builder: Kernel, machine: Machine, *, x: Located, windows: Windows, divisor: Divisor) -> None:
    """x is what the windows have; each gives its share to all its taps in a plane of zeros."""
    walked = axes(windows)
    across, kind, lanes = walked[-1], type_of(x.dtype), machine.lanes(x.dtype)
    counts, unroll = _Divisor(builder, kind, divisor), is_unrolled(walked)
    size, steps = prod(windows.size), row_major(windows.size)
    tiles = across.stride == across.kernel > 1 and across.dilation == 1  # side by side
    first, last = builder.share(prod(x.shape[:2]))
    with loop(builder, first, last) as number:
        plane = coordinates(builder, number, x.shape[:2])
        source = element(builder, builder.operands[0], distance(builder, plane, x.strides[:2]), kind)
        target = element(builder, builder.operands[1], builder.mul(number, i64(size)), kind)
        for start, width in runs(builder, lanes, size):
            store(builder, constant(vector(kind, width), 0.0), element(builder, target, start, kind))
        with nest(builder, [axis.output for axis in walked[:-1]]) as at:
            outer = [taps(builder, axis, window) for axis, window in zip(walked, at)]
            row = element(builder, source, distance(builder, at, x.strides[2:-1]), kind)

            def body(window: ir.Value, width: int, inside: bool, at: list = at, outer: list = outer) -> None:
                begin = element(builder, row, builder.mul(window, i64(x.strides[-1])), kind)
                single = Axis(across.output, 1, 1, 0, 1, across.output)
                ((_, value),) = tap_values(builder, kind, single, begin, x.strides[-1], width)
                value = counts.divide(value, [*at, window], width)
                here = taps(builder, across, window)
                for place in each_place(builder, outer, unroll):
                    line = element(builder, target, distance(builder, place, steps[:-1]), kind)
                    if tiles and width > 1:
                        _repeat(builder, value, across.kernel, element(builder, line, here.start, kind))
                        continue
                    for column in each_tap(builder, here, unroll and inside):
                        spot = element(builder, line, column, kind)
                        store(builder, builder.fadd(load(builder, spot, value.type), value), spot)

            columns(builder, across, lanes if across.stride == 1 or tiles else 1, body, once=True)


def _repeat(builder: Kernel, value: ir.Value, times: int, target: ir.Value) -> None:
    """Add each lane to ``times`` neighbours, side by side."""
    lanes, kind = value.type.count, value.type.element
    for part in range(times):
        chosen = [(part * lanes + lane) // times for lane in range(lanes)]
        mask = ir.Constant(ir.VectorType(I32, lanes), chosen)
        wide = builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)
        spot = element(builder, target, part * lanes, kind)
        store(builder, builder.fadd(load(builder, spot, value.type), wide), spot)


LOWERINGS: dict[Primitive, Lowering] = {
    max_pool_p: _max_pool,
    pool_gather_p: _gather,
    pool_scatter_p: _scatter,
    avg_pool_p: _mean("avg_pool", _emit_mean, means_last.emit_mean),
    avg_spread_p: _mean("avg_spread", _emit_spread, means_last.emit_spread),
}

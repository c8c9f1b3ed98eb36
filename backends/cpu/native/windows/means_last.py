"""Means of windows, and their gradients, of images whose channels are neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from llvmlite import ir

from autograd_core.ops._windows import Windows
from autograd_core.ops.pooling import Divisor

from ..emit import Kernel, constant, element, i64, load, local, loop, splat, store, type_of, vector
from ..indexing.strided import coordinates, distance, nest, runs, table
from ..located import Located
from ..machine import Machine
from .pooling_last import FEW, ask_for_next_rows, pixel_of, strided
from .window_walk import axes, each_place, is_unrolled, taps


class _Divisors:
    """What the sum of a window is divided by: one number, or one for each axis."""

    def __init__(self, builder: Kernel, kind: ir.Type, divisor: Divisor):
        self.builder, self.kind, self.divisor = builder, kind, divisor
        counts = () if isinstance(divisor, int) else divisor
        self.tables = [table(builder, f"counts{i}", [float(n) for n in row], kind) for i, row in enumerate(counts)]

    def of(self, at: Sequence[ir.Value]) -> list[ir.Value]:
        if isinstance(self.divisor, int):
            return [constant(self.kind, float(self.divisor))]
        places = (element(self.builder, counts, c, self.kind) for counts, c in zip(self.tables, at, strict=True))
        return [load(self.builder, place, self.kind) for place in places]


def _divided(builder: Kernel, value: ir.Value, divisors: Sequence[ir.Value], width: int) -> ir.Value:
    for divisor in divisors:
        value = builder.fdiv(value, splat(builder, divisor, width))
    return value


def emit_mean(builder: Kernel, machine: Machine, *, x: Located, y: Located, windows: Windows, divisor: Divisor) -> None:
    walked, kind = axes(windows), type_of(x.dtype)
    counts, unroll = _Divisors(builder, kind, divisor), is_unrolled(walked)
    shape = (x.shape[0], *windows.output)
    first, last = builder.share(prod(shape))
    with loop(builder, first, last) as number:
        sample, *at = coordinates(builder, number, shape)
        found = [taps(builder, axis, window) for axis, window in zip(walked, at, strict=True)]
        source = element(builder, builder.operands[0], builder.mul(sample, i64(x.strides[0])), kind)
        target = element(builder, builder.operands[1], pixel_of(builder, sample, at, y), kind)
        ask_for_next_rows(builder, walked, found, x, source)
        divisors = counts.of(at)
        for channel, width in runs(builder, machine.lanes(x.dtype), x.shape[1]):
            wide = vector(kind, width)
            total = local(builder, wide, constant(wide, 0.0))
            for place in each_place(builder, found, unroll):
                pixel = builder.add(distance(builder, place, x.strides[2:]), channel)
                value = load(builder, element(builder, source, pixel, kind), wide)
                builder.store(builder.fadd(builder.load(total, typ=wide), value), total)
            mean = _divided(builder, builder.load(total, typ=wide), divisors, width)
            store(builder, mean, element(builder, target, channel, kind))


def emit_spread(
    builder: Kernel, machine: Machine, *, x: Located, y: Located, windows: Windows, divisor: Divisor
) -> None:
    """x is what the windows have; each gives its share to all its taps in an image of zeros."""
    walked, kind, lanes = axes(windows), type_of(x.dtype), machine.lanes(x.dtype)
    counts, unroll = _Divisors(builder, kind, divisor), is_unrolled(walked)
    samples, channels, size = *x.shape[:2], prod(windows.size)
    # nobody else touches these channels of an image
    block = lanes if samples < FEW and channels % lanes == 0 else channels
    blocks = channels // block
    first, last = builder.share(samples * blocks)
    with loop(builder, first, last) as number:
        sample, part = coordinates(builder, number, (samples, blocks))
        start = builder.mul(part, i64(block))
        image = builder.add(builder.mul(sample, i64(y.strides[0])), start)
        image = element(builder, builder.operands[1], image, kind)
        with loop(builder, 0, size) as pixel:
            own = element(builder, image, builder.mul(pixel, i64(channels)), kind)
            for channel, width in runs(builder, lanes, block):
                store(builder, constant(vector(kind, width), 0.0), element(builder, own, channel, kind))
        with nest(builder, [axis.output for axis in walked]) as at:
            found = [taps(builder, axis, window) for axis, window in zip(walked, at, strict=True)]
            held = builder.add(pixel_of(builder, sample, at, x), builder.mul(start, i64(x.strides[1])))
            divisors = counts.of(at)
            for channel, width in runs(builder, lanes, block):
                from_ = builder.add(held, builder.mul(channel, i64(x.strides[1])))
                from_ = element(builder, builder.operands[0], from_, kind)
                value = _divided(builder, strided(builder, kind, from_, x.strides[1], width), divisors, width)
                for place in each_place(builder, found, unroll):
                    spot = builder.add(distance(builder, place, y.strides[2:]), channel)
                    spot = element(builder, image, spot, kind)
                    store(builder, builder.fadd(load(builder, spot, value.type), value), spot)

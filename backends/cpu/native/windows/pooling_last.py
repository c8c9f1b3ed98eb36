"""Pooling of images whose channels are neighbours: vectors of channels, which all see the same windows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from llvmlite import ir

from autograd_core.compiler.space import row_major
from autograd_core.ops._windows import Windows

from ..ahead import FIRST_LEVEL, Ahead, Stretches
from ..convolution.image_layout import Elements, elements, transpose
from ..emit import (
    F32,
    F64,
    I1,
    I32,
    I64,
    Kernel,
    constant,
    element,
    i64,
    intrinsic,
    load,
    local,
    loop,
    smaller,
    splat,
    store,
    type_of,
    vector,
)
from ..indexing.strided import coordinates, distance, nest, runs
from ..located import Located
from ..loops.accumulators import buffer
from ..machine import Machine
from .maxima import lowest, replace
from .window_walk import Axis, Taps, axes, each_place, first_place, is_unrolled, lanes_for, taps

FEW = 32  # images: threads share parts of each
MOST_ROWS, MOST_BYTES = 4, 1024  # of pixels that are asked for at a time
ROW = 1 << 14  # maxima that are put into planes at once
SHUFFLED = (F32, F64, I32, I64)  # shorter ones would need very many instructions


def channels_together(*images: Located) -> bool:
    """Whether in all of them the channels of a pixel are neighbours, and more than one."""
    return all(len(x.shape) > 2 and x.shape[1] > 1 and x.strides[1] == 1 for x in images)


def emit_max(builder: Kernel, machine: Machine, *, x: Located, y: Located, index: Located, windows: Windows) -> None:
    """The maxima, and their places within a plane. The maxima may lie plane after plane."""
    walked, kind = axes(windows), type_of(x.dtype)
    across, channels, planes = walked[-1].output, x.shape[1], not channels_together(y)
    piece = max(1, min(across, ROW // channels)) if planes else across
    row = buffer(builder, x.dtype, piece * channels) if planes else None
    shape = (x.shape[0], *windows.output[:-1])
    first, last = builder.share(prod(shape))
    with loop(builder, first, last) as number, loop(builder, 0, across, piece) as begin:
        sample, *at = coordinates(builder, number, shape)
        # the last piece overlaps the one before
        start = smaller(builder, begin, i64(across - piece))
        with loop(builder, 0, piece) as window:
            here = [*at, builder.add(start, window)]
            to = element(builder, builder.operands[2], pixel_of(builder, sample, here, index), I32)
            if row is None:
                best = element(builder, builder.operands[1], pixel_of(builder, sample, here, y), kind)
            else:
                best = element(builder, row, builder.mul(window, i64(channels)), kind)
            _windows_maxima(builder, machine, walked, x, (sample, here), best, to)
        if row is not None:
            to = element(builder, builder.operands[1], pixel_of(builder, sample, [*at, start], y), kind)
            _into_planes(builder, elements(machine, x.dtype), row, channels, to, y.strides[1], piece)


def _into_planes(
    builder: Kernel, kind: Elements, row: ir.Value, channels: int, target: ir.Value, plane: int, pixels: int
) -> None:
    if kind.scalar in SHUFFLED:
        transpose(builder, kind, row, channels, target, plane, pixels, channels)
        return
    with loop(builder, 0, channels) as channel, loop(builder, 0, pixels) as pixel:
        at = builder.add(builder.mul(pixel, i64(channels)), channel)
        value = load(builder, element(builder, row, at, kind.scalar), kind.scalar)
        at = builder.add(builder.mul(channel, i64(plane)), pixel)
        store(builder, value, element(builder, target, at, kind.scalar))


def _windows_maxima(
    builder: Kernel,
    machine: Machine,
    walked: Sequence[Axis],
    x: Located,
    window: tuple[ir.Value, Sequence[ir.Value]],
    best_of: ir.Value,
    place_of: ir.Value,
) -> None:
    """All channels of one window of a sample."""
    sample, at = window
    kind, unroll, steps = type_of(x.dtype), is_unrolled(walked), row_major(x.shape[2:])
    found = [taps(builder, axis, position) for axis, position in zip(walked, at, strict=True)]
    source = element(builder, builder.operands[0], builder.mul(sample, i64(x.strides[0])), kind)
    start = distance(builder, [first_place(builder, t) for t in found], steps)
    ask_for_next_rows(builder, walked, found, x, source)
    for channel, width in runs(builder, lanes_for(machine, x.dtype), x.shape[1]):
        best = local(builder, vector(kind, width), lowest(x.dtype, width))
        where = local(builder, vector(I32, width), splat(builder, builder.trunc(start, I32), width))
        for place in each_place(builder, found, unroll):
            pixel = builder.add(distance(builder, place, x.strides[2:]), channel)
            value = load(builder, element(builder, source, pixel, kind), vector(kind, width))
            here = splat(builder, builder.trunc(distance(builder, place, steps), I32), width)
            replace(builder, x.dtype, best, where, value, here)
        for result, target, of in ((best, best_of, kind), (where, place_of, I32)):
            store(builder, builder.load(result, typ=vector(of, width)), element(builder, target, channel, of))


def ask_for_next_rows(
    builder: Kernel, walked: Sequence[Axis], found: Sequence[Taps], x: Located, source: ir.Value
) -> None:
    """What the window below this one reads and none before: rows of pixels follow one another too far apart."""
    if len(walked) < 2:
        return
    down, across = walked[-2:]
    below = down.kernel * down.dilation * x.strides[-2]
    first = element(builder, source, distance(builder, [t.start for t in found], x.strides[2:]), type_of(x.dtype))
    size = across.stride * x.shape[1] * x.dtype.itemsize
    for row in range(min(down.stride, MOST_ROWS)):
        asked = Ahead(builder, Stretches(1, min(size, MOST_BYTES), 0), 1, level=FIRST_LEVEL)
        asked.start(element(builder, first, below + row * x.strides[-2], type_of(x.dtype)))
        asked.step()


def pixel_of(builder: Kernel, sample: ir.Value, at: Sequence[ir.Value], image: Located) -> ir.Value:
    return distance(builder, [sample, *at], (image.strides[0], *image.strides[2:]))


def emit_scattered(builder: Kernel, machine: Machine, *, v: Located, index: Located, x: Located) -> None:
    """Elements added to images of zeros, at their places within a plane; one outside of it counts as its last."""
    kind = type_of(x.dtype)
    (samples, channels), size, lanes = x.shape[:2], prod(x.shape[2:]), lanes_for(machine, x.dtype)
    # nobody else touches these channels of an image
    block = lanes if samples < FEW and channels % lanes == 0 else channels
    blocks = channels // block
    values, places, target = builder.operands
    windows = prod(v.shape[2:])
    images = ((x, target), (index, places), (v, values))
    ahead = [(_whole(builder, image, windows, written=image is x), image, at) for image, at in images]
    first, last = builder.share(samples * blocks)
    with loop(builder, first, last) as number:
        sample, part = coordinates(builder, number, (samples, blocks))
        start = builder.mul(part, i64(block))
        whole = element(builder, target, builder.add(builder.mul(sample, i64(x.strides[0])), start), kind)
        for asked, image, at in ahead:
            following = builder.mul(builder.add(sample, i64(1)), i64(image.strides[0]))
            asked.start(element(builder, at, following, type_of(image.dtype)))
        with loop(builder, 0, size) as pixel:
            own = element(builder, whole, builder.mul(pixel, i64(channels)), kind)
            for at, width in runs(builder, lanes, block):
                store(builder, _zero(vector(kind, width)), element(builder, own, at, kind))
        with nest(builder, v.shape[2:]) as window:
            for asked, _, _ in ahead:
                asked.step()
            listed = builder.add(pixel_of(builder, sample, window, index), start)
            held = builder.add(pixel_of(builder, sample, window, v), builder.mul(start, i64(v.strides[1])))
            for at, width in runs(builder, lanes, block):
                from_ = element(builder, values, builder.add(held, builder.mul(at, i64(v.strides[1]))), kind)
                listed_here = element(builder, places, builder.add(listed, at), type_of(index.dtype))
                to = element(builder, whole, at, kind)
                _scatter(builder, strided(builder, kind, from_, v.strides[1], width), listed_here, index, to, x)


def _whole(builder: Kernel, image: Located, windows: int, *, written: bool) -> Ahead:
    """One image, asked for window by window."""
    return Ahead(builder, Stretches(1, image.strides[0] * image.dtype.itemsize, 0), windows, written=written)


def _scatter(builder: Kernel, values: ir.Value, listed: ir.Value, index: Located, target: ir.Value, x: Located) -> None:
    """Add neighbouring channels' elements at their places: those with the same place, which are many, at once."""
    width = values.type.count if isinstance(values.type, ir.VectorType) else 1
    of_index, kind, channels, size = type_of(index.dtype), type_of(x.dtype), x.shape[1], prod(x.shape[2:])
    add = builder.fadd if x.dtype.kind == "f" else builder.add

    def add_at(place: ir.Value, some: ir.Value) -> None:
        place = builder.zext(place, I64) if index.dtype.itemsize < 8 else place
        place = builder.select(builder.icmp_unsigned("<", place, i64(size)), place, i64(size - 1))
        chosen = element(builder, target, builder.mul(place, i64(channels)), kind)
        store(builder, add(load(builder, chosen, some.type), some), chosen)

    if width == 1:
        add_at(load(builder, listed, of_index), values)
        return
    lanes = ir.IntType(width)
    places = load(builder, listed, vector(of_index, width))
    left = local(builder, lanes, ir.Constant(lanes, -1))
    again, after = builder.append_basic_block("scatter"), builder.append_basic_block("scattered")
    builder.branch(again)
    builder.position_at_end(again)
    remaining = builder.load(left, typ=lanes)
    lane = intrinsic(builder, f"llvm.cttz.i{width}", lanes, [remaining, ir.Constant(I1, 0)])
    lane = builder.zext(lane, I64) if width < 64 else lane
    place = load(builder, element(builder, listed, lane, of_index), of_index)
    same = builder.icmp_signed("==", places, splat(builder, place, width))
    add_at(place, builder.select(same, values, _zero(values.type)))
    remaining = builder.and_(remaining, builder.not_(builder.bitcast(same, lanes)))
    builder.store(remaining, left)
    builder.cbranch(builder.icmp_unsigned("==", remaining, ir.Constant(lanes, 0)), after, again)
    builder.position_at_end(after)


def strided(builder: Kernel, kind: ir.Type, first: ir.Value, step: int, width: int) -> ir.Value:
    """A vector of elements that lie so far apart."""
    if step == 1 or width == 1:
        return load(builder, first, vector(kind, width))
    value: ir.Value = ir.Constant(vector(kind, width), ir.Undefined)
    for lane in range(width):
        single = load(builder, element(builder, first, lane * step, kind), kind)
        value = builder.insert_element(value, single, ir.Constant(I32, lane))
    return value


def _zero(kind: ir.Type) -> ir.Constant:
    scalar = kind.element if isinstance(kind, ir.VectorType) else kind
    return constant(kind, 0 if isinstance(scalar, ir.IntType) else 0.0)

"""Windows of an image as columns, and columns added up as an image.

Threads share rows of the columns, or the images' channels, so that every sum has one owner. Of a row of windows the
part that lies inside the image is known beforehand: no element asks where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.ops._windows import Windows
from autograd_core.ops.folding import fold_p, unfold_p
from autograd_core.primitive import Primitive

from ..emit import TYPES, Kernel, constant, element, i64, load, loop, smaller, store, type_of, vector
from ..engine import KernelSpec
from ..indexing.strided import coordinates, distance
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine

Emit = Callable[..., None]


def _lowering(name: str, emit: Emit, dtypes: str) -> Lowering:
    def lowering(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
        (x,), (y,), windows = inputs, outputs, equation.params["windows"]
        if x.dtype.name not in TYPES or x.dtype.kind not in dtypes or len(windows.size) != 2:
            return None
        columns = prod(y.shape if name == "unfold" else x.shape)
        key = (name, x.shape, x.dtype.name, x.strides, windows)
        moved = (prod(x.shape) + prod(y.shape)) * x.dtype.itemsize
        spec = KernelSpec(name, key, 2, partial(emit, x=x, windows=windows), flops=columns, bytes=moved)
        return Lowered(spec, operands_in_order(1))

    return lowering


class _Rows:
    """Rows of windows: for an element of a window, which of them see the image there."""

    def __init__(self, builder: Kernel, windows: Windows, tap: Sequence[ir.Value]):
        self.builder, self.windows = builder, windows
        b = builder
        before = [first for first, _ in windows.padding]
        self.shift = [b.sub(b.mul(at, i64(d)), i64(p)) for at, d, p in zip(tap, windows.dilation, before, strict=True)]

    def inside(self, axis: int) -> tuple[ir.Value, ir.Value]:
        """The windows [first, last) along an axis."""
        b, shift, stride = self.builder, self.shift[axis], self.windows.stride[axis]
        count, size = i64(self.windows.output[axis]), i64(self.windows.size[axis])
        zero = i64(0)
        missing, reached = b.sub(zero, shift), b.sub(size, shift)

        def at_least(value: ir.Value) -> ir.Value:
            """How many windows begin before it."""
            number = b.sdiv(b.add(value, i64(stride - 1)), i64(stride))
            return smaller(b, b.select(b.icmp_signed(">", value, zero), number, zero), count)

        first = at_least(missing)
        last = at_least(reached)
        return first, b.select(b.icmp_signed("<", last, first), first, last)

    def place(self, axis: int, window: ir.Value) -> ir.Value:
        """Where a window has the element, along an axis of the image."""
        b = self.builder
        return b.add(b.mul(window, i64(self.windows.stride[axis])), self.shift[axis])


def _each(builder: Kernel, lanes: int, first: ir.Value, last: ir.Value) -> list[tuple[ir.Value, ir.Value, int]]:
    """[first, last) as a part of whole registers and one of single elements: where they begin and end, and how wide."""
    b = builder
    if lanes == 1:
        return [(first, last, 1)]
    whole = b.add(first, b.mul(b.sdiv(b.sub(last, first), i64(lanes)), i64(lanes)))
    return [(first, whole, lanes), (whole, last, 1)]


def _emit_unfold(builder: Kernel, machine: Machine, *, x: Located, windows: Windows) -> None:
    b, kind = builder, type_of(x.dtype)
    (rows, row), (height, width) = windows.output, windows.kernel
    lanes = machine.lanes(x.dtype)
    step = windows.stride[1] * x.strides[3]
    zero = 0.0 if x.dtype.kind == "f" else 0

    def clear(target: ir.Value, first: ir.Value, last: ir.Value) -> None:
        for start, stop, wide in _each(b, lanes, first, last):
            with loop(b, start, stop, wide) as at:
                store(b, constant(vector(kind, wide), zero), element(b, target, at, kind))

    begin, end = b.share(x.shape[0] * x.shape[1] * windows.taps)
    with loop(b, begin, end) as job:
        n, c, *tap = coordinates(b, job, (x.shape[0], x.shape[1], height, width))
        walk = _Rows(b, windows, tap)
        (top, bottom), (left, right) = walk.inside(0), walk.inside(1)
        column = element(b, b.operands[1], b.mul(job, i64(rows * row)), kind)
        clear(column, i64(0), b.mul(top, i64(row)))
        with loop(b, top, bottom) as t:
            target = element(b, column, b.mul(t, i64(row)), kind)
            clear(target, i64(0), left)
            line = distance(b, [n, c, walk.place(0, t), walk.shift[1]], x.strides)
            for start, stop, wide in _each(b, lanes if step == 1 else 1, left, right):
                with loop(b, start, stop, wide) as u:
                    at = b.add(line, b.mul(u, i64(step)))
                    value = load(b, element(b, b.operands[0], at, kind), vector(kind, wide))
                    store(b, value, element(b, target, u, kind))
            clear(target, right, i64(row))
        clear(column, b.mul(bottom, i64(row)), i64(rows * row))


def _emit_fold(builder: Kernel, machine: Machine, *, x: Located, windows: Windows) -> None:
    b, kind = builder, type_of(x.dtype)
    (height, width), row = windows.size, windows.output[1]
    channels, lanes = x.shape[1] // windows.taps, machine.lanes(x.dtype)
    add = b.fadd if x.dtype.kind == "f" else b.add
    zero = constant(kind, 0.0 if x.dtype.kind == "f" else 0)
    together = windows.stride[1] == x.strides[2] == 1
    first, last = b.share(x.shape[0] * channels)
    with loop(b, first, last) as job:
        n, c = coordinates(b, job, (x.shape[0], channels))
        plane = element(b, b.operands[1], b.mul(job, i64(height * width)), kind)
        with loop(b, 0, height * width) as at:
            store(b, zero, element(b, plane, at, kind))
        with loop(b, 0, windows.taps) as number:
            walk = _Rows(b, windows, coordinates(b, number, windows.kernel))
            (top, bottom), (left, right) = walk.inside(0), walk.inside(1)
            channel = b.add(b.mul(c, i64(windows.taps)), number)
            with loop(b, top, bottom) as t:
                source = distance(b, [n, channel, b.mul(t, i64(row))], x.strides)
                target = b.mul(walk.place(0, t), i64(width))
                for start, stop, wide in _each(b, lanes if together else 1, left, right):
                    with loop(b, start, stop, wide) as u:
                        at = b.add(source, b.mul(u, i64(x.strides[2])))
                        value = load(b, element(b, b.operands[0], at, kind), vector(kind, wide))
                        place = element(b, plane, b.add(target, walk.place(1, u)), kind)
                        store(b, add(load(b, place, vector(kind, wide)), value), place)


LOWERINGS: dict[Primitive, Lowering] = {
    unfold_p: _lowering("unfold", _emit_unfold, "biuf"),
    fold_p: _lowering("fold", _emit_fold, "iuf"),
}

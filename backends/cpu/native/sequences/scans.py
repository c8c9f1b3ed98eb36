"""Walks along one axis that carry something from element to element: running sums, places of maxima.

Threads share the lines along the axis. Where neighbours of other axes are contiguous, as many lines as a register
holds are walked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.ops.extrema import argmax_p, argmin_p
from autograd_core.ops.scans import cumulative_prod_p, cumulative_sum_p
from autograd_core.primitive import Primitive

from ..elementary.vector_math import scalar_op
from ..emit import I64, TYPES, Kernel, constant, element, i64, load, local, loop, smaller, splat, store, type_of, vector
from ..engine import KernelSpec
from ..indexing.strided import coordinates, distance, merged
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine

NEUTRAL = {"add": -0.0, "mul": 1.0}  # what the first element is combined with: with 0.0 it would lose its sign

# (builder, where the first elements of some lines are, where their first results, how many lines)
Line = Callable[[Kernel, ir.Value, ir.Value, int], None]


def _scan(name: str, emit: Callable[..., None], dtypes: str) -> Lowering:
    def lowering(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
        (x,), (y,), axis = inputs, outputs, equation.params["axis"]
        if x.dtype.name not in TYPES or x.dtype.kind not in dtypes or not x.shape[axis]:
            return None
        if y.dtype not in (x.dtype, np.dtype(np.int64)):
            return None
        key = (name, x.shape, x.dtype.name, x.strides, axis)
        moved = prod(x.shape) * x.dtype.itemsize + prod(y.shape) * y.dtype.itemsize
        spec = KernelSpec(name, key, 2, partial(emit, x=x, y=y, axis=axis), flops=prod(x.shape), bytes=moved)
        return Lowered(spec, operands_in_order(1))

    return lowering


def _each_line(
    builder: Kernel, machine: Machine, x: Located, axis: int, steps: Sequence[int], line: Line, kinds: Sequence[ir.Type]
) -> None:
    """steps: of the result, along x's axes but ``axis``. kinds: of an element and of a result."""
    rest = [i for i in range(len(x.shape)) if i != axis]
    shape, strides = merged([x.shape[i] for i in rest], ([x.strides[i] for i in rest], steps))
    width = machine.lanes(x.dtype)
    beside = bool(shape) and strides[0][-1] == strides[1][-1] == 1 and shape[-1] >= width > 1
    outer, jobs = shape, prod(shape)
    if beside:  # the last register of a row begins earlier and repeats what was done
        registers = -(-shape[-1] // width)
        outer, jobs = (*shape[:-1], registers), prod(shape[:-1]) * registers
    else:
        width = 1
    first, last = builder.share(jobs)
    with loop(builder, first, last) as job:
        at = coordinates(builder, job, outer)
        if beside:
            at[-1] = smaller(builder, builder.mul(at[-1], i64(width)), i64(shape[-1] - width))
        source, target = (
            element(builder, pointer, distance(builder, at, own), kind)
            for pointer, own, kind in zip(builder.operands, strides, kinds, strict=True)
        )
        line(builder, source, target, width)


# ------------------------------------------------------------------------------------------- running sums and products


def _emit_running(builder: Kernel, machine: Machine, *, x: Located, y: Located, axis: int, op: str) -> None:
    kind, steps = type_of(x.dtype), row_major(y.shape)

    def line(builder: Kernel, source: ir.Value, target: ir.Value, width: int) -> None:
        wide = vector(kind, width)
        total = local(builder, wide, constant(wide, x.dtype.type(NEUTRAL[op]).item()))
        with loop(builder, 0, x.shape[axis]) as place:
            value = load(builder, element(builder, source, builder.mul(place, i64(x.strides[axis])), kind), wide)
            value = scalar_op(builder, op, [builder.load(total, typ=wide), value], [x.dtype] * 2, x.dtype)
            builder.store(value, total)
            store(builder, value, element(builder, target, builder.mul(place, i64(steps[axis])), kind))

    own = [s for i, s in enumerate(steps) if i != axis]
    _each_line(builder, machine, x, axis, own, line, (kind, kind))


# ------------------------------------------------------------------------------------------- places


def _emit_place(builder: Kernel, machine: Machine, *, x: Located, y: Located, axis: int, op: str) -> None:
    """Of equal elements the first counts, and the first NaN before all."""
    kind = type_of(x.dtype)
    signed = x.dtype.kind == "i"

    def better(b: Kernel, value: ir.Value, best: ir.Value) -> ir.Value:
        relation = ">" if op == "argmax" else "<"
        if x.dtype.kind != "f":
            return (b.icmp_signed if signed else b.icmp_unsigned)(relation, value, best)
        first_nan = b.and_(b.fcmp_unordered("uno", value, value), b.fcmp_ordered("ord", best, best))
        return b.or_(b.fcmp_ordered(relation, value, best), first_nan)

    def line(b: Kernel, source: ir.Value, target: ir.Value, width: int) -> None:
        wide, places = vector(kind, width), vector(I64, width)
        best, found = local(b, wide, load(b, source, wide)), local(b, places, constant(places, 0))
        with loop(b, 1, x.shape[axis]) as place:
            value = load(b, element(b, source, b.mul(place, i64(x.strides[axis])), kind), wide)
            before = b.load(best, typ=wide)
            wins = better(b, value, before)
            b.store(b.select(wins, value, before), best)
            here = place if width == 1 else splat(b, place, width)
            b.store(b.select(wins, here, b.load(found, typ=places)), found)
        store(b, b.load(found, typ=places), target)

    own = row_major([n for i, n in enumerate(x.shape) if i != axis])
    _each_line(builder, machine, x, axis, own, line, (kind, I64))


LOWERINGS: dict[Primitive, Lowering] = {
    argmax_p: _scan("argmax", partial(_emit_place, op="argmax"), "biuf"),
    argmin_p: _scan("argmin", partial(_emit_place, op="argmin"), "biuf"),
    cumulative_sum_p: _scan("cumulative_sum", partial(_emit_running, op="add"), "iuf"),
    cumulative_prod_p: _scan("cumulative_prod", partial(_emit_running, op="mul"), "iuf"),
}

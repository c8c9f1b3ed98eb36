"""One axis resampled: each element of the result is a weighted sum of a few of the operand, by tables in the code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.ops._sampling import Sampling, matrix, resample_p
from autograd_core.primitive import Primitive

from ..emit import I64, Kernel, constant, element, i64, load, local, loop, splat, store, type_of, vector
from ..engine import KernelSpec
from ..indexing.strided import coordinates, distance, merged, runs, table
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LARGEST = 1 << 16  # weights in a table


def _resample(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (x,), (y,), params = inputs, outputs, equation.params
    axis, rule, transposed = params["axis"], params["rule"], params["transposed"]
    rows, _, _ = matrix(rule, transposed)
    if x.dtype not in FLOATS or len(rows) > LARGEST:
        return None
    sizes, (strides,) = merged(x.shape[axis + 1 :], (x.strides[axis + 1 :],))
    if len(sizes) > 1 or (sizes and strides[0] != 1):
        return Copies((0,))
    emit = partial(_emit, x=x, length=y.shape[axis], axis=axis, rule=rule, transposed=transposed)
    key = ("resample", x.shape, x.dtype.name, x.strides, axis, tuple(rule), transposed)
    flops = 2 * len(rows) * prod(y.shape) // max(1, y.shape[axis])
    moved = (prod(x.shape) + prod(y.shape)) * x.dtype.itemsize
    return Lowered(KernelSpec("resample", key, 2, emit, flops=flops, bytes=moved), operands_in_order(1))


def _emit(
    builder: Kernel, machine: Machine, *, x: Located, length: int, axis: int, rule: Sampling, transposed: bool
) -> None:
    """Threads share the places along the axis, and what is before it."""
    rows, columns, weights = matrix(rule, transposed)
    starts = np.searchsorted(rows, np.arange(length + 1))
    kind, inner = type_of(x.dtype), prod(x.shape[axis + 1 :])
    first_entry, from_where, weight_of = (
        table(builder, name, values.tolist(), of)
        for name, values, of in (("starts", starts, I64), ("columns", columns, I64), ("weights", weights, kind))
    )
    before, (steps,) = merged(x.shape[:axis], (x.strides[:axis],))
    first, last = builder.share(prod(before) * length)
    with loop(builder, first, last) as job:
        *outer, row = coordinates(builder, job, (*before, length))
        source = element(builder, builder.operands[0], distance(builder, outer, steps), kind)
        target = element(builder, builder.operands[1], builder.mul(job, i64(inner)), kind)
        entries = [load(builder, element(builder, first_entry, builder.add(row, i64(i)), I64), I64) for i in (0, 1)]
        for start, width in runs(builder, machine.lanes(x.dtype), inner):
            wide = vector(kind, width)
            total = local(builder, wide, constant(wide, 0.0))
            with loop(builder, *entries) as entry:
                column = load(builder, element(builder, from_where, entry, I64), I64)
                weight = load(builder, element(builder, weight_of, entry, kind), kind)
                place = builder.add(builder.mul(column, i64(x.strides[axis])), start)
                value = load(builder, element(builder, source, place, kind), wide)
                term = builder.fmul(value, splat(builder, weight, width))
                builder.store(builder.fadd(builder.load(total, typ=wide), term), total)
            store(builder, builder.load(total, typ=wide), element(builder, target, start, kind))


LOWERINGS: dict[Primitive, Lowering] = {resample_p: _resample}

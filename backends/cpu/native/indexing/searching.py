"""Places in a line that is in order, found by halving; threads share what is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.ops.searching import searchsorted_p
from autograd_core.primitive import Primitive

from ..emit import I64, TYPES, Kernel, element, i64, load, local, loop, store, type_of
from ..engine import KernelSpec
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine
from .sorting import key_of
from .strided import coordinates, distance, merged


def _searchsorted(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    line, values = inputs
    if line.dtype.name not in TYPES or values.dtype != line.dtype:
        return None
    right, count = equation.params["side"] == "right", prod(values.shape)
    key = ("searchsorted", *((x.shape, x.dtype.name, x.strides) for x in inputs), right)
    emit = partial(_emit, line=line, values=values, right=right)
    steps = line.shape[0].bit_length()
    spec = KernelSpec(
        "searchsorted", key, 3, emit, flops=8 * count * steps, bytes=count * (values.dtype.itemsize * (steps + 1) + 8)
    )
    return Lowered(spec, operands_in_order(2))


def _emit(builder: Kernel, machine: Machine, *, line: Located, values: Located, right: bool) -> None:
    b, kind, dtype = builder, type_of(line.dtype), line.dtype
    shape, (strides,) = merged(values.shape, (values.strides,))
    first, last = b.share(prod(shape))
    with loop(b, first, last) as number:
        place = distance(b, coordinates(b, number, shape), strides)
        wanted = key_of(b, load(b, element(b, b.operands[1], place, kind), kind), dtype)
        start, left = local(b, I64), local(b, I64)
        b.store(i64(0), start)
        b.store(i64(line.shape[0]), left)  # how many may still be before or behind it
        with loop(b, 0, line.shape[0].bit_length()):
            begin, count = b.load(start, typ=I64), b.load(left, typ=I64)
            half = b.lshr(count, i64(1))
            with b.if_then(b.icmp_signed(">", count, i64(0))):
                middle = b.add(begin, half)
                address = element(b, b.operands[0], b.mul(middle, i64(line.strides[0])), kind)
                found = key_of(b, load(b, address, kind), dtype)
                before = b.icmp_unsigned("<=" if right else "<", found, wanted)
                b.store(b.select(before, b.add(middle, i64(1)), begin), start)
                b.store(b.select(before, _rest(b, count, half), half), left)
        store(b, b.load(start, typ=I64), element(b, b.operands[2], number, I64))


def _rest(builder: ir.IRBuilder, count: ir.Value, half: ir.Value) -> ir.Value:
    """Of ``count`` those behind the one in the middle."""
    return builder.sub(builder.sub(count, half), i64(1))


LOWERINGS: dict[Primitive, Lowering] = {searchsorted_p: _searchsorted}

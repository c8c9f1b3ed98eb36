"""Elements put among zeros, at places that are steps apart: the adjoints of strided slices and of diagonals.

First zeros, then the elements; threads share both. What a box of neighbours takes is no kernel of its own: loops
write that with what comes before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.ops._elements import place_p
from autograd_core.ops._keys import native
from autograd_core.ops.diagonals import embed_diagonal_p
from autograd_core.primitive import Primitive

from ..emit import TYPES, Kernel, constant, element, i64, load, loop, smaller, store, type_of, vector
from ..engine import KernelSpec
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine
from .strided import coordinates, distance, merged

CHUNK = 256  # elements that are set together


def _lowered(name: str, v: Located, y: Located, start: int, strides: Sequence[int]) -> Lowered | None:
    """start, strides: where the elements of ``v`` belong in the result."""
    if v.dtype.name not in TYPES or not prod(y.shape):
        return None
    size, sources = prod(y.shape), (v.strides, tuple(strides))
    emit = partial(_emit, v=v, size=size, start=start, shape=v.shape, strides=sources)
    key = (name, y.shape, v.shape, v.dtype.name, start, *sources)
    spec = KernelSpec(name, key, 2, emit, bytes=(size + 2 * prod(v.shape)) * v.dtype.itemsize)
    return Lowered(spec, operands_in_order(1))


def _emit(
    builder: Kernel,
    machine: Machine,
    *,
    v: Located,
    size: int,
    start: int,
    shape: Sequence[int],
    strides: Sequence[Sequence[int]],
) -> None:
    b, kind, lanes = builder, type_of(v.dtype), machine.lanes(v.dtype)
    source, target = b.operands
    zero = 0.0 if v.dtype.kind == "f" else 0
    whole = size // lanes * lanes
    first, last = b.share(size, CHUNK)
    with loop(b, first, smaller(b, last, i64(whole)), lanes) as at:
        store(b, constant(vector(kind, lanes), zero), element(b, target, at, kind))
    if whole < size:  # the rest belongs to who has the last element
        with loop(b, whole, b.select(b.icmp_signed("==", last, i64(size)), last, i64(0))) as at:
            store(b, constant(kind, zero), element(b, target, at, kind))
    b.barrier()
    sizes, (steps, places) = merged(shape, strides)
    target = element(b, target, start, kind)
    first, last = b.share(prod(sizes))
    with loop(b, first, last) as number:
        at = coordinates(b, number, sizes)
        value = load(b, element(b, source, distance(b, at, steps), kind), kind)
        store(b, value, element(b, target, distance(b, at, places), kind))


def _place(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (v,), (y,) = inputs, outputs
    # a key of an array tells the strides of the part that it names; no element is looked at
    whole = np.lib.stride_tricks.as_strided(np.empty(1, np.int8), y.shape, row_major(y.shape))
    part = whole[native(equation.params["key"])]
    steps = [s for n, s in zip(part.shape, part.strides, strict=True) if n > 1]
    box = [s for n, s in zip(y.shape, whole.strides, strict=True) if n > 1]
    if all(s in box for s in steps) or part.shape != v.shape:
        return None
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return _lowered("place", v, y, start, part.strides)


def _embed_diagonal(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    (v,), (y,), offset = inputs, outputs, equation.params["offset"]
    columns = y.shape[-1]
    start = max(-offset, 0) * columns + max(offset, 0)
    return _lowered("embed_diagonal", v, y, start, (*row_major(y.shape)[:-2], columns + 1))


LOWERINGS: dict[Primitive, Lowering] = {place_p: _place, embed_diagonal_p: _embed_diagonal}

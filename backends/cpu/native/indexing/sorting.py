"""Orders: the places that sort the lines along an axis, and random permutations; equal elements keep their order.

Elements become keys, whole numbers without sign in the same order; that of NaN is the largest. Short lines are sorted
by insertion. Longer ones byte by byte from the lowest, each pass keeping the order of the one before it; a byte in
which all keys are the same takes no pass. Threads share the lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.ops.random import random_permutation_p
from autograd_core.ops.sorting import argsort_p
from autograd_core.primitive import Primitive

from ..emit import (
    CACHE_LINE,
    I8,
    I32,
    I64,
    POINTER,
    TYPES,
    Kernel,
    constant,
    element,
    i64,
    load,
    local,
    loop,
    rounded_up,
    store,
    type_of,
)
from ..engine import KernelSpec
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import WORKERS, Machine
from ..random_bits import WORD, fill
from .strided import coordinates, distance, merged

INSERTED = 32  # as many elements are sorted by insertion
DIGITS = 256  # of a byte
LARGEST = 2**31  # places are counted in 32 bits


class _Layout(NamedTuple):
    """A thread's workspace for a line: keys and their places, both twice, and a count for each digit."""

    length: int
    key_bytes: int

    @property
    def keys(self) -> int:
        return rounded_up(self.length * self.key_bytes, CACHE_LINE)

    @property
    def places(self) -> int:
        return rounded_up(self.length * 4, CACHE_LINE)

    @property
    def bytes(self) -> int:
        return 2 * (self.keys + self.places) + 4 * DIGITS


class _Line:
    """The workspace of one line at ``base``, and its sorting."""

    def __init__(self, builder: Kernel, base: ir.Value, layout: _Layout):
        self.builder, self.count = builder, layout.length
        self.kind = I64 if layout.key_bytes == 8 else I32
        starts = [0, layout.keys, 2 * layout.keys, 2 * layout.keys + layout.places, 2 * (layout.keys + layout.places)]
        parts = [element(builder, base, start, I8) for start in starts]
        self.keys, self.other_keys, self.places, self.other_places, self.counts = parts

    def put(self, place: ir.Value, key: ir.Value) -> None:
        """The key of the element at ``place``, before any sorting."""
        b = self.builder
        store(b, key, element(b, self.keys, place, self.kind))
        store(b, b.trunc(place, I32), element(b, self.places, place, I32))

    def insert(self, place: ir.Value, key: ir.Value) -> None:
        """The key of the element at ``place``, put behind those before it that are not larger."""
        b = self.builder
        hole = local(b, I64)
        b.store(place, hole)
        test, compare, move, found = (b.append_basic_block(n) for n in ("test", "compare", "move", "found"))
        b.branch(test)
        b.position_at_end(test)
        at = b.load(hole, typ=I64)
        b.cbranch(b.icmp_signed(">", at, i64(0)), compare, found)
        b.position_at_end(compare)
        before = b.sub(at, i64(1))
        larger = load(b, element(b, self.keys, before, self.kind), self.kind)
        b.cbranch(b.icmp_unsigned(">", larger, key), move, found)
        b.position_at_end(move)
        store(b, larger, element(b, self.keys, at, self.kind))
        store(b, load(b, element(b, self.places, before, I32), I32), element(b, self.places, at, I32))
        b.store(before, hole)
        b.branch(test)
        b.position_at_end(found)
        at = b.load(hole, typ=I64)
        store(b, key, element(b, self.keys, at, self.kind))
        store(b, b.trunc(place, I32), element(b, self.places, at, I32))

    def sorted_places(self, key_bytes: int) -> ir.Value:
        """Sort what was put; where the places in order are."""
        b = self.builder
        keys, places, other_keys, other_places = (local(b, POINTER) for _ in range(4))
        for variable, start in zip(
            (keys, places, other_keys, other_places),
            (self.keys, self.places, self.other_keys, self.other_places),
            strict=True,
        ):
            b.store(start, variable)
        with loop(b, 0, key_bytes) as number:
            shift = b.mul(number, i64(8))
            shift = shift if self.kind == I64 else b.trunc(shift, I32)
            source = b.load(keys, typ=POINTER)
            self._count(source, shift)
            of_first = self._digit(load(b, source, self.kind), shift)
            alike = load(b, element(b, self.counts, of_first, I32), I32)
            with b.if_then(b.icmp_unsigned("!=", alike, constant(I32, self.count))):
                self._starts()
                moved = b.load(places, typ=POINTER)
                to_keys, to_places = b.load(other_keys, typ=POINTER), b.load(other_places, typ=POINTER)
                self._move(shift, (source, moved), (to_keys, to_places))
                for variable, value in (
                    (keys, to_keys),
                    (places, to_places),
                    (other_keys, source),
                    (other_places, moved),
                ):
                    b.store(value, variable)
        return b.load(places, typ=POINTER)

    def _digit(self, key: ir.Value, shift: ir.Value) -> ir.Value:
        b = self.builder
        digit = b.and_(b.lshr(key, shift), constant(self.kind, DIGITS - 1))
        return digit if self.kind == I64 else b.zext(digit, I64)

    def _count(self, keys: ir.Value, shift: ir.Value) -> None:
        """How many keys have each digit."""
        b = self.builder
        with loop(b, 0, DIGITS) as digit:
            store(b, constant(I32, 0), element(b, self.counts, digit, I32))
        with loop(b, 0, self.count) as i:
            digit = self._digit(load(b, element(b, keys, i, self.kind), self.kind), shift)
            address = element(b, self.counts, digit, I32)
            store(b, b.add(load(b, address, I32), constant(I32, 1)), address)

    def _starts(self) -> None:
        """From how many keys have each digit, where the first of them belongs."""
        b = self.builder
        total = local(b, I32)
        b.store(constant(I32, 0), total)
        with loop(b, 0, DIGITS) as digit:
            address = element(b, self.counts, digit, I32)
            start, own = b.load(total, typ=I32), load(b, address, I32)
            store(b, start, address)
            b.store(b.add(start, own), total)

    def _move(self, shift: ir.Value, source: tuple[ir.Value, ir.Value], target: tuple[ir.Value, ir.Value]) -> None:
        b = self.builder
        with loop(b, 0, self.count) as i:
            key = load(b, element(b, source[0], i, self.kind), self.kind)
            address = element(b, self.counts, self._digit(key, shift), I32)
            to = load(b, address, I32)
            store(b, b.add(to, constant(I32, 1)), address)
            to = b.zext(to, I64)
            store(b, key, element(b, target[0], to, self.kind))
            store(b, load(b, element(b, source[1], i, I32), I32), element(b, target[1], to, I32))

    def write(self, places: ir.Value, target: ir.Value, step: int) -> None:
        """The places as the result has them, ``step`` elements apart."""
        b = self.builder
        with loop(b, 0, self.count) as i:
            place = b.zext(load(b, element(b, places, i, I32), I32), I64)
            store(b, place, element(b, target, b.mul(i, i64(step)), I64))


def key_of(builder: Kernel, value: ir.Value, dtype: np.dtype, descending: bool = False) -> ir.Value:
    """An unsigned number for each element, in 32 or 64 bits, in the order of the elements."""
    bits = 8 * dtype.itemsize
    own, wide = ir.IntType(bits), ir.IntType(max(32, bits))
    top, ones = ir.Constant(own, 1 << (bits - 1)), ir.Constant(own, (1 << bits) - 1)
    key = value
    if dtype.kind == "f":
        pattern = builder.bitcast(value, own)
        pattern = builder.select(builder.fcmp_ordered("==", value, constant(value.type, 0.0)), own(0), pattern)
        negative = builder.ashr(pattern, own(bits - 1))  # all ones for a number below 0
        key = builder.xor(pattern, builder.or_(negative, top))
        key = builder.select(builder.fcmp_unordered("uno", value, value), ones, key)
    elif dtype.kind == "i":
        key = builder.xor(value, top)
    key = builder.xor(key, ones) if descending else key
    return key if own == wide else builder.zext(key, wide)


# ------------------------------------------------------------------------------------------- argsort


def _argsort(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (x,), axis, descending = inputs, equation.params["axis"], equation.params["descending"]
    if x.dtype.name not in TYPES or not 0 < x.shape[axis] < LARGEST:
        return None
    layout, size = _Layout(x.shape[axis], max(4, x.dtype.itemsize)), prod(x.shape)
    spec = KernelSpec(
        "argsort",
        ("argsort", x.shape, x.dtype.name, x.strides, axis, descending),
        2,
        partial(_emit_argsort, x=x, axis=axis, descending=descending, layout=layout),
        WORKERS * layout.bytes,
        flops=size * (x.dtype.itemsize if layout.length > INSERTED else layout.length // 4 + 1),
        bytes=size * (x.dtype.itemsize + 8),
        parts=WORKERS,
        part=layout.bytes,
    )
    return Lowered(spec, operands_in_order(1))


def _emit_argsort(
    builder: Kernel, machine: Machine, *, x: Located, axis: int, descending: bool, layout: _Layout
) -> None:
    b, kind, results = builder, type_of(x.dtype), row_major(x.shape)
    rest = [i for i in range(len(x.shape)) if i != axis]
    shape, strides = merged([x.shape[i] for i in rest], [[s[i] for i in rest] for s in (x.strides, results)])
    line = _Line(b, element(b, b.scratch, b.mul(b.index, i64(layout.bytes)), I8), layout)
    first, last = b.share(prod(shape), most=WORKERS)
    with loop(b, first, last) as job:
        at = coordinates(b, job, shape)
        source = element(b, b.operands[0], distance(b, at, strides[0]), kind)
        target = element(b, b.operands[1], distance(b, at, strides[1]), I64)
        short = layout.length <= INSERTED
        with loop(b, 0, layout.length) as i:
            value = load(b, element(b, source, b.mul(i, i64(x.strides[axis])), kind), kind)
            (line.insert if short else line.put)(i, key_of(b, value, x.dtype, descending))
        places = line.places if short else line.sorted_places(x.dtype.itemsize)
        line.write(places, target, results[axis])


# ------------------------------------------------------------------------------------------- random permutations


def _permutation(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    n = equation.params["n"]
    if not 0 < n < LARGEST:
        return None
    if not inputs[0].contiguous:
        return Copies((0,))
    layout = _Layout(n, 8)
    emit = partial(_emit_permutation, layout=layout)
    spec = KernelSpec(
        "random_permutation", ("random_permutation", n), 2, emit, layout.bytes, flops=100 * n, bytes=n * 8
    )
    return Lowered(spec, operands_in_order(1))


def _emit_permutation(builder: Kernel, machine: Machine, *, layout: _Layout) -> None:
    """All threads draw the keys, one sorts them."""
    b, line = builder, _Line(builder, builder.scratch, layout)
    fill(b, machine, line.keys, WORD, layout.length, np.dtype(np.uint64))
    b.barrier()
    with b.if_then(b.icmp_signed("==", b.index, i64(0))):
        with loop(b, 0, layout.length) as i:
            store(b, b.trunc(i, I32), element(b, line.places, i, I32))
        line.write(line.sorted_places(8), b.operands[1], 1)


LOWERINGS: dict[Primitive, Lowering] = {argsort_p: _argsort, random_permutation_p: _permutation}

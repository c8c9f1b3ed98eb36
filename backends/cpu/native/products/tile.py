"""The register tile: the inner kernel of matrix products, convolutions and recurrent cells.

A tile is ``rows`` x ``vectors`` accumulators, each one vector register of C. Every term of the sum over K broadcasts
one element of A for each row and multiplies it with ``vectors`` registers of B::

    shape = TileShape(dtype, rows, vectors, lanes)
    sums = zeros(shape)
    sums = accumulate(builder, shape, sums, Segment(count, a, offsets, a_step, b, b_step))
    finish(builder, row, column, accumulator) for each of them

``tile`` does that for a list of segments (x W + h U of a recurrent cell); ``repeated`` is a loop that carries
accumulators, for the taps of a convolution. Addresses are a pointer that moves and constants from it, so that the
loop needs three general registers however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import I64, constant, element, fma, i64, load, masked_load, splat, type_of, vector
from ..machine import Machine

UNROLL = 4
LONGEST_BODY = 32  # fma instructions: beyond it unrolling gains little, compiles slowly, and LLVM may spill

Values = list[ir.Value]
Finish = Callable[[ir.IRBuilder, int, int, ir.Value], None]


class TileShape(NamedTuple):
    """rows x (vectors * lanes) elements of C, kept in ``rows * vectors`` registers."""

    dtype: np.dtype
    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def scalar(self) -> ir.Type:
        return type_of(self.dtype)

    @property
    def register(self) -> ir.Type:
        return vector(self.scalar, self.lanes)


class Segment(NamedTuple):
    """``length`` terms: term k multiplies A's element at ``a + offsets[row] + k * a_step`` with B's ``vectors``
    registers that start at ``b + k * b_step``. All distances count elements.

    offsets: of the rows; constants cost nothing, a value (i64) costs a register each. b_step: ``shape.columns`` for
    a packed panel, the row's length for a matrix that is not. vector_step: from one register of B to the next, where
    they are not neighbours. mask: lanes of the last register of B that may be read, where a row of B ends inside it.
    """

    length: int | ir.Value
    a: ir.Value
    offsets: Sequence[int | ir.Value]
    a_step: int
    b: ir.Value
    b_step: int
    vector_step: int | None = None
    mask: ir.Value | None = None


def largest(machine: Machine, dtype: Any) -> TileShape:
    """The shape that reaches the machine's peak: the accumulators fill the registers, less those that B and one
    broadcast element of A need, and each element loaded is used often enough for the loads to hide."""
    dtype, lanes = np.dtype(dtype), machine.lanes(dtype)
    if lanes == 1:
        return TileShape(dtype, 4, 2, 1)
    rows, vectors = (14, 2) if machine.registers >= 32 else (6, 2)
    return TileShape(dtype, rows, vectors, lanes)


def zeros(shape: TileShape) -> Values:
    """The accumulators of an empty sum, row by row."""
    return [constant(shape.register, 0.0)] * (shape.rows * shape.vectors)


def tile(
    builder: ir.IRBuilder,
    shape: TileShape,
    segments: Sequence[Segment],
    finish: Finish,
    initial: Values | None = None,
) -> None:
    """Sum all segments and hand each accumulator to ``finish(builder, row, column_vector, accumulator)``."""
    sums = list(initial) if initial is not None else zeros(shape)
    for segment in segments:
        sums = accumulate(builder, shape, sums, segment)
    for row in range(shape.rows):
        for column in range(shape.vectors):
            finish(builder, row, column, sums[row * shape.vectors + column])


def accumulate(
    builder: ir.IRBuilder, shape: TileShape, sums: Values, segment: Segment, unroll: int | None = None
) -> Values:
    """The accumulators after the terms of a segment, added in order."""
    if unroll is None:
        unroll = max(1, min(UNROLL, LONGEST_BODY // (shape.rows * shape.vectors)))
    count = segment.length
    if isinstance(count, int) and count <= unroll:
        for term in range(count):
            sums = _term(builder, shape, sums, segment, segment.a, segment.b, term)
        return sums

    def stretch(sums: Values, a: ir.Value, b: ir.Value, times: int | ir.Value, terms: int) -> tuple:
        def body(_: ir.Value, carried: Values) -> Values:
            a, b, *sums = carried
            for term in range(terms):
                sums = _term(builder, shape, sums, segment, a, b, term)
            a = element(builder, a, terms * segment.a_step, shape.scalar)
            b = element(builder, b, terms * segment.b_step, shape.scalar)
            return [a, b, *sums]

        a, b, *sums = repeated(builder, times, [a, b, *sums], body)
        return sums, a, b

    if isinstance(count, int):
        sums, a, b = stretch(sums, segment.a, segment.b, count // unroll, unroll)
        for term in range(count % unroll):
            sums = _term(builder, shape, sums, segment, a, b, term)
        return sums
    sums, a, b = stretch(sums, segment.a, segment.b, builder.sdiv(count, i64(unroll)), unroll)
    if unroll > 1:
        sums, _, _ = stretch(sums, a, b, builder.srem(count, i64(unroll)), 1)
    return sums


def repeated(
    builder: ir.IRBuilder, times: int | ir.Value, carried: Values, body: Callable[[ir.Value, Values], Values]
) -> Values:
    """``for index in range(times): carried = body(index, carried)``, with the carried values in registers."""
    if isinstance(times, int):
        if times <= 0:
            return carried
        if times == 1:
            return body(i64(0), carried)
    before = builder.block
    inside, after = builder.append_basic_block("repeat"), builder.append_basic_block("repeated")
    if isinstance(times, int):
        times, skipped = i64(times), False
        builder.branch(inside)
    else:
        skipped = True
        builder.cbranch(builder.icmp_signed(">", times, i64(0)), inside, after)
    builder.position_at_end(inside)
    index = builder.phi(I64)
    index.add_incoming(i64(0), before)
    phis = [builder.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    results = body(index, list(phis))
    following = builder.add(index, i64(1))
    end = builder.block
    index.add_incoming(following, end)
    for phi, value in zip(phis, results, strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", following, times), inside, after)
    builder.position_at_end(after)
    if not skipped:
        return results
    merged = [builder.phi(value.type) for value in results]
    for phi, early, late in zip(merged, carried, results, strict=True):
        phi.add_incoming(early, before)
        phi.add_incoming(late, end)
    return list(merged)


def _term(
    builder: ir.IRBuilder, shape: TileShape, sums: Values, segment: Segment, a: ir.Value, b: ir.Value, term: int
) -> Values:
    """The accumulators after term ``term``, counted from the pointers a and b."""
    step = shape.lanes if segment.vector_step is None else segment.vector_step
    factors = []
    for column in range(shape.vectors):
        address = element(builder, b, term * segment.b_step + column * step, shape.scalar)
        if segment.mask is not None and column == shape.vectors - 1:
            factors.append(_masked(builder, address, segment.mask, shape))
        else:
            factors.append(load(builder, address, shape.register))
    sums = list(sums)
    for row, offset in enumerate(segment.offsets):
        if isinstance(offset, int):
            address = element(builder, a, offset + term * segment.a_step, shape.scalar)
        else:
            address = element(builder, element(builder, a, offset, shape.scalar), term * segment.a_step, shape.scalar)
        weight = splat(builder, load(builder, address, shape.scalar), shape.lanes)
        for column, factor in enumerate(factors):
            place = row * shape.vectors + column
            sums[place] = fma(builder, weight, factor, sums[place])
    return sums


def _masked(builder: ir.IRBuilder, address: ir.Value, mask: ir.Value, shape: TileShape) -> ir.Value:
    if shape.lanes == 1:
        return load(builder, address, shape.register)
    return masked_load(builder, address, mask, shape.register)

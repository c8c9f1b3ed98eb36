"""The statements of a loop kernel as code, at one point or at a vector of neighbouring points.

A ``Point`` knows the coordinates and how operands are reached from them; ``value`` turns a statement that computes
something into code, given the values of the statements before it. Loops around it are the caller's: a loop nest, or a
matrix product that applies the statements to its accumulators.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.compiler.loops import Access, Constant, Index, Load, Map, Statement, Store

from ..elementary.vector_math import from_bool, lanes_of, scalar_op, to_bool
from ..emit import (
    I1,
    I32,
    I64,
    VOID,
    Kernel,
    constant,
    element,
    i64,
    intrinsic,
    load,
    masked_load,
    masked_store,
    splat,
    store,
    suffix,
    type_of,
    vector,
)

BOOL = np.dtype(np.bool_)
MOST_VECTORS = 4  # that one vector's elements may lie in; beyond, each is moved alone


class Value(NamedTuple):
    """A scalar, or a vector with one element a lane. A bool is an i1 here, and an i8 in memory."""

    code: ir.Value
    dtype: np.dtype

    @property
    def lanes(self) -> int:
        return lanes_of(self.code)


def spread(builder: Kernel, value: Value, lanes: int) -> ir.Value:
    """The value in ``lanes`` lanes: a scalar is repeated."""
    return value.code if value.lanes == lanes else splat(builder, value.code, lanes)


def from_memory(builder: Kernel, code: ir.Value, dtype: np.dtype) -> Value:
    return Value(to_bool(builder, code) if dtype == BOOL else code, dtype)


def to_memory(builder: Kernel, value: Value) -> ir.Value:
    return from_bool(builder, value.code) if value.dtype == BOOL else value.code


def literal(number: object, dtype: np.dtype) -> Value:
    """A constant of that dtype."""
    dtype = np.dtype(dtype)
    if dtype == BOOL:
        return Value(ir.Constant(I1, int(bool(number))), dtype)
    exact = dtype.type(number).item()
    return Value(ir.Constant(type_of(dtype), exact), dtype)


def apply(builder: Kernel, op: str, args: Sequence[Value], dtype: np.dtype) -> Value:
    """A scalar operation on values; vectors if any argument is one."""
    lanes = max(a.lanes for a in args)
    if op == "cast" and args[0].dtype == dtype:
        return args[0]
    codes = [spread(builder, a, lanes) for a in args]
    return Value(scalar_op(builder, op, codes, [a.dtype for a in args], dtype), np.dtype(dtype))


class Point:
    """One point of an iteration space, or ``lanes`` neighbours along the dimension ``along``.

    coordinates: i64 values, one a dimension (None where nothing varies along it); along ``along`` the first lane's.
    valid: how many of the lanes exist (None: all); the others load 0 and store nothing.
    fine: a dimension and its size n, where lanes go through all n points of it before the next along ``along``.
    """

    def __init__(
        self,
        builder: Kernel,
        operands: Sequence[ir.Value],
        dtypes: Sequence[np.dtype],
        coordinates: Sequence[ir.Value | None],
        *,
        along: int | None = None,
        lanes: int = 1,
        valid: int | None = None,
        fine: tuple[int, int] | None = None,
    ):
        self.builder, self.operands, self.dtypes, self.coordinates = builder, operands, dtypes, coordinates
        self.along, self.lanes, self.valid = along, lanes, lanes if valid is None else valid
        self.fine: int | None = None if fine is None else fine[0]
        self.repeats = 1 if fine is None else fine[1]

    def value(self, statement: Statement, values: Mapping[int, Value]) -> Value:
        """What a Load, Constant, Index or Map computes; ``values`` holds those of earlier statements by position."""
        if isinstance(statement, Load):
            return self.load(statement.access, statement.dtype)
        if isinstance(statement, Constant):
            return literal(statement.value, statement.dtype)
        if isinstance(statement, Index):
            return self.index(statement)
        if isinstance(statement, Map):
            args = [values[position] for position in statement.args]
            return apply(self.builder, statement.op, args, np.dtype(statement.dtype))
        raise TypeError(f"value: expects Load, Constant, Index or Map, got {type(statement).__name__}")

    def perform(self, body: Sequence[Statement], position: int, values: MutableMapping[int, Value]) -> None:
        """Run one statement of a body that is no reduction: its value is added to ``values``, or stored."""
        statement = body[position]
        if isinstance(statement, Store):
            self.store(statement.access, values[statement.arg])
        else:
            values[position] = self.value(statement, values)

    def index(self, statement: Index) -> Value:
        b = self.builder
        first = b.add(b.mul(self._coordinate(statement.dimension), i64(statement.step)), i64(statement.start))
        strides = [0] * len(self.coordinates)
        strides[statement.dimension] = statement.step
        steps = self._steps(strides)
        if not any(steps):
            return Value(first, np.dtype(np.int64))
        code = ir.Constant(ir.VectorType(I64, self.lanes), steps)
        return Value(b.add(splat(b, first, self.lanes), code), np.dtype(np.int64))

    def load(self, access: Access, dtype: np.dtype) -> Value:
        b, kind, steps = self.builder, type_of(dtype), self._steps(access.strides)
        address, wide, stride = self.address(access), vector(kind, self.lanes), _even(steps)
        if stride == 0:
            code = load(b, address, kind)
        elif stride == 1:
            code = self._load_lanes(address, wide, range(self.lanes))
        elif stride == -1 and self.valid == self.lanes:
            code = reverse(b, load(b, element(b, address, 1 - self.lanes, kind), wide))
        elif stride is None and steps == self._repeated(1):
            code = self._load_repeated(address, kind)
        elif stride is not None and 2 <= stride <= MOST_VECTORS:
            code = self._load_every(stride, address, kind)
        else:
            name = f"llvm.masked.gather.{suffix(wide)}.v{self.lanes}p0"
            args = [self._addresses(address, steps, kind), self._mask(range(self.lanes)), constant(wide, 0)]
            code = intrinsic(b, name, wide, args)
        return from_memory(b, code, np.dtype(dtype))

    def store(self, access: Access, value: Value) -> None:
        b, steps, dtype = self.builder, self._steps(access.strides), np.dtype(self.dtypes[access.operand])
        code = to_memory(b, apply(b, "cast", [value], dtype))
        address, kind, stride = self.address(access), type_of(dtype), _even(steps)
        if stride == 0:
            store(b, code, address)
            return
        code = splat(b, code, self.lanes) if lanes_of(code) == 1 else code
        if stride == 1:
            self._store_first(code, address, kind)
        elif stride == -1 and self.valid == self.lanes:
            store(b, reverse(b, code), element(b, address, 1 - self.lanes, kind))
        elif stride is not None and 2 <= stride <= MOST_VECTORS:
            self._store_every(stride, address, code)
        else:
            name = f"llvm.masked.scatter.{suffix(code.type)}.v{self.lanes}p0"
            intrinsic(b, name, VOID, [code, self._addresses(address, steps, kind), self._mask(range(self.lanes))])

    def _load_lanes(self, place: ir.Value, wide: ir.Type, asked: Sequence[int | None]) -> ir.Value:
        """A vector of which only these lanes' elements are wanted; it is whole if all exist."""
        if self.valid == self.lanes:
            return load(self.builder, place, wide)
        return masked_load(self.builder, place, self._mask(asked), wide)

    def _load_every(self, stride: int, first: ir.Value, kind: ir.Type) -> ir.Value:
        """Every ``stride``-th element, picked from whole vectors."""
        b, lanes = self.builder, self.lanes
        picked: ir.Value | None = None
        for start, asked in _spans(stride, lanes):
            loaded = self._load_lanes(element(b, first, start, kind), vector(kind, lanes), asked)
            held = [lanes + asked.index(lane) if lane in asked else lane for lane in range(lanes)]
            order = ir.Constant(ir.VectorType(I32, lanes), held)
            picked = b.shuffle_vector(loaded if picked is None else picked, loaded, order)
        return picked

    def _load_repeated(self, first: ir.Value, kind: ir.Type) -> ir.Value:
        """Neighbours, each in as many lanes as ``fine`` has points."""
        b, count, exist = self.builder, self.lanes // self.repeats, -(-self.valid // self.repeats)
        short = vector(kind, count)
        if count == 1:
            return splat(b, load(b, first, kind), self.lanes)
        if exist == count:
            code = load(b, first, short)
        else:
            mask = ir.Constant(ir.VectorType(I1, count), [int(i < exist) for i in range(count)])
            code = masked_load(b, first, mask, short)
        order = ir.Constant(ir.VectorType(I32, self.lanes), self._repeated(1))
        return b.shuffle_vector(code, ir.Constant(short, ir.Undefined), order)

    def _store_every(self, stride: int, first: ir.Value, code: ir.Value) -> None:
        """To every ``stride``-th element, by masked stores of whole vectors: far cheaper than a scatter."""
        b, lanes = self.builder, self.lanes
        for start, asked in _spans(stride, lanes):
            order = ir.Constant(ir.VectorType(I32, lanes), [lane or 0 for lane in asked])
            part = b.shuffle_vector(code, ir.Constant(code.type, ir.Undefined), order)
            masked_store(b, part, element(b, first, start, code.type.element), self._mask(asked))

    def _store_first(self, code: ir.Value, address: ir.Value, kind: ir.Type) -> None:
        """The lanes that exist, in pieces of powers of two: loads soon after would wait for a masked store."""
        b, done = self.builder, 0
        if self.valid == self.lanes:
            store(b, code, address)
            return
        for size in (2**i for i in reversed(range(self.lanes.bit_length()))):
            if not self.valid & size:
                continue
            if size == 1:
                part = b.extract_element(code, ir.Constant(I32, done))
            else:
                order = ir.Constant(ir.VectorType(I32, size), list(range(done, done + size)))
                part = b.shuffle_vector(code, ir.Constant(code.type, ir.Undefined), order)
            store(b, part, element(b, address, done, kind))
            done += size

    def _mask(self, asked: Sequence[int | None]) -> ir.Value:
        """Where these lanes are, of those that exist."""
        bits = [int(lane is not None and lane < self.valid) for lane in asked]
        return ir.Constant(ir.VectorType(I1, len(bits)), bits)

    def address(self, access: Access) -> ir.Value:
        """Of the operand's element at this point, at its first lane."""
        b, position = self.builder, i64(access.offset)
        for dimension, stride in enumerate(access.strides):
            if stride:
                step = self._coordinate(dimension)
                position = b.add(position, step if stride == 1 else b.mul(step, i64(stride)))
        return element(b, self.operands[access.operand], position, type_of(self.dtypes[access.operand]))

    def _steps(self, strides: Sequence[int]) -> list[int]:
        """How far each lane is from the first."""
        if self.along is None or self.lanes == 1:
            return [0] * self.lanes
        along, fine = strides[self.along], 0 if self.fine is None else strides[self.fine]
        return [lane // self.repeats * along + lane % self.repeats * fine for lane in range(self.lanes)]

    def _repeated(self, step: int) -> list[int]:
        return [lane // self.repeats * step for lane in range(self.lanes)]

    def _coordinate(self, dimension: int) -> ir.Value:
        coordinate = self.coordinates[dimension]
        if coordinate is None:
            raise ValueError(f"point: dimension {dimension} has no coordinate here")
        return coordinate

    def _addresses(self, first: ir.Value, steps: Sequence[int], kind: ir.Type) -> ir.Value:
        pointers = splat(self.builder, first, self.lanes)
        return self.builder.gep(pointers, [ir.Constant(ir.VectorType(I64, self.lanes), steps)], source_etype=kind)


def _even(steps: Sequence[int]) -> int | None:
    """The distance from lane to lane if it is everywhere the same."""
    stride = steps[1] if len(steps) > 1 else 0
    return stride if all(step == lane * stride for lane, step in enumerate(steps)) else None


def _spans(stride: int, lanes: int) -> list[tuple[int, list[int | None]]]:
    """Whole vectors that hold every ``stride``-th element and end with the last: the start of each, and its lanes."""
    starts = [*range(0, (stride - 1) * lanes, lanes), (lanes - 1) * stride + 1 - lanes]
    return [(s, [at // stride if at % stride == 0 else None for at in range(s, s + lanes)]) for s in starts]


def reverse(builder: Kernel, code: ir.Value) -> ir.Value:
    lanes = lanes_of(code)
    order = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes - 1, -1, -1)))
    return builder.shuffle_vector(code, ir.Constant(code.type, ir.Undefined), order)

"""The statements of a loop kernel as code, at one point or at a vector of neighbouring points.

A ``Point`` knows the coordinates and how operands are reached from them; ``value`` turns a statement that computes
something into code, given the values of the statements before it. Loops around it are the caller's: a loop nest, or a
matrix product that applies the statements to its accumulators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.compile.loops import Access, Constant, Index, Load, Map, Statement

from .emit import (
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
from .vector_math import from_bool, lanes_of, scalar_op, to_bool

BOOL = np.dtype(np.bool_)
MOST_LOADS = 4  # for one vector of elements that are not neighbours; beyond, each is loaded alone


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
    mask: the lanes that exist (None for all); the others load 0 and store nothing.
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
        mask: ir.Value | None = None,
    ):
        self.builder, self.operands, self.dtypes, self.coordinates = builder, operands, dtypes, coordinates
        self.along, self.lanes, self.mask = along, lanes, mask

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

    def index(self, statement: Index) -> Value:
        b = self.builder
        first = b.add(b.mul(self._coordinate(statement.dimension), i64(statement.step)), i64(statement.start))
        if statement.dimension != self.along or self.lanes == 1:
            return Value(first, np.dtype(np.int64))
        steps = ir.Constant(ir.VectorType(I64, self.lanes), [lane * statement.step for lane in range(self.lanes)])
        return Value(b.add(splat(b, first, self.lanes), steps), np.dtype(np.int64))

    def load(self, access: Access, dtype: np.dtype) -> Value:
        b, kind, stride = self.builder, type_of(dtype), self._stride(access)
        address = self.address(access)
        if stride == 0:
            code = load(b, address, kind)
        elif stride == 1 and self.mask is None:
            code = load(b, address, vector(kind, self.lanes))
        elif stride == 1:
            code = masked_load(b, address, self.mask, vector(kind, self.lanes))
        elif stride == -1 and self.mask is None:
            last = element(b, address, 1 - self.lanes, kind)
            code = reverse(b, load(b, last, vector(kind, self.lanes)))
        elif 2 <= stride <= MOST_LOADS:
            code = self._every(stride, address, kind)
        else:
            wide = vector(kind, self.lanes)
            name = f"llvm.masked.gather.{suffix(wide)}.v{self.lanes}p0"
            args = [self._addresses(address, stride, kind), self._all_or_mask(), constant(wide, 0)]
            code = intrinsic(b, name, wide, args)
        return from_memory(b, code, np.dtype(dtype))

    def _every(self, stride: int, first: ir.Value, kind: ir.Type) -> ir.Value:
        """Every ``stride``-th element, picked from whole vectors, of which the last ends with the last element."""
        b, lanes = self.builder, self.lanes
        starts = [*range(0, (stride - 1) * lanes, lanes), (lanes - 1) * stride + 1 - lanes]
        picked: ir.Value | None = None
        for part, start in enumerate(starts):
            place = element(b, first, start, kind)
            if self.mask is None:
                loaded = load(b, place, vector(kind, lanes))
            else:
                asked = [at // stride if at % stride == 0 else lanes for at in range(start, start + lanes)]
                none = constant(self.mask.type, 0)
                mask = b.shuffle_vector(self.mask, none, ir.Constant(ir.VectorType(I32, lanes), asked))
                loaded = masked_load(b, place, mask, vector(kind, lanes))
            if picked is None:
                picked = loaded
                continue
            # lanes known so far keep their places, but for those of the first vector, which are moved there now
            order = []
            for lane in range(lanes):
                at = lane * stride
                before = at if part == 1 else lane
                order.append(before if at < starts[part - 1] + lanes else lanes + max(0, min(at - start, lanes - 1)))
            picked = b.shuffle_vector(picked, loaded, ir.Constant(ir.VectorType(I32, lanes), order))
        return picked

    def store(self, access: Access, value: Value) -> None:
        b, stride, dtype = self.builder, self._stride(access), np.dtype(self.dtypes[access.operand])
        code = to_memory(b, apply(b, "cast", [value], dtype))
        address, kind = self.address(access), type_of(dtype)
        if stride == 0:
            store(b, code, address)
            return
        code = splat(b, code, self.lanes) if lanes_of(code) == 1 else code
        if stride == 1 and self.mask is None:
            store(b, code, address)
        elif stride == 1:
            masked_store(b, code, address, self.mask)
        elif stride == -1 and self.mask is None:
            store(b, reverse(b, code), element(b, address, 1 - self.lanes, kind))
        elif 2 <= stride <= MOST_LOADS:
            self._store_every(stride, address, code)
        else:
            name = f"llvm.masked.scatter.{suffix(code.type)}.v{self.lanes}p0"
            args = [code, self._addresses(address, stride, kind), self._all_or_mask()]
            intrinsic(b, name, VOID, args)

    def _store_every(self, stride: int, first: ir.Value, code: ir.Value) -> None:
        """To every ``stride``-th element, by masked stores of whole vectors: far cheaper than a scatter."""
        b, lanes, kind = self.builder, self.lanes, code.type.element
        for start in range(0, stride * lanes, lanes):
            held = [at // stride if at % stride == 0 else None for at in range(start, start + lanes)]
            if not any(lane is not None for lane in held):
                continue
            order = ir.Constant(ir.VectorType(I32, lanes), [lane or 0 for lane in held])
            mask = ir.Constant(ir.VectorType(I1, lanes), [int(lane is not None) for lane in held])
            if self.mask is not None:
                mask = b.and_(mask, b.shuffle_vector(self.mask, ir.Constant(self.mask.type, ir.Undefined), order))
            moved = b.shuffle_vector(code, ir.Constant(code.type, ir.Undefined), order)
            masked_store(b, moved, element(b, first, start, kind), mask)

    def address(self, access: Access) -> ir.Value:
        """Of the operand's element at this point, at its first lane."""
        b, position = self.builder, i64(access.offset)
        for dimension, stride in enumerate(access.strides):
            if stride:
                step = self._coordinate(dimension)
                position = b.add(position, step if stride == 1 else b.mul(step, i64(stride)))
        return element(b, self.operands[access.operand], position, type_of(self.dtypes[access.operand]))

    def _stride(self, access: Access) -> int:
        """Between lanes; 0 if all lanes are one element."""
        return access.strides[self.along] if self.along is not None and self.lanes > 1 else 0

    def _coordinate(self, dimension: int) -> ir.Value:
        coordinate = self.coordinates[dimension]
        if coordinate is None:
            raise ValueError(f"point: dimension {dimension} has no coordinate here")
        return coordinate

    def _addresses(self, first: ir.Value, stride: int, kind: ir.Type) -> ir.Value:
        steps = ir.Constant(ir.VectorType(I64, self.lanes), [lane * stride for lane in range(self.lanes)])
        pointers = splat(self.builder, first, self.lanes)
        return self.builder.gep(pointers, [steps], source_etype=kind)

    def _all_or_mask(self) -> ir.Value:
        return self.mask if self.mask is not None else constant(ir.VectorType(I1, self.lanes), 1)


def reverse(builder: Kernel, code: ir.Value) -> ir.Value:
    lanes = lanes_of(code)
    order = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes - 1, -1, -1)))
    return builder.shuffle_vector(code, ir.Constant(code.type, ir.Undefined), order)

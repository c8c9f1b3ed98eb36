"""Reductions on vectors: what each kind starts from, how parts combine, and a vector's lanes into one number."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..emit import I1, I32, Kernel, constant, local, splat
from .statements import BOOL, Value, apply, literal, spread

_OPERATION = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}
_OF_BOOLS = {"max": "or", "min": "and", "sum": "or", "prod": "and"}


def identity(kind: str, dtype: np.dtype) -> Value:
    """What combines with any value to that value."""
    dtype = np.dtype(dtype)
    if kind in ("max", "min") and dtype != BOOL:
        if dtype.kind == "f":
            return literal(-np.inf if kind == "max" else np.inf, dtype)
        bounds = np.iinfo(dtype)
        return literal(bounds.min if kind == "max" else bounds.max, dtype)
    return literal(int(kind in ("prod", "all", "min")), dtype)


def combine(builder: Kernel, kind: str, a: Value, b: Value) -> Value:
    operation = _OF_BOOLS.get(kind, _OPERATION[kind]) if a.dtype == BOOL else _OPERATION[kind]
    return apply(builder, operation, [a, b], a.dtype)


def lanes_that_exist(builder: Kernel, kind: str, value: Value, valid: int) -> Value:
    """The value with the identity in the lanes from ``valid`` on."""
    lanes = value.lanes
    if valid == lanes:
        return value
    neutral = spread(builder, identity(kind, value.dtype), lanes)
    exist = ir.Constant(ir.VectorType(I1, lanes), [int(lane < valid) for lane in range(lanes)])
    return Value(builder.select(exist, value.code, neutral), value.dtype)


def narrowed(builder: Kernel, kind: str, value: Value, lanes: int) -> Value:
    """The value's lanes combined, half with half, until ``lanes`` are left."""
    while value.lanes > lanes:
        half = value.lanes // 2
        code, undefined = value.code, ir.Constant(value.code.type, ir.Undefined)
        parts = []
        for first in (0, half):
            if half == 1:
                part = builder.extract_element(code, ir.Constant(I32, first))
            else:
                chosen = ir.Constant(ir.VectorType(I32, half), list(range(first, first + half)))
                part = builder.shuffle_vector(code, undefined, chosen)
            parts.append(Value(part, value.dtype))
        value = combine(builder, kind, *parts)
    return value


class Running:
    """A reduction in a register, of ``lanes`` results side by side.

    add: a value. fold: another reduction's result. What rounding loses of a sum in doing so is added the next time
    (Kahan), so that sums of many short sums are as exact as a tree of them.
    """

    def __init__(self, builder: Kernel, kind: str, dtype: np.dtype, lanes: int, *, folds: bool = False):
        self.b, self.kind, self.dtype = builder, kind, np.dtype(dtype)
        start = splat(builder, identity(kind, dtype).code, lanes)
        self._type = start.type
        self._place = local(builder, start.type, start)
        exact = folds and kind == "sum" and self.dtype.kind == "f"
        self._lost = local(builder, start.type, start) if exact else None

    @property
    def value(self) -> Value:
        return Value(self.b.load(self._place, typ=self._type), self.dtype)

    @property
    def lanes(self) -> int:
        return self._type.count if isinstance(self._type, ir.VectorType) else 1

    def add(self, value: Value) -> None:
        self.b.store(combine(self.b, self.kind, self.value, value).code, self._place)

    def fold(self, value: Value) -> None:
        b = self.b
        value = narrowed(b, self.kind, value, self.lanes)
        if self._lost is None:
            self.add(value)
            return
        before = self.value.code
        corrected = b.fsub(value.code, b.load(self._lost, typ=self._type))
        after = b.fadd(before, corrected)
        lost = b.fsub(b.fsub(after, before), corrected)
        nothing = b.fsub(lost, lost)  # NaN after an infinity or NaN, of which nothing is lost
        finite = b.fcmp_ordered("==", nothing, nothing)
        b.store(after, self._place)
        b.store(b.select(finite, lost, constant(self._type, 0.0)), self._lost)

"""Every scalar operation of loop kernels (``SCALAR_OPS``) as LLVM IR, for one value or a vector of any lane count.

    scalar_op(builder, op, args, arg_dtypes, dtype) -> value

The lane count is that of the arguments; ``arg_dtypes`` and ``dtype`` are the NumPy dtypes of the arguments and of the
result (integers in LLVM have no sign of their own). Where they differ, arguments are first converted as NumPy would:
comparisons to their common dtype, logic to bool, the rest to the result's dtype. A bool is an i1 here and a byte 0 or 1
in memory: ``to_bool`` after a load, ``from_bool`` before a store; ``value_type`` is a value's type.

Results are NumPy's, but for the last bits of the elementary functions: ``STATED_ERROR`` bounds them, and the modules
that write them (exponentials, logarithms, powers, trigonometry) tell their methods. NaN, infinities, the sign of zero,
subnormal numbers and the edges of the range are right in every lane, and no lane's result depends on its neighbours or
on the lane count. Cases are selected, not branched to; only sin, cos, tan and the remainders call the C library, if a
lane is too far out for them, so a function's code may go on in another block than it began in. Nothing traps: an
integer divided by zero is 0. A number that an integer cannot hold is cast to an unspecified one; of two zeros max and
min return either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from ..emit import I1, I8, constant, type_of, vector
from . import exponentials, float_operations, integer_operations, logarithms, powers, trigonometry
from .float_arithmetic import Arithmetic

# The largest error of each function in units in the last place: what dense samples show, and a margin. Without fused
# multiply-adds it may be up to one unit more.
STATED_ERROR: dict[str, dict[str, float]] = {
    "exp": {"float32": 1.0, "float64": 1.0},
    "exp2": {"float32": 1.0, "float64": 1.0},
    "expm1": {"float32": 2.0, "float64": 2.0},
    "sinh": {"float32": 2.5, "float64": 2.5},
    "cosh": {"float32": 1.5, "float64": 1.5},
    "tanh": {"float32": 2.5, "float64": 2.5},
    "sigmoid": {"float32": 2.5, "float64": 2.5},
    "erf": {"float32": 2.0, "float64": 2.0},
    "log": {"float32": 1.0, "float64": 1.0},
    "log2": {"float32": 1.5, "float64": 1.5},
    "log10": {"float32": 1.0, "float64": 1.0},
    "log1p": {"float32": 1.5, "float64": 1.5},
    "asinh": {"float32": 2.0, "float64": 2.0},
    "acosh": {"float32": 2.5, "float64": 2.5},
    "atanh": {"float32": 2.5, "float64": 2.5},
    "pow": {"float32": 1.0, "float64": 1.5},
    "cbrt": {"float32": 1.0, "float64": 1.0},
    "hypot": {"float32": 1.0, "float64": 1.5},
    "sin": {"float32": 2.0, "float64": 2.0},
    "cos": {"float32": 2.0, "float64": 2.0},
    "tan": {"float32": 3.5, "float64": 3.5},
    "asin": {"float32": 2.0, "float64": 2.0},
    "acos": {"float32": 1.5, "float64": 1.5},
    "atan": {"float32": 2.0, "float64": 2.0},
    "atan2": {"float32": 2.0, "float64": 2.0},
}

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
LOGIC = ("and", "or", "xor")
PREDICATES = ("isnan", "isinf", "isfinite", "signbit")

_ELEMENTARY: dict[str, Callable[..., ir.Value]] = {
    "exp": exponentials.exp,
    "exp2": exponentials.exp2,
    "expm1": exponentials.expm1,
    "sinh": exponentials.sinh,
    "cosh": exponentials.cosh,
    "tanh": exponentials.tanh,
    "sigmoid": exponentials.sigmoid,
    "erf": exponentials.erf,
    "log": logarithms.log,
    "log2": logarithms.log2,
    "log10": logarithms.log10,
    "log1p": logarithms.log1p,
    "asinh": logarithms.asinh,
    "acosh": logarithms.acosh,
    "atanh": logarithms.atanh,
    "pow": powers.power,
    "cbrt": powers.cbrt,
    "hypot": powers.hypot,
    "sin": trigonometry.sin,
    "cos": trigonometry.cos,
    "tan": trigonometry.tan,
    "asin": trigonometry.asin,
    "acos": trigonometry.acos,
    "atan": trigonometry.atan,
    "atan2": trigonometry.atan2,
}


# ------------------------------------------------------------------------------------ types


def value_type(dtype: Any, lanes: int) -> ir.Type:
    """What a value of this dtype is inside the code."""
    return vector(I1 if np.dtype(dtype) == np.bool_ else type_of(dtype), lanes)


def lanes_of(value: ir.Value) -> int:
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


def to_bool(builder: ir.IRBuilder, byte: ir.Value) -> ir.Value:
    """A bool loaded from memory."""
    return builder.icmp_unsigned("!=", byte, constant(byte.type, 0))


def from_bool(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """A bool as memory holds it."""
    return builder.zext(value, vector(I8, lanes_of(value)))


# ------------------------------------------------------------------------------------ dispatch


def scalar_op(
    builder: ir.IRBuilder, op: str, args: Sequence[ir.Value], arg_dtypes: Sequence[np.dtype], dtype: np.dtype
) -> ir.Value:
    """Emit one operation; TypeError for one that the dtype does not have."""
    sources, target = [np.dtype(d) for d in arg_dtypes], np.dtype(dtype)
    if op == "copy":
        return args[0]
    if op == "cast":
        return cast(builder, args[0], sources[0], target)
    if op == "select":
        condition = cast(builder, args[0], sources[0], np.dtype(bool))
        yes, no = (cast(builder, v, d, target) for v, d in zip(args[1:], sources[1:]))
        return builder.select(condition, yes, no)
    if op in LOGIC or op == "not":
        bools = [cast(builder, v, d, np.dtype(bool)) for v, d in zip(args, sources)]
        return _logic(builder, op, bools)
    if op in COMPARISONS:
        common = np.result_type(*sources)
        left, right = (cast(builder, v, d, common) for v, d in zip(args, sources))
        return _compare(builder, COMPARISONS[op], left, right, common)
    if op in PREDICATES:
        if sources[0].kind == "f":
            return float_operations.PREDICATES[op](Arithmetic(builder, args[0].type), args[0])
        return integer_operations.predicate(builder, op, args[0], sources[0])
    values = [cast(builder, v, d, target) for v, d in zip(args, sources)]
    if target.kind == "f":
        arithmetic = Arithmetic(builder, values[0].type)
        emit = _ELEMENTARY.get(op) or float_operations.OPERATIONS.get(op)
        if emit is not None:
            return emit(arithmetic, *values)
    elif target.kind == "b":
        if op in integer_operations.BOOL:
            return integer_operations.BOOL[op](builder, *values)
    elif op in integer_operations.OPERATIONS:
        return integer_operations.OPERATIONS[op](integer_operations.Whole(builder, target), *values)
    raise TypeError(f"scalar_op: no operation {op!r} with a result of {target}")


def cast(builder: ir.IRBuilder, value: ir.Value, source: np.dtype, target: np.dtype) -> ir.Value:
    """A value of one dtype as another."""
    if source == target:
        return value
    kind = value_type(target, lanes_of(value))
    if target.kind == "b":
        zero = constant(value.type, 0.0 if source.kind == "f" else 0)
        return (builder.fcmp_unordered if source.kind == "f" else builder.icmp_unsigned)("!=", value, zero)
    if source.kind == target.kind == "f":
        return builder.fpext(value, kind) if target.itemsize > source.itemsize else builder.fptrunc(value, kind)
    if target.kind == "f":
        return (builder.sitofp if source.kind == "i" else builder.uitofp)(value, kind)
    if source.kind == "f":
        if target == np.uint64:
            return builder.fptoui(value, kind)
        # By way of a wider integer, of which the low bits are kept: what C compilers do.
        wide = np.dtype(np.int32 if target.itemsize < 4 else np.int64 if target == np.uint32 else target)
        whole = builder.fptosi(value, value_type(wide, lanes_of(value)))
        return cast(builder, whole, wide, target)
    if source.itemsize > target.itemsize:
        return builder.trunc(value, kind)
    if source.itemsize == target.itemsize and source.kind != "b":
        return value
    return (builder.sext if source.kind == "i" else builder.zext)(value, kind)


def _logic(builder: ir.IRBuilder, op: str, values: Sequence[ir.Value]) -> ir.Value:
    if op == "not":
        return builder.not_(values[0])
    return {"and": builder.and_, "or": builder.or_, "xor": builder.xor}[op](*values)


def _compare(builder: ir.IRBuilder, relation: str, a: ir.Value, b: ir.Value, dtype: np.dtype) -> ir.Value:
    if dtype.kind == "f":
        return Arithmetic(builder, a.type).compare(relation, a, b)
    return (builder.icmp_signed if dtype.kind == "i" else builder.icmp_unsigned)(relation, a, b)

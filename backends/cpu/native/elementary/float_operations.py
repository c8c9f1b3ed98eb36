"""The operations on floating-point values that need no approximation: arithmetic, rounding, remainders, predicates."""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from .c_functions import c_function_where
from .float_arithmetic import Arithmetic


def _sign(a: Arithmetic, x: ir.Value) -> ir.Value:
    """-1, 0 (of positive sign) or 1; NaN of NaN."""
    nonzero = a.compare("!=", x, 0.0)
    return a.select(nonzero, a.select(a.is_nan(x), x, a.copysign(1.0, x)), 0.0)


def _is_number(x: ir.Value) -> bool:
    """Whether x is known now, in every lane, and not NaN."""
    if isinstance(x, ir.ShuffleVector) and isinstance(x.operands[0], ir.InsertElement):
        x = x.operands[0].operands[1]  # a scalar that was put into every lane
    if not isinstance(x, ir.Constant) or x.constant is ir.Undefined:
        return False
    lanes = x.constant if isinstance(x.type, ir.VectorType) else [x]
    return all(isinstance(lane.constant, float | int) and not math.isnan(lane.constant) for lane in lanes)


def _extremum(relation: str) -> Callable[[Arithmetic, ir.Value, ir.Value], ir.Value]:
    def emit(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
        # ``y beats x ? y : x`` is NaN where x is, in one instruction: enough if y is known not to be NaN
        if _is_number(x):
            x, y = y, x
        best = a.select(a.compare(relation, y, x), y, x)
        return best if _is_number(y) else a.select(a.is_nan(y), y, best)

    return emit


def _fmod(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    """x - q * y with q = x / y rounded to 0, exact for quotients that are whole numbers of the format.

    The division may round up to a whole number: then one y too many was taken, and is given back.
    """
    large, small = a.abs(x), a.abs(y)
    quotient = a.div(large, small)
    remainder = a.call("fma", a.neg(a.call("trunc", quotient)), small, large)
    remainder = a.select(a.compare("<", remainder, 0.0), a.add(remainder, small), remainder)
    beyond = a.builder.fcmp_unordered(">", quotient, a.number(2.0**a.format.fraction))
    beyond = a.builder.or_(beyond, a.compare("==", small, math.inf))
    return c_function_where(a, beyond, "fmod", (x, y), a.copysign(remainder, x))


def _divmod(a: Arithmetic, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The remainder with the divisor's sign, its being nonzero, and (x - remainder) / y before it is rounded."""
    remainder = _fmod(a, x, y)
    nonzero = a.compare("!=", remainder, 0.0)
    quotient = a.div(a.sub(x, remainder), y)
    opposite = a.builder.xor(a.compare("<", y, 0.0), a.compare("<", remainder, 0.0))
    move = a.builder.and_(nonzero, opposite)
    quotient = a.select(move, a.sub(quotient, 1.0), quotient)
    remainder = a.select(move, a.add(remainder, y), remainder)
    return a.select(nonzero, remainder, a.copysign(0.0, y)), nonzero, quotient


def _mod(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    return _divmod(a, x, y)[0]


def _floor_div(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    _, _, quotient = _divmod(a, x, y)
    exact = a.div(x, y)
    whole = a.call("floor", quotient)
    whole = a.select(a.compare(">", a.sub(quotient, whole), 0.5), a.add(whole, 1.0), whole)
    whole = a.select(a.compare("!=", quotient, 0.0), whole, a.copysign(0.0, exact))
    return a.select(a.compare("==", y, 0.0), exact, whole)


def _isinf(a: Arithmetic, x: ir.Value) -> ir.Value:
    return a.compare("==", a.abs(x), math.inf)


def _isfinite(a: Arithmetic, x: ir.Value) -> ir.Value:
    return a.compare("<", a.abs(x), math.inf)


def _signbit(a: Arithmetic, x: ir.Value) -> ir.Value:
    return a.builder.icmp_signed("<", a.bits(x), a.integer(0))


def _intrinsic(name: str) -> Callable[..., ir.Value]:
    return lambda a, *args: a.call(name, *args)


OPERATIONS: dict[str, Callable[..., ir.Value]] = {
    "neg": Arithmetic.neg,
    "abs": Arithmetic.abs,
    "sign": _sign,
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": lambda a, x: a.div(1.0, a.call("sqrt", x)),
    "reciprocal": lambda a, x: a.div(1.0, x),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "rint": _intrinsic("rint"),  # half to even, in the rounding mode that everything here assumes
    "add": Arithmetic.add,
    "sub": Arithmetic.sub,
    "mul": Arithmetic.mul,
    "div": Arithmetic.div,
    "fma": Arithmetic.fma,
    "floor_div": _floor_div,
    "mod": _mod,
    "fmod": _fmod,
    "max": _extremum(">"),
    "min": _extremum("<"),
    "copysign": Arithmetic.copysign,
}

PREDICATES: dict[str, Callable[[Arithmetic, ir.Value], ir.Value]] = {
    "isnan": Arithmetic.is_nan,
    "isinf": _isinf,
    "isfinite": _isfinite,
    "signbit": _signbit,
}

"""The operations on integers and bools, as NumPy defines them: no division traps, no shift is too far."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir

from ..emit import I1, constant, local, loop, vector


class Whole:
    """Operations on integer values of one dtype, scalars or vectors."""

    def __init__(self, builder: ir.IRBuilder, dtype: np.dtype):
        self.builder = builder
        self.signed = dtype.kind == "i"
        self.bits = 8 * dtype.itemsize

    def compare(self, relation: str, a: ir.Value, b: ir.Value) -> ir.Value:
        return (self.builder.icmp_signed if self.signed else self.builder.icmp_unsigned)(relation, a, b)


def _like(x: ir.Value, value: int) -> ir.Constant:
    return constant(x.type, value)


def _abs(w: Whole, x: ir.Value) -> ir.Value:
    if not w.signed:
        return x
    return w.builder.select(w.compare("<", x, _like(x, 0)), w.builder.neg(x), x)


def _sign(w: Whole, x: ir.Value) -> ir.Value:
    zero, one = _like(x, 0), _like(x, 1)
    positive = w.builder.select(w.compare(">", x, zero), one, zero)
    return w.builder.select(w.compare("<", x, zero), _like(x, -1), positive) if w.signed else positive


def _divided(w: Whole, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Quotient rounded to 0 and its remainder; 0 and 0 for y = 0. Nothing is divided by 0, nor the lowest x by -1."""
    b, zero = w.builder, _like(x, 0)
    no_divisor = w.compare("==", y, zero)
    if not w.signed:
        safe = b.select(no_divisor, _like(x, 1), y)
        quotient = b.select(no_divisor, zero, b.udiv(x, safe))
    else:
        minus = w.compare("==", y, _like(x, -1))
        safe = b.select(b.or_(no_divisor, minus), _like(x, 1), y)
        quotient = b.select(minus, b.neg(x), b.select(no_divisor, zero, b.sdiv(x, safe)))
    return quotient, b.select(no_divisor, zero, b.sub(x, b.mul(quotient, y)))


def _rounded_down(w: Whole, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value]:
    quotient, remainder = _divided(w, x, y)
    if not w.signed:
        return quotient, remainder
    b, zero = w.builder, _like(x, 0)
    opposite = w.compare("<", b.xor(remainder, y), zero)
    move = b.and_(w.compare("!=", remainder, zero), opposite)
    return (
        b.select(move, b.sub(quotient, _like(x, 1)), quotient),
        b.select(move, b.add(remainder, y), remainder),
    )


def _extremum(relation: str) -> Callable[[Whole, ir.Value, ir.Value], ir.Value]:
    return lambda w, x, y: w.builder.select(w.compare(relation, x, y), x, y)


def _in_range(w: Whole, count: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Whether a shift by so much leaves any bit, and a count that is 0 where it does not."""
    fits = w.builder.icmp_unsigned("<", count, _like(count, w.bits))
    return fits, w.builder.select(fits, count, _like(count, 0))


def _shl(w: Whole, x: ir.Value, count: ir.Value) -> ir.Value:
    fits, count = _in_range(w, count)
    return w.builder.select(fits, w.builder.shl(x, count), _like(x, 0))


def _shr(w: Whole, x: ir.Value, count: ir.Value) -> ir.Value:
    b = w.builder
    fits, count = _in_range(w, count)
    if w.signed:
        return b.ashr(x, b.select(fits, count, _like(x, w.bits - 1)))
    return b.select(fits, b.lshr(x, count), _like(x, 0))


def _pow(w: Whole, x: ir.Value, exponent: ir.Value) -> ir.Value:
    """By squaring, one bit of the exponent a round; modulo 2**bits. Exponents are not negative, as for NumPy."""
    b = w.builder
    result, base, left = (local(b, x.type, start) for start in (_like(x, 1), x, exponent))
    with loop(b, 0, w.bits):
        power, bits = b.load(base, typ=x.type), b.load(left, typ=x.type)
        so_far = b.load(result, typ=x.type)
        odd = b.trunc(bits, vector(I1, x.type.count if isinstance(x.type, ir.VectorType) else 1))
        b.store(b.select(odd, b.mul(so_far, power), so_far), result)
        b.store(b.mul(power, power), base)
        b.store(b.lshr(bits, _like(x, 1)), left)
    return b.load(result, typ=x.type)


OPERATIONS: dict[str, Callable[..., ir.Value]] = {
    "neg": lambda w, x: w.builder.neg(x),
    "abs": _abs,
    "sign": _sign,
    "floor": lambda w, x: x,
    "ceil": lambda w, x: x,
    "trunc": lambda w, x: x,
    "rint": lambda w, x: x,
    "invert": lambda w, x: w.builder.not_(x),
    "add": lambda w, x, y: w.builder.add(x, y),
    "sub": lambda w, x, y: w.builder.sub(x, y),
    "mul": lambda w, x, y: w.builder.mul(x, y),
    "fma": lambda w, x, y, z: w.builder.add(w.builder.mul(x, y), z),
    "floor_div": lambda w, x, y: _rounded_down(w, x, y)[0],
    "mod": lambda w, x, y: _rounded_down(w, x, y)[1],
    "fmod": lambda w, x, y: _divided(w, x, y)[1],
    "pow": _pow,
    "max": _extremum(">"),
    "min": _extremum("<"),
    "bit_and": lambda w, x, y: w.builder.and_(x, y),
    "bit_or": lambda w, x, y: w.builder.or_(x, y),
    "bit_xor": lambda w, x, y: w.builder.xor(x, y),
    "shl": _shl,
    "shr": _shr,
}

# NumPy's arithmetic on bools is logic.
BOOL: dict[str, Callable[..., ir.Value]] = {
    "abs": lambda b, x: x,
    "invert": lambda b, x: b.not_(x),
    "add": lambda b, x, y: b.or_(x, y),
    "mul": lambda b, x, y: b.and_(x, y),
    "max": lambda b, x, y: b.or_(x, y),
    "min": lambda b, x, y: b.and_(x, y),
    "bit_and": lambda b, x, y: b.and_(x, y),
    "bit_or": lambda b, x, y: b.or_(x, y),
    "bit_xor": lambda b, x, y: b.xor(x, y),
}


def predicate(builder: ir.IRBuilder, op: str, x: ir.Value, dtype: np.dtype) -> ir.Value:
    """isnan, isinf, isfinite and signbit of an integer or bool."""
    if op == "signbit" and dtype.kind == "i":
        return builder.icmp_signed("<", x, _like(x, 0))
    kind = vector(I1, x.type.count if isinstance(x.type, ir.VectorType) else 1)
    return constant(kind, int(op == "isfinite"))

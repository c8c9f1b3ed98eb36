"""pow, cbrt and hypot, for vectors of float32 and float64.

float32's pow is 2**(y * log2 x) in double precision, both with polynomials just as long as float32 needs (minimax fits
of the relative error by Remez's exchange), so its error is hardly more than the rounding; float64's calls the C
library for every lane. cbrt starts from a third of x's bits, taken as an integer, and adds Halley's correction until
the last bits are right; hypot brings the larger side near 1 before squaring, or squares in double precision.
"""

from __future__ import annotations

import math

from llvmlite import ir

from .emit import F64, vector
from .float_arithmetic import Arithmetic
from .library import library_call
from .logarithms import split

# log2((1 + s) / (1 - s)) = s * LOG2(s*s) between the square roots of 1/2 and 2; 2**r = EXP2(r) for |r| <= 1/2
LOG2 = (2.8853900817900904, 0.9617966733351948, 0.5770835864765081, 0.41167261892746587, 0.3407320826021594)
EXP2 = (
    1.0000000005551226,
    0.6931472057621496,
    0.24022646884997634,
    0.05550328718486564,
    0.009618489308313636,
    0.001339995550713835,
    0.00015345779258238524,
)
# A third of x's bits plus this are the bits of the cube root to 3%: found by search, for float32.
THIRD_OF_BITS = 0x2A510800


def power(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    if not a.single:
        return library_call(a, "pow", (x, y))
    magnitude = _power_of_magnitude(a, a.abs(x), y)
    half = a.mul(y, 0.5)
    whole = a.compare("==", a.call("rint", y), y)
    odd = a.builder.and_(whole, a.compare("!=", a.call("rint", half), half))
    result = a.select(odd, a.copysign(magnitude, x), magnitude)
    # Below 0 only whole exponents have a power; -0 and -infinity have the limit from below.
    below = a.builder.and_(a.compare("<", x, 0.0), a.compare(">", x, -math.inf))
    result = a.select(a.builder.and_(below, a.builder.not_(whole)), math.nan, result)
    one = a.builder.or_(a.compare("==", y, 0.0), a.compare("==", x, 1.0))
    return a.select(one, 1.0, result)


def _power_of_magnitude(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    """For x >= 0; an infinite y counts as so large a number that 1**y is 1."""
    builder = a.builder
    wide = Arithmetic(builder, vector(F64, a.lanes))
    x, y = (builder.fpext(v, wide.kind) for v in (x, y))
    e, m = split(wide, x)
    s = wide.div(wide.sub(m, 1.0), wide.add(m, 1.0))
    log2 = wide.fma(s, wide.polynomial(wide.mul(s, s), LOG2), wide.from_integer(e))
    log2 = wide.select(wide.compare("==", x, 0.0), -math.inf, log2)
    log2 = wide.select(wide.compare("<", x, math.inf), log2, x)
    exponent = wide.mul(wide.at_least(wide.at_most(y, 1e300), -1e300), log2)
    exponent = wide.at_least(wide.at_most(exponent, 200.0), -200.0)
    n, bits = wide.nearest_whole(exponent, 1.0, wide.format.bias)
    result = wide.mul(wide.polynomial(wide.sub(exponent, n), EXP2), wide.to_exponent(bits))
    return builder.fptrunc(result, a.kind)


def cbrt(a: Arithmetic, x: ir.Value) -> ir.Value:
    builder = a.builder
    magnitude = a.abs(x)
    small = a.compare("<", magnitude, 2.0 ** (1 - a.format.bias))
    large = a.compare(">", magnitude, 2.0 ** (a.format.bias - 4))  # twice the cube of the root must be finite
    magnitude = a.mul(magnitude, a.select(small, 2.0**54, a.select(large, 2.0**-54, 1.0)))
    if a.single:
        third = builder.fptosi(a.fma(builder.sitofp(a.bits(magnitude), a.kind), 1 / 3, THIRD_OF_BITS), a.integers)
    else:
        # the upper half alone: its exponent is as in float32, but for the bias and three more bits of it
        upper = a.from_integer(builder.lshr(a.bits(magnitude), a.integer(32)))
        magic = 1.5 * 2.0**52
        near = a.fma(upper, 1 / 3, (THIRD_OF_BITS - (127 * 2 << 23) // 3) / 8 + (1023 * 2 << 20) / 3 + magic)
        third = builder.shl(a.bits(near), a.integer(32))
    t = a.from_bits(third)
    for _ in range(2 if a.single else 3):
        square = a.mul(t, t)
        cube = a.mul(square, t)
        short = a.fma(a.neg(square), t, magnitude)
        t = a.fma(t, a.div(short, a.fma(cube, 2.0, magnitude)), t)
    t = a.mul(t, a.select(small, 2.0**-18, a.select(large, 2.0**18, 1.0)))
    usual = builder.and_(a.compare(">", a.abs(x), 0.0), a.compare("<", a.abs(x), math.inf))
    return a.select(usual, a.copysign(t, x), x)


def hypot(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    x, y = a.abs(x), a.abs(y)
    infinite = a.builder.or_(a.compare("==", x, math.inf), a.compare("==", y, math.inf))
    if a.single:
        wide = Arithmetic(a.builder, vector(F64, a.lanes))
        p, q = (a.builder.fpext(v, wide.kind) for v in (x, y))
        result = a.builder.fptrunc(wide.call("sqrt", wide.fma(p, p, wide.mul(q, q))), a.kind)
    else:
        larger = a.select(a.compare(">", x, y), x, y)
        # 2**-e of the larger one, short of what the reciprocal of a subnormal number would need
        field = a.builder.and_(a.bits(larger), a.integer(0x7FF << 52))
        low, high = a.integer(64 << 52), a.integer(1982 << 52)
        field = a.builder.select(a.builder.icmp_signed("<", field, low), low, field)
        field = a.builder.select(a.builder.icmp_signed(">", field, high), high, field)
        scale = a.from_bits(a.builder.sub(a.integer(2046 << 52), field))
        p, q = a.mul(x, scale), a.mul(y, scale)
        result = a.mul(a.call("sqrt", a.fma(p, p, a.mul(q, q))), a.from_bits(field))
    return a.select(infinite, math.inf, result)

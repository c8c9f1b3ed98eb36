"""pow, cbrt and hypot, for vectors of float32 and float64.

pow is 2**(y * log2 x). For float32 both are computed in double precision, with polynomials just as long as float32
needs, so the error is hardly more than the rounding. For float64 log2 x is the sum of two numbers, good to 2**-65: the
exponent may be a thousand, and its error is the result's relative one. (Polynomials: minimax fits by Remez's exchange
in 140 bits and more; the coefficients rounded one by one, the rest fitted again.)

cbrt starts from a third of x's bits, taken as an integer, and adds Halley's correction until the last bits are right;
hypot brings the larger side near 1 before squaring, or squares in double precision.
"""

from __future__ import annotations

import math

from llvmlite import ir

from ..emit import F64, vector
from .exponentials import scaled
from .float_arithmetic import Arithmetic
from .logarithms import split, split_any

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
# log2((1 + s) / (1 - s)) = s * (LOG2_1 + z * (LOG2_3 + z * LOG2_REST(z))), z = s*s, the first two in two parts each;
# 2**r = 1 + r * (ln 2 + r * EXP2_REST(r))
LOG2_1 = (2.8853900817779268, 4.0710547481862066e-17)
LOG2_3 = (0.9617966939259756, 5.0577616648125907e-17)
LOG2_REST = (
    0.577078016355618,
    0.41219858309193885,
    0.3205989022740025,
    0.2623077010659927,
    0.22198400142867436,
    0.19125505522798203,
    0.1903865832445446,
)
EXP2_REST = (
    0.24022650695910072,
    0.055504108664821646,
    0.00961812910762787,
    0.0013333558146399285,
    0.00015403530394570951,
    1.5252733849639517e-05,
    1.3215485803236337e-06,
    1.0178053486756834e-07,
    7.055274437747018e-09,
    4.45637587760181e-10,
    2.5207591322697443e-11,
)
# A third of x's bits plus this are the bits of the cube root to 3%: found by search, for float32.
THIRD_OF_BITS = 0x2A510800


def power(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    magnitude = (_single_power if a.single else _double_power)(a, a.abs(x), y)
    half = a.mul(y, 0.5)
    whole = a.compare("==", a.call("rint", y), y)
    odd = a.builder.and_(whole, a.compare("!=", a.call("rint", half), half))
    result = a.select(odd, a.copysign(magnitude, x), magnitude)
    # Below 0 only whole exponents have a power; -0 and -infinity have the limit from below.
    below = a.builder.and_(a.compare("<", x, 0.0), a.compare(">", x, -math.inf))
    result = a.select(a.builder.and_(below, a.builder.not_(whole)), math.nan, result)
    one = a.builder.or_(a.compare("==", y, 0.0), a.compare("==", x, 1.0))
    return a.select(one, 1.0, result)


def _single_power(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    """For x >= 0, in double precision."""
    builder = a.builder
    wide = Arithmetic(builder, vector(F64, a.lanes))
    x, y = (builder.fpext(v, wide.kind) for v in (x, y))
    e, m = split(wide, x)
    s = wide.div(wide.sub(m, 1.0), wide.add(m, 1.0))
    log2 = _log2_edges(wide, x, wide.fma(s, wide.polynomial(wide.mul(s, s), LOG2), wide.from_integer(e)))
    exponent = wide.mul(_finite(wide, y), log2)
    exponent = wide.at_least(wide.at_most(exponent, 200.0), -200.0)
    n, bits = wide.nearest_whole(exponent, 1.0, wide.format.bias)
    result = wide.mul(wide.polynomial(wide.sub(exponent, n), EXP2), wide.to_exponent(bits))
    return builder.fptrunc(result, a.kind)


def _double_power(a: Arithmetic, x: ir.Value, y: ir.Value) -> ir.Value:
    """For x >= 0."""
    high, low = _log2_in_two_parts(a, x)
    high = _log2_edges(a, x, high)
    y = _finite(a, y)
    exponent = a.mul(y, high)
    rest = a.fma(y, low, a.call("fma", y, high, a.neg(exponent)))
    rest = a.select(a.compare("<", a.abs(exponent), 1100.0), rest, 0.0)
    exponent = a.at_least(a.at_most(exponent, 1100.0), -1100.0)
    n, bits = a.nearest_whole(exponent, 1.0, 2 * a.format.bias)
    r = a.add(a.sub(exponent, n), rest)
    slope = a.fma(a.polynomial(r, EXP2_REST), r, math.log(2.0))
    return scaled(a, a.fma(slope, r, 1.0), bits)


def _log2_in_two_parts(a: Arithmetic, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """log2(x) for x > 0 finite, as a float64 and what is missing of it."""
    e, m = split_any(a, x)
    # s = (m - 1) / (m + 1)
    numerator, denominator = a.sub(m, 1.0), a.add(m, 1.0)
    lost = a.sub(m, a.sub(denominator, 1.0))
    inverse = a.div(1.0, denominator)
    s = a.mul(numerator, inverse)
    remainder = a.call("fma", a.neg(s), denominator, numerator)
    s_low = a.mul(a.fma(a.neg(s), lost, remainder), inverse)
    # z = s*s
    z = a.mul(s, s)
    z_low = a.fma(a.add(s, s), s_low, a.call("fma", s, s, a.neg(z)))
    # c = LOG2_3 + z * LOG2_REST(z),  d = LOG2_1 + z * c,  log2(m) = s * d
    tail = a.mul(z, a.polynomial(z, LOG2_REST))
    c = a.add(tail, LOG2_3[0])
    c_low = a.add(a.sub(tail, a.sub(c, LOG2_3[0])), LOG2_3[1])
    product = a.mul(z, c)
    product_low = a.fma(z, c_low, a.fma(z_low, c, a.call("fma", z, c, a.neg(product))))
    d = a.add(product, LOG2_1[0])
    d_low = a.add(a.sub(product, a.sub(d, LOG2_1[0])), a.add(product_low, LOG2_1[1]))
    log2 = a.mul(s, d)
    log2_low = a.fma(s, d_low, a.fma(s_low, d, a.call("fma", s, d, a.neg(log2))))
    # |e| is 0 or more than the logarithm of m
    high = a.add(e, log2)
    return high, a.add(a.add(a.sub(e, high), log2), log2_low)


def _log2_edges(a: Arithmetic, x: ir.Value, log2: ir.Value) -> ir.Value:
    log2 = a.select(a.compare("==", x, 0.0), -math.inf, log2)
    return a.select(a.compare("<", x, math.inf), log2, x)


def _finite(a: Arithmetic, y: ir.Value) -> ir.Value:
    """An infinite exponent as so large a one that only 1 has a power other than 0 and infinity."""
    return a.at_least(a.at_most(y, 1e300), -1e300)


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

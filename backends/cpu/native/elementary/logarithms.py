"""Logarithms and the functions made of them, for vectors of float32 and float64.

x = 2**e * (1 + f) with 1 + f between the square roots of 1/2 and 2, so that e is 0 around 1 and nothing cancels there;
e and f are read from x's bits. In float32 log(1 + f) - f is a polynomial, minimax in the relative error of the
logarithm; in float64 it follows from log(1 + f) = 2 atanh(s), s = f / (2 + f), whose polynomial in s*s is shorter.
(Both fitted by Remez's exchange in 140 bits; the coefficients rounded one by one, the rest fitted again.) Zero,
negative and infinite arguments are selected at the end.
"""

from __future__ import annotations

import math

from llvmlite import ir

from .float_arithmetic import Arithmetic

# log(1 + f) = f - f*f/2 + f**3 * SINGLE(f)
SINGLE = (
    0.3333333134651184,
    -0.250008225440979,
    0.20001254975795746,
    -0.16623304784297943,
    0.14201366901397705,
    -0.13160911202430725,
    0.12761190533638,
    -0.07626069337129593,
)
# log((1 + s) / (1 - s)) = 2*s + s**3 * DOUBLE(s*s)
DOUBLE = (
    0.6666666666666734,
    0.3999999999941682,
    0.2857142874197752,
    0.22222198610191238,
    0.18183562617655083,
    0.1531408956477939,
    0.1479560080885589,
)
# The logarithms of 2 and e in each base, in two parts: the first has so few bits that e times it is exact.
LN_2 = {True: (0.693359375, -0.00021219444170128554), False: (0.6931471804855391, 7.440617110012397e-11)}
LOG10_2 = {True: (0.30078125, 0.00024874566588550806), False: (0.3010299955494702, 1.1451100898021838e-10)}
LOG2_E = {True: (1.4426950216293335, 1.925963033500011e-08), False: (1.4426950408889634, 2.0355273740931033e-17)}
LOG10_E = {True: (0.4342944920063019, -1.0103049952192578e-08), False: (0.4342944819032518, 1.098319650216765e-17)}
ROOT_HALF = {True: 0x3F3504F3, False: 0x3FE6A09E667F3BCD}


def split(a: Arithmetic, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """x = 2**e * m, m between the square roots of 1/2 and 2; e as an integer. For normal x > 0."""
    builder, fraction = a.builder, a.integer(a.format.fraction)
    bits = a.bits(x)
    e = builder.ashr(builder.sub(bits, a.integer(ROOT_HALF[a.single])), fraction)
    return e, a.from_bits(builder.sub(bits, builder.shl(e, fraction)))


def split_any(a: Arithmetic, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The same for subnormal numbers too; e as a float."""
    small = a.compare("<", x, 2.0 ** (1 - a.format.bias))
    up = a.format.fraction + 1
    e, m = split(a, a.select(small, a.mul(x, 2.0**up), x))
    e = a.from_integer(e)
    return a.select(small, a.sub(e, float(up)), e), m


def _rest(a: Arithmetic, f: ir.Value) -> ir.Value:
    """log(1 + f) - f."""
    square = a.mul(f, f)
    if a.single:
        return a.fma(a.mul(square, f), a.polynomial(f, SINGLE), a.mul(square, -0.5))
    half = a.mul(square, 0.5)
    s = a.div(f, a.add(f, 2.0))
    z = a.mul(s, s)
    return a.sub(a.mul(s, a.fma(z, a.polynomial(z, DOUBLE), half)), half)


def _edges(a: Arithmetic, x: ir.Value, result: ir.Value) -> ir.Value:
    """The result for x > 0 finite; log's limits for the other x."""
    nothing = a.select(a.compare("==", x, 0.0), -math.inf, math.nan)
    result = a.select(a.compare("==", x, math.inf), x, result)
    return a.select(a.compare(">", x, 0.0), result, nothing)


def _whole(a: Arithmetic, f: ir.Value, e: ir.Value) -> ir.Value:
    """log(2**e * (1 + f))."""
    high, low = LN_2[a.single]
    return a.fma(e, high, a.add(f, a.fma(e, low, _rest(a, f))))


def _other_base(
    a: Arithmetic, f: ir.Value, e: ir.Value, of_2: tuple[float, float], of_e: tuple[float, float]
) -> ir.Value:
    """The same in another base, by the logarithms of 2 and e in it."""
    rest = a.fma(_rest(a, f), of_e[0], a.mul(f, of_e[1]))
    if of_2[1]:
        rest = a.fma(e, of_2[1], rest)
    return a.fma(e, of_2[0], a.fma(f, of_e[0], rest))


def log(a: Arithmetic, x: ir.Value) -> ir.Value:
    e, m = split_any(a, x)
    return _edges(a, x, _whole(a, a.sub(m, 1.0), e))


def log2(a: Arithmetic, x: ir.Value) -> ir.Value:
    e, m = split_any(a, x)
    return _edges(a, x, _other_base(a, a.sub(m, 1.0), e, (1.0, 0.0), LOG2_E[a.single]))


def log10(a: Arithmetic, x: ir.Value) -> ir.Value:
    e, m = split_any(a, x)
    return _edges(a, x, _other_base(a, a.sub(m, 1.0), e, LOG10_2[a.single], LOG10_E[a.single]))


def _log1p(a: Arithmetic, x: ir.Value) -> ir.Value:
    """log(1 + x) for x > -1 finite: what 1 + x lost to rounding is put back into f."""
    u = a.add(x, 1.0)
    e, m = split(a, u)
    lost = a.sub(x, a.sub(u, 1.0))
    # 4 * 2**-e, which stays a normal number for every e; lost is 0 for large x
    scale = a.to_exponent(a.builder.sub(a.integer(a.format.bias + 2), e))
    f = a.fma(a.mul(lost, scale), 0.25, a.sub(m, 1.0))
    return _whole(a, f, a.from_integer(e))


def log1p(a: Arithmetic, x: ir.Value) -> ir.Value:
    result = _edges(a, a.add(x, 1.0), _log1p(a, x))
    return a.copysign(result, x)


# ------------------------------------------------------------------------------------ inverse hyperbolic functions


def _log1p_or_double(a: Arithmetic, large: ir.Value, u: ir.Value) -> ir.Value:
    """log(1 + u), or log(2 * u) where ``large``, which is only where 1 + u rounds to u."""
    return a.add(_edges(a, a.add(u, 1.0), _log1p(a, u)), a.select(large, math.log(2.0), 0.0))


def asinh(a: Arithmetic, x: ir.Value) -> ir.Value:
    magnitude = a.abs(x)
    large = a.compare(">", magnitude, 2.0 ** (a.format.fraction + 3))
    square = a.mul(magnitude, magnitude)
    beyond = a.div(square, a.add(a.call("sqrt", a.add(square, 1.0)), 1.0))
    u = a.select(large, magnitude, a.add(magnitude, beyond))
    return a.copysign(_log1p_or_double(a, large, u), x)


def acosh(a: Arithmetic, x: ir.Value) -> ir.Value:
    large = a.compare(">", x, 2.0 ** (a.format.fraction + 3))
    t = a.sub(x, 1.0)
    u = a.select(large, x, a.add(t, a.call("sqrt", a.fma(t, t, a.add(t, t)))))
    return a.select(a.compare("<", x, 1.0), math.nan, _log1p_or_double(a, large, u))


def atanh(a: Arithmetic, x: ir.Value) -> ir.Value:
    magnitude = a.abs(x)
    u = a.div(a.add(magnitude, magnitude), a.sub(1.0, magnitude))
    return a.copysign(a.mul(_edges(a, a.add(u, 1.0), _log1p(a, u)), 0.5), x)

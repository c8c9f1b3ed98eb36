"""Sine, cosine, tangent and their inverses, for vectors of float32 and float64.

sin and cos subtract the nearest multiple of pi (for cos, of half of an odd one), pi in three parts, with fused
multiply-adds: the first difference is exact, and what cancels is restored by the later parts. What is left lies
within pi/2, where one odd polynomial serves; tan subtracts multiples of pi/2 and divides two polynomials. Arguments
too large for that, and what is not a number, leave the fast path: if any lane has one, the C library is called, and
what it says of those lanes is taken.

atan2 turns the point (x, y) into the first octant and there by pi/4 if it is more than pi/8 up, with one division in
all; asin and acos beyond 1/2 go by the half angle. All polynomials are minimax fits of the relative error (Remez's
exchange in 140 bits; coefficients rounded one by one, the rest fitted again).
"""

from __future__ import annotations

import math

from llvmlite import ir

from ..emit import I1, vector
from .c_functions import c_function_where
from .float_arithmetic import Arithmetic

# Below, [True] is for float32 and [False] for float64.
# sin(r) = r + r**3 * SIN(r*r) for |r| <= pi/2
SIN = {
    True: (-0.16666659712791443, 0.008333069272339344, -0.00019809776858892292, 2.606095677037956e-06),
    False: (
        -0.16666666666666666,
        0.008333333333333215,
        -0.00019841269841218174,
        2.7557319213012856e-06,
        -2.505210709190779e-08,
        1.605895470332434e-10,
        -7.643589316524693e-13,
        2.7340254950842097e-15,
        -1.1512834155595542e-18,
    ),
}
# cos(r) = 1 - r*r/2 + r**4 * COS(r*r) for |r| <= pi/4
COS = {
    True: (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05),
    False: (
        0.041666666666666595,
        -0.0013888888888873335,
        2.480158728899516e-05,
        -2.7557314214413445e-07,
        2.087570497081297e-09,
        -1.1358724269876053e-11,
    ),
}
# atan(t) = t + t**3 * ATAN(t*t) for |t| <= tan(pi/8)
ATAN = {
    True: (-0.33333316445350647, 0.19998528063297272, -0.14244388043880463, 0.10599120706319809, -0.06089869886636734),
    False: (
        -0.333333333333332,
        0.19999999999953624,
        -0.14285714280191913,
        0.11111110783017222,
        -0.09090897741804911,
        0.07692059901417504,
        -0.06663100305070425,
        0.058478614111196404,
        -0.050391778993133435,
        0.03806134063868194,
        -0.01790370670233059,
    ),
}
# asin(t) = t + t**3 * ASIN(t*t) for |t| <= 1/2
ASIN = {
    True: (
        0.16666659712791443,
        0.07500521838665009,
        0.04451338201761246,
        0.03183881938457489,
        0.014317279681563377,
        0.037690483033657074,
    ),
    False: (
        0.1666666666666676,
        0.07499999999970816,
        0.04464285717463824,
        0.030381942705125682,
        0.022372215092345483,
        0.01735160970071963,
        0.013980852639331808,
        0.011398618584237998,
        0.010782053803690149,
        0.0036990737665314006,
        0.0217264858271584,
        -0.0210275762892079,
        0.03264737874518104,
    ),
}
PI = {
    True: (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15),
    False: (3.141592653589793, 1.2246467991473532e-16, -2.994769810131746e-33),
}
# Up to here multiples of pi/2 are whole numbers so small that their product with PI's first part can be cancelled.
LARGEST = {True: 1e5, False: 1e9}
TAN_PI_8 = math.sqrt(2.0) - 1.0


def _reduced(a: Arithmetic, x: ir.Value, n: ir.Value, scale: float = 1.0) -> ir.Value:
    """x - n * pi * scale, for a power of two as scale."""
    for part in PI[a.single]:
        x = a.call("fma", n, -part * scale, x)
    return x


def _odd(a: Arithmetic, r: ir.Value, z: ir.Value, coefficients: tuple[float, ...]) -> ir.Value:
    """r + r**3 * polynomial(r*r), with z = r*r."""
    bend = a.fma(a.polynomial(z, coefficients[1:]), z, coefficients[0])
    return a.fma(a.mul(r, z), bend, r)


def _with_sign(a: Arithmetic, value: ir.Value, bits: ir.Value) -> ir.Value:
    """The value, negated where the last bit is set."""
    flip = a.builder.shl(bits, a.integer(a.format.integer.width - 1))
    return a.from_bits(a.builder.xor(a.bits(value), flip))


def _sin_of(a: Arithmetic, r: ir.Value, bits: ir.Value) -> ir.Value:
    return _with_sign(a, _odd(a, r, a.mul(r, r), SIN[a.single]), bits)


def sin(a: Arithmetic, x: ir.Value) -> ir.Value:
    n, bits = a.nearest_whole(x, 1 / math.pi)
    result = _sin_of(a, _reduced(a, x, n), bits)
    return _or_library(a, "sin", x, a.select(a.compare("==", x, 0.0), x, result))


def cos(a: Arithmetic, x: ir.Value) -> ir.Value:
    n, bits = a.nearest_whole(a.fma(x, 1 / math.pi, -0.5), 1.0, 1)
    return _or_library(a, "cos", x, _sin_of(a, _reduced(a, x, a.add(n, 0.5)), bits))


def tan(a: Arithmetic, x: ir.Value) -> ir.Value:
    n, bits = a.nearest_whole(x, 2 / math.pi)
    r = _reduced(a, x, n, 0.5)
    z = a.mul(r, r)
    sine = _odd(a, r, z, SIN[a.single])
    cosine = a.fma(a.mul(z, z), a.polynomial(z, COS[a.single]), a.fma(z, -0.5, 1.0))
    odd = a.builder.trunc(bits, vector(I1, a.lanes))
    result = a.div(a.select(odd, a.neg(cosine), sine), a.select(odd, sine, cosine))
    return _or_library(a, "tan", x, a.select(a.compare("==", x, 0.0), x, result))


def _or_library(a: Arithmetic, name: str, x: ir.Value, result: ir.Value) -> ir.Value:
    far = a.builder.fcmp_unordered(">", a.abs(x), a.number(LARGEST[a.single]))
    return c_function_where(a, far, name, (x,), result)


# ------------------------------------------------------------------------------------ inverses


def _quadrant_angle(a: Arithmetic, y: ir.Value, x: ir.Value) -> ir.Value:
    """The angle of (x, y) for x, y >= 0, whose sum does not overflow, and the larger is not subnormal; 0 at (0, 0)."""
    steep = a.compare(">", a.mul(y, TAN_PI_8), x)
    diagonal = a.compare(">", y, a.mul(x, TAN_PI_8))
    numerator = a.select(steep, a.neg(x), a.select(diagonal, a.sub(y, x), y))
    denominator = a.select(steep, y, a.select(diagonal, a.add(y, x), x))
    t = a.div(numerator, a.select(a.compare("==", denominator, 0.0), 1.0, denominator))
    pi, rest, _ = PI[a.single]
    turn = a.select(steep, pi / 2, a.select(diagonal, pi / 4, 0.0))
    low = a.select(steep, rest / 2, a.select(diagonal, rest / 4, 0.0))
    z = a.mul(t, t)
    bend = a.fma(a.mul(t, z), a.polynomial(z, ATAN[a.single]), low)
    return a.add(turn, a.add(t, bend))


def atan(a: Arithmetic, x: ir.Value) -> ir.Value:
    magnitude = a.at_most(a.abs(x), 2.0 ** (a.format.bias - 2))  # its angle is that of infinity
    return a.copysign(_quadrant_angle(a, magnitude, a.number(1.0)), x)


def atan2(a: Arithmetic, y: ir.Value, x: ir.Value) -> ir.Value:
    high, wide = a.abs(y), a.abs(x)
    both = a.builder.and_(a.compare("==", high, math.inf), a.compare("==", wide, math.inf))
    high, wide = (a.select(both, 1.0, v) for v in (high, wide))
    larger = a.select(a.compare(">", high, wide), high, wide)
    lift = a.format.fraction + 4
    up = a.select(a.compare("<", larger, 2.0 ** (lift - a.format.bias)), 2.0**lift, 1.0)
    scale = a.select(a.compare(">", larger, 2.0 ** (a.format.bias - 2)), 2.0**-4, up)
    high, wide = a.mul(high, scale), a.mul(wide, scale)
    angle = _quadrant_angle(a, high, wide)
    pi, rest, _ = PI[a.single]
    left = a.builder.icmp_signed("<", a.bits(x), a.integer(0))
    angle = a.select(left, a.sub(pi, a.sub(angle, rest)), angle)
    return a.copysign(angle, y)


def _half_angle(a: Arithmetic, magnitude: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Where |x| > 1/2, and the t and asin(t) - t to work with: t = sqrt((1 - |x|) / 2) there, |x| elsewhere."""
    beyond = a.compare(">", magnitude, 0.5)
    half = a.fma(magnitude, -0.5, 0.5)
    z = a.select(beyond, half, a.mul(magnitude, magnitude))
    t = a.select(beyond, a.call("sqrt", half), magnitude)
    return beyond, t, a.mul(a.mul(t, z), a.polynomial(z, ASIN[a.single]))


def asin(a: Arithmetic, x: ir.Value) -> ir.Value:
    beyond, t, bend = _half_angle(a, a.abs(x))
    pi, rest, _ = PI[a.single]
    far = a.sub(pi / 2, a.sub(a.add(t, t), a.fma(bend, -2.0, rest / 2)))
    return a.copysign(a.select(beyond, far, a.add(t, bend)), x)


def acos(a: Arithmetic, x: ir.Value) -> ir.Value:
    magnitude = a.abs(x)
    beyond, t, bend = _half_angle(a, magnitude)
    pi, rest, _ = PI[a.single]
    negative = a.compare("<", x, 0.0)
    half = a.add(t, bend)
    far = a.add(half, half)
    far = a.select(negative, a.sub(pi, a.sub(far, rest)), far)
    near = a.sub(pi / 2, a.sub(a.copysign(t, x), a.sub(rest / 2, a.copysign(bend, x))))
    return a.select(beyond, far, near)

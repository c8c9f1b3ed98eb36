"""exp and the functions made of it, for vectors of float32 and float64.

Every one starts with Cody and Waite's reduction x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 split in a part whose product
with n is exact and a rest. exp(r) - 1 is a polynomial, the minimax fit of its relative error (Remez's exchange in 140
bits, the coefficients then rounded one by one and the rest fitted again), and 2**n is put together from bits. No
case needs a branch: arguments beyond the range are brought to its edge first, where the result is already that of
the limit.

The functions that need exp(x) - 1 for small x get it without cancellation from 2**n * (exp(r) - 1) + (2**n - 1).
erf(x) is 1 - exp(-p(x)) with p a polynomial: an error of p matters less the larger x is.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from .float_arithmetic import Arithmetic

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


class Fit(NamedTuple):
    """exp(r) = 1 + r + r*r * exp(r) for |r| <= ln 2 / 2, in the relative error of exp(r).

    expm1, negative: the same in the relative error of exp(r) - 1, for |r| <= ln 2 / 2 and for r from -ln 2 to 0.
    tanh: (exp(2 r) - 1) / 2 = r + r*r * tanh(r), in its relative error, for r from -0.1 ln 2 to 0.4 ln 2.
    high, low: ln 2 in two parts. lowest, highest: beyond them exp is 0 and infinite.
    one: from there on tanh is 1; minus_one: from there down expm1 is -1.
    erf: erf(x) = 1 - exp(-(x + x * erf(x))) for 0 <= x <= erf_one, where erf becomes 1; in its relative error.
    """

    exp: tuple[float, ...]
    expm1: tuple[float, ...]
    negative: tuple[float, ...]
    tanh: tuple[float, ...]
    high: float
    low: float
    lowest: float
    highest: float
    one: float
    minus_one: float
    erf: tuple[float, ...]
    erf_one: float


SINGLE = Fit(
    exp=(0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.00836916547268629, 0.0013838006416335702),
    expm1=(0.4999999701976776, 0.16666539013385773, 0.04166774824261665, 0.008367088623344898, 0.0013837836449965835),
    negative=(
        0.49999934434890747,
        0.16665346920490265,
        0.04157942533493042,
        0.008077781647443771,
        0.0010385707719251513,
    ),
    tanh=(0.9999997615814209, 0.6666746139526367, 0.3333812952041626, 0.13172410428524017, 0.05306943133473396),
    high=0.693359375,  # 10 bits
    low=-0.00021219444170128554,
    lowest=-105.0,
    highest=89.0,
    one=10.0,
    minus_one=-20.0,
    erf=(
        0.12837916612625122,
        0.6366195678710938,
        0.10277630388736725,
        -0.019147826358675957,
        -0.0001694871170911938,
        0.0016756432596594095,
        -0.0006373343640007079,
        0.00011884955165442079,
        -9.386179044668097e-06,
    ),
    erf_one=3.93,
)
DOUBLE = Fit(
    exp=(
        0.5000000000000011,
        0.16666666666666435,
        0.04166666666652579,
        0.008333333333476068,
        0.0013888888944807525,
        0.0001984126955733257,
        2.4801491837366436e-05,
        2.7557531212947057e-06,
        2.7630717896177335e-07,
        2.5020488434656405e-08,
    ),
    expm1=(
        0.5,
        0.16666666666666677,
        0.0416666666666667,
        0.00833333333332171,
        0.0013888888888871143,
        0.00019841269885039538,
        2.4801587323353128e-05,
        2.7557245944397696e-06,
        2.755730067003317e-07,
        2.5108285286696532e-08,
        2.08995787239831e-09,
    ),
    negative=(
        0.49999999999999994,
        0.1666666666666621,
        0.041666666666536095,
        0.008333333331464542,
        0.001388888873308011,
        0.00019841261649922452,
        2.480130425307552e-05,
        2.7550786505627983e-06,
        2.7457275654573173e-07,
        2.4069946813224047e-08,
        1.5180643111673715e-09,
    ),
    tanh=(
        1.0,
        0.6666666666666679,
        0.3333333333333291,
        0.1333333333326477,
        0.04444444444996902,
        0.012698412790798263,
        0.0031746019087909756,
        0.0007054688412440279,
        0.00014114310297427826,
        2.5332975684975884e-05,
        5.057546746326921e-06,
    ),
    high=0.6931471804855391,  # 33 bits
    low=7.440617110012397e-11,
    lowest=-746.0,
    highest=710.0,
    one=20.0,
    minus_one=-40.0,
    erf=(
        0.12837916709551256,
        0.6366197723675875,
        0.10277260330153479,
        -0.01912844699852745,
        -0.00020919478337539936,
        0.0016962071139833973,
        -0.0005901295285775093,
        2.5893868831289914e-05,
        6.444893961565417e-05,
        -2.963303483384866e-05,
        3.2585618005549776e-06,
        3.025363010004439e-06,
        -1.9342641943592836e-06,
        4.922183856909791e-07,
        3.609616799144996e-08,
        -8.909274667751874e-08,
        4.3720522823487064e-08,
        -1.3619068603152082e-08,
        3.0601384071346855e-09,
        -5.098495936654925e-10,
        6.246491716241204e-11,
        -5.437676843194731e-12,
        3.141618514833003e-13,
        -1.0523968082427162e-14,
        1.4612190797985137e-16,
    ),
    erf_one=5.95,
)


def _fit(a: Arithmetic) -> Fit:
    return SINGLE if a.single else DOUBLE


def _reduced(a: Arithmetic, x: ir.Value, offset: int, fit: Fit, shift: float = 0.0) -> tuple[ir.Value, ir.Value]:
    """r, and bits that end in n + offset, for the whole number n that is nearest to x / ln 2 + shift."""
    if shift:
        n, bits = a.nearest_whole(a.fma(x, LOG2_E, shift), 1.0, offset)
    else:
        n, bits = a.nearest_whole(x, LOG2_E, offset)
    return a.fma(n, -fit.low, a.fma(n, -fit.high, x)), bits


def _exp_of(a: Arithmetic, r: ir.Value, fit: Fit) -> ir.Value:
    """exp(r) of a reduced argument."""
    return a.fma(a.fma(a.polynomial(r, fit.exp), r, 1.0), r, 1.0)


def scaled(a: Arithmetic, value: ir.Value, bits: ir.Value) -> ir.Value:
    """value * 2**n for bits that end in n + 2 * bias: by two factors, either of which is a normal number."""
    half = a.builder.lshr(bits, a.integer(1))
    rest = a.builder.sub(bits, half)
    return a.mul(a.mul(value, a.to_exponent(half)), a.to_exponent(rest))


def exp(a: Arithmetic, x: ir.Value) -> ir.Value:
    fit = _fit(a)
    x = a.at_least(a.at_most(x, fit.highest), fit.lowest)
    r, bits = _reduced(a, x, 2 * a.format.bias, fit)
    return scaled(a, _exp_of(a, r, fit), bits)


def exp_of_negative(a: Arithmetic, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 1, but 0 where that is subnormal: two thirds of the work, for weights of a softmax."""
    fit, bias = _fit(a), a.format.bias
    r, bits = _reduced(a, x, bias, fit)
    value = a.mul(_exp_of(a, r, fit), a.to_exponent(bits))
    return a.select(a.compare("<", x, (1 - bias) * LN_2), 0.0, value)


def exp2(a: Arithmetic, x: ir.Value) -> ir.Value:
    bias = a.format.bias
    x = a.at_least(a.at_most(x, bias + 2.0), -bias - a.format.fraction - 2.0)
    n, bits = a.nearest_whole(x, 1.0, 2 * bias)
    return scaled(a, _exp_of(a, a.mul(a.sub(x, n), LN_2), _fit(a)), bits)


def _expm1_part(a: Arithmetic, x: ir.Value, power: int) -> ir.Value:
    """(exp(x) - 1) / 2**power for x within range."""
    fit = _fit(a)
    r, bits = _reduced(a, x, a.format.bias - power, fit)
    return _expm1_of(a, r, bits, power, fit.expm1)


def _expm1_of(a: Arithmetic, r: ir.Value, bits: ir.Value, power: int, fit: tuple[float, ...]) -> ir.Value:
    scale = a.to_exponent(bits)
    return a.fma(scale, _bent(a, r, fit), a.sub(scale, 2.0**-power))


def _bent(a: Arithmetic, r: ir.Value, fit: tuple[float, ...]) -> ir.Value:
    """r + r*r * polynomial(r), its first coefficient last: the rounding of the others counts little then."""
    return a.fma(a.mul(r, r), a.fma(a.polynomial(r, fit[1:]), r, fit[0]), r)


def expm1(a: Arithmetic, x: ir.Value) -> ir.Value:
    fit = _fit(a)
    half = _expm1_part(a, a.at_least(a.at_most(x, fit.highest), fit.minus_one), 1)
    return a.copysign(a.add(half, half), x)


def sinh(a: Arithmetic, x: ir.Value) -> ir.Value:
    """With E = exp|x| - 1:  (E + E / (E + 1)) / 2, on a quarter of E, which is finite wherever sinh is."""
    quarter = _expm1_part(a, a.at_most(a.abs(x), _fit(a).highest + 0.6), 2)
    half = a.add(quarter, a.div(quarter, a.fma(quarter, 4.0, 1.0)))
    tiny = a.compare("<", a.abs(x), 2.0**-30)  # a quarter of it may be subnormal
    return a.select(tiny, x, a.copysign(a.add(half, half), x))


def cosh(a: Arithmetic, x: ir.Value) -> ir.Value:
    fit = _fit(a)
    r, bits = _reduced(a, a.at_most(a.abs(x), fit.highest + 0.6), a.format.bias - 2, fit)
    quarter = a.mul(_exp_of(a, r, fit), a.to_exponent(bits))
    return a.fma(quarter, 2.0, a.div(0.125, quarter))


def tanh(a: Arithmetic, x: ir.Value) -> ir.Value:
    """With E = (exp(2 |x|) - 1) / 2:  E / (E + 1), never above 1.

    2 |x| = n ln 2 + 2 r is rounded to n somewhat downwards: then exp(2 r) - 1 is not far below 0 where n is 1, and
    the sum of which E consists hardly cancels.
    """
    fit = _fit(a)
    magnitude = a.at_most(a.abs(x), fit.one)
    n, bits = a.nearest_whole(a.fma(magnitude, 2 * LOG2_E, -0.3), 1.0, a.format.bias)
    r = a.fma(n, -0.5 * fit.low, a.fma(n, -0.5 * fit.high, magnitude))
    scale = a.to_exponent(bits)
    e = a.fma(scale, _bent(a, r, fit.tanh), a.fma(scale, 0.5, -0.5))
    return a.copysign(a.div(e, a.add(e, 1.0)), x)


def sigmoid(a: Arithmetic, x: ir.Value) -> ir.Value:
    """c / (c + c * exp(-x)) with a power of two c so small that c * exp(-x) is finite wherever the result is not 0."""
    fit = _fit(a)
    power = a.format.fraction + 4
    r, bits = _reduced(a, a.neg(a.at_least(a.at_most(x, -2.0 * fit.minus_one), fit.lowest)), a.format.bias - power, fit)
    c = 2.0**-power
    return a.div(c, a.fma(_exp_of(a, r, fit), a.to_exponent(bits), c))


def erf(a: Arithmetic, x: ir.Value) -> ir.Value:
    fit = _fit(a)
    magnitude = a.at_most(a.abs(x), fit.erf_one)
    exponent = a.fma(magnitude, a.polynomial(magnitude, fit.erf), magnitude)
    # n is rounded up, but for a last thousandth, which leaves it 0 for small x: with n <= 0 and r <= 0 the two terms
    # of the result have one sign, and their errors do not grow
    r, bits = _reduced(a, a.neg(exponent), a.format.bias, fit, 0.499)
    return a.copysign(_expm1_of(a, r, bits, 0, fit.negative), x)

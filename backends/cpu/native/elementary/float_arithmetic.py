"""Arithmetic on floating-point values in LLVM IR, for scalars and vectors alike.

Nothing here branches: where two cases differ, both are computed and one is selected, in every lane by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from ..emit import F32, I32, I64, constant, fma, intrinsic, suffix


class Format(NamedTuple):
    """An IEEE format: bits of the stored fraction, exponent bias, the integer of the same width."""

    fraction: int
    bias: int
    integer: ir.IntType


HORNER = 8  # the most coefficients that are summed one after another
SINGLE, DOUBLE = Format(23, 127, I32), Format(52, 1023, I64)


class Arithmetic:
    """Operations on values of one type, ``kind``: float, double, or a vector of either. Constants may be numbers."""

    def __init__(self, builder: ir.IRBuilder, kind: ir.Type):
        self.builder = builder
        self.kind = kind
        self.lanes: int = kind.count if isinstance(kind, ir.VectorType) else 1
        element = kind.element if isinstance(kind, ir.VectorType) else kind
        self.single = element == F32
        self.format = SINGLE if self.single else DOUBLE
        integer = self.format.integer
        self.integers: ir.Type = ir.VectorType(integer, self.lanes) if self.lanes > 1 else integer

    def number(self, value: Any) -> ir.Value:
        return value if isinstance(value, ir.Value) else constant(self.kind, float(value))

    def integer(self, value: int) -> ir.Value:
        width = self.format.integer.width
        return constant(self.integers, (value + (1 << width - 1)) % (1 << width) - (1 << width - 1))

    # ---- floating point

    def add(self, a: Any, b: Any) -> ir.Value:
        return self.builder.fadd(self.number(a), self.number(b))

    def sub(self, a: Any, b: Any) -> ir.Value:
        return self.builder.fsub(self.number(a), self.number(b))

    def mul(self, a: Any, b: Any) -> ir.Value:
        return self.builder.fmul(self.number(a), self.number(b))

    def div(self, a: Any, b: Any) -> ir.Value:
        return self.builder.fdiv(self.number(a), self.number(b))

    def fma(self, a: Any, b: Any, c: Any) -> ir.Value:
        """a * b + c, rounded once where the machine can."""
        return fma(self.builder, self.number(a), self.number(b), self.number(c))

    def neg(self, a: ir.Value) -> ir.Value:
        return self.builder.fneg(a)

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """coefficients[0] + coefficients[1] * x + ..., by Horner's rule; a long one as two in x*x, side by side.

        A chain of dependent operations is as long as the processor can look ahead: two half as long run at once.
        """
        if len(coefficients) > HORNER:
            square = self.mul(x, x)
            even, odd = (self.polynomial(square, coefficients[start::2]) for start in (0, 1))
            return self.fma(odd, x, even)
        total = self.number(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = self.fma(total, x, coefficient)
        return total

    def call(self, name: str, *args: Any) -> ir.Value:
        """The LLVM intrinsic of this type: ``call("sqrt", x)``."""
        values = [self.number(a) for a in args]
        return intrinsic(self.builder, f"llvm.{name}.{suffix(self.kind)}", self.kind, values)

    def abs(self, x: ir.Value) -> ir.Value:
        return self.call("fabs", x)

    def copysign(self, magnitude: Any, sign: ir.Value) -> ir.Value:
        return self.call("copysign", magnitude, sign)

    def at_most(self, x: ir.Value, bound: Any) -> ir.Value:
        """The smaller of x and a bound that is not NaN; NaN where x is."""
        return self.select(self.compare(">", x, bound), bound, x)

    def at_least(self, x: ir.Value, bound: Any) -> ir.Value:
        """The larger of x and a bound that is not NaN; NaN where x is."""
        return self.select(self.compare("<", x, bound), bound, x)

    # ---- choice

    def compare(self, relation: str, a: Any, b: Any) -> ir.Value:
        """False where an operand is NaN, but for ``!=``, which is then true."""
        a, b = self.number(a), self.number(b)
        return (self.builder.fcmp_unordered if relation == "!=" else self.builder.fcmp_ordered)(relation, a, b)

    def is_nan(self, x: ir.Value) -> ir.Value:
        return self.builder.fcmp_unordered("uno", x, x)

    def select(self, condition: ir.Value, yes: Any, no: Any) -> ir.Value:
        return self.builder.select(condition, self.number(yes), self.number(no))

    # ---- bits

    def bits(self, x: ir.Value) -> ir.Value:
        return self.builder.bitcast(x, self.integers)

    def from_bits(self, bits: ir.Value) -> ir.Value:
        return self.builder.bitcast(bits, self.kind)

    def from_integer(self, n: ir.Value) -> ir.Value:
        """A whole number, not large, as a float."""
        if self.single:
            return self.builder.sitofp(n, self.kind)
        # not every machine converts vectors of 64-bit integers: the sum of n and these bits is 1.5 * 2**52 + n
        magic = 1.5 * 2.0**52
        return self.sub(self.from_bits(self.builder.add(n, self.integer(0x4338 << 48))), magic)

    def to_exponent(self, bits: ir.Value) -> ir.Value:
        """The float whose exponent field is in the lowest bits: 2 ** (field - bias)."""
        return self.from_bits(self.builder.shl(bits, self.integer(self.format.fraction)))

    def nearest_whole(self, x: ir.Value, factor: float, offset: int = 0) -> tuple[ir.Value, ir.Value]:
        """n = x * factor rounded to a whole number, and bits that end in n + offset; small n only.

        Adding 1.5 * 2**fraction shifts the fraction out of the float: the sum's last bits are the whole number.
        """
        magic = 1.5 * 2.0**self.format.fraction + offset
        shifted = self.fma(x, factor, magic)
        return self.sub(shifted, magic), self.bits(shifted)

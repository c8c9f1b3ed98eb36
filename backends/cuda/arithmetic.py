"""Elementwise functions in which CuPy computes otherwise than NumPy: the same numbers, from CuPy's other functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.aval import BOOL


class Arithmetic:
    """``xp.remainder`` and its kin as NumPy has them."""

    def __init__(self, cupy: Any):
        self._cupy = cupy

    def floor_divide(self, x1: Any, x2: Any) -> Any:
        """Of floats by way of ``fmod``, which is exact; CuPy rounds the quotient to the nearest float first."""
        if _kind(x1, x2) in "biu":
            return self._cupy.floor_divide(x1, x2)
        cupy = self._cupy
        rest = cupy.fmod(x1, x2)
        quotient = (x1 - rest) / x2 - (((x2 < 0) != (rest < 0)) & (rest != 0))
        below = cupy.floor(quotient)
        whole = below + (quotient - below > 0.5)
        exact = cupy.where(quotient != 0, whole, cupy.copysign(quotient.dtype.type(0), x1 / x2))
        return cupy.where(x2 == 0, x1 / x2, exact)

    def remainder(self, x1: Any, x2: Any) -> Any:
        """Of floats by way of ``fmod``: of the sign of ``x2``, exact, and right where ``x2`` is infinite."""
        if _kind(x1, x2) in "biu":
            return self._cupy.remainder(x1, x2)
        cupy = self._cupy
        rest = cupy.fmod(x1, x2)
        moved = cupy.where((x2 < 0) != (rest < 0), rest + x2, rest)
        return cupy.where(rest == 0, cupy.copysign(rest, x2), moved)

    def fmod(self, x1: Any, x2: Any) -> Any:
        """Of whole numbers from ``remainder``; CuPy's goes by way of float64, which does not hold large ones."""
        cupy = self._cupy
        if _kind(x1, x2) not in "biu":
            return cupy.fmod(x1, x2)
        rest = cupy.remainder(x1, x2)
        return cupy.where((rest != 0) & ((x1 < 0) != (x2 < 0)), rest - x2, rest)

    def full(self, shape: Any, fill_value: Any, dtype: Any = None) -> Any:
        """A number outside the range of an integer dtype wraps around; CuPy refuses it."""
        if dtype is not None and type(fill_value) in (int, float):
            fill_value = np.full((), fill_value, dtype)[()]
        return self._cupy.full(shape, fill_value, dtype=dtype)

    def nextafter(self, x1: Any, x2: Any) -> Any:
        """By the bits, as whole numbers in the order of the floats: CuPy takes subnormal numbers for 0."""
        cupy, dtype = self._cupy, x1.dtype
        if dtype.kind != "f" or dtype.itemsize == 2:
            return cupy.nextafter(x1, x2)
        integer = {4: "int32", 8: "int64"}[dtype.itemsize]
        lowest = int(np.iinfo(integer).min)  # the sign's bit alone: -0.0
        bits1, bits2 = x1.view(integer), x2.view(integer)
        place1, place2 = (cupy.where(bits < 0, lowest - bits, bits) for bits in (bits1, bits2))
        moved = place1 + (place2 > place1) - (place2 < place1)
        negative = (moved < 0) | ((moved == 0) & (place1 < 0))
        bits = cupy.where(place1 == place2, bits2, cupy.where(negative, lowest - moved, moved))
        return cupy.where((x1 != x1) | (x2 != x2), (x1 + x2).view(integer), bits).view(dtype)

    def sign(self, x: Any) -> Any:
        """Refuses booleans, as NumPy's does."""
        if x.dtype.kind == "b":
            raise TypeError("sign: booleans have no sign")
        return self._cupy.sign(x)

    def logical_and(self, x1: Any, x2: Any) -> Any:
        return self._cupy.logical_and(_truth(x1), _truth(x2))

    def logical_or(self, x1: Any, x2: Any) -> Any:
        return self._cupy.logical_or(_truth(x1), _truth(x2))

    def logical_xor(self, x1: Any, x2: Any) -> Any:
        return self._cupy.logical_xor(_truth(x1), _truth(x2))

    def logical_not(self, x: Any) -> Any:
        return self._cupy.logical_not(_truth(x))

    def log1p(self, x: Any) -> Any:
        """Of complex numbers too, small ones without loss: log|1 + x| from |1 + x|**2 - 1."""
        cupy = self._cupy
        if x.dtype.kind != "c":
            return cupy.log1p(x)
        a, b = x.real, x.imag
        large = cupy.maximum(abs(a), abs(b)) > 0.5
        # NumPy takes log(hypot(1 + a, b)), which does not overflow
        real = cupy.where(large, cupy.log(cupy.hypot(1 + a, b)), 0.5 * cupy.log1p(a * (2 + a) + b * b))
        return _joined(cupy, real, cupy.arctan2(b, 1 + a), x.dtype)

    def expm1(self, x: Any) -> Any:
        """Of complex numbers too, small ones without loss: exp(a) cos(b) - 1 = expm1(a) cos(b) - 2 sin(b/2)**2."""
        cupy = self._cupy
        if x.dtype.kind != "c":
            return cupy.expm1(x)
        a, b = x.real, x.imag
        half = cupy.sin(0.5 * b)
        return _joined(cupy, cupy.expm1(a) * cupy.cos(b) - 2.0 * half * half, cupy.exp(a) * cupy.sin(b), x.dtype)


def _truth(x: Any) -> Any:
    """Complex numbers as booleans: CuPy's logical functions do not take them."""
    return x != 0 if getattr(x, "dtype", BOOL).kind == "c" else x


def _joined(cupy: Any, real: Any, imag: Any, dtype: Any) -> Any:
    """real + i imag, where either may be infinite."""
    result = cupy.empty(real.shape, dtype)
    result.real[...] = real
    result.imag[...] = imag
    return result


def _kind(x1: Any, x2: Any) -> str:
    """The kind of the operands, which formulas give one dtype."""
    return next(x.dtype.kind for x in (x1, x2) if hasattr(x, "dtype"))

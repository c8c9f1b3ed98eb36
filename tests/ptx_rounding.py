"""Roundings that NumPy does not offer: multiply-adds rounded once, in every direction, to TF32, and flushed to 0."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
_TINY = {4: np.float64(np.finfo("f4").tiny), 8: np.float64(np.finfo("f8").tiny)}


def sum_and_error(a: Array, b: Array) -> tuple[Array, Array]:
    """Of float64: the rounded sum, and what rounding left out (Knuth's TwoSum)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def product_and_error(a: Array, b: Array) -> tuple[Array, Array]:
    """Of float64 whose sizes are neither huge nor tiny (Dekker's product by Veltkamp's halves)."""
    p = a * b
    ah, bh = ((x * 134217729.0) - ((x * 134217729.0) - x) for x in (a, b))
    al, bl = a - ah, b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def to_odd(s: Array, error: Array) -> Array:
    """s + error with the last bit set where it is not exact: rounding that to fewer bits rounds the exact sum."""
    bits = s.view(np.int64)
    inexact = (error != 0) & np.isfinite(s) & (bits & 1 == 0)
    step = np.where((error > 0) == (s > 0), 1, -1)
    return np.where(inexact, bits + step, bits).view(np.float64)


def single(s: Array, error: Array, rounding: str) -> Array:
    """The float32 nearest to s + error (rn), the next towards zero (rz), or the next below (rm)."""
    if rounding == "rn":
        low = s.view(np.int64) & 0x1FFFFFFF
        if ((low == 0x10000000) | (np.abs(s) < 2 * _TINY[4])).any():
            return to_odd(s, error).astype(np.float32)
        return s.astype(np.float32)
    near = s.astype(np.float32)
    beyond = (near.astype(np.float64) - s) - error  # of the rounded one over the exact one
    if rounding == "rz":
        return np.where((beyond > 0) & (s > 0) | (beyond < 0) & (s < 0), np.nextafter(near, np.float32(0)), near)
    if rounding == "rm":
        return np.where(beyond > 0, np.nextafter(near, np.float32(-np.inf)), near)
    raise ValueError(f"rounding {rounding}")


def add_single(a: Array, b: Array, rounding: str) -> Array:
    return single(*sum_and_error(a.astype(np.float64), b.astype(np.float64)), rounding)


def fma_single(a: Array, b: Array, c: Array, rounding: str) -> Array:
    """Products of float32 are exact in float64."""
    return single(*sum_and_error(a.astype(np.float64) * b, c.astype(np.float64)), rounding)


def fma_double(a: Array, b: Array, c: Array) -> Array:
    """Boldo and Melquiond, Emulation of a FMA and Correctly Rounded Sums, 2008; plain where sizes are huge or tiny."""
    plain = a * b + c
    p, e = product_and_error(a, b)
    high, low = sum_and_error(c, e)
    total, rest = sum_and_error(p, high)
    found = total + to_odd(*sum_and_error(rest, low))
    size = np.abs(p)
    ordinary = np.isfinite(found) & (size > 1e-250) & (np.abs(a) < 1e290) & (np.abs(b) < 1e290)
    return np.where(ordinary, found, plain)


def flushed(x: Array) -> Array:
    """Subnormal numbers as zeros of their sign (.ftz)."""
    small = np.abs(x) < _TINY[x.dtype.itemsize]
    return np.where(small, np.copysign(x.dtype.type(0), x), x) if small.any() else x


def tf32(x: Array) -> Array:
    """cvt.rna: the nearest with 10 bits after the point, ties away from zero; NaN has the bits 0x7fffffff."""
    wide = x.astype(np.float64)
    finite = np.isfinite(wide)
    _, exponent = np.frexp(np.where(finite, wide, 0))
    unit = np.ldexp(1.0, np.maximum(exponent - 11, -136))
    near = np.copysign(np.floor(np.abs(np.where(finite, wide, 0)) / unit + 0.5) * unit, wide)
    found = np.where(finite, near, wide).astype(np.float32)
    return np.where(np.isnan(x), np.uint32(0x7FFFFFFF).view(np.float32), found)

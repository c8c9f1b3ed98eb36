"""Numba twins of the fills in ``autograd_core.ops.philox``: the same bits, made in one pass.

``fill_*(out, seed, call, first_block)`` fills a contiguous 1-d array with the elements that start at block
``first_block`` of a call, so that threads may fill parts of one result (they release the GIL): four 32-bit elements or
two 64-bit elements make a block. seed, call and first_block are uint64.

Fast-math stays off: contracting a product and a sum into one rounding, or reordering a sum, would change bits. The
constants are read once, at compilation, and are frozen in the cache; they are part of the format and never change.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autograd_core.ops.philox import FLOAT32, FLOAT64, KEY_STEPS, MULTIPLIERS, ROUNDS, FloatFormat

_kernel = njit(nogil=True, error_model="numpy", cache=True)
# LLVM vectorises the loop over blocks only if nothing in it is a call by then, and it would inline these too late.
_inline = njit(nogil=True, error_model="numpy", inline="always")

M0, M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
W0, W1 = np.uint32(KEY_STEPS[0]), np.uint32(KEY_STEPS[1])
U32 = np.uint64(32)
MASK32 = np.uint64(0xFFFFFFFF)
UNIFORM_SCALE32 = np.float32(2.0**-24)
UNIFORM_SCALE64 = 2.0**-53


def _typed(form: FloatFormat) -> tuple[Any, ...]:
    """The constants of a format in the types that keep the arithmetic inside it."""
    floating, signed, unsigned = (getattr(np, name) for name in (form.floating, form.signed, form.unsigned))
    return (
        floating(2.0**-form.bits),
        signed((1 << form.fraction_bits) - 1),
        signed(form.one_half),
        signed(form.fraction_bits),
        unsigned(form.bits),
        floating(form.minus_2_ln_2),
        tuple(floating(c) for c in form.log1p),
        tuple(floating(c) for c in form.sine),
    )


FORM32, FORM64 = _typed(FLOAT32), _typed(FLOAT64)


@_inline
def _philox(block, call, seed):
    c0, c1 = np.uint32(block), np.uint32(block >> U32)
    c2, c3 = np.uint32(call), np.uint32(call >> U32)
    k0, k1 = np.uint32(seed), np.uint32(seed >> U32)
    for _ in range(ROUNDS):
        p0 = np.uint64(c0) * M0
        p1 = np.uint64(c2) * M1
        c0, c1 = np.uint32(np.uint32(p1 >> U32) ^ c1 ^ k0), np.uint32(p1)
        c2, c3 = np.uint32(np.uint32(p0 >> U32) ^ c3 ^ k1), np.uint32(p0)
        k0 = np.uint32(k0 + W0)
        k1 = np.uint32(k1 + W1)
    return c0, c1, c2, c3


@_inline
def _words(block, call, seed):
    x0, x1, x2, x3 = _philox(block, call, seed)
    return np.uint64(x0) | (np.uint64(x1) << U32), np.uint64(x2) | (np.uint64(x3) << U32)


@_inline
def _polynomial(z, coefficients):
    value = coefficients[-1]
    for k in range(len(coefficients) - 2, -1, -1):
        value = value * z + coefficients[k]
    return value


@_inline
def _normal_pair(radius, angle, floating, signed, unsigned, form):
    """``philox.to_normal_pair``, operation for operation: a sign flip and a choice are exact however they are made."""
    scale, fraction, one_half, fraction_bits, bits, minus_2_ln_2, log1p, sine_by_t = form
    w = floating((floating(signed(radius)) + floating(0.5)) * scale)
    pattern = w.view(signed)
    exponent, f = floating(0.0), w
    if pattern >= 0:
        exponent = floating(signed((pattern >> fraction_bits) - (one_half >> fraction_bits)))
        f = signed((pattern & fraction) | one_half).view(floating) - floating(1.0)
    s = f / (f + floating(2.0))
    z = s * s
    r = np.sqrt(exponent * minus_2_ln_2 + s * (z * _polynomial(z, log1p) - floating(4.0)))
    t = floating(signed(unsigned(angle << unsigned(2)) | unsigned(2))) * scale
    sine = t * _polynomial(t * t, sine_by_t)
    across = r * sine
    along = r * np.sqrt(floating(1.0) - sine * sine)
    if angle >> unsigned(bits - unsigned(1)):
        along = -along
    if (angle >> unsigned(bits - unsigned(2))) & unsigned(1):
        return across, along
    return along, across


# What a fill makes of one block; ``given`` is a tuple of whatever else it needs.


@_inline
def _bits_of_block(block, call, seed, given):
    return _philox(block, call, seed)


@_inline
def _words_of_block(block, call, seed, given):
    return _words(block, call, seed)


@_inline
def _uniforms_float32(block, call, seed, given):
    x0, x1, x2, x3 = _philox(block, call, seed)
    eight = np.uint32(8)
    return (
        np.float32(np.int32(x0 >> eight)) * UNIFORM_SCALE32,
        np.float32(np.int32(x1 >> eight)) * UNIFORM_SCALE32,
        np.float32(np.int32(x2 >> eight)) * UNIFORM_SCALE32,
        np.float32(np.int32(x3 >> eight)) * UNIFORM_SCALE32,
    )


@_inline
def _uniforms_float64(block, call, seed, given):
    a, b = _words(block, call, seed)
    eleven = np.uint64(11)
    return np.float64(np.int64(a >> eleven)) * UNIFORM_SCALE64, np.float64(np.int64(b >> eleven)) * UNIFORM_SCALE64


@_inline
def _normals_float32(block, call, seed, given):
    x0, x1, x2, x3 = _philox(block, call, seed)
    y0, y1 = _normal_pair(x0, x1, np.float32, np.int32, np.uint32, FORM32)
    y2, y3 = _normal_pair(x2, x3, np.float32, np.int32, np.uint32, FORM32)
    return y0, y1, y2, y3


@_inline
def _normals_float64(block, call, seed, given):
    a, b = _words(block, call, seed)
    return _normal_pair(a, b, np.float64, np.int64, np.uint64, FORM64)


@_inline
def _below_threshold(block, call, seed, given):
    (threshold,) = given
    x0, x1, x2, x3 = _philox(block, call, seed)
    return x0 < threshold, x1 < threshold, x2 < threshold, x3 < threshold


@_inline
def _integers_short(block, call, seed, given):
    n, offset = given
    x0, x1, x2, x3 = _philox(block, call, seed)
    return (
        np.int64(((np.uint64(x0) * n) >> U32) + offset),
        np.int64(((np.uint64(x1) * n) >> U32) + offset),
        np.int64(((np.uint64(x2) * n) >> U32) + offset),
        np.int64(((np.uint64(x3) * n) >> U32) + offset),
    )


@_inline
def _below_64(low, high, n_low, n_high):
    cross_low, cross_high = low * n_high, high * n_low
    carry = ((low * n_low) >> U32) + (cross_low & MASK32) + (cross_high & MASK32)
    return high * n_high + (cross_low >> U32) + (cross_high >> U32) + (carry >> U32)


@_inline
def _integers_long(block, call, seed, given):
    n_low, n_high, offset = given
    x0, x1, x2, x3 = _philox(block, call, seed)
    a = _below_64(np.uint64(x0), np.uint64(x1), n_low, n_high)
    b = _below_64(np.uint64(x2), np.uint64(x3), n_low, n_high)
    return np.int64(a + offset), np.int64(b + offset)


@_inline
def _fill_fours(out, seed, call, first_block, make, given):
    blocks = out.size // 4
    for b in range(blocks):
        y = make(first_block + np.uint64(b), call, seed, given)
        out[4 * b] = y[0]
        out[4 * b + 1] = y[1]
        out[4 * b + 2] = y[2]
        out[4 * b + 3] = y[3]
    if out.size % 4:
        y = make(first_block + np.uint64(blocks), call, seed, given)
        for place in range(out.size % 4):
            out[4 * blocks + place] = y[place]


@_inline
def _fill_twos(out, seed, call, first_block, make, given):
    blocks = out.size // 2
    for b in range(blocks):
        y = make(first_block + np.uint64(b), call, seed, given)
        out[2 * b] = y[0]
        out[2 * b + 1] = y[1]
    if out.size % 2:
        y = make(first_block + np.uint64(blocks), call, seed, given)
        out[2 * blocks] = y[0]


@_kernel
def fill_random_bits(out, seed, call, first_block):
    """uint32: ``philox.random_bits``."""
    _fill_fours(out, seed, call, first_block, _bits_of_block, ())


@_kernel
def fill_random_words(out, seed, call, first_block):
    """uint64: ``philox.random_words``."""
    _fill_twos(out, seed, call, first_block, _words_of_block, ())


@_kernel
def fill_uniform_float32(out, seed, call, first_block):
    """float32: ``philox.uniform_float32``."""
    _fill_fours(out, seed, call, first_block, _uniforms_float32, ())


@_kernel
def fill_uniform_float64(out, seed, call, first_block):
    """float64: ``philox.uniform_float64``."""
    _fill_twos(out, seed, call, first_block, _uniforms_float64, ())


@_kernel
def fill_normal_float32(out, seed, call, first_block):
    """float32: ``philox.normal_float32``."""
    _fill_fours(out, seed, call, first_block, _normals_float32, ())


@_kernel
def fill_normal_float64(out, seed, call, first_block):
    """float64: ``philox.normal_float64``."""
    _fill_twos(out, seed, call, first_block, _normals_float64, ())


@_kernel
def fill_bernoulli(out, seed, call, first_block, threshold):
    """bool: ``philox.bernoulli`` for one probability; threshold is round(2**32 p) as uint64."""
    _fill_fours(out, seed, call, first_block, _below_threshold, (threshold,))


@_kernel
def fill_integers_short(out, seed, call, first_block, n, offset):
    """int64: ``philox.integers`` for n = high - low up to 2**16; offset is low. Both are uint64, as everything here."""
    _fill_fours(out, seed, call, first_block, _integers_short, (n, offset))


@_kernel
def fill_integers_long(out, seed, call, first_block, n_low, n_high, offset):
    """int64: ``philox.integers`` for greater n, given as n_low + 2**32 n_high (n may be 2**64)."""
    _fill_twos(out, seed, call, first_block, _integers_long, (n_low, n_high, offset))

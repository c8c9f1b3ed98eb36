"""Numba twins of the fills in ``autograd_core.philox``: the same bits, made in one pass.

``fill_*(out, seed, call, first_block)`` fills a contiguous 1-d array with the elements that start at block
``first_block`` of a call, so that threads may fill parts of one result (they release the GIL): four 32-bit elements or
two 64-bit elements make a block. seed, call and first_block are uint64.

Fast-math stays off: contracting a product and a sum into one rounding, or reordering a sum, would change bits. The
constants are read once, at compilation, and are frozen in the cache; they are part of the format and never change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autograd_core.philox import FLOAT32, FLOAT64, KEY_STEPS, MULTIPLIERS, ROUNDS, FloatFormat

_jit = njit(nogil=True, error_model="numpy", cache=True)

M0, M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
W0, W1 = np.uint32(KEY_STEPS[0]), np.uint32(KEY_STEPS[1])
U32 = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@_jit
def _philox(block, call, seed):  # type: ignore[no-untyped-def]
    c0, c1 = np.uint32(block & LOW), np.uint32(block >> U32)
    c2, c3 = np.uint32(call & LOW), np.uint32(call >> U32)
    k0, k1 = np.uint32(seed & LOW), np.uint32(seed >> U32)
    for _ in range(ROUNDS):
        p0 = np.uint64(c0) * M0
        p1 = np.uint64(c2) * M1
        c0, c1 = np.uint32(np.uint32(p1 >> U32) ^ c1 ^ k0), np.uint32(p1 & LOW)
        c2, c3 = np.uint32(np.uint32(p0 >> U32) ^ c3 ^ k1), np.uint32(p0 & LOW)
        k0 = np.uint32(k0 + W0)
        k1 = np.uint32(k1 + W1)
    return c0, c1, c2, c3

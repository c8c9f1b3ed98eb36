"""What the machine can do: the matrix product of NumPy's BLAS, and a copy."""

from __future__ import annotations

import numpy as np

from .contestant import Contestant

EXTENT, QUICK_EXTENT = 2048, 128
LENGTH, QUICK_LENGTH = 64_000_000, 64_000

GEMM, COPY = "sgemm", "copy"


def gemm_flops(quick: bool) -> int:
    return 2 * (QUICK_EXTENT if quick else EXTENT) ** 3


def copied_bytes(quick: bool) -> int:
    """Read and written."""
    return 2 * 4 * (QUICK_LENGTH if quick else LENGTH)


def build(name: str, *, quick: bool) -> Contestant:
    rng = np.random.default_rng(0)
    if name == GEMM:
        extent = QUICK_EXTENT if quick else EXTENT
        a, b = (rng.standard_normal((extent, extent), dtype=np.float32) for _ in range(2))
        return Contestant(lambda: a @ b, lambda product: [float(product[0, 0])])
    source = rng.standard_normal(QUICK_LENGTH if quick else LENGTH, dtype=np.float32)
    target = np.empty_like(source)
    return Contestant(lambda: np.copyto(target, source), lambda _: [float(target[-1])])

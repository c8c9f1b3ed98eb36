"""What a machine can do: a large matrix product, and a copy; by NumPy on the host, by CuPy's libraries on a GPU."""

from __future__ import annotations

import numpy as np

import autograd_core as ag
from autograd_core.backend import get_device

from .contestant import HOSTS, Contestant

EXTENT, GPU_EXTENT, QUICK_EXTENT = 2048, 8192, 128
LENGTH, QUICK_LENGTH = 64_000_000, 64_000

GEMM, COPY = "sgemm", "copy"


def gemm_flops(device: str, quick: bool) -> int:
    return 2 * _extent(device, quick) ** 3


def copied_bytes(quick: bool) -> int:
    """Read and written."""
    return 2 * 4 * (QUICK_LENGTH if quick else LENGTH)


def _extent(device: str, quick: bool) -> int:
    return QUICK_EXTENT if quick else EXTENT if device in HOSTS else GPU_EXTENT


def build(name: str, *, device: str = "cpu", quick: bool, math: str = "fp32") -> Contestant:
    """``math``: of the product, on a GPU."""
    rng = np.random.default_rng(0)
    shape = (_extent(device, quick),) * 2 if name == GEMM else (QUICK_LENGTH if quick else LENGTH,)
    a, b = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
    if device not in HOSTS:
        return _on_gpu(name, ag.tensor(a, device=device), ag.tensor(b, device=device), math)
    if name == GEMM:
        return Contestant(lambda: a @ b, lambda product: [float(product[0, 0])])
    return Contestant(lambda: np.copyto(b, a), lambda _: [float(b[-1])])


def _on_gpu(name: str, a: ag.Tensor, b: ag.Tensor, math: str) -> Contestant:
    device = get_device(str(a.device))

    def product() -> ag.Tensor:
        with ag.no_grad(), ag.math_mode(math):
            return a @ b

    def copy() -> None:
        device.backend.xp.copyto(b.data, a.data)

    def values(result: ag.Tensor | None) -> list[float]:
        return [(b[-1] if result is None else result[0, 0]).item()]

    return Contestant(product if name == GEMM else copy, values, lambda _: device.synchronize())

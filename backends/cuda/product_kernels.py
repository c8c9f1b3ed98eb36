"""Matrix products on the GPU by cuBLASLt where it is installed, in the math mode that is asked for; else by CuPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from autograd_core import context
from autograd_core.errors import BackendUnavailableError
from autograd_core.ops.linear_algebra import linear_p, matmul_p
from autograd_core.primitive import Primitive

from .cublaslt import load
from .products import Products
from .queues import Queue

WORKSPACE = 32 << 20  # bytes: what cuBLAS itself takes on Hopper
HALVES = ("float16", "bfloat16")  # they are summed in float32
MULTIPLIED = ("float32", "float64", "complex64", "complex128", *HALVES)


def kernels(cupy: Any, queue: Callable[[int], Queue], xp: Any) -> dict[Primitive, Callable[..., Any]]:
    """xp: what formulas are run with; they multiply in the same way from now on."""
    plain = xp.matmul

    @lru_cache(None)
    def products(index: int) -> Products | None:
        try:
            library = load()
        except BackendUnavailableError:
            return None
        return Products(library, lambda count: cupy.empty(count, "uint8"), WORKSPACE)

    def matmul(x1: Any, x2: Any, out: Any = None) -> Any:
        """out: rows without gaps, where the product is to lie."""
        index = x1.data.device_id
        are_matrices = min(x1.ndim, x2.ndim) > 1 and x1.dtype == x2.dtype and x1.dtype.name in MULTIPLIED
        found = products(index) if are_matrices else None
        if found is not None:
            return found.multiply(cupy, x1, x2, stream=queue(index).stream.ptr, mode=context.current().math, out=out)
        if x1.dtype == x2.dtype and x1.dtype.name in HALVES:
            y = plain(x1.astype("float32"), x2.astype("float32")).astype(x1.dtype)
        else:
            y = plain(x1, x2)
        if out is None:
            return y
        out[...] = y
        return out

    def linear(x1: Any, x2: Any, out: Any = None) -> Any:
        return matmul(x1, x2.T, out)

    def reads_halves(x1: Any, x2: Any) -> bool:
        return x1.dtype == x2.dtype and products(x1.device.index) is not None

    xp.matmul = matmul
    matmul.reads_halves = linear.reads_halves = reads_halves  # type: ignore[attr-defined]
    matmul.products = products  # type: ignore[attr-defined]
    return {matmul_p: matmul, linear_p: linear}

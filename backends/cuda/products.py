"""Matrix products of device arrays by cuBLASLt: which arrays are matrices to it as they lie, and the plans for them.

cuBLASLt counts columns first. A matrix of ours that lies row by row is therefore its transpose to it, so that what is
computed is D^T = B^T A^T: nothing is copied and nothing transposed, for operands that lie either way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import cublaslt
from .cublaslt import DATA_TYPES, CublasLt, Layout, Multiplication

PLANS = 1024  # kept, those that were used last
COMPUTE = {  # what the sums of each math mode are made in; the other dtypes have one way
    "fp32": cublaslt.COMPUTE_32F,
    "tf32": cublaslt.COMPUTE_32F_FAST_TF32,
    "bf16": cublaslt.COMPUTE_32F_FAST_16BF,
}


class Operand(NamedTuple):
    """The transpose of a stack of matrices, for cuBLASLt. transposed: the layout is of the matrices themselves."""

    layout: Layout
    transposed: bool


def transpose_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> Operand | None:
    """The stack of matrices of shape (..., n, m) with these strides, in elements; None if it must be copied first.

    It need not be if neighbours in rows or in columns are neighbours in memory, and the stack's axes are walked in
    equal steps. A matrix met again and again (strides of 0) is a stack too.
    """
    *batch, n, m = shape
    *batch_strides, down, along = strides
    stride = _even_step(batch, batch_strides)
    if stride is None:
        return None
    count = prod(batch)
    if (along == 1 or m == 1) and (down >= max(m, 1) or n == 1):
        return Operand(Layout(m, n, down if n > 1 else max(m, 1), count, stride), False)
    if (down == 1 or n == 1) and (along >= max(n, 1) or m == 1):
        return Operand(Layout(n, m, along if m > 1 else max(n, 1), count, stride), True)
    return None


def _even_step(sizes: list[int], strides: list[int]) -> int | None:
    """The step from element to element of these axes, walked as one; None if there is no such step."""
    walked = [(n, s) for n, s in zip(sizes, strides, strict=True) if n != 1]
    if not walked:
        return 0
    if any(outer != inner * n for (_, outer), (n, inner) in pairwise(walked)):
        return None
    step = walked[-1][1]
    return step if step >= 0 else None


class Products:
    """Matrix products on one device. allocate: makes an array of so many bytes there; its workspace, on first use."""

    def __init__(self, library: CublasLt, allocate: Callable[[int], Any], workspace_bytes: int):
        self._allocate, self._workspace_bytes = allocate, workspace_bytes
        self._workspace: Any = None

        @lru_cache(PLANS)
        def plan(
            dtype: str, compute: int, a: Operand, b: Operand, d: Layout, workspace: int, alignment: int
        ) -> Multiplication:
            transposed = a.transposed, b.transposed
            return Multiplication(
                library, dtype, compute, a.layout, b.layout, d,
                transposed=transposed, workspace=workspace, alignment=alignment,
            )  # fmt: skip

        self._plan = plan

    def multiply(self, xp: Any, a: Any, b: Any, *, stream: int, mode: str = "fp32", out: Any = None) -> Any:
        """y[..., i, j] = sum_k a[..., i, k] b[..., k, j], for a: (..., n, k) and b: (..., k, m) of one dtype.

        Leading axes broadcast. mode: "fp32", "tf32" or "bf16", what products of float32 and complex64 are made in.
        out: (..., n, m), where its matrices lie row by row. Dtypes that cuBLASLt does not multiply go to ``xp.matmul``.
        """
        dtype = a.dtype.name
        if dtype not in DATA_TYPES:
            return xp.matmul(a, b, out=out)
        batch = a.shape[:-2]
        if batch != b.shape[:-2]:
            batch = np.broadcast_shapes(batch, b.shape[:-2])
            a = xp.broadcast_to(a, (*batch, *a.shape[-2:]))
            b = xp.broadcast_to(b, (*batch, *b.shape[-2:]))
        y = xp.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype) if out is None else out
        if not y.size:
            return y
        if not a.shape[-1]:
            y[...] = 0
            return y
        left, a = _operand(xp, a)
        right, b = _operand(xp, b)
        compute = cublaslt.COMPUTE_64F if dtype in ("float64", "complex128") else cublaslt.COMPUTE_32F
        if dtype in ("float32", "complex64"):
            compute = COMPUTE[mode]
        target = transpose_of(y.shape, _steps(y))
        if target is None or target.transposed:
            raise ValueError(f"out of shape {y.shape} and strides {y.strides} does not hold its matrices row by row")
        addresses = (b.data.ptr, a.data.ptr, y.data.ptr)
        alignment = next(n for n in (256, 16, a.itemsize) if not any(p % n for p in addresses))
        plan = self._plan(dtype, compute, right, left, target.layout, self._workspace_bytes, alignment)
        if plan.needs and self._workspace is None:
            self._workspace = self._allocate(self._workspace_bytes)
        workspace = self._workspace.data.ptr if plan.needs else 0
        plan.run(*addresses, workspace=workspace, stream=stream)
        return y


def _operand(xp: Any, x: Any) -> tuple[Operand, Any]:
    """How cuBLASLt is to see an array, or a copy of it."""
    found = transpose_of(x.shape, _steps(x))
    while found is None:
        x = xp.ascontiguousarray(x)
        found = transpose_of(x.shape, _steps(x))
    return found, x


def _steps(x: Any) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)

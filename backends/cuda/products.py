"""Matrix products of device arrays by cuBLASLt: which arrays are matrices to it as they lie, and the plans for them.

cuBLASLt counts columns first. A matrix of ours that lies row by row is therefore its transpose to it, so that what is
computed is D^T = B^T A^T: nothing is copied and nothing transposed, for operands that lie either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import cublaslt
from .cublaslt import DATA_TYPES, NOTHING, CublasLt, Layout, Multiplication

PLANS = 1024  # kept, those that were used last
ALIGNMENTS = (256, 16, 8, 4, 2)  # bytes that addresses may be multiples of, as far as it matters to cuBLASLt
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


class Problem(NamedTuple):
    """A product as cuBLASLt sees it: right times left is the result's transpose."""

    dtype: str
    left: Operand
    right: Operand
    target: Layout
    epilogue: int = NOTHING


Lie = tuple[tuple[int, ...], tuple[int, ...]]  # shape, and strides in elements


def problem_of(dtype: str, a: Lie, b: Lie, y: Lie, epilogue: int = NOTHING) -> Problem | None:
    """y[..., i, j] = sum_k a[..., i, k] b[..., k, j] of arrays that lie so; None if one must be copied first, or there
    is nothing to sum. y's matrices lie row by row.
    """
    batch = np.broadcast_shapes(a[0][:-2], b[0][:-2])
    if dtype not in DATA_TYPES or min(len(a[0]), len(b[0])) < 2 or not a[0][-1]:
        return None
    left, right = (transpose_of(*_repeated(x, batch)) for x in (a, b))
    target = transpose_of(*y)
    if left is None or right is None or target is None or target.transposed:
        return None
    return Problem(dtype, left, right, target.layout, epilogue)


def _repeated(x: Lie, batch: tuple[int, ...]) -> Lie:
    """The array with these leading axes, along which it is met again and again where it lacks them."""
    shape, strides = x
    own = [0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2], strict=True)]
    missing = len(batch) - len(own)
    return (*batch, *shape[-2:]), (*[0] * missing, *own, *strides[-2:])


class Products:
    """Matrix products on one device. allocate: makes an array of so many bytes there; its workspace, on first use."""

    def __init__(self, library: CublasLt, allocate: Callable[[int], Any], workspace_bytes: int):
        self._allocate, self._workspace_bytes = allocate, workspace_bytes
        self._workspace: Any = None

        @lru_cache(PLANS)
        def plan(problem: Problem, compute: int, workspace: int, alignment: int) -> Multiplication:
            dtype, left, right, target, epilogue = problem
            return Multiplication(
                library, dtype, compute, right.layout, left.layout, target,
                transposed=(right.transposed, left.transposed), epilogue=epilogue, workspace=workspace,
                alignment=alignment,
            )  # fmt: skip

        self._plan = plan

    def workspace(self, problem: Problem, alignment: int) -> int:
        """Bytes that the product is best given, in whatever math mode. CublasLtError if it is refused in one."""
        computes = dict.fromkeys(_compute(problem.dtype, mode) for mode in COMPUTE)
        return max(self._plan(problem, c, self._workspace_bytes, alignment).needs for c in computes)

    def run(
        self,
        problem: Problem,
        addresses: tuple[int, int, int],
        *,
        mode: str,
        workspace: tuple[int, int],
        stream: int,
        bias: int | None = None,
        added: int | None = None,
    ) -> None:
        """addresses: of both operands and the result. workspace: its address and bytes."""
        plan = self._planned(problem, addresses if added is None else (*addresses, added), mode, workspace[1])
        a, b, y = addresses
        plan.run(b, a, y, workspace=workspace[0] if plan.needs else 0, stream=stream, bias=bias, added=added)

    def _planned(self, problem: Problem, addresses: Sequence[int], mode: str, workspace: int) -> Multiplication:
        alignment = next(n for n in ALIGNMENTS if not any(p % n for p in addresses))
        compute = _compute(problem.dtype, mode)
        best = self._plan(problem, compute, self._workspace_bytes, alignment)
        return best if best.needs <= workspace else self._plan(problem, compute, workspace, alignment)

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
        target = transpose_of(y.shape, _steps(y))
        if target is None or target.transposed:
            raise ValueError(f"out of shape {y.shape} and strides {y.strides} does not hold its matrices row by row")
        problem = Problem(dtype, left, right, target.layout)
        addresses = (a.data.ptr, b.data.ptr, y.data.ptr)
        if self._planned(problem, addresses, mode, self._workspace_bytes).needs and self._workspace is None:
            self._workspace = self._allocate(self._workspace_bytes)
        workspace = 0 if self._workspace is None else self._workspace.data.ptr
        self.run(problem, addresses, mode=mode, workspace=(workspace, self._workspace_bytes), stream=stream)
        return y


def _compute(dtype: str, mode: str) -> int:
    """What the sums of this dtype are made in."""
    if dtype in ("float32", "complex64"):
        return COMPUTE[mode]
    return cublaslt.COMPUTE_64F if dtype in ("float64", "complex128") else cublaslt.COMPUTE_32F


def _operand(xp: Any, x: Any) -> tuple[Operand, Any]:
    """How cuBLASLt is to see an array, or a copy of it."""
    found = transpose_of(x.shape, _steps(x))
    while found is None:
        x = xp.ascontiguousarray(x)
        found = transpose_of(x.shape, _steps(x))
    return found, x


def _steps(x: Any) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)

"""Loop kernels evaluated slowly in NumPy, and arrays that end where the memory does."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.backends.cpu.native import engine, machine
from autograd_core.backends.cpu.native.loops import loop_kernel
from autograd_core.compile.loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce
from autograd_core.compile.scalars import compute

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))
REDUCTIONS = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
}
STARTS = {"sum": 0, "prod": 1, "max": -np.inf, "min": np.inf, "any": False, "all": True}


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def evaluate(kernel: LoopKernel, arrays: Sequence[np.ndarray]) -> None:
    """Every statement at all points together, in order; writes the outputs.

    A value has size 1 along dimensions that it does not vary along.
    """
    sizes, outer = kernel.outer + kernel.inner, len(kernel.outer)
    every = tuple(range(len(sizes)))
    grid = [np.arange(n).reshape([-1 if d == dim else 1 for d in every]) for dim, n in enumerate(sizes)]

    def places(access: Access) -> np.ndarray:
        terms = [stride * steps for stride, steps in zip(access.strides, grid, strict=True) if stride]
        return access.offset + sum(terms, np.zeros([1] * len(sizes), np.int64))

    def over(axes: Sequence[int], value: np.ndarray) -> np.ndarray:
        """At every point along these axes."""
        return np.broadcast_to(value, [n if d in axes else have for d, (n, have) in enumerate(zip(sizes, value.shape))])

    values: list[Any] = []
    for s in kernel.body:
        value = None
        if isinstance(s, Load):
            value = arrays[s.access.operand].reshape(-1)[places(s.access)]
        elif isinstance(s, Constant):
            value = np.full([1] * len(sizes), s.value, s.dtype)
        elif isinstance(s, Index):
            value = s.start + s.step * grid[s.dimension]
        elif isinstance(s, Map):
            value = compute(s.op, [values[a] for a in s.args], s.dtype)
        elif isinstance(s, Reduce):
            value = _reduced(s.kind, over(every[outer:], values[s.arg]).astype(s.dtype), every[outer:])
        else:
            target, value, where = arrays[s.access.operand].reshape(-1), values[s.arg], places(s.access)
            if isinstance(s, Accumulate):
                axes = every if s.over_inner else every[:outer]
                value = _reduced(s.kind, over(axes, value).astype(target.dtype), axes)
            target[np.broadcast_to(where, np.broadcast_shapes(where.shape, value.shape))] = value
        values.append(value)


def _reduced(kind: str, value: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    exact = value.astype(np.float64) if kind in ("sum", "prod") and value.dtype.kind == "f" else value
    options = {} if kind in ("any", "all") else {"initial": _start(kind, value.dtype)}
    return REDUCTIONS[kind](exact, axis=axes, keepdims=True, **options).astype(value.dtype)


def _start(kind: str, dtype: np.dtype) -> Any:
    if kind in ("max", "min") and dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return bounds.min if kind == "max" else bounds.max
    return STARTS[kind] if kind in ("max", "min") else dtype.type(STARTS[kind])


def fenced(array: np.ndarray, *, end: bool = True) -> np.ndarray:
    """A copy that ends (or starts) at a page that may not be touched; just a copy where that cannot be had."""
    if not sys.platform.startswith("linux"):
        return array.copy()
    page = mmap.PAGESIZE
    pages = -(-max(array.nbytes, 1) // page)
    memory = mmap.mmap(-1, (pages + 2) * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for fence in (0, pages + 1):
        if protect(ctypes.c_void_p(base + fence * page), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = page + (pages * page - array.nbytes if end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy


def run(
    kernel: LoopKernel, arrays: Sequence[np.ndarray], *, threads: int = 1, level: str = "host", end: bool = True
) -> list[np.ndarray]:
    """The arrays after the native kernel ran on fenced copies of them."""
    copies = [fenced(a, end=end) for a in arrays]
    assert engine.call(loop_kernel(kernel, "kernel"), copies, threads=threads, machine=machine.limited(level)) == 0
    return copies


def check(
    kernel: LoopKernel,
    arrays: Sequence[np.ndarray],
    *,
    threads: int = 1,
    level: str = "host",
    end: bool = True,
    rtol: float = 3e-6,
    atol: float = 3e-6,
) -> None:
    """That native code leaves in every array what the slow evaluation does."""
    expected = [a.copy() for a in arrays]
    evaluate(kernel, expected)
    found = run(kernel, arrays, threads=threads, level=level, end=end)
    for position, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"operand {position}")
        else:
            np.testing.assert_array_equal(a, b, err_msg=f"operand {position}")

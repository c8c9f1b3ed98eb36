"""Loop kernels run by NumPy: slow, and the definition of what every target must compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Store
from .scalars import compute

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
}


def evaluate(kernel: LoopKernel, arrays: Sequence[np.ndarray]) -> None:
    """Run a kernel on one array an operand: contiguous, of the operand's dtype; outputs are written."""
    sizes = (*kernel.outer, *kernel.inner)
    outer = tuple(range(len(kernel.outer)))
    inner = tuple(range(len(kernel.outer), len(sizes)))
    grid = [np.arange(n).reshape([-1 if d == e else 1 for e in range(len(sizes))]) for d, n in enumerate(sizes)]
    flat = [array.reshape(-1) for array in arrays]
    for array, memory, dtype in zip(arrays, flat, kernel.operands, strict=True):
        if memory.dtype != dtype or (memory.size and not np.shares_memory(array, memory)):
            raise ValueError(f"an operand is {dtype}, contiguous; got {array.dtype}, strides {array.strides}")

    def places(access: Access) -> Any:
        at = np.asarray(access.offset)
        for points, stride in zip(grid, access.strides, strict=True):
            at = at + (points * stride if stride else 0)
        if at.size and not (at.min() >= 0 and at.max() < flat[access.operand].size):
            raise IndexError(f"{access} leaves its operand of {flat[access.operand].size} elements")
        return at

    def reduced(kind: str, x: Any, over: tuple[int, ...]) -> Any:
        shape = [sizes[d] if d in over else n for d, n in enumerate(_aligned(x, sizes).shape)]
        full = np.broadcast_to(_aligned(x, sizes), shape)
        with np.errstate(all="ignore"):
            return _REDUCTIONS[kind](full, axis=over, keepdims=True).astype(x.dtype)

    values: list[Any] = []
    for s in kernel.body:
        value = None
        if isinstance(s, Load):
            value = flat[s.access.operand][places(s.access)]
        elif isinstance(s, Constant):
            value = np.asarray(s.value, s.dtype)
        elif isinstance(s, Index):
            value = s.start + s.step * grid[s.dimension]
        elif isinstance(s, Map):
            value = compute(s.op, [values[a] for a in s.args], s.dtype)
        elif isinstance(s, Reduce):
            value = reduced(s.kind, values[s.arg], inner)
        elif isinstance(s, Store):
            _write(flat[s.access.operand], places(s.access), values[s.arg], sizes)
        elif isinstance(s, Accumulate):
            result = reduced(s.kind, values[s.arg], (*outer, *inner) if s.over_inner else outer)
            _write(flat[s.access.operand], places(s.access), result, sizes)
        values.append(value)


def _aligned(x: Any, sizes: Sequence[int]) -> Any:
    x = np.asarray(x)
    return x if x.ndim == len(sizes) else x.reshape((1,) * (len(sizes) - x.ndim) + x.shape)


def _write(memory: np.ndarray, at: Any, value: Any, sizes: Sequence[int]) -> None:
    at, value = np.broadcast_arrays(_aligned(at, sizes), _aligned(value, sizes))
    memory[at.reshape(-1)] = value.reshape(-1)

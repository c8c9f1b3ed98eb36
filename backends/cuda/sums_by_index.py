"""Sums by index in an order that is known: the same bits every time, which atomic additions do not give.

Indices are sorted, equal ones in the order they came in, and each sum is made by one thread, one addend after another.
Nothing is asked of the device, so that sums can be captured in a CUDA graph. Not yet run on hardware.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from .native.source import OPTIONS, functions

CODE = functions("sums_by_index")
THREADS, RUN = 256, 1024  # of a block, and keys that it sorts
MOST_BLOCKS = 1 << 16


class SumsByIndex:
    """Of real and complex floating arrays."""

    def __init__(self, cupy: Any):
        self._cupy = cupy

    @cached_property
    def _module(self) -> Any:
        return self._cupy.RawModule(code=CODE, options=OPTIONS)

    def __call__(self, values: Any, indices: Any, outer: int, length: int, inner: int) -> Any:
        """sums[o, r, i] of values[o, k, i] over all k with indices[k] = r, flat; indices out of range are left out.

        values: outer x n x inner elements in any shape. indices: (n,), int64.
        """
        cupy, dtype = self._cupy, values.dtype
        if not values.size:
            return cupy.zeros(outer * length * inner, dtype)
        keys, starts = self._sorted(cupy.ascontiguousarray(indices), length)
        addends = cupy.ascontiguousarray(values).reshape(-1)
        if dtype.kind == "c":
            addends, inner = addends.view(addends.real.dtype), 2 * inner
        sums = cupy.empty(outer * length * inner, addends.dtype)
        name = "sum_by_index_double" if addends.dtype.itemsize == 8 else "sum_by_index_float"
        self._launch(name, sums.size, addends, keys, starts, sums, indices.size, length, inner, sums.size)
        return sums.view(dtype)

    def _sorted(self, indices: Any, length: int) -> tuple[Any, Any]:
        """Keys in order, and where those of each place begin."""
        cupy, n = self._cupy, indices.size
        keys = cupy.empty(n, "uint64")
        self._launch("sort_runs", -(-n // RUN) * THREADS, indices, keys, n, length)
        other, run = (cupy.empty(n, "uint64") if n > RUN else None), RUN
        while run < n:
            self._launch("merge_runs", n, keys, other, n, run)
            keys, other, run = other, keys, 2 * run
        starts = cupy.empty(length + 1, "int64")
        self._launch("find_starts", length + 1, keys, starts, n, length)
        return keys, starts

    def _launch(self, name: str, threads: int, *arguments: Any) -> None:
        """Threads of ``sum_by_index`` take several turns, if there is more to do; those of others take one."""
        blocks = -(-threads // THREADS)
        blocks = min(blocks, MOST_BLOCKS) if name.startswith("sum") else blocks
        self._module.get_function(name)((blocks,), (THREADS,), arguments)

"""Elements picked by index, and sums by index in an order that is known: the same bits every time, which atomic
additions do not give.

For sums indices are sorted, equal ones in the order they came in, and each sum is made by one thread, one addend after
another. Nothing is asked of the device, so that all of it can be captured in a CUDA graph. Not yet run on hardware.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .native.source import OPTIONS, functions

CODE = "\n".join(functions(name) for name in ("half", "indices", "sums_by_index"))
THREADS, RUN = 256, 1024  # of a block, and keys that it sorts
MOST_BLOCKS = 1 << 16
WORD = 8  # bytes of a key, and of a position
NAMES = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "brain"}
PACKS = (16, 8, 4, 2, 1)  # bytes that are copied at once


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
        sums = cupy.empty(outer * length * inner, dtype)
        workspace = cupy.empty(self.workspace(indices.size, length), "uint8")
        addends = cupy.ascontiguousarray(values).reshape(-1)
        self.into(sums, addends, cupy.ascontiguousarray(indices), length, inner, workspace)
        return sums

    @staticmethod
    def workspace(n: int, length: int) -> int:
        """Bytes that sums of n addends by ``length`` places take."""
        return WORD * ((2 * n if n > RUN else n) + length + 1)

    def into(
        self,
        sums: Any,
        values: Any,
        indices: Any,
        length: int,
        inner: int,
        workspace: Any,
        *,
        from_back: bool = False,
        planes: tuple[int, int] = (0, 0),
    ) -> None:
        """The same into an array that is there. All are flat, without gaps.

        indices: of any whole dtype; from_back: those below 0 count from the back. planes: after so many indices they
        count from so many places further on.
        """
        if sums.dtype.kind == "c":
            real = sums.real.dtype
            sums, values, inner = sums.view(real), values.view(real), 2 * inner
        n, words = indices.size, workspace.view("uint64")
        keys, other, starts = words[:n], words[n : 2 * n], words[-length - 1 :].view("int64")
        bytes_ = signed_bytes(indices.dtype)
        self._launch("sort_runs", -(-n // RUN) * THREADS, indices, keys, n, length, bytes_, int(from_back), *planes)
        run = RUN
        while run < n:
            self._launch("merge_runs", n, keys, other, n, run)
            keys, other, run = other, keys, 2 * run
        self._launch("find_starts", length + 1, keys, starts, n, length)
        name = f"sum_by_index_{NAMES[sums.dtype.name]}"
        self._launch(name, sums.size, values, keys, starts, sums, n, length, inner, sums.size)

    def pick(self, x: Any, indices: Any, y: Any, outer: int, length: int, inner: int, pack: int) -> None:
        """y[o, k, i] = x[o, indices[k], i]. All are flat, without gaps; indices below 0 count from the back.

        pack: bytes that arrays begin at multiples of, and rows are as long as.
        """
        units = inner * x.dtype.itemsize // pack
        sizes = signed_bytes(indices.dtype), outer, indices.size, length, units
        self._launch(f"pick_{pack}", outer * indices.size * units, x, indices, y, *sizes)

    def _launch(self, name: str, threads: int, *arguments: Any) -> None:
        """Threads of ``sum_by_index`` and ``pick`` take several turns, if there is more to do; those of others take
        one.
        """
        blocks = -(-threads // THREADS)
        blocks = min(blocks, MOST_BLOCKS) if name.startswith(("sum", "pick")) else blocks
        self._module.get_function(name)((blocks,), (THREADS,), arguments)


def signed_bytes(dtype: np.dtype) -> int:
    """Bytes of an index, less than 0 if it has no sign. Those of 64 bits without one are read as if they had one."""
    return -dtype.itemsize if dtype.kind == "u" and dtype.itemsize < WORD else dtype.itemsize

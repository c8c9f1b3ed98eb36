"""Pooling on the GPU, one launch for a pass over the windows. Not yet run on hardware.

Of float32 and float64; the formulas run for other dtypes. Compiled functions make loops of pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import Any

from autograd_core.ops import pooling as ops
from autograd_core.ops._windows import Windows
from autograd_core.primitive import Primitive

from .native.source import OPTIONS, functions

CODE = functions("pooling")
NAMES = {"float32": "float", "float64": "double"}
THREADS = 256
MOST = (1 << 31) - THREADS  # elements of an array: they are counted in 31 bits


class Pooling:
    """Kernels over windows, for all devices."""

    def __init__(self, cupy: Any, xp: Any):
        self._cupy, self._xp = cupy, xp

    @cached_property
    def _module(self) -> Any:
        return self._cupy.RawModule(code=CODE, options=OPTIONS)

    def max_pool(self, x: Any, *, windows: Windows) -> Any:
        if not _fits(x, windows):
            return ops.max_pool_p.forward(self._xp, x, windows=windows)
        shape = (*x.shape[:2], *windows.output)
        y, index = self._cupy.empty(shape, x.dtype), self._cupy.empty(shape, ops.INDEX)
        self._launch("max_pool", x, windows, y, index)
        return y, index

    def avg_pool(self, x: Any, *, windows: Windows, divisor: ops.Divisor) -> Any:
        if not _fits(x, windows):
            return ops.avg_pool_p.forward(self._xp, x, windows=windows, divisor=divisor)
        sums = self._cupy.empty((*x.shape[:2], *windows.output), x.dtype)
        self._launch("window_sums", x, windows, sums)
        return ops._divided(self._xp, sums, divisor)

    def avg_spread(self, v: Any, *, windows: Windows, divisor: ops.Divisor) -> Any:
        if not _fits(v, windows):
            return ops.avg_spread_p.forward(self._xp, v, windows=windows, divisor=divisor)
        sums = self._cupy.empty((*v.shape[:2], *windows.size), v.dtype)
        self._launch("window_shares", ops._divided(self._xp, v, divisor), windows, sums)
        return sums

    def _launch(self, name: str, x: Any, windows: Windows, *results: Any) -> None:
        """One thread for each element of the first result."""
        function = self._module.get_function(f"{name}_{NAMES[x.dtype.name]}")
        elements = results[0].size
        arguments = (self._cupy.ascontiguousarray(x), *results, elements, *_numbers(windows))
        function((-(-elements // THREADS),), (THREADS,), arguments)


def _fits(x: Any, windows: Windows) -> bool:
    elements = prod(x.shape[:2]) * max(windows.outputs, prod(windows.size))
    return x.dtype.name in NAMES and 0 < elements < MOST and len(windows.size) <= 3


def _numbers(windows: Windows) -> list[int]:
    """As a kernel takes them: of three axes each, those before the windows' of length 1."""
    before = tuple(n for n, _ in windows.padding)
    rows = (windows.size, windows.kernel, windows.stride, before, windows.dilation, windows.output)
    return [n for row in rows for n in (*[int(row is not before)] * (3 - len(row)), *row)]


def kernels(cupy: Any, xp: Any) -> dict[Primitive, Callable[..., Any]]:
    """xp: what formulas are run with."""
    made = Pooling(cupy, xp)
    return {ops.max_pool_p: made.max_pool, ops.avg_pool_p: made.avg_pool, ops.avg_spread_p: made.avg_spread}

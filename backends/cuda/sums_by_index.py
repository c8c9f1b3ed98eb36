"""Sums by index in an order that is known: the same bits every time, which atomic additions do not give.

Indices are sorted, equal ones in the order they came in, and each sum is made by one thread, one addend after another.
Not yet run on hardware.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

THREADS = 256
MOST_BLOCKS = 1 << 16

CODE = """
template <typename T>
__device__ void sum_by_index(const T *values, const long long *order, const long long *starts, T *sums, long long n,
                             long long length, long long inner, long long size)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
        const long long column = i % inner, row = i / inner % length, outer = i / (inner * length);
        const T *from = values + outer * n * inner + column;
        T sum = 0;
        for (long long k = starts[row]; k < starts[row + 1]; ++k) sum += from[order[k] * inner];
        sums[i] = sum;
    }
}

#define SUM_BY_INDEX(T)                                                                                            \\
    extern "C" __global__ void sum_by_index_##T(const T *values, const long long *order, const long long *starts,  \\
                                                T *sums, long long n, long long length, long long inner,           \\
                                                long long size)                                                    \\
    {                                                                                                              \\
        sum_by_index<T>(values, order, starts, sums, n, length, inner, size);                                      \\
    }
SUM_BY_INDEX(float)
SUM_BY_INDEX(double)
"""


class SumsByIndex:
    """Of real and complex floating arrays."""

    def __init__(self, cupy: Any):
        self._cupy = cupy

    @cached_property
    def _module(self) -> Any:
        return self._cupy.RawModule(code=CODE, options=("--std=c++17",))

    def __call__(self, values: Any, indices: Any, outer: int, length: int, inner: int) -> Any:
        """sums[o, r, i] of values[o, k, i] over all k with indices[k] = r, flat; indices out of range are left out.

        values: outer x n x inner elements in any shape. indices: (n,), int64.
        """
        cupy, dtype = self._cupy, values.dtype
        if not values.size:
            return cupy.zeros(outer * length * inner, dtype)
        order = cupy.argsort(indices)
        starts = cupy.searchsorted(indices[order], cupy.arange(length + 1))
        addends = cupy.ascontiguousarray(values).reshape(-1)
        if dtype.kind == "c":
            addends, inner = addends.view(addends.real.dtype), 2 * inner
        sums = cupy.empty(outer * length * inner, addends.dtype)
        kernel = self._module.get_function(
            "sum_by_index_double" if addends.dtype.itemsize == 8 else "sum_by_index_float"
        )
        blocks = min(-(-sums.size // THREADS), MOST_BLOCKS)
        kernel((blocks,), (THREADS,), (addends, order, starts, sums, indices.size, length, inner, sums.size))
        return sums.view(dtype)

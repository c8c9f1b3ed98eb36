"""The dimensions of a loop kernel, as few as its accesses allow."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Store


def merged(kernel: LoopKernel) -> LoopKernel:
    """Without dimensions of one point, and neighbours as one where every access allows it; inner is never empty."""
    outer, inner = _merge(kernel, 0, kernel.outer), _merge(kernel, len(kernel.outer), kernel.inner)
    sizes = kernel.outer + kernel.inner
    dims = [*outer, *inner]
    where = {old[-1]: new for new, old in enumerate(dims)}
    extra = () if inner else (1,)

    def access(a: Access) -> Access:
        return a._replace(strides=tuple(a.strides[old[-1]] for old in dims) + (0,) * len(extra))

    body = []
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            s = s._replace(access=access(s.access))
        elif isinstance(s, Index):
            dropped = s.dimension not in where
            s = Constant(s.start, np.dtype(np.int64)) if dropped else s._replace(dimension=where[s.dimension])
        body.append(s)
    return LoopKernel(
        tuple(prod(sizes[d] for d in old) for old in outer),
        tuple(prod(sizes[d] for d in old) for old in inner) + extra,
        tuple(body),
        kernel.operands,
        kernel.outputs,
    )


def _merge(kernel: LoopKernel, first: int, sizes: Sequence[int]) -> list[list[int]]:
    accesses = [s.access for s in kernel.body if isinstance(s, Load | Store | Accumulate)]
    indexed = {s.dimension for s in kernel.body if isinstance(s, Index)}
    dims: list[list[int]] = []
    for dim in range(first, first + len(sizes)):
        size = sizes[dim - first]
        if size == 1:
            continue
        before = dims[-1][-1] if dims else None
        if (
            before is not None
            and not indexed & {before, dim}
            and all(a.strides[before] == a.strides[dim] * size for a in accesses)
        ):
            dims[-1].append(dim)
        else:
            dims.append([dim])
    return dims

"""In which order elementwise points are counted, and how many neighbours a thread takes: so that what a warp reads and
writes lies together.

What is strided along the last dimension, as windows' elements are, touches a sector for each number. Sectors are
counted for a warp, in each order that ends in another dimension, and for packs of each width.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import Any

import numpy as np

from autograd_core.compiler.loops import Index, Load, Store

from .form import Form, PerPoint, Total, live, with_inner
from .lanes import width_of

WARP, SECTOR = 32, 32  # threads; bytes
WORTH = 1.5  # times fewer sectors, for which points are counted otherwise


def along_the_grain(found: Form, vector: int, misaligned: Collection[int]) -> tuple[Form, int]:
    """The form, which may have its dimensions in another order, and the width of packs."""
    width = width_of(found, vector, misaligned)
    if found.outer or not found.inner or any(isinstance(s, Total | PerPoint) for s in found.body):
        return found, width
    best, cost = (found, width), _sectors(found, width, misaligned) / WORTH
    for form in (found, *_orders(found)):
        most = width_of(form, vector, misaligned)
        for taken in (most >> n for n in range(most.bit_length())):
            sectors = _sectors(form, taken, misaligned)
            if sectors < cost:
                best, cost = (form, taken), sectors
    return best


def _orders(found: Form) -> list[Form]:
    """With each of the other dimensions as the last one."""
    dims = range(len(found.inner))
    return [_ordered(found, [*(d for d in dims if d != last), last]) for last in dims[:-1] if found.inner[last] > 1]


def _ordered(found: Form, order: Sequence[int]) -> Form:
    body: list[Any] = []
    for s in found.body:
        if isinstance(s, Index):
            s = s._replace(dimension=order.index(s.dimension))
        elif hasattr(s, "access"):
            s = s._replace(access=s.access._replace(strides=tuple(s.access.strides[d] for d in order)))
        body.append(s)
    return with_inner(found, [found.inner[d] for d in order], body)


def _sectors(found: Form, width: int, misaligned: Collection[int]) -> float:
    """That the first warp touches, for each of its points.

    Numbers that do not lie side by side are read and written one by one, whatever the width. Operands that may lie
    anywhere cost what they cost.
    """
    sizes = found.sizes
    columns = -(-sizes[-1] // width)
    packs = np.arange(min(WARP, columns * prod(sizes[:-1])))
    rest, at = packs // columns, [packs % columns * width]
    for n in reversed(sizes[:-1]):
        at.append(rest % n)
        rest = rest // n
    points = np.stack(at[::-1])
    total = 0
    for position in live(found):
        s = found.body[position]
        if not isinstance(s, Load | Store) or s.access.operand in misaligned:
            continue
        size, step = found.operands[s.access.operand].itemsize, s.access.strides[-1]
        first = s.access.offset + np.array(s.access.strides, np.int64) @ points
        touched = (first[:, None] + step * np.arange(width if step else 1)) * size // SECTOR
        total += sum(len(np.unique(one)) for one in touched.T) if abs(step) > 1 else len(np.unique(touched))
    return total / max(1, packs.size * width)

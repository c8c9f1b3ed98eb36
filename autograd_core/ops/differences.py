"""Differences of neighbours."""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..errors import ArgumentError
from ._apply import as_tensor
from .arithmetic import subtract
from .comparison import not_equal
from .joining import concat

__all__ = ["diff"]


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along ``axis``, ``n`` times over: y_i = x_(i+1) - x_i.

    x: (..., m, ...) -> (..., m - n, ...), of the dtype of ``x``; booleans: whether neighbours differ. prepend, append:
    tensors joined to the ends of ``x`` beforehand. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.diff(ag.tensor([1.0, 4.0, 9.0])), ag.diff(ag.tensor([1.0, 4.0, 9.0]), n=2)
    (tensor([3., 5.]), tensor([2.]))
    """
    x = as_tensor("diff", x)
    axis = normalize_axis("diff", axis, len(x.shape))
    if n < 0:
        raise ArgumentError(f"diff: n counts how often differences are taken and must not be negative, got {n}")
    pieces = [as_tensor("diff", piece, x) for piece in (prepend, x, append) if piece is not None]
    x = concat(pieces, axis=axis)
    before = (slice(None),) * axis
    difference = not_equal if x.dtype.kind == "b" else subtract
    for _ in range(n):
        x = difference(x[(*before, slice(1, None))], x[(*before, slice(None, -1))])
    return x

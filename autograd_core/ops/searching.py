"""Places of values in order, and membership."""

from __future__ import annotations

from typing import Any

from ..aval import DEFAULT_INT, Aval
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import General, bind, general
from ._apply import as_tensor, check_devices, promoted, require_integer
from .casting import detach
from .creation import full_like
from .indexing import take
from .joining import stack, unstack
from .selection import clip
from .shaping import reshape
from .sorting import sort

__all__ = ["isin", "searchsorted"]


def _searchsorted_on_batch(xs: Any, batched: Any, size: int, *, side: str) -> Any:
    rows, values = (unstack(x) if b else (x,) * size for x, b in zip(xs, batched, strict=True))
    if not batched[0]:
        return bind(searchsorted_p, xs, {"side": side})  # every value is looked for by itself
    return stack([bind(searchsorted_p, pair, {"side": side}) for pair in zip(rows, values, strict=True)])


searchsorted_p: General = general(
    "searchsorted",
    lambda xp, x1, x2, *, side: xp.searchsorted(x1, x2, side=side),
    lambda x1, x2, *, side: Aval(x2.shape, DEFAULT_INT),
    signals=False,
    batch=_searchsorted_on_batch,
)


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where to insert each element of ``x2`` into ``x1`` so that it stays in order (int64, the shape of ``x2``).

    x1: (n), real, in ascending order, or brought to it by ``sorter`` (the positions from ``argsort``); NaN last.
    side: "left" before equal elements, "right" behind them. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.searchsorted(ag.tensor([1.0, 2.0, 2.0, 3.0]), ag.tensor([2.0, 5.0]))
    tensor([1, 4])
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    x1, x2 = promoted("searchsorted", (x1, x2))
    if x1.dtype.kind == "c":
        raise DTypeError(f"searchsorted: complex numbers have no order, got {x1.dtype}; search among abs(x)")
    if len(x1.shape) != 1:
        raise ShapeError(f"searchsorted: x1 must have 1 dimension, got shape {x1.shape}")
    if sorter is not None:
        sorter = as_tensor("searchsorted", sorter, x1)
        require_integer("searchsorted", "sorter", sorter)
        if sorter.shape != x1.shape:
            raise ShapeError(f"searchsorted: sorter of shape {sorter.shape} does not fit x1 of shape {x1.shape}")
        x1 = take(x1, sorter)
    check_devices("searchsorted", (x1, x2))
    return bind(searchsorted_p, (x1, x2), {"side": side})


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Any:
    """Which elements of ``x1`` occur in ``x2``, boolean, of the shape of ``x1``; ``invert``: which do not.

    x1, x2: real dtypes; NaN occurs nowhere. NumPy's ``isin``; the array API standard has it from 2025.12.

    >>> import autograd_core as ag
    >>> ag.isin(ag.tensor([1, 2, 3]), ag.tensor([3, 1]))
    tensor([ True, False,  True])
    """
    x1, x2 = map(detach, promoted("isin", (x1, x2)))
    if not x2.size:
        return full_like(x1, invert, dtype="bool")
    ordered = sort(reshape(x2, (-1,)))
    nearest = take(ordered, clip(searchsorted(ordered, x1), 0, x2.size - 1))
    return nearest != x1 if invert else nearest == x1

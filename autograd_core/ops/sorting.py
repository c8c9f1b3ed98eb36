"""Order: sort and argsort."""

from __future__ import annotations

from typing import Any

from ..aval import DEFAULT_INT, Aval, normalize_axis
from ..batching import shift
from ..errors import DTypeError
from ..primitive import bind, general
from ._apply import as_tensor
from .indexing import take_along_axis

__all__ = ["argsort", "sort"]


def _argsorted(xp: Any, x: Any, *, axis: int, descending: bool) -> Any:
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    # reversed twice, so that equal elements keep their order
    found = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(found, axis)


argsort_p = general(
    "argsort",
    _argsorted,
    lambda x, *, axis, descending: Aval(x.shape, DEFAULT_INT),
    signals=False,
    batch={"axis": shift},
)


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """Positions (int64) that sort ``x`` along ``axis``; equal elements keep their order, NaN counts as largest.

    ``stable`` is accepted for the standard's sake: it always is. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.argsort(ag.tensor([2.0, 3.0, 1.0]))
    tensor([2, 0, 1])
    """
    return _order("argsort", as_tensor("argsort", x), axis, descending)


def _order(op: str, x: Any, axis: int, descending: bool) -> Any:
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: complex numbers have no order, got {x.dtype}; sort by abs(x)")
    if not x.shape:
        return x.astype(DEFAULT_INT) * 0
    return bind(argsort_p, (x,), {"axis": normalize_axis(op, axis, len(x.shape)), "descending": descending})


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements of ``x`` in order along ``axis``; NaN counts as largest. Each gradient goes where the element was.

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.sort(ag.tensor([2.0, 3.0, 1.0]), descending=True)
    tensor([3., 2., 1.])
    """
    x = as_tensor("sort", x)
    if not x.shape:
        return x
    return take_along_axis(x, _order("sort", x, axis, descending), axis=axis)

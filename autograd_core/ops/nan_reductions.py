"""Reductions that pass over NaN: missing values count as nothing, and get no gradient."""

from __future__ import annotations

import math
from typing import Any

from ..aval import Axis, is_inexact
from . import extrema, reductions
from ._apply import as_tensor, to_float
from .reductions import all, count_nonzero
from .selection import where

__all__ = ["nansum", "nanprod", "nanmean", "nanmax", "nanmin"]


def nansum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum of the elements over ``axis`` that are not NaN; 0 where all are. Arguments as for ``sum``. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.nansum(ag.tensor([1.0, float("nan"), 3.0]))
    tensor(4.)
    """
    return reductions.sum(_filled("nansum", x, 0), axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Product of the elements over ``axis`` that are not NaN; 1 where all are. Arguments as for ``prod``. NumPy.

    >>> import autograd_core as ag
    >>> ag.nanprod(ag.tensor([2.0, float("nan"), 3.0]))
    tensor(6.)
    """
    return reductions.prod(_filled("nanprod", x, 1), axis=axis, dtype=dtype, keepdims=keepdims)


def nanmean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean of the elements over ``axis`` that are not NaN; NaN where all are. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.nanmean(ag.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    x = to_float(as_tensor("nanmean", x))
    count = count_nonzero(x == x, axis=axis, keepdims=keepdims).astype(x.dtype)
    return nansum(x, axis=axis, keepdims=keepdims) / count


def nanmax(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over ``axis`` that is not NaN; NaN where all are. Ties and errors as for ``max``. NumPy.

    >>> import autograd_core as ag
    >>> ag.nanmax(ag.tensor([1.0, float("nan"), 3.0]))
    tensor(3.)
    """
    return _extremum("nanmax", extrema.max, -math.inf, x, axis, keepdims)


def nanmin(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over ``axis`` that is not NaN; NaN where all are. Ties and errors as for ``min``. NumPy.

    >>> import autograd_core as ag
    >>> ag.nanmin(ag.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    return _extremum("nanmin", extrema.min, math.inf, x, axis, keepdims)


def _filled(op: str, x: Any, value: float) -> Any:
    """``x`` with ``value`` in place of NaN."""
    x = as_tensor(op, x)
    return where(x == x, x, value) if is_inexact(x.dtype) else x


def _extremum(op: str, choose: Any, least: float, x: Any, axis: Axis, keepdims: bool) -> Any:
    x = as_tensor(op, x)
    if not is_inexact(x.dtype) or x.dtype.kind == "c":
        return choose(x, axis=axis, keepdims=keepdims)
    y = choose(_filled(op, x, least), axis=axis, keepdims=keepdims)
    return where(all(x != x, axis=axis, keepdims=keepdims), math.nan, y)

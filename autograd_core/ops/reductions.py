"""Reductions over axes: sums, means, extrema, and running sums."""

from __future__ import annotations

from typing import Any

from ..aval import DEFAULT_INT, Aval, Axis, as_dtype, normalize_axes, reduced_shape
from ..primitive import bind, multilinear
from ._apply import as_tensor


def expand_reduced(g: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """``g``, a value for every group of a reduction over ``axes``, repeated for every element of the group."""
    if not keepdims:
        g = g.reshape(reduced_shape(shape, axes, keepdims=True))
    return g.broadcast_to(shape)


sum_p = multilinear(
    "sum",
    lambda xp, x, *, axis, keepdims: x.sum(axis=axis, dtype=x.dtype, keepdims=keepdims),
    transposes=(lambda g, avals, axis, keepdims: expand_reduced(g, avals[0].shape, axis, keepdims),),
    shape=lambda x, *, axis, keepdims: Aval(reduced_shape(x.shape, axis, keepdims), x.dtype),
)


def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum of the elements over ``axis`` (all axes by default).

    dtype: that of the result; by default that of ``x``, and int64 for booleans and small integers.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.sum(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    x = as_tensor("sum", x)
    axes = normalize_axes("sum", axis, len(x.shape))
    if dtype is None and x.dtype.kind in "bi":
        dtype = DEFAULT_INT
    elif dtype is None and x.dtype.kind == "u":
        dtype = "uint64"
    if dtype is not None:
        x = x.astype(as_dtype(dtype))
    return bind(sum_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes or not x.shape else x

"""Running sums and products along an axis."""

from __future__ import annotations

from typing import Any

from ..aval import normalize_axis
from ..batching import shift
from ..errors import ShapeError
from ..primitive import bind, general, multilinear
from ._apply import as_tensor
from .joining import concat, split
from .reductions import accumulated
from .shaping import flip

__all__ = ["cumulative_sum", "cumulative_prod"]

cumulative_sum_p = multilinear(
    "cumulative_sum",
    lambda xp, x, *, axis: x.cumsum(axis=axis, dtype=x.dtype),
    transposes=(lambda g, axis: flip(cumulative_sum(flip(g, axis=axis), axis=axis), axis=axis),),
    shape=lambda x, *, axis: x,
    batch={"axis": shift},
)


def _running(op: str, primitive: Any, start: int, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    x = accumulated(as_tensor(op, x), dtype)
    if axis is None:
        if len(x.shape) != 1:
            raise ShapeError(f"{op}: say along which axis of shape {x.shape}: {op}(x, axis=0), or x.ravel() first")
        axis = 0
    axis = normalize_axis(op, axis, len(x.shape))
    y = bind(primitive, (x,), {"axis": axis})
    if not include_initial:
        return y
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return concat([y.new_ones(shape) if start else y.new_zeros(shape), y], axis=axis)


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running sums along ``axis``: y_i = x_0 + ... + x_i; ``cumsum`` in NumPy and PyTorch.

    axis: may be left out for a 1-d tensor. include_initial: with a 0 in front. dtype: as for ``sum``.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.cumulative_sum(ag.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    return _running("cumulative_sum", cumulative_sum_p, 0, x, axis, dtype, include_initial)


def _running_products(x: Any, axis: int) -> Any:
    """Running products in log2(n) steps of products of two: no division, so that zeros are no exception.

    Source: Hillis and Steele, Data parallel algorithms, Communications of the ACM 29 (1986).
    """
    y, n, step = x, x.shape[axis], 1
    while step < n:
        settled, later = split(y, [step, n - step], axis=axis)
        earlier, _ = split(y, [n - step, step], axis=axis)
        y = concat([settled, earlier * later], axis=axis)
        step *= 2
    return y


cumulative_prod_p = general(
    "cumulative_prod",
    lambda xp, x, *, axis: x.cumprod(axis=axis, dtype=x.dtype),
    lambda x, *, axis: x,
    composed=lambda x, *, axis: _running_products(x, axis),
)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """Running products along ``axis``: y_i = x_0 ... x_i; its derivatives hold at zeros too.

    axis: may be left out for a 1-d tensor. include_initial: with a 1 in front. dtype: as for ``prod``.
    Python array API standard; ``cumprod`` in NumPy and PyTorch.

    >>> import autograd_core as ag
    >>> ag.cumulative_prod(ag.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """
    return _running("cumulative_prod", cumulative_prod_p, 1, x, axis, dtype, include_initial)

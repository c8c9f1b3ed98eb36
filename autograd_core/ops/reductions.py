"""Reductions over axes: sums, means, products, spreads, truth, and logarithms of sums of exponentials."""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..aval import BOOL, DEFAULT_INT, Aval, Axis, as_dtype, normalize_axes, reduced_shape
from ..batching import shift
from ..errors import DTypeError
from ..primitive import bind, general, multilinear
from ._apply import as_tensor, to_float
from .joining import concat, split
from .selection import where
from .shaping import reshape

__all__ = [
    "sum",
    "mean",
    "var",
    "std",
    "prod",
    "any",
    "all",
    "count_nonzero",
    "logsumexp",
]


def expand_reduced(g: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """``g``, a value for every group of a reduction over ``axes``, repeated for every element of the group."""
    if not keepdims and g.shape:
        g = g.reshape(reduced_shape(shape, axes, keepdims=True))
    return g.broadcast_to(shape)


def accumulated(x: Any, dtype: Any) -> Any:
    """``x`` in the dtype that its sums and products have."""
    if dtype is None and x.dtype.kind in "bi":
        dtype = DEFAULT_INT
    elif dtype is None and x.dtype.kind == "u":
        dtype = "uint64"
    return x if dtype is None else x.astype(as_dtype(dtype))


def reduced(x: Aval, *, axis: tuple[int, ...], keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), x.dtype)


sum_p = multilinear(
    "sum",
    lambda xp, x, *, axis, keepdims: x.sum(axis=axis, dtype=x.dtype, keepdims=keepdims),
    transposes=(lambda g, avals, axis, keepdims: expand_reduced(g, avals[0].shape, axis, keepdims),),
    shape=reduced,
    batch={"axis": shift},
)


def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Sum of the elements over ``axis`` (all axes by default).

    dtype: that of the result; by default that of ``x``, and int64 for booleans and small integers.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.sum(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    x = accumulated(as_tensor("sum", x), dtype)
    axes = normalize_axes("sum", axis, len(x.shape))
    return bind(sum_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes or not x.shape else x


def _group_size(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[a] for a in axes)


mean_p = multilinear(
    "mean",
    lambda xp, x, *, axis, keepdims: x.sum(axis=axis, dtype=x.dtype, keepdims=keepdims) / _group_size(x.shape, axis),
    transposes=(
        lambda g, avals, axis, keepdims: expand_reduced(
            g / _group_size(avals[0].shape, axis), avals[0].shape, axis, keepdims
        ),
    ),
    shape=reduced,
    batch={"axis": shift},
)


def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Arithmetic mean over ``axis`` (all axes by default): sum x / n; NaN for n = 0.

    Integers become float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.mean(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    x = to_float(as_tensor("mean", x))
    axes = normalize_axes("mean", axis, len(x.shape))
    if not _group_size(x.shape, axes):
        return sum(x, axis=axes, keepdims=keepdims) / 0.0
    return bind(mean_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes else x


def _centered(x: Any, axis: tuple[int, ...]) -> Any:
    return x - mean(x, axis=axis, keepdims=True)


def _var_forward(xp: Any, x: Any, *, axis: tuple[int, ...], divisor: float, keepdims: bool) -> Any:
    centered = x - x.sum(axis=axis, keepdims=True) / builtins.max(1, _group_size(x.shape, axis))
    centered *= centered
    return centered.sum(axis=axis, keepdims=keepdims) / divisor


var_p = general(
    "var",
    _var_forward,
    lambda x, *, axis, divisor, keepdims: reduced(x, axis=axis, keepdims=keepdims),
    vjp=(
        lambda g, x, axis, divisor, keepdims: (
            expand_reduced(g * 2.0 / divisor, x.shape, axis, keepdims) * _centered(x, axis)
        ),
    ),
    batch={"axis": shift},
)

std_p = general(
    "std",
    lambda xp, x, *, axis, divisor, keepdims: xp.sqrt(
        _var_forward(xp, x, axis=axis, divisor=divisor, keepdims=keepdims)
    ),
    lambda x, *, axis, divisor, keepdims: reduced(x, axis=axis, keepdims=keepdims),
    vjp=(
        # equal elements: the slope has no limit there; 0, not 0 / 0
        lambda g, x, y, axis, divisor, keepdims: (
            expand_reduced(where(y == 0, 0, g / where(y == 0, 1, y * divisor)), x.shape, axis, keepdims)
            * _centered(x, axis)
        ),
    ),
    batch={"axis": shift},
)


def _spread(op: str, primitive: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    x = to_float(as_tensor(op, x))
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: takes real dtypes, got {x.dtype}; write ag.{op}(abs(x))")
    axes = normalize_axes(op, axis, len(x.shape))
    divisor = builtins.max(0.0, _group_size(x.shape, axes) - correction)
    return bind(primitive, (x,), {"axis": axes, "divisor": divisor, "keepdims": keepdims})


def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Variance over ``axis`` (all axes by default): sum (x - mean)^2 / (n - correction), in two passes.

    correction: 0 for a population, 1 for a sample; NaN where n <= correction. Integers become float32.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.var(ag.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return _spread("var", var_p, x, axis, correction, keepdims)


def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Standard deviation over ``axis`` (all axes by default): the square root of ``var``; its gradient at 0 is 0.

    Arguments as for ``var``. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.std(ag.tensor([1.0, 3.0]), correction=1)
    tensor(1.4142135)
    """
    return _spread("std", std_p, x, axis, correction, keepdims)


def _grouped(x: Any, axis: tuple[int, ...]) -> Any:
    """``x`` with the axes of a reduction joined to one, the last."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axis)
    lengths = tuple(x.shape[i] for i in kept)
    return reshape(x.permute(*kept, *axis), (*lengths, _group_size(x.shape, axis)))


def _prod_by_halves(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The product as a tree of products of two: no division, so that zeros are no exception."""
    shape = reduced_shape(x.shape, axis, keepdims)
    y = _grouped(x, axis)
    last = len(y.shape) - 1
    while (n := y.shape[last]) > 1:
        first, second, *odd = split(y, [n // 2, n // 2, *[1] * (n % 2)], axis=last)
        y = concat([first * second, *odd], axis=last)
    return reshape(y if n else sum(y, axis=last) + 1, shape)


prod_p = general(
    "prod",
    lambda xp, x, *, axis, keepdims: x.prod(axis=axis, dtype=x.dtype, keepdims=keepdims),
    reduced,
    composed=lambda x, *, axis, keepdims: _prod_by_halves(x, axis, keepdims),
)


def prod(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Product of the elements over ``axis`` (all axes by default); its derivatives hold at zeros too.

    dtype: that of the result; by default that of ``x``, and int64 for booleans and small integers.
    Python array API standard.

    >>> import autograd_core as ag
    >>> x = ag.tensor([2.0, 0.0, 4.0], requires_grad=True)
    >>> ag.prod(x).backward()
    >>> x.grad
    tensor([0., 8., 0.])
    """
    x = accumulated(as_tensor("prod", x), dtype)
    axes = normalize_axes("prod", axis, len(x.shape))
    return bind(prod_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes else x


# --------------------------------------------------------------------------------------------- truth


def _truth_aval(x: Aval, *, axis: tuple[int, ...], keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), BOOL)


any_p = general(
    "any",
    lambda xp, x, *, axis, keepdims: x.any(axis=axis, keepdims=keepdims),
    _truth_aval,
    signals=False,
    batch={"axis": shift},
)
all_p = general(
    "all",
    lambda xp, x, *, axis, keepdims: x.all(axis=axis, keepdims=keepdims),
    _truth_aval,
    signals=False,
    batch={"axis": shift},
)


def any(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether any element over ``axis`` (all axes by default) is not 0; False for none. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.any(ag.tensor([[0.0, 2.0], [0.0, 0.0]]), axis=1)
    tensor([ True, False])
    """
    x = as_tensor("any", x)
    return bind(any_p, (x,), {"axis": normalize_axes("any", axis, len(x.shape)), "keepdims": keepdims})


def all(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether no element over ``axis`` (all axes by default) is 0; True for none. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.all(ag.tensor([[1.0, 2.0], [0.0, 3.0]]), axis=1)
    tensor([ True, False])
    """
    x = as_tensor("all", x)
    return bind(all_p, (x,), {"axis": normalize_axes("all", axis, len(x.shape)), "keepdims": keepdims})


def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """How many elements over ``axis`` (all axes by default) are not 0 (int64). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.count_nonzero(ag.tensor([1.0, 0.0, 2.0]))
    tensor(2)
    """
    x = as_tensor("count_nonzero", x)
    return sum(x if x.dtype == BOOL else x != 0, axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------------------------------- logsumexp


def _logsumexp_forward(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    largest = x.max(axis=axis, keepdims=True)
    finite = xp.where(xp.isfinite(largest), largest, 0)
    total = xp.exp(x - finite).sum(axis=axis, keepdims=True)
    y = xp.log(total) + finite
    return y if keepdims else y.reshape(reduced_shape(x.shape, axis, keepdims))


logsumexp_p = general(
    "logsumexp",
    _logsumexp_forward,
    reduced,
    vjp=(
        # a group of nothing but -inf: exp(-inf - 0) = 0, where exp(-inf + inf) would be NaN
        lambda g, x, y, axis, keepdims: (
            expand_reduced(g, x.shape, axis, keepdims)
            * (x - expand_reduced(where(y == -math.inf, 0, y), x.shape, axis, keepdims)).exp()
        ),
    ),
    batch={"axis": shift},
)


def logsumexp(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """log sum exp x over ``axis`` (all axes by default), without overflow: m + log sum exp(x - m), m = max x.

    A group of nothing but -inf, or of no elements, gives -inf, with gradient 0. Integers become float32.

    >>> import autograd_core as ag
    >>> ag.logsumexp(ag.tensor([1000.0, 1000.0]))
    tensor(1000.6932)
    """
    x = to_float(as_tensor("logsumexp", x))
    if x.dtype.kind == "c":
        raise DTypeError(f"logsumexp: takes real dtypes, got {x.dtype}; write ag.log(ag.sum(ag.exp(x)))")
    axes = normalize_axes("logsumexp", axis, len(x.shape))
    if _group_size(x.shape, axes) == 0:
        return sum(x, axis=axes, keepdims=keepdims) - math.inf
    return bind(logsumexp_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes else x

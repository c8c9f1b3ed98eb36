"""Norms of vectors."""

from __future__ import annotations

import math
from typing import Any

from ..aval import Aval, Axis, normalize_axes, reduced_shape
from ..batching import shift
from ..errors import ArgumentError
from ..primitive import bind, general
from ._apply import as_tensor, to_float
from .complex_numbers import part_dtype
from .reductions import expand_reduced
from .selection import where

__all__ = ["norm", "vector_norm"]


def _length(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    squares = x.real * x.real + x.imag * x.imag if x.dtype.kind == "c" else x * x
    return xp.sqrt(xp.sum(squares, axis=axis, keepdims=keepdims))


def _length_shape(x: Aval, *, axis: tuple[int, ...], keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, axis, keepdims), part_dtype(x.dtype) if x.dtype.kind == "c" else x.dtype)


norm_p = general(
    "norm",
    _length,
    _length_shape,
    vjp=(
        # x / |x|, and 0 where the norm is 0: of its subgradients the one that moves nothing
        lambda g, x, y, axis, keepdims: (
            expand_reduced(where(y == 0, 0, g / y).astype(x.dtype), x.shape, axis, keepdims) * x
        ),
    ),
    batch={"axis": shift},
)


def norm(x: Any, /, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Any:
    """Vector norm over ``axis`` (all axes by default, as one vector): y = (sum |x|^ord)^(1 / ord).

    ord: 2; inf and -inf for the largest and smallest magnitude, 0 for the number of nonzero elements, any other number
    as in the formula. x: real or complex (the norm is real), integers as float32. The gradient where the norm is 0 is
    0, not NaN. For norms of matrices use ``linalg.matrix_norm``. PyTorch.

    >>> import autograd_core as ag
    >>> ag.norm(ag.tensor([3.0, 4.0])), ag.norm(ag.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    return _vector_norm("norm", x, ord, axis, keepdims)


def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    """Vector norm over ``axis`` (all axes by default, as one vector): y = (sum |x|^ord)^(1 / ord).

    ord, dtypes and the gradient at 0 as for ``ag.norm``. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.vector_norm(ag.tensor([[3.0, 4.0], [0.0, -2.0]]), axis=1)
    tensor([5., 2.])
    """
    return _vector_norm("vector_norm", x, ord, axis, keepdims)


def _vector_norm(op: str, x: Any, ord: float, axis: Axis, keepdims: bool) -> Any:
    x = to_float(as_tensor(op, x))
    if not isinstance(ord, (int, float)):
        raise ArgumentError(
            f"{op}: ord must be a number (2, 1, inf, ...), got {ord!r}; for norms of matrices ('fro', 'nuc') use "
            "ag.linalg.matrix_norm"
        )
    axes = normalize_axes(op, axis, len(x.shape))
    if ord == 2:
        return bind(norm_p, (x,), {"axis": axes, "keepdims": keepdims})
    if ord == 0:
        return (x != 0).astype(x.abs().dtype).sum(axis=axes, keepdims=keepdims)
    magnitudes = x.abs()
    if ord == math.inf:
        empty = 0 in [x.shape[a] for a in axes]
        return magnitudes.sum(axis=axes, keepdims=keepdims) if empty else magnitudes.max(axis=axes, keepdims=keepdims)
    if ord == -math.inf:
        return magnitudes.min(axis=axes, keepdims=keepdims)
    if ord == 1:
        return magnitudes.sum(axis=axes, keepdims=keepdims)
    total = magnitudes.pow(ord).sum(axis=axes, keepdims=keepdims)
    return where(total == 0, 0 if ord > 0 else math.inf, where(total == 0, 1, total).pow(1 / ord))

"""Norms and condition numbers of matrices."""

from __future__ import annotations

import math
from typing import Any

from ..aval import Axis, normalize_axes, normalize_axis
from ..errors import ArgumentError, ShapeError
from ._apply import as_tensor, to_float
from ._matrices import matrices
from .norms import vector_norm
from .selection import where
from .shaping import expand_dims, moveaxis
from .singular_values import svdvals
from .solving import inverse_or_nan

__all__ = ["matrix_norm", "cond"]

ORDERS = "'fro', 'nuc', 1, -1, 2, -2, inf or -inf"


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: float | str = "fro") -> Any:
    """Norms of the matrices in the last two axes.

    ord: "fro" (square root of the sum of |x|^2), "nuc" (sum of the singular values), 2 and -2 (the largest and
    smallest of them), 1 and -1 (largest and smallest sum of |x| down a column), inf and -inf (along a row).
    x: (..., m, n), integers as float32; y: (...), real; 0 for matrices without elements. Gradients at kinks are
    subgradients: 0 for a matrix of zeros, evenly shared where several columns, rows or singular values tie.
    Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.matrix_norm(ag.tensor([[3.0, 0.0], [0.0, 4.0]])), ag.linalg.matrix_norm(ag.eye(3), ord="nuc")
    (tensor(5.), tensor(3.))
    """
    return _matrix_norm("matrix_norm", matrices("matrix_norm", x), ord, keepdims)


def _matrix_norm(op: str, x: Any, ord: Any, keepdims: bool) -> Any:
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(f"{op}: ord must be {ORDERS} for matrices, got {ord!r}")
    if ord == "fro" or not x.size:
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        values = x.abs().sum(axis=-2 if ord in (1, -1) else -1)
    else:
        values = svdvals(x)
    if ord == "nuc":
        y = values.sum(axis=-1)
    else:
        y = values.max(axis=-1) if ord > 0 else values.min(axis=-1)
    return expand_dims(y, axis=(-2, -1)) if keepdims else y


def norm(x: Any, /, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Norms of vectors along one axis, or of matrices along two; that of all elements by default.

    axis: an int for vectors, two for matrices (rows, columns), None for all axes. ord: None for the square root of the
    sum of |x|^2; else as for ``vector_norm`` or ``matrix_norm``, and x with axis=None must have one or two axes.
    x: integers as float32. NumPy; PyTorch (linalg).

    >>> import autograd_core as ag
    >>> x = ag.tensor([[3.0, 0.0], [4.0, 0.0]])
    >>> ag.linalg.norm(x), ag.linalg.norm(x, 1), ag.linalg.norm(x, 1, axis=0)
    (tensor(5.), tensor(7.), tensor([7., 0.]))
    """
    x = to_float(as_tensor("norm", x))
    if ord is None:
        return vector_norm(x, axis=axis, keepdims=keepdims)
    if axis is None:
        if not 1 <= len(x.shape) <= 2:
            raise ShapeError(
                f"norm: ord={ord!r} of a tensor of shape {x.shape} needs axis: one axis for vectors, two for matrices"
            )
        axis = tuple(range(len(x.shape)))
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ArgumentError(f"norm: ord={ord!r} is a norm of matrices; give axis two axes, got {axis!r}")
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)
    if len(axes) != 2:
        raise ArgumentError(f"norm: axis must be an int, two ints or None, got {axis!r}")
    normalize_axes("norm", axes, len(x.shape))
    y = _matrix_norm("norm", moveaxis(x, axes, (-2, -1)), ord, False)
    return expand_dims(y, axis=tuple(normalize_axis("norm", a, len(x.shape)) for a in axes)) if keepdims else y


def cond(x: Any, /, p: float | str | None = None) -> Any:
    """Condition numbers |x| |x^-1| of matrices: how much of the error of b ends in the solution of x y = b.

    x: (..., m, n), integers as float32. p: None or 2 (largest over smallest singular value), -2, or for square x any
    ``ord`` of ``matrix_norm``. Infinite for a singular matrix. NumPy; PyTorch (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.cond(ag.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    x = matrices("cond", x, square=p not in (None, 2, -2))
    if not x.shape[-1] or not x.shape[-2]:
        raise ShapeError(f"cond: matrices of shape {x.shape[-2:]} have no condition number; they hold no element")
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    inverse = inverse_or_nan(x)
    singular = (inverse != inverse).any(axis=(-2, -1), keepdims=True) & (x == x).all(axis=(-2, -1), keepdims=True)
    inverse = where(singular, 0, inverse)
    product = _matrix_norm("cond", x, p, False) * _matrix_norm("cond", inverse, p, False)
    return where(singular[..., 0, 0], math.inf, product)

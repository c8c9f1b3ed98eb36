"""Products of matrices and tensors."""

from __future__ import annotations

from typing import Any

from ..aval import Aval, broadcast_shapes
from ..errors import ShapeError
from ..primitive import bind, multilinear
from ._apply import promoted
from .shaping import sum_to


def _matmul_shape(x1: Aval, x2: Aval) -> Aval:
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {x1.shape} and {x2.shape} do not fit: x1 is (..., n, k) and x2 (..., k, m), but k is "
            f"{x1.shape[-1] if x1.ndim else 'missing'} and {x2.shape[-2] if x2.ndim > 1 else 'missing'}; transpose one with x.mT"
        )
    batch = broadcast_shapes("matmul", x1.shape[:-2], x2.shape[:-2])
    return Aval((*batch, x1.shape[-2], x2.shape[-1]), x1.dtype)


matmul_p = multilinear(
    "matmul",
    lambda xp, x1, x2: xp.matmul(x1, x2),
    transposes=(
        lambda g, x2, avals: sum_to(matmul(g, x2.mT), avals[0].shape),
        lambda g, x1, avals: sum_to(matmul(x1.mT, g), avals[1].shape),
    ),
    shape=_matmul_shape,
)


def matmul(x1: Any, x2: Any, /) -> Any:
    """Matrix product: y[..., i, j] = sum_k x1[..., i, k] x2[..., k, j].

    x1: (..., n, k) or (k,); x2: (..., k, m) or (k,); a vector counts as a row on the left and a column on the right,
    and its axis is dropped from the result. Leading axes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.matmul(ag.tensor([[1.0, 2.0]]), ag.tensor([3.0, 4.0]))
    tensor([11.])
    """
    x1, x2 = promoted("matmul", (x1, x2))
    if not x1.shape or not x2.shape:
        raise ShapeError(f"matmul: shapes {x1.shape} and {x2.shape}: a 0-d operand has no axis to sum; use x1 * x2")
    row, column = len(x1.shape) == 1, len(x2.shape) == 1
    if row:
        x1 = x1.reshape((1, *x1.shape))
    if column:
        x2 = x2.reshape((*x2.shape, 1))
    _matmul_shape(x1.aval, x2.aval)
    y = bind(matmul_p, (x1, x2), {})
    if row or column:
        shape = y.shape[:-2] + y.shape[-2:][row : 2 - column]
        y = y.reshape(shape)
    return y

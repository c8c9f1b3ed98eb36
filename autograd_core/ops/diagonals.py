"""Diagonals of matrices: taken, put in place, summed."""

from __future__ import annotations

from typing import Any

from ..aval import Aval
from ..batching import prefix
from ..errors import ShapeError
from ..primitive import Multilinear, bind, multilinear
from ._apply import as_tensor

__all__ = ["diagonal", "trace"]

embed_diagonal_p: Multilinear = multilinear(
    "embed_diagonal",
    lambda xp, x, *, shape, offset: _embedded(xp, x, shape, offset),
    transposes=(lambda g, offset: bind(diagonal_p, (g,), {"offset": offset}),),
    shape=lambda x, *, shape, offset: Aval(shape, x.dtype),
    batch={"shape": prefix},
)


def _embedded(xp: Any, x: Any, shape: tuple[int, ...], offset: int) -> Any:
    y = xp.zeros(shape, x.dtype)
    i = xp.arange(x.shape[-1])
    y[..., i + max(-offset, 0), i + max(offset, 0)] = x
    return y


def _diagonal_shape(x: Aval, offset: int) -> Aval:
    *batch, n, m = x.shape
    return Aval((*batch, max(min(n + min(offset, 0), m - max(offset, 0)), 0)), x.dtype)


diagonal_p: Multilinear = multilinear(
    "diagonal",
    lambda xp, x, *, offset: xp.diagonal(x, offset, -2, -1),
    transposes=(lambda g, avals, offset: bind(embed_diagonal_p, (g,), {"shape": avals[0].shape, "offset": offset}),),
    shape=lambda x, *, offset: _diagonal_shape(x, offset),
    batch={},
)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes: y[..., i] = x[..., i, i + offset].

    x: (..., n, m), any dtype. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.diagonal(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    x = as_tensor("diagonal", x)
    if len(x.shape) < 2:
        raise ShapeError(f"diagonal: needs at least 2 dimensions, got shape {x.shape}")
    return bind(diagonal_p, (x,), {"offset": int(offset)})


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums along the diagonals of the matrices in the last two axes: y[...] = sum_i x[..., i, i + offset].

    x: (..., n, m); dtype as for ``sum``. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.trace(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    x = as_tensor("trace", x)
    if len(x.shape) < 2:
        raise ShapeError(f"trace: needs at least 2 dimensions, got shape {x.shape}")
    return diagonal(x, offset=offset).sum(axis=-1, dtype=dtype)

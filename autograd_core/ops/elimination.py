"""Gauss elimination: the LU decomposition."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..aval import DEFAULT_INT, Aval
from ..primitive import bind, general
from ._apply import NO_PARAMS
from ._matrices import identity, in_single, matrices
from .indexing import take, take_along_axis
from .joining import concat
from .products import matmul
from .shaping import tril, triu
from .solving import solve_triangular

__all__ = ["lu"]


class LUResult(NamedTuple):
    """``P`` a permutation, ``L`` lower triangular with ones on its diagonal, ``U`` upper triangular."""

    P: Any
    L: Any
    U: Any


def _pivots(xp: Any, x: Any) -> Any:
    """The order of rows that Gauss elimination with partial pivoting takes."""
    m, n = x.shape[-2:]
    work = xp.array(x.reshape(-1, m, n))
    order = xp.broadcast_to(xp.arange(m), (work.shape[0], m)).copy()
    stack = xp.arange(work.shape[0])
    for k in range(min(m, n)):
        column = work[:, k:, k]
        sizes = xp.abs(column.real) + xp.abs(column.imag) if x.dtype.kind == "c" else xp.abs(column)  # as in LAPACK
        largest = k + xp.argmax(sizes, axis=-1)
        for rows in (work, order):
            upper, lower = rows[:, k].copy(), rows[stack, largest].copy()
            rows[:, k], rows[stack, largest] = lower, upper
        pivot = work[:, k, k, None]
        work[:, k + 1 :, k] /= xp.where(pivot == 0, 1, pivot)
        work[:, k + 1 :, k + 1 :] -= work[:, k + 1 :, k, None] * work[:, k, None, k + 1 :]
    return order.reshape(x.shape[:-1]).astype(np.int64)


pivots_p = general(
    "pivots",
    in_single(_pivots),
    lambda x: Aval(x.shape[:-1], DEFAULT_INT),
    operands=("x",),
    batch={},
)


def _eliminated(xp: Any, x: Any) -> Any:
    """L and U of square matrices whose rows lie in the order of the pivots."""
    n = x.shape[-1]
    work = xp.array(x)
    for k in range(n):
        pivot = work[..., k, k, None]
        work[..., k + 1 :, k] /= xp.where(pivot == 0, 1, pivot)
        work[..., k + 1 :, k + 1 :] -= work[..., k + 1 :, k, None] * work[..., k, None, k + 1 :]
    return xp.tril(work, -1) + xp.eye(n, dtype=x.dtype), xp.triu(work)


def _eliminated_vjp(g: Any, y: Any) -> Any:
    (gl, gu), (lower, upper) = g, y
    middle = tril(matmul(lower.mH, gl), k=-1) + triu(matmul(gu, upper.mH))
    half = solve_triangular(lower.mH, middle, upper=True, unitriangular=True)
    return solve_triangular(upper, half.mH, upper=True).mH


eliminated_p = general(
    "eliminated",
    in_single(_eliminated),
    lambda x: (x, x),
    operands=("x",),
    vjp=(_eliminated_vjp,),
    batch={},
)


def lu(a: Any, /) -> Any:
    """Gauss elimination with partial pivoting: a = P L U, as a named tuple (P, L, U).

    a: (..., m, n), integers as float32; k = min(m, n); P: (..., m, m), a permutation; L: (..., m, k), lower triangular
    with ones on its diagonal; U: (..., k, n), upper triangular. No derivative flows through P. The derivative exists
    where the first k columns of a are linearly independent; it is infinite or NaN elsewhere. PyTorch (linalg);
    de Hoog, Anderssen and Lukas, Differentiation of matrix functionals using triangular factorization, 2011.

    >>> import autograd_core as ag
    >>> P, L, U = ag.linalg.lu(ag.tensor([[1.0, 3.0], [2.0, 4.0]]))
    >>> L, U
    (tensor([[1. , 0. ],
            [0.5, 1. ]]), tensor([[2., 4.],
            [0., 1.]]))
    """
    a = matrices("lu", a)
    m, n = a.shape[-2:]
    k = min(m, n)
    order = bind(pivots_p, (a,), NO_PARAMS)
    rows = take_along_axis(a, order.reshape(*order.shape, 1), axis=-2)
    lower, upper = bind(eliminated_p, (rows[..., :k, :k],), NO_PARAMS)
    if m > k:
        below = solve_triangular(upper.mT, rows[..., k:, :].mT, upper=False).mT
        lower = concat([lower, below], axis=-2)
    if n > k:
        beside = solve_triangular(lower, rows[..., k:], upper=False, unitriangular=True)
        upper = concat([upper, beside], axis=-1)
    return LUResult(take(identity(m, a), order, axis=0).mT, lower, upper)

"""Linear equations: solutions, inverses, and both from triangular factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..aval import Aval, broadcast_shapes, normalize_axis
from ..errors import ArgumentError, ShapeError
from ..primitive import General, bind, general
from ._apply import NO_PARAMS, promoted
from ._matrices import aligned, checked, in_single, matrices
from .products import matmul, matmul_summed
from .shaping import moveaxis, sum_to, tril, triu

__all__ = ["inv", "solve", "solve_triangular", "cholesky_solve", "tensorsolve", "tensorinv"]

SINGULAR = "is singular: no solution exists, or many do; for the shortest least-squares solution use ag.linalg.pinv"

# ------------------------------------------------------------------------------------------- inverses


def _inverse(xp: Any, x: Any, *, singular: str) -> Any:
    if singular == "raise":
        return checked("inv", SINGULAR, xp.linalg.inv, x)
    try:
        return xp.linalg.inv(x)
    except np.linalg.LinAlgError:
        bad = xp.isinf(xp.linalg.slogdet(x)[1])[..., None, None]
        inverses = xp.linalg.inv(xp.where(bad, xp.eye(x.shape[-1], dtype=x.dtype), x))
        return xp.where(bad, xp.asarray(xp.nan, x.dtype), inverses)


def _inverse_vjp(g: Any, y: Any) -> Any:
    inverse = y.mH
    return -matmul(inverse, matmul(g, inverse))


inv_p = general(
    "inv",
    in_single(_inverse),
    lambda x, *, singular: x,
    operands=("x",),
    vjp=(_inverse_vjp,),
    batch={},
)


def inv(x: Any, /) -> Any:
    """Inverses of matrices: x y = y x = 1, with dy = -y dx y.

    x: (..., n, n), integers as float32. LinAlgError names the first matrix that is singular. To solve equations use
    ``solve``, which is faster and more accurate. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.inv(ag.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return bind(inv_p, (matrices("inv", x, square=True),), {"singular": "raise"})


def inverse_or_nan(x: Any) -> Any:
    """Inverses of square matrices, NaN for those that have none: for derivatives that nobody may ask for."""
    return bind(inv_p, (x,), {"singular": "nan"})


# ------------------------------------------------------------------------------------------- equations


def _solution(xp: Any, x1: Any, x2: Any) -> Any:
    return checked("solve", SINGULAR, xp.linalg.solve, x1, x2, alone=xp.linalg.inv)


def _solution_shape(x1: Aval, x2: Aval) -> Aval:
    if x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(
            f"solve: shapes {x1.shape} and {x2.shape} do not fit: x1 is (..., n, n) and x2 (..., n, k), but n is "
            f"{x1.shape[-1]} in x1 and {x2.shape[-2]} in x2"
        )
    batch = broadcast_shapes("solve (leading axes)", x1.shape[:-2], x2.shape[:-2])
    return Aval((*batch, *x2.shape[-2:]), x2.dtype)


def _solution_vjp(g: Any, x1: Any, y: Any, avals: Any) -> Any:
    g2 = _solved(solve_p, x1.mH, g, NO_PARAMS)
    return -matmul_summed(g2, y.mH, avals[0].shape), sum_to(g2, avals[1].shape)


def _solved(primitive: Any, x1: Any, x2: Any, params: Any) -> Any:
    """``primitive`` of x1 and x2; one matrix x1 for a whole stack x2 meets all columns at once."""
    n = len(x2.shape)
    if len(x1.shape) != 2 or n == 2:
        return bind(primitive, (x1, x2), params)
    lead, columns = x2.shape[:-2], x2.shape[-1]
    gathered = x2.permute(n - 2, *range(n - 2), n - 1).reshape(x2.shape[-2], math.prod(lead) * columns)
    y = bind(primitive, (x1, gathered), params).reshape(x2.shape[-2], *lead, columns)
    return moveaxis(y, 0, -2)


def _solve_batched(xs: Any, batched: Any, size: int) -> Any:
    x1, x2 = aligned(xs, batched)
    return _solved(solve_p, x1, x2, NO_PARAMS)


solve_p: General = general(
    "solve",
    in_single(_solution),
    _solution_shape,
    operands=("x1", "x2"),
    vjp=_solution_vjp,
    batch=_solve_batched,
)


def solve(x1: Any, x2: Any, /) -> Any:
    """Solutions of linear equations x1 y = x2, with x1 dy = dx2 - dx1 y.

    x1: (..., n, n); x2: (..., n, k), leading axes broadcast, or one vector (n,) for all of x1: then y is (..., n).
    Dtypes are promoted, integers as float32. LinAlgError names the first matrix that is singular.
    Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.solve(ag.tensor([[2.0, 0.0], [0.0, 4.0]]), ag.tensor([1.0, 2.0]))
    tensor([0.5, 0.5])
    """
    x1, x2 = promoted("solve", (x1, x2), floating=True)
    x1 = matrices("solve", x1, square=True)
    if not x2.shape:
        raise ShapeError(f"solve: x2 of shape () given for x1 of shape {x1.shape}; x2 is (n,) or (..., n, k)")
    vector = len(x2.shape) == 1
    if vector:
        x2 = x2.reshape(x2.shape[0], 1)
    _solution_shape(Aval(x1.shape, x1.dtype), Aval(x2.shape, x2.dtype))
    y = _solved(solve_p, x1, x2, NO_PARAMS)
    return y.reshape(y.shape[:-1]) if vector else y


# ------------------------------------------------------------------------------------------- triangles

BLOCK = 16


def _substituted(xp: Any, x1: Any, x2: Any) -> Any:
    """The solution for upper triangles by halves: all but small blocks on the diagonal is products of matrices."""
    n = x1.shape[-1]
    if n > BLOCK:
        h = n // 2
        below = _substituted(xp, x1[..., h:, h:], x2[..., h:, :])
        above = _substituted(xp, x1[..., :h, :h], x2[..., :h, :] - xp.matmul(x1[..., :h, h:], below))
        return xp.concatenate([above, below], axis=-2)
    try:
        return xp.linalg.solve(x1, x2)
    except np.linalg.LinAlgError:  # a zero on the diagonal of some: infinite there, right in the others
        y = xp.zeros((*np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2]), *x2.shape[-2:]), x2.dtype)
        for i in reversed(range(n)):
            rest = xp.matmul(x1[..., i : i + 1, i + 1 :], y[..., i + 1 :, :])
            y[..., i : i + 1, :] = (x2[..., i : i + 1, :] - rest) / x1[..., i : i + 1, i : i + 1]
        return y


def _triangular_solution(xp: Any, x1: Any, x2: Any, *, upper: bool, unitriangular: bool) -> Any:
    if unitriangular:
        x1 = (xp.triu(x1, 1) if upper else xp.tril(x1, -1)) + xp.eye(x1.shape[-1], dtype=x1.dtype)
    else:
        x1 = xp.triu(x1) if upper else xp.tril(x1)
    if upper:
        return _substituted(xp, x1, x2)
    return xp.flip(_substituted(xp, xp.flip(x1, (-2, -1)), xp.flip(x2, -2)), -2)


def _triangular_vjp(g: Any, x1: Any, y: Any, avals: Any, upper: bool, unitriangular: bool) -> Any:
    g2 = _triangle(x1.mH, g, not upper, unitriangular)
    g1 = -matmul_summed(g2, y.mH, avals[0].shape)
    k = int(unitriangular)
    return triu(g1, k=k) if upper else tril(g1, k=-k), sum_to(g2, avals[1].shape)


def _triangle(x1: Any, x2: Any, upper: bool, unitriangular: bool = False) -> Any:
    return _solved(solve_triangular_p, x1, x2, {"upper": upper, "unitriangular": unitriangular})


def _triangular_batched(xs: Any, batched: Any, size: int, **params: Any) -> Any:
    x1, x2 = aligned(xs, batched)
    return _solved(solve_triangular_p, x1, x2, params)


solve_triangular_p: General = general(
    "solve_triangular",
    in_single(_triangular_solution),
    lambda x1, x2, *, upper, unitriangular: _solution_shape(x1, x2),
    operands=("x1", "x2"),
    vjp=_triangular_vjp,
    batch=_triangular_batched,
)


def solve_triangular(A: Any, B: Any, /, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """Solutions of A y = B (``left=False``: y A = B) for triangular A, by substitution.

    A: (..., n, n), of which only the ``upper`` (or lower) triangle is read, with ones on its diagonal if
    ``unitriangular``; B: (..., n, k), or (..., k, n) on the right; leading axes broadcast. A zero on the diagonal
    gives infinities and NaN, no error. PyTorch (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.solve_triangular(ag.tensor([[2.0, 1.0], [0.0, 4.0]]), ag.tensor([[4.0], [8.0]]), upper=True)
    tensor([[1.],
            [2.]])
    """
    A, B = promoted("solve_triangular", (A, B), floating=True)
    A, B = matrices("solve_triangular", A, square=True), matrices("solve_triangular", B)
    n, side = A.shape[-1], -2 if left else -1
    if B.shape[side] != n:
        raise ShapeError(
            f"solve_triangular: shapes {A.shape} and {B.shape} do not fit: axis {side} of B has length "
            f"{B.shape[side]}, A is (..., {n}, {n}); left={left}"
        )
    broadcast_shapes("solve_triangular (leading axes)", A.shape[:-2], B.shape[:-2])
    if left:
        return _triangle(A, B, upper, unitriangular)
    return _triangle(A.mT, B.mT, not upper, unitriangular).mT


def cholesky_solve(B: Any, L: Any, /, upper: bool = False) -> Any:
    """Solutions of A y = B for positive definite A from its Cholesky factor: A = L L^H, or U^H U if ``upper``.

    B: (..., n, k); L: (..., n, n), the factor that ``cholesky`` gives; leading axes broadcast. PyTorch.

    >>> import autograd_core as ag
    >>> ag.linalg.cholesky_solve(ag.tensor([[4.0], [9.0]]), ag.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor([[1.],
            [1.]])
    """
    B, L = promoted("cholesky_solve", (B, L), floating=True)
    first = matrices("cholesky_solve", L, square=True).mH if upper else L
    return solve_triangular(first.mH, solve_triangular(first, B, upper=False), upper=True)


# ------------------------------------------------------------------------------------------- tensors


def tensorsolve(a: Any, b: Any, /, axes: Sequence[int] | None = None) -> Any:
    """The tensor y with tensordot(a, y, axes=y.ndim) = b.

    a: of shape b.shape + y.shape, where both parts have as many elements; ``axes`` of a are moved to its end first.
    NumPy (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.tensorsolve(ag.eye(6).reshape(2, 3, 6), ag.ones((2, 3))).shape
    (6,)
    """
    a, b = promoted("tensorsolve", (a, b), floating=True)
    if axes is not None:
        moved = [normalize_axis("tensorsolve", axis, len(a.shape)) for axis in axes]
        a = a.permute(*[i for i in range(len(a.shape)) if i not in moved], *moved)
    rest = a.shape[len(b.shape) :]
    n = math.prod(rest)
    if a.shape[: len(b.shape)] != b.shape or n != math.prod(b.shape):
        raise ShapeError(
            f"tensorsolve: a of shape {a.shape} and b of shape {b.shape} do not fit: a begins with the shape of b, "
            f"and its other axes {rest} hold as many elements ({math.prod(b.shape)})"
        )
    return solve(a.reshape(n, n), b.reshape(n)).reshape(rest)


def tensorinv(a: Any, /, ind: int = 2) -> Any:
    """The tensor y for which tensordot(y, a, axes=ind) is the identity on the last axes of a.

    a: its first ``ind`` axes hold as many elements as the others; y has these parts of its shape exchanged.
    NumPy (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.tensorinv(ag.eye(6).reshape(2, 3, 6)).shape
    (6, 2, 3)
    """
    (a,) = promoted("tensorinv", (a,), floating=True)
    if ind < 1:
        raise ArgumentError(f"tensorinv: ind must be positive, got {ind}")
    first, rest = a.shape[:ind], a.shape[ind:]
    if math.prod(first) != math.prod(rest):
        raise ShapeError(
            f"tensorinv: a of shape {a.shape} with ind={ind} is not square: its first {ind} axes hold "
            f"{math.prod(first)} elements, the others {math.prod(rest)}"
        )
    return inv(a.reshape(math.prod(first), math.prod(first))).reshape(rest + first)

"""The singular value decomposition, and what rests on it: ranks, pseudo-inverses, least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..aval import Aval
from ..errors import ShapeError
from ..primitive import Value, bind, general
from ._apply import NO_PARAMS, as_tensor, promoted
from ._matrices import (
    checked,
    conjugate_transpose,
    embedded,
    in_single,
    matrices,
    over,
    over_gaps,
    real_dtype,
    require_small,
)
from .casting import detach
from .complex_numbers import conj, imag, real
from .diagonals import diagonal
from .factorizations import completed
from .products import matmul
from .reductions import sum
from .selection import where

__all__ = ["svd", "svdvals", "matrix_rank", "pinv", "lstsq"]

NOT_FINITE = "has no singular values: it holds NaN or infinity"
DEPENDS_ON_PHASE = (
    "svd: the derivative asked for depends on the phases of complex singular vectors, of which only those of U and Vh "
    "together are determined. Use them in ways that factors exp(it) of U and exp(-it) of Vh leave as they are"
)


class SVDResult(NamedTuple):
    """``U`` and ``Vh`` unitary, ``S`` the singular values in descending order: x = U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


def _svd(xp: Any, x: Any) -> Any:
    u, s, vh = checked("svd", NOT_FINITE, lambda a: xp.linalg.svd(a, full_matrices=False), x)
    return u, s, vh


def _svd_shape(x: Aval) -> tuple[Aval, Aval, Aval]:
    *batch, m, n = x.shape
    k = min(m, n)
    return (
        Aval((*batch, m, k), x.dtype),
        Aval((*batch, k), real_dtype(x.dtype)),
        Aval((*batch, k, n), x.dtype),
    )


def _svd_vjp(g: Any, y: Any) -> Any:
    (gu, gs, gvh), (u, s, vh) = g, y
    uh, v = u.mH, vh.mH
    gv = gvh.mH
    at_u, at_v = matmul(uh, gu), matmul(vh, gv)
    turn_u, turn_v = at_u - at_u.mH, at_v - at_v.mH
    scale = s.astype(u.dtype)
    rows, columns = scale[..., :, None], scale[..., None, :]
    gaps = (s[..., None, :] - s[..., :, None]) * (s[..., None, :] + s[..., :, None])
    middle = over_gaps(turn_u * columns + rows * turn_v, gaps) + embedded(gs).astype(u.dtype)
    if u.dtype.kind == "c":
        phases = diagonal(turn_u) - diagonal(turn_v)
        phases = require_small(phases, imag(diagonal(turn_u + turn_v)), DEPENDS_ON_PHASE, gu, gv)
        middle = middle + embedded(over(phases, 4 * scale))
    result = matmul(matmul(u, middle), vh)
    if u.shape[-2] > u.shape[-1]:
        outside = gu - matmul(u, at_u)
        result = result + matmul(over(outside, columns), vh)
    if vh.shape[-1] > vh.shape[-2]:
        outside = gv - matmul(v, at_v)
        result = result + matmul(u, over(outside, columns).mH)
    return result


svd_p = general(
    "svd",
    in_single(_svd),
    _svd_shape,
    operands=("x",),
    vjp=(_svd_vjp,),
    batch={},
)


def svd(x: Any, /, *, full_matrices: bool = True) -> Any:
    """Singular value decomposition x = U diag(S) Vh, as a named tuple (U, S, Vh).

    x: (..., m, n), integers as float32, k = min(m, n). S: (..., k), real, descending; U: (..., m, m) and Vh: (..., n,
    n) unitary, or U: (..., m, k) and Vh: (..., k, n) if not ``full_matrices``.

    The derivatives of U and Vh exist where the singular values are distinct (and not 0, if m != n or x is complex),
    and are NaN or very large elsewhere; those of S alone: see ``svdvals``. Complex singular vectors have
    arbitrary phases, and the columns that ``full_matrices`` adds are arbitrary up to rotation: GradientError if what is
    differentiated depends on these. Python array API standard (linalg); Wan and Zhang, Automatic differentiation for
    complex valued SVD, 2019.

    >>> import autograd_core as ag
    >>> U, S, Vh = ag.linalg.svd(ag.tensor([[0.0, 2.0], [-3.0, 0.0]]))
    >>> S
    tensor([3., 2.])
    """
    u, s, vh = bind(svd_p, (matrices("svd", x),), NO_PARAMS)
    if full_matrices:
        u, vh = completed(u), completed(vh.mH).mH
    return SVDResult(u, s, vh)


def _svdvals_vjp(g: Any, x: Any, y: Any) -> Any:
    u, _, vh = svd(x, full_matrices=False)
    # where a value is 0, of all subgradients the one that moves nothing
    return matmul(u * where(y == 0, 0, g).astype(u.dtype)[..., None, :], vh)


svdvals_p = general(
    "svdvals",
    in_single(lambda xp, x: checked("svdvals", NOT_FINITE, lambda a: xp.linalg.svd(a, compute_uv=False), x)),
    lambda x: _svd_shape(x)[1],
    operands=("x",),
    vjp=(_svdvals_vjp,),
    batch={},
)


def svdvals(x: Any, /) -> Any:
    """Singular values of matrices, in descending order: dS_i = Re(u_i^H dx v_i).

    x: (..., m, n), integers as float32; S: (..., min(m, n)), real. A repeated value has one-sided derivatives only;
    symmetric functions of its copies (their sum) have the right gradient. A value of 0 gets the gradient 0. The second
    derivative exists where the values are distinct and not 0. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.svdvals(ag.tensor([[3.0, 0.0], [0.0, -4.0]]))
    tensor([4., 3.])
    """
    return bind(svdvals_p, (matrices("svdvals", x),), NO_PARAMS)


# ------------------------------------------------------------------------------------------- ranks


def _relative(rtol: Any, x: Any) -> Any:
    """The tolerance as a tensor of the stack's shape; by default as much as rounding does."""
    dtype = real_dtype(x.dtype)
    if rtol is None:
        rtol = max(x.shape[-2:]) * (2.0**-7 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps))
    rtol = rtol if isinstance(rtol, Value) else as_tensor("rtol", np.asarray(rtol, dtype), x)
    return rtol.astype(dtype).broadcast_to(x.shape[:-2])


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """Numbers of singular values above ``rtol`` times the largest, as int64; no derivative.

    x: (..., m, n); rtol: a number or tensor that broadcasts to (...), by default max(m, n) times the rounding error of
    the dtype. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.matrix_rank(ag.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    x = detach(matrices("matrix_rank", x))
    s = svdvals(x)
    return sum(s > _relative(rtol, x)[..., None] * s[..., :1], axis=-1)


# ------------------------------------------------------------------------------------------- least squares


def _pseudo_inverse(xp: Any, x: Any, rtol: Any) -> Any:
    u, s, vh = checked("pinv", NOT_FINITE, lambda a: xp.linalg.svd(a, full_matrices=False), x)
    large = s > rtol[..., None] * s[..., :1]
    inverses = xp.where(large, 1 / xp.where(large, s, 1), 0).astype(s.dtype)
    return xp.matmul(conjugate_transpose(xp, vh) * inverses[..., None, :], conjugate_transpose(xp, u))


def _pseudo_inverse_vjp(g: Any, x: Any, y: Any) -> Any:
    yh, gh = y.mH, g.mH
    moved = -matmul(yh, matmul(g, yh))
    rows = matmul(gh - matmul(x, matmul(y, gh)), matmul(y, yh))
    columns = matmul(matmul(yh, y), gh - matmul(matmul(gh, y), x))
    return moved + rows + columns


pinv_p = general(
    "pinv",
    in_single(_pseudo_inverse),
    lambda x, rtol: Aval((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    operands=("x", "rtol"),
    vjp=(_pseudo_inverse_vjp, None),
    batch={},
)


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """Pseudo-inverses (Moore, Penrose) of matrices: of all y with the least |x y - 1|, the shortest.

    x: (..., m, n), integers as float32; y: (..., n, m). Singular values up to ``rtol`` times the largest count as 0;
    rtol: a number or tensor that broadcasts to (...), by default max(m, n) times the rounding error of the dtype.
    The derivative is that among matrices of the same rank. Python array API standard (linalg); Golub and Pereyra, The
    differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate, 1973.

    >>> import autograd_core as ag
    >>> ag.linalg.pinv(ag.tensor([[2.0], [0.0]]))
    tensor([[0.5, 0. ]])
    """
    x = matrices("pinv", x)
    return bind(pinv_p, (x, _relative(rtol, x)), NO_PARAMS)


class LstsqResult(NamedTuple):
    """``solution``, ``residuals`` (sums of squares), ``rank`` of the matrix and its ``singular_values``."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def lstsq(a: Any, b: Any, /, rcond: Any = None) -> Any:
    """Solutions y of least |a y - b|^2, of several the shortest, as a named tuple (solution, residuals, rank,
    singular_values).

    a: (..., m, n); b: (m,) or (..., m, k), leading axes broadcast; solution: (n,) or (..., n, k); residuals: the sums
    of squares |a y - b|^2 of each column, (..., k) (NumPy leaves them out where they are 0). rcond: as ``rtol`` of
    ``pinv``, by which the solution is found and differentiated. NumPy (linalg); PyTorch.

    >>> import autograd_core as ag
    >>> ag.linalg.lstsq(ag.tensor([[2.0], [0.0]]), ag.tensor([4.0, 1.0])).solution
    tensor([2.])
    """
    a, b = promoted("lstsq", (a, b), floating=True)
    a = matrices("lstsq", a)
    rows = b.shape[-1:] if len(b.shape) == 1 else b.shape[-2:-1]
    if rows != a.shape[-2:-1]:
        raise ShapeError(
            f"lstsq: shapes {a.shape} and {b.shape} do not fit: a is (..., m, n) and b (m,) or (..., m, k)"
        )
    y = matmul(pinv(a, rtol=rcond), b)
    error = matmul(a, y) - b
    squares = sum((error * conj(error)), axis=-1 if len(b.shape) == 1 else -2)
    s = svdvals(a)
    rank = sum(detach(s) > _relative(rcond, a)[..., None] * detach(s)[..., :1], axis=-1)
    return LstsqResult(y, real(squares), rank, s)

"""Factorizations of matrices into triangles: Cholesky and QR."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..aval import Aval
from ..errors import ArgumentError
from ..primitive import bind, general
from ._apply import NO_PARAMS
from ._matrices import checked, embedded, in_single, matrices, require_small
from .complex_numbers import real
from .diagonals import diagonal
from .joining import concat
from .products import matmul
from .shaping import tril, triu
from .solving import solve_triangular

__all__ = ["cholesky", "qr"]


# ------------------------------------------------------------------------------------------- Cholesky


def _lower_factor(xp: Any, x: Any) -> Any:
    says = "is not positive definite; add a small multiple of the identity, or use ag.linalg.eigh"
    return checked("cholesky", says, xp.linalg.cholesky, x)


def _lower_factor_vjp(g: Any, y: Any) -> Any:
    inner = matmul(y.mH, g)
    below = tril(inner, k=-1)
    middle = (below + below.mH + embedded(real(diagonal(inner)).astype(inner.dtype))) / 2
    upper = y.mH
    half = solve_triangular(upper, middle, upper=True)
    return solve_triangular(upper, half.mH, upper=True)


cholesky_p = general(
    "cholesky",
    in_single(_lower_factor),
    lambda x: x,
    operands=("x",),
    vjp=(_lower_factor_vjp,),
    batch={},
)


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """Cholesky factors of positive definite matrices: x = L L^H with L lower triangular, or U^H U if ``upper``.

    x: (..., n, n), symmetric (Hermitian), of which the lower triangle is read; integers as float32. The gradient is
    symmetric (Hermitian), too: that of a function of such matrices. LinAlgError names the first matrix that is not
    positive definite. Python array API standard (linalg); Murray, Differentiation of the Cholesky decomposition, 2016.

    >>> import autograd_core as ag
    >>> ag.linalg.cholesky(ag.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    factor = bind(cholesky_p, (matrices("cholesky", x, square=True),), NO_PARAMS)
    return factor.mH if upper else factor


# ------------------------------------------------------------------------------------------- QR


class QRResult(NamedTuple):
    """``Q`` with orthonormal columns, ``R`` upper triangular."""

    Q: Any
    R: Any


def _orthonormal(xp: Any, x: Any) -> Any:
    q, r = checked("qr", "has no QR decomposition: it holds NaN or infinity", xp.linalg.qr, x)
    return q, r


def _orthonormal_vjp(g: Any, y: Any) -> Any:
    (gq, gr), (q, r) = g, y
    inner = matmul(gr, r.mH) - matmul(q.mH, gq)
    above = triu(inner, k=1)
    middle = above + above.mH + embedded(real(diagonal(inner)).astype(inner.dtype))
    turned = gq + matmul(q, middle)
    return solve_triangular(r, turned.mH, upper=True).mH


qr_p = general(
    "qr",
    in_single(_orthonormal),
    lambda x: (x, Aval((*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype)),
    operands=("x",),
    vjp=(_orthonormal_vjp,),
    batch={},
)


DEPENDS_ON_ROTATION = (
    "the derivative asked for depends on more than the span of the columns that complete an orthonormal basis; which "
    "columns these are is arbitrary. Use them in products M M^H only, or take mode='reduced' (full_matrices=False)"
)


def _completion(xp: Any, x: Any) -> Any:
    return xp.linalg.qr(x, mode="complete")[0][..., x.shape[-1] :]


def _completion_vjp(g: Any, x: Any, y: Any) -> Any:
    inner = matmul(y.mH, g)
    g = require_small(g, inner - inner.mH, DEPENDS_ON_ROTATION, g)
    return -matmul(y, matmul(g.mH, x))


complement_p = general(
    "complement",
    in_single(_completion),
    lambda x: Aval((*x.shape[:-1], x.shape[-2] - x.shape[-1]), x.dtype),
    operands=("x",),
    vjp=(_completion_vjp,),
    batch={},
)


def completed(x: Any) -> Any:
    """Orthonormal columns (..., m, k), and behind them m - k more that make them a basis.

    Which ones these are is free; the derivative takes those that turn least, and is right for what depends on their
    span alone.
    """
    return x if x.shape[-1] == x.shape[-2] else concat([x, bind(complement_p, (x,), NO_PARAMS)], axis=-1)


def qr(x: Any, /, *, mode: str = "reduced") -> Any:
    """Orthonormal columns times a triangle: x = Q R, as a named tuple (Q, R).

    x: (..., m, n), integers as float32, k = min(m, n). mode: "reduced", Q (..., m, k) and R (..., k, n); "complete",
    Q (..., m, m) and R (..., m, n); "r", R (..., k, n) alone. The diagonal of R is real, of either sign.

    The derivative exists where the first k columns of x are linearly independent; it is infinite or NaN elsewhere.
    The columns that "complete" adds are arbitrary up to rotation: GradientError if what is differentiated depends on
    more than their span. Python array API standard (linalg); Walter and Lehmann, Algorithmic differentiation of linear
    algebra functions, 2018.

    >>> import autograd_core as ag
    >>> Q, R = ag.linalg.qr(ag.tensor([[3.0], [4.0]]))
    >>> ag.abs(R)
    tensor([[5.]])
    """
    x = matrices("qr", x)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    m, n = x.shape[-2:]
    if m >= n:
        q, r = bind(qr_p, (x,), NO_PARAMS)
    else:  # the square part has all the freedom; the other columns follow from it
        q, r = bind(qr_p, (x[..., :m],), NO_PARAMS)
        r = concat([r, matmul(q.mH, x[..., m:])], axis=-1)
    if mode == "r":
        return r
    if mode == "complete" and m > n:
        q = completed(q)
        r = concat([r, r.new_zeros((*r.shape[:-2], m - n, n))], axis=-2)
    return QRResult(q, r)

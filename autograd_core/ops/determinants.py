"""Determinants, with derivatives that also hold where they vanish."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..aval import Aval
from ..primitive import bind, general, guarded
from ._apply import NO_PARAMS
from ._matrices import checked, conjugate_transpose, identity, in_single, matrices, real_dtype
from .complex_numbers import complex, conj, imag
from .diagonals import trace
from .exponential import log
from .products import matmul
from .solving import inverse_or_nan

__all__ = ["det", "slogdet", "logdet"]


class SlogdetResult(NamedTuple):
    """``sign``: a number of modulus 1, or 0; ``logabsdet``: the logarithm of the modulus."""

    sign: Any
    logabsdet: Any


# ---------------------------------------------------------------------------------------- cofactors
#
# With x = U diag(s) Vh, det(x + t) = det(U) det(Vh) det(diag(s) + p) for p = U^H t V. The derivatives of a determinant
# at a diagonal matrix are products of the other diagonal elements, which need no division by one that may be 0.


def _products_of_others(xp: Any, s: Any) -> Any:
    """y[..., i] = the product of all s[..., k] with k != i."""
    ones = xp.ones_like(s[..., :1])
    before = xp.cumprod(xp.concatenate([ones, s[..., :-1]], axis=-1), axis=-1)
    after = xp.cumprod(xp.concatenate([ones, s[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1]


def _turned(xp: Any, op: str, x: Any) -> tuple[Any, Any, Any, Any]:
    """U, s, Vh and the phase det(U) det(Vh)."""
    says = "has no derivative of its determinant: it holds NaN or infinity"
    u, s, vh = checked(op, says, xp.linalg.svd, x)
    return u, s, vh, (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None]


def _cofactors(xp: Any, x: Any) -> Any:
    if not x.shape[-1]:
        return x
    u, s, vh, phase = _turned(xp, "det", x)
    return xp.conj(xp.matmul(u * _products_of_others(xp, s)[..., None, :], vh)) * phase


def _cofactor_change(xp: Any, x: Any, t: Any) -> Any:
    if not x.shape[-1]:
        return t
    u, s, vh, phase = _turned(xp, "det", x)
    n = s.shape[-1]
    p = xp.matmul(xp.matmul(conjugate_transpose(xp, u), t), conjugate_transpose(xp, vh))
    unit = xp.eye(n, dtype=bool)
    # without_two[..., i, j]: the product of all s[..., k] with k != i and k != j
    without_two = xp.where(unit, 0, _products_of_others(xp, xp.where(unit, 1, s[..., None, :])))
    on_diagonal = xp.matmul(without_two.astype(x.dtype), xp.diagonal(p, 0, -2, -1)[..., None])
    change = xp.where(unit, on_diagonal, -without_two * xp.swapaxes(p, -1, -2))
    return xp.matmul(xp.matmul(xp.conj(u), change), xp.conj(vh)) * phase


def _cofactor_curvature(x: Any, t: Any, q: Any) -> Any:
    """The derivative of sum(q * the change of cofactors along t), by the inverse: where x is singular it is NaN."""
    inverse = inverse_or_nan(x)
    along_t, along_q = matmul(inverse, t), matmul(inverse, q)
    both = matmul(along_t, along_q)
    trace_t, trace_q, trace_both = (trace(z)[..., None, None] for z in (along_t, along_q, both))
    moved = (trace_t * trace_q - trace_both) * identity(x.shape[-1], x) + both + matmul(along_q, along_t)
    moved = moved - along_t * trace_q - along_q * trace_t
    return det(x)[..., None, None] * matmul(moved, inverse).mT


def _change(x: Any, t: Any) -> Any:
    return bind(cofactor_change_p, (x, t), NO_PARAMS)


cofactors_p = general(
    "cofactors",
    in_single(_cofactors),
    lambda x: x,
    operands=("x",),
    vjp=(lambda g, x: conj(_change(x, conj(g))),),
    batch={},
)
cofactor_change_p = general(
    "cofactor_change",
    in_single(_cofactor_change),
    lambda x, t: x,
    operands=("x", "t"),
    vjp=(lambda g, x, t: conj(_cofactor_curvature(x, t, conj(g))), lambda g, x: conj(_change(x, conj(g)))),
    batch={},
)

# ---------------------------------------------------------------------------------------- determinants

det_p = general(
    "det",
    in_single(lambda xp, x: xp.linalg.det(x)),
    lambda x: Aval(x.shape[:-2], x.dtype),
    operands=("x",),
    vjp=(lambda g, x: g[..., None, None] * conj(bind(cofactors_p, (x,), NO_PARAMS)),),
    batch={},
)


def det(x: Any, /) -> Any:
    """Determinants of square matrices, whose derivative is the matrix of cofactors.

    x: (..., n, n), integers as float32; 1 for n = 0. The first and second derivatives are right for singular matrices,
    too (by the singular value decomposition); the third and higher ones are NaN there. Of large matrices determinants
    overflow: use ``slogdet``. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> x = ag.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    >>> ag.linalg.det(x).backward()
    >>> x.grad
    tensor([[0., 0.],
            [0., 1.]])
    """
    return bind(det_p, (matrices("det", x, square=True),), NO_PARAMS)


def _slogdet(xp: Any, x: Any) -> Any:
    sign, logarithm = xp.linalg.slogdet(x)
    return sign, logarithm


def _slogdet_vjp(g: Any, x: Any, y: Any) -> Any:
    (g_sign, slope), (sign, _) = g, y
    if x.dtype.kind == "c":
        slope = complex(slope, imag(g_sign * conj(sign)))
    # exactly 0 where nobody asks, also for a singular matrix
    return guarded(slope[..., None, None].broadcast_to(x.shape), inverse_or_nan(x).mH)


slogdet_p = general(
    "slogdet",
    in_single(_slogdet),
    lambda x: (Aval(x.shape[:-2], x.dtype), Aval(x.shape[:-2], real_dtype(x.dtype))),
    operands=("x",),
    vjp=(_slogdet_vjp,),
    batch={},
)


def slogdet(x: Any, /) -> Any:
    """Sign and logarithm of determinants, det(x) = sign exp(logabsdet), as a named tuple (sign, logabsdet).

    x: (..., n, n), integers as float32. sign: 1 or -1, or a complex number of modulus 1; 0 for a singular matrix, whose
    logabsdet is -inf and has no derivative (NaN). d logabsdet = Re tr(x^-1 dx). Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.slogdet(ag.tensor([[0.0, 1.0], [1.0, 0.0]]))
    SlogdetResult(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return SlogdetResult(*bind(slogdet_p, (matrices("slogdet", x, square=True),), NO_PARAMS))


def logdet(x: Any, /) -> Any:
    """Logarithms of determinants, without overflow: -inf for a singular matrix, NaN for a negative determinant.

    x: (..., n, n), integers as float32; for complex ones the principal value. PyTorch.

    >>> import autograd_core as ag
    >>> ag.linalg.logdet(ag.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor(0.)
    """
    sign, logarithm = slogdet(matrices("logdet", x, square=True))
    return log(sign) + logarithm

"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..aval import Aval
from ..primitive import bind, general
from ._apply import NO_PARAMS
from ._matrices import checked, embedded, hermitian, in_single, matrices, over_gaps, real_dtype, require_small
from .complex_numbers import conj, imag, real
from .diagonals import diagonal
from .products import matmul
from .solving import inverse_or_nan

__all__ = ["eigh", "eigvalsh", "eig", "eigvals"]

NOT_FINITE = "has no eigenvalues: it holds NaN or infinity"
DEPENDS_ON_PHASE = (
    "the derivative asked for depends on the phases of complex eigenvectors, which are arbitrary. "
    "Use them in ways that a factor exp(it) leaves as it is, such as abs(v) or v v^H"
)


class EighResult(NamedTuple):
    """``eigenvalues`` (..., n) in ascending order, ``eigenvectors`` (..., n, n) in the columns of unitary matrices."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """``eigenvalues`` (..., n) and ``eigenvectors`` (..., n, n) in columns of length 1, both complex."""

    eigenvalues: Any
    eigenvectors: Any


def _require_no_phase(op: str, inner: Any, g: Any) -> Any:
    """``inner``; GradientError if a cotangent of complex eigenvectors asks how they turn about themselves."""
    if inner.dtype.kind != "c":
        return inner
    return require_small(inner, imag(diagonal(inner)), f"{op}: {DEPENDS_ON_PHASE}", g)


# ------------------------------------------------------------------------------------------- Hermitian


def _eigh(xp: Any, x: Any) -> Any:
    w, v = checked("eigh", NOT_FINITE, xp.linalg.eigh, x)
    return w, v


def _eigh_vjp(g: Any, y: Any) -> Any:
    (gw, gv), (w, v) = g, y
    inner = _require_no_phase("eigh", matmul(v.mH, gv), gv)
    gaps = w[..., None, :] - w[..., :, None]
    turned = over_gaps(inner - hermitian(inner), gaps)
    return matmul(matmul(v, turned + embedded(gw).astype(v.dtype)), v.mH)


eigh_p = general(
    "eigh",
    in_single(_eigh),
    lambda x: (Aval(x.shape[:-1], real_dtype(x.dtype)), x),
    operands=("x",),
    vjp=(_eigh_vjp,),
    batch={},
)


def eigh(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of symmetric (Hermitian) matrices, x = V diag(w) V^H, as a named tuple
    (eigenvalues, eigenvectors).

    x: (..., n, n), of which the lower triangle is read; integers as float32. w: (..., n), real, ascending; V: (..., n,
    n), unitary. The gradient is symmetric (Hermitian), too.

    The derivative of V exists where the eigenvalues are distinct, and is NaN or very large elsewhere; those of the
    eigenvalues alone: see ``eigvalsh``. Complex eigenvectors have arbitrary phases: GradientError if what is
    differentiated depends on them. Python array API standard (linalg); Giles, Collected matrix derivative results,
    2008.

    >>> import autograd_core as ag
    >>> w, V = ag.linalg.eigh(ag.tensor([[2.0, 0.0], [0.0, -1.0]]))
    >>> w
    tensor([-1.,  2.])
    """
    return EighResult(*bind(eigh_p, (matrices("eigh", x, square=True),), NO_PARAMS))


def _of_eigenvalues(g: Any, v: Any) -> Any:
    return matmul(v * g[..., None, :], v.mH)


eigvalsh_p = general(
    "eigvalsh",
    in_single(lambda xp, x: checked("eigvalsh", NOT_FINITE, xp.linalg.eigvalsh, x)),
    lambda x: Aval(x.shape[:-1], real_dtype(x.dtype)),
    operands=("x",),
    vjp=(lambda g, x: _of_eigenvalues(g.astype(x.dtype), eigh(x)[1]),),
    batch={},
)


def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of symmetric (Hermitian) matrices, in ascending order: dw_i = v_i^H dx v_i.

    x: (..., n, n), of which the lower triangle is read; integers as float32; w: (..., n), real. A repeated eigenvalue
    has one-sided derivatives only; symmetric functions of its copies (their sum) have the right gradient. The second
    derivative exists where the eigenvalues are distinct. Python array API standard (linalg).

    >>> import autograd_core as ag
    >>> ag.linalg.eigvalsh(ag.tensor([[2.0, 1.0], [1.0, 2.0]]))
    tensor([1., 3.])
    """
    return bind(eigvalsh_p, (matrices("eigvalsh", x, square=True),), NO_PARAMS)


# ------------------------------------------------------------------------------------------- general


def _complex_dtype(dtype: np.dtype) -> np.dtype:
    """That of the eigenvalues: complex64 for half and single precision."""
    return np.result_type(dtype, np.complex64)


def _eig(xp: Any, x: Any) -> Any:
    w, v = checked("eig", NOT_FINITE, xp.linalg.eig, x)
    dtype = _complex_dtype(x.dtype)
    return w.astype(dtype), v.astype(dtype)


def _eig_vjp(g: Any, y: Any, avals: Any) -> Any:
    (gw, gv), (w, v) = g, y
    vh = v.mH
    inner = _require_no_phase("eig", matmul(vh, gv), gv)
    # columns keep their length 1 and turn as little as they can: v^H dv = 0
    inner = inner - matmul(vh, v) * diagonal(inner)[..., None, :]
    turned = over_gaps(inner, conj(w[..., None, :] - w[..., :, None]))
    return _like(_similar(turned + embedded(gw), vh), avals[0].dtype)


def _similar(x: Any, vh: Any) -> Any:
    return matmul(inverse_or_nan(vh), matmul(x, vh))


def _like(g: Any, dtype: np.dtype) -> Any:
    return (g if dtype.kind == "c" else real(g)).astype(dtype)


eig_p = general(
    "eig",
    in_single(_eig),
    lambda x: (Aval(x.shape[:-1], _complex_dtype(x.dtype)), Aval(x.shape, _complex_dtype(x.dtype))),
    operands=("x",),
    vjp=(_eig_vjp,),
    batch={},
)


def eig(x: Any, /) -> Any:
    """Eigenvalues and eigenvectors of square matrices, x V = V diag(w), as a named tuple (eigenvalues, eigenvectors).

    x: (..., n, n), integers as float32. w: (..., n) and V: (..., n, n), its columns of length 1, are complex also for
    real x, in no particular order.

    The derivative exists where the eigenvalues are distinct, and is NaN or very large elsewhere. The phases of the
    columns of V are arbitrary: GradientError if what is differentiated depends on them. NumPy (linalg);
    PyTorch; Boeddeker et al., On the computation of complex-valued gradients with application to
    statistically optimum beamforming, 2017.

    >>> import autograd_core as ag
    >>> w, V = ag.linalg.eig(ag.tensor([[2.0, 0.0], [0.0, -1.0]]))
    >>> w
    tensor([ 2.+0.j, -1.+0.j])
    """
    return EigResult(*bind(eig_p, (matrices("eig", x, square=True),), NO_PARAMS))


def _eigvals(xp: Any, x: Any) -> Any:
    return checked("eigvals", NOT_FINITE, xp.linalg.eigvals, x).astype(_complex_dtype(x.dtype))


def _eigvals_vjp(g: Any, x: Any) -> Any:
    vh = (eig(x)[1]).mH
    return _like(_similar(embedded(g), vh), x.dtype)


eigvals_p = general(
    "eigvals",
    in_single(_eigvals),
    lambda x: Aval(x.shape[:-1], _complex_dtype(x.dtype)),
    operands=("x",),
    vjp=(_eigvals_vjp,),
    batch={},
)


def eigvals(x: Any, /) -> Any:
    """Eigenvalues of square matrices, in no particular order.

    x: (..., n, n), integers as float32; w: (..., n), complex. The derivative exists where they are distinct, or the
    matrix has n independent eigenvectors and what is differentiated is a symmetric function of the repeated ones; it is
    NaN or very large elsewhere. NumPy (linalg); PyTorch.

    >>> import autograd_core as ag
    >>> ag.linalg.eigvals(ag.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    tensor([0.+1.j, 0.-1.j])
    """
    return bind(eigvals_p, (matrices("eigvals", x, square=True),), NO_PARAMS)

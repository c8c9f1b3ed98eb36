"""What functions of matrices share: checks, failures that name the matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..errors import GradientError, LinAlgError, ShapeError
from ..primitive import bind, general, guarded
from ._apply import as_tensor, to_float
from .arithmetic import reciprocal
from .casting import detach
from .complex_numbers import part_dtype
from .creation import eye
from .diagonals import embed_diagonal_p
from .selection import where

HALF = np.dtype(np.float16)
CLEARLY = 1e-3  # a part of a cotangent this large, relative to the whole, is no rounding error


def matrices(op: str, x: Any, *, square: bool = False) -> Any:
    """``x`` as a stack of matrices (..., m, n) of a floating or complex dtype; ``square``: m = n."""
    x = to_float(as_tensor(op, x))
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: takes matrices (..., m, n), got shape {x.shape}; add an axis with x[:, None]")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{op}: takes square matrices (..., n, n), got shape {x.shape}")
    return x


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of moduli: of eigenvalues, singular values, norms."""
    return part_dtype(dtype) if dtype.kind == "c" else dtype


def identity(n: int, like: Any) -> Any:
    """The identity matrix in the dtype and on the device of ``like``."""
    return eye(n, dtype=like.dtype, device=like.device)


def embedded(x: Any) -> Any:
    """Diagonal matrices of the vectors (..., n)."""
    return bind(embed_diagonal_p, (x,), {"shape": (*x.shape, x.shape[-1]), "offset": 0})


def hermitian(x: Any) -> Any:
    """The part of square matrices that equals its adjoint; x minus it is the part that equals minus its adjoint."""
    return (x + x.mH) / 2


def over_gaps(x: Any, gaps: Any) -> Any:
    """x / gaps off the diagonal of matrices, and 0 on it; over a gap of 0 NaN, or exactly 0 where x is."""
    unit = identity(x.shape[-1], x)
    return over(x * (1 - unit), gaps.astype(x.dtype) + unit)


def over(x: Any, divisors: Any) -> Any:
    """x / divisors (which broadcast); over a divisor of 0 NaN, or exactly 0 where x is."""
    # NaN, not infinity, of which products of matrices would make NaN with a warning
    slopes = where(divisors == 0, math.nan, reciprocal(divisors))
    return guarded(x, slopes.broadcast_to(x.shape))


def _unless_large(xp: Any, x: Any, part: Any, *wholes: Any, says: str) -> Any:
    excess, *scales = (float(xp.max(xp.abs(a))) if a.size else 0.0 for a in (part, *wholes))
    if excess > CLEARLY * max(scales):
        raise GradientError(says)
    return x


# An operation, so that a compiled program asks each time, with the values at hand.
require_small_p = general(
    "require_small",
    _unless_large,
    lambda x, part, *wholes, says: x,
    vjp=(lambda g: g,),
    signals=False,
    batch={},
)


def require_small(x: Any, part: Any, says: str, *wholes: Any) -> Any:
    """``x``; GradientError if ``part`` of the cotangents ``wholes`` is more than rounding."""
    return bind(require_small_p, (x, detach(part), *map(detach, wholes)), {"says": says})


def aligned(xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Operands whose leading axes broadcast, under vmap: with axes of length 1 between the batch axis and the rest
    of those that have fewer axes than others."""
    ndims = [len(x.shape) - has_axis for x, has_axis in zip(xs, batched, strict=True)]
    ndim = max(ndims)
    return [
        x.reshape(x.shape[0], *[1] * (ndim - n), *x.shape[1:]) if has_axis and n < ndim else x
        for x, has_axis, n in zip(xs, batched, ndims, strict=True)
    ]


# ------------------------------------------------------------------------------------- formulas


def in_single(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula for which LAPACK has no half precision: computed in float32, and rounded."""

    @wraps(formula)
    def run(xp: Any, *arrays: Any, **params: Any) -> Any:
        if arrays[0].dtype != HALF:
            return formula(xp, *arrays, **params)
        y = formula(xp, *[x.astype(np.float32) if x.dtype == HALF else x for x in arrays], **params)
        if type(y) is tuple:
            return tuple(piece.astype(HALF) if piece.dtype == np.float32 else piece for piece in y)
        return y.astype(HALF)

    return run


def conjugate_transpose(xp: Any, x: Any) -> Any:
    """x.mH, of arrays."""
    return xp.swapaxes(xp.conj(x), -1, -2)


def checked(op: str, says: str, run: Callable[..., Any], x: Any, *others: Any, alone: Any = None) -> Any:
    """run(x, *others), or a LinAlgError that names the matrix of the stack ``x`` on which ``run`` (``alone``, if that
    is given, of the single matrix) fails."""
    try:
        return run(x, *others)
    except np.linalg.LinAlgError as error:
        for index in np.ndindex(*x.shape[:-2]):
            try:
                (alone or run)(x[index])
            except np.linalg.LinAlgError:
                which = f"matrix {list(index)} of the stack {x.shape}" if index else f"the matrix of shape {x.shape}"
                raise LinAlgError(f"{op}: {which} {says}") from None
        raise LinAlgError(f"{op}: {error}") from None

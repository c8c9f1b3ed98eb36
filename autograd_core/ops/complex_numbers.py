"""Parts and conjugates of complex numbers.

Cotangents pair with tangents by the real inner product Re(conj(g) t): ``real``, ``imag`` and ``conj`` are linear over
the real numbers, and their transposes are the adjoints of that product.
"""

from __future__ import annotations

from typing import Any

from ..primitive import bind, multilinear
from ._apply import as_tensor

__all__ = ["conj"]

conj_p = multilinear(
    "conj",
    lambda xp, x: xp.conj(x),
    transposes=(lambda g: conj(g),),
    shape=lambda x: x,
    batch={},
)


def conj(x: Any, /) -> Any:
    """The complex conjugate, a - ib of a + ib; real tensors as they are. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.conj(ag.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    x = as_tensor("conj", x)
    return bind(conj_p, (x,), {}) if x.dtype.kind == "c" else x

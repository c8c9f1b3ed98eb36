"""Floating-point numbers as what they are made of: mantissa and power of two, infinite or not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..primitive import Multilinear, bind, elementwise, multilinear
from ._apply import as_tensor, broadcast, require_integer, require_real, to_float

__all__ = ["frexp", "ldexp", "isposinf", "isneginf"]

_EXPONENT = np.dtype(np.int32)

exponent_p = elementwise("exponent", lambda xp, x: xp.frexp(x)[1], None, result=lambda x: _EXPONENT, signals=False)
ldexp_p: Multilinear = multilinear(
    "ldexp",
    lambda xp, x, exponent: xp.ldexp(x, exponent),
    transposes=(lambda g, exponent: bind(ldexp_p, (g, exponent), {}), None),
    shape=lambda x, exponent: x,
    signals=True,
    batch={},
)


def frexp(x: Any, /) -> tuple[Any, Any]:
    """Mantissa and exponent, element by element: x = mantissa 2^exponent with 0.5 <= |mantissa| < 1; 0 is 0 2^0.

    x: real dtype, integers as float32; exponents are int32. d mantissa / dx = 2^-exponent. Python (math), NumPy,
    PyTorch.

    >>> import autograd_core as ag
    >>> ag.frexp(ag.tensor([6.0, -0.25]))
    (tensor([ 0.75, -0.5 ]), tensor([ 3, -1], dtype=int32))
    """
    require_real("frexp", x)
    x = to_float(as_tensor("frexp", x))
    exponent = bind(exponent_p, (x,), {})
    return bind(ldexp_p, (x, -exponent), {}), exponent


def ldexp(x: Any, exponent: Any, /) -> Any:
    """The inverse of ``frexp``: y = x 2^exponent, without overflow in between; dy/dx = 2^exponent.

    x: real dtype, integers as float32; exponent: integers; shapes broadcast. DTypeError for other exponents. NumPy.

    >>> import autograd_core as ag
    >>> ag.ldexp(ag.tensor([0.75, -0.5]), ag.tensor([3, -1]))
    tensor([ 6.  , -0.25])
    """
    require_real("ldexp", x)
    x = to_float(as_tensor("ldexp", x))
    exponent = as_tensor("ldexp", exponent, x)
    require_integer("ldexp", "exponent", exponent)
    return bind(ldexp_p, broadcast("ldexp", (x, exponent.astype(_EXPONENT))), {})


def isposinf(x: Any, /) -> Any:
    """Element by element whether x is infinite and positive. Real dtype. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.isposinf(ag.tensor([float("inf"), float("-inf"), 1.0]))
    tensor([ True, False, False])
    """
    require_real("isposinf", x)
    return as_tensor("isposinf", x) == math.inf


def isneginf(x: Any, /) -> Any:
    """Element by element whether x is infinite and negative. Real dtype. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.isneginf(ag.tensor([float("inf"), float("-inf"), 1.0]))
    tensor([False,  True, False])
    """
    require_real("isneginf", x)
    return as_tensor("isneginf", x) == -math.inf

"""Rounding to whole numbers, and what kind of number a float is."""

from __future__ import annotations

from typing import Any

from ..aval import BOOL, is_inexact
from ..primitive import Elementwise, elementwise
from ._apply import as_tensor, binary, unary

__all__ = ["floor", "ceil", "trunc", "round", "isnan", "isinf", "isfinite", "signbit", "nextafter"]


def _rounded(primitive: Elementwise, x: Any) -> Any:
    """Integers are whole already and keep their dtype."""
    x = as_tensor(primitive.name, x)
    return unary(primitive, x) if is_inexact(x.dtype) else x


floor_p = elementwise("floor", lambda xp, x: xp.floor(x), partials=(0,), signals=False)


def floor(x: Any, /) -> Any:
    """The largest whole number not above each element; dy/dx = 0.

    x: real dtype, kept. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.floor(ag.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return _rounded(floor_p, x)


ceil_p = elementwise("ceil", lambda xp, x: xp.ceil(x), partials=(0,), signals=False)


def ceil(x: Any, /) -> Any:
    """The smallest whole number not below each element; dy/dx = 0.

    x: real dtype, kept. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.ceil(ag.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return _rounded(ceil_p, x)


trunc_p = elementwise("trunc", lambda xp, x: xp.trunc(x), partials=(0,), signals=False)


def trunc(x: Any, /) -> Any:
    """Each element without its fraction (rounded towards 0); dy/dx = 0.

    x: real dtype, kept. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.trunc(ag.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return _rounded(trunc_p, x)


round_p = elementwise("round", lambda xp, x: xp.rint(x), partials=(0,), signals=False)


def round(x: Any, /, *, decimals: int = 0) -> Any:
    """The nearest whole number, halves to the even one; dy/dx = 0.

    x: real dtype, kept. decimals: digits kept after the point: round(10^d x) / 10^d, as in PyTorch.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.tensor([0.5, 1.5, -1.7])), ag.round(ag.tensor([1.25]), decimals=1)
    (tensor([ 0.,  2., -2.]), tensor([1.2]))
    """
    if not decimals:
        return _rounded(round_p, x)
    x = as_tensor("round", x)
    scale = 10.0**decimals
    return round(x * scale) / scale if is_inexact(x.dtype) or decimals < 0 else x


isnan_p = elementwise("isnan", lambda xp, x: xp.isnan(x), None, result=BOOL, signals=False)


def isnan(x: Any, /) -> Any:
    """Where elements are NaN, boolean. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.isnan(ag.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """
    return unary(isnan_p, x, floating=True)


isinf_p = elementwise("isinf", lambda xp, x: xp.isinf(x), None, result=BOOL, signals=False)


def isinf(x: Any, /) -> Any:
    """Where elements are infinite, of either sign, boolean. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.isinf(ag.tensor([1.0, -float("inf")]))
    tensor([False,  True])
    """
    return unary(isinf_p, x, floating=True)


isfinite_p = elementwise("isfinite", lambda xp, x: xp.isfinite(x), None, result=BOOL, signals=False)


def isfinite(x: Any, /) -> Any:
    """Where elements are neither infinite nor NaN, boolean. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.isfinite(ag.tensor([1.0, float("inf"), float("nan")]))
    tensor([ True, False, False])
    """
    return unary(isfinite_p, x, floating=True)


signbit_p = elementwise("signbit", lambda xp, x: xp.signbit(x), None, result=BOOL, signals=False)


def signbit(x: Any, /) -> Any:
    """Where the sign bit is set: negative elements and -0.0, boolean. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.signbit(ag.tensor([-1.0, -0.0, 0.0]))
    tensor([ True,  True, False])
    """
    return unary(signbit_p, x, floating=True)


nextafter_p = elementwise("nextafter", lambda xp, x1, x2: xp.nextafter(x1, x2), partials=(1, 0), signals=False)


def nextafter(x1: Any, x2: Any, /) -> Any:
    """The next number that the dtype can represent after ``x1`` in the direction of ``x2``; dy/dx1 = 1, dy/dx2 = 0.

    x1, x2: real dtype, integers as float32; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> (ag.nextafter(ag.tensor(1.0), 2.0) - 1).item() == 2.0**-23
    True
    """
    return binary(nextafter_p, x1, x2, floating=True)

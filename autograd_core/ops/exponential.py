"""Exponentials, logarithms and roots."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import bind, elementwise
from ._apply import binary, require_real, unary
from ._error_function import erf, erfc
from .selection import where

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "logaddexp",
    "xlogy",
    "sqrt",
    "rsqrt",
    "erf",
    "erfc",
]

exp_p = elementwise("exp", lambda xp, x: xp.exp(x), partials=(lambda y: y,), singular=True)


def exp(x: Any, /) -> Any:
    """Element-wise exponential: y = e^x; infinite from x = 88.8 in float32 on. Integers as float32.

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.exp(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([1.    , 2.7183])
    """
    return unary(exp_p, x, floating=True)


exp2_p = elementwise("exp2", lambda xp, x: xp.exp2(x), partials=(lambda y: y * math.log(2),), singular=True)


def exp2(x: Any, /) -> Any:
    """Element-wise power of two: y = 2^x. Integers as float32. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.exp2(ag.tensor([3.0, -1.0]))
    tensor([8. , 0.5])
    """
    return unary(exp2_p, x, floating=True)


expm1_p = elementwise("expm1", lambda xp, x: xp.expm1(x), partials=(lambda y: y + 1,), singular=True)


def expm1(x: Any, /) -> Any:
    """Element-wise y = e^x - 1, exact to the last digits near 0. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.expm1(ag.tensor([0.0, 1e-8]))
    tensor([0.e+00, 1.e-08])
    """
    return unary(expm1_p, x, floating=True)


log_p = elementwise("log", lambda xp, x: xp.log(x), partials=(lambda x: x.reciprocal(),), singular=True)


def log(x: Any, /) -> Any:
    """Element-wise natural logarithm: y = ln x; -inf at 0, NaN below. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.log(ag.tensor([1.0, 10.0])), decimals=4)
    tensor([0.    , 2.3026])
    """
    return unary(log_p, x, floating=True)


log2_p = elementwise(
    "log2", lambda xp, x: xp.log2(x), partials=(lambda x: x.reciprocal() * (1 / math.log(2)),), singular=True
)


def log2(x: Any, /) -> Any:
    """Element-wise logarithm to base 2; -inf at 0, NaN below. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.log2(ag.tensor([8.0, 0.5]))
    tensor([ 3., -1.])
    """
    return unary(log2_p, x, floating=True)


log10_p = elementwise(
    "log10", lambda xp, x: xp.log10(x), partials=(lambda x: x.reciprocal() * (1 / math.log(10)),), singular=True
)


def log10(x: Any, /) -> Any:
    """Element-wise logarithm to base 10; -inf at 0, NaN below. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.log10(ag.tensor([100.0, 0.1])), decimals=4)
    tensor([ 2., -1.])
    """
    return unary(log10_p, x, floating=True)


log1p_p = elementwise("log1p", lambda xp, x: xp.log1p(x), partials=(lambda x: (1 + x).reciprocal(),), singular=True)


def log1p(x: Any, /) -> Any:
    """Element-wise y = ln(1 + x), exact to the last digits near 0. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.log1p(ag.tensor([0.0, 1e-8]))
    tensor([0.e+00, 1.e-08])
    """
    return unary(log1p_p, x, floating=True)


# e^x1 / (e^x1 + e^x2); equal operands share equally, infinite ones too
logaddexp_share_p = elementwise(
    "logaddexp_share",
    lambda xp, x1, x2: 1.0 / (1.0 + xp.exp(xp.where(x1 == x2, 0, x2 - x1))),
    partials=(lambda y: y * (1 - y), lambda y: y * (y - 1)),
)
logaddexp_p = elementwise(
    "logaddexp",
    lambda xp, x1, x2: xp.logaddexp(x1, x2),
    partials=(
        lambda x1, x2: bind(logaddexp_share_p, (x1, x2), {}),
        lambda x1, x2: bind(logaddexp_share_p, (x2, x1), {}),
    ),
)


def logaddexp(x1: Any, x2: Any, /) -> Any:
    """Element-wise y = ln(e^x1 + e^x2), without overflow; dy/dx1 = sigmoid(x1 - x2).

    x1, x2: real dtype, integers as float32; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.logaddexp(ag.tensor([1000.0]), 1000.0), decimals=2)
    tensor([1000.69])
    """
    require_real("logaddexp", x1, x2)
    return binary(logaddexp_p, x1, x2, floating=True)


xlogy_p = elementwise(
    "xlogy",
    lambda xp, x1, x2: xp.where((x1 == 0) & (x2 == x2), 0, x1 * xp.log(x2)),
    partials=(lambda x2: log(x2), lambda x1, x2: where((x1 == 0) & (x2 == x2), 0, x1 / x2)),
    singular=True,
)


def xlogy(x1: Any, x2: Any, /) -> Any:
    """Element-wise y = x1 ln(x2), and 0 where x1 is 0 (unless x2 is NaN): the term of an entropy.

    x1, x2: real dtype, integers as float32; shapes broadcast. dy/dx1 = ln(x2); dy/dx2 = x1 / x2, and 0 where x1 is 0.
    PyTorch.

    >>> import autograd_core as ag
    >>> ag.xlogy(ag.tensor([0.0, 2.0]), ag.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    return binary(xlogy_p, x1, x2, floating=True)


# ------------------------------------------------------------------------------------------- roots

sqrt_p = elementwise("sqrt", lambda xp, x: xp.sqrt(x), partials=(lambda y: (y + y).reciprocal(),), singular=True)


def sqrt(x: Any, /) -> Any:
    """Element-wise square root; NaN below 0, an infinite slope at 0. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.sqrt(ag.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return unary(sqrt_p, x, floating=True)


rsqrt_p = elementwise("rsqrt", lambda xp, x: 1.0 / xp.sqrt(x), partials=(lambda x: x**-1.5 * -0.5,), singular=True)


def rsqrt(x: Any, /) -> Any:
    """Element-wise inverse square root: y = 1 / sqrt(x); infinite at 0, NaN below. Integers as float32. PyTorch.

    >>> import autograd_core as ag
    >>> ag.rsqrt(ag.tensor([4.0, 0.25]))
    tensor([0.5, 2. ])
    """
    return unary(rsqrt_p, x, floating=True)

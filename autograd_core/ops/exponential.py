"""Exponentials, logarithms and roots."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import bind, elementwise
from ._apply import binary, require_real, unary
from ._error_function import erf, erfc
from .selection import clip, where

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "logaddexp",
    "logaddexp2",
    "xlogy",
    "xlog1py",
    "entr",
    "logit",
    "sqrt",
    "rsqrt",
    "cbrt",
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
    return binary(logaddexp_p, x1, x2, floating=True, real=True)


logaddexp2_p = elementwise(
    "logaddexp2",
    lambda xp, x1, x2: xp.logaddexp2(x1, x2),
    partials=(
        lambda x1, x2: bind(logaddexp_share_p, (x1 * math.log(2), x2 * math.log(2)), {}),
        lambda x1, x2: bind(logaddexp_share_p, (x2 * math.log(2), x1 * math.log(2)), {}),
    ),
)


def logaddexp2(x1: Any, x2: Any, /) -> Any:
    """Element-wise y = log2(2^x1 + 2^x2), without overflow; dy/dx1 = 2^x1 / (2^x1 + 2^x2).

    x1, x2: real dtype, integers as float32; shapes broadcast. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.logaddexp2(ag.tensor([1000.0]), 1000.0)
    tensor([1001.])
    """
    return binary(logaddexp2_p, x1, x2, floating=True, real=True)


xlogy_p = elementwise(
    "xlogy",
    lambda xp, x1, x2: xp.where((x1 == 0) & (x2 == x2), 0, x1 * xp.log(x2)),
    partials=(lambda x2: log(x2), lambda x1, x2: where((x1 == 0) & (x2 == x2), 0, x1 / x2)),
    singular=True,
)


def xlogy(x1: Any, x2: Any, /) -> Any:
    """Element-wise y = x1 ln(x2), and 0 where x1 is 0 (unless x2 is NaN): the term of an entropy.

    x1, x2: numeric dtype, integers as float32; shapes broadcast. dy/dx1 = ln(x2); dy/dx2 = x1 / x2, and 0 where x1
    is 0. PyTorch.

    >>> import autograd_core as ag
    >>> ag.xlogy(ag.tensor([0.0, 2.0]), ag.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    return binary(xlogy_p, x1, x2, floating=True)


xlog1py_p = elementwise(
    "xlog1py",
    lambda xp, x1, x2: xp.where((x1 == 0) & (x2 == x2), 0, x1 * xp.log1p(x2)),
    partials=(lambda x2: log1p(x2), lambda x1, x2: where((x1 == 0) & (x2 == x2), 0, x1 / (1 + x2))),
    singular=True,
)


def xlog1py(x1: Any, x2: Any, /) -> Any:
    """Element-wise y = x1 ln(1 + x2), and 0 where x1 is 0 (unless x2 is NaN); exact to the last digits near x2 = 0.

    x1, x2: numeric dtype, integers as float32; shapes broadcast. dy/dx1 = ln(1 + x2); dy/dx2 = x1 / (1 + x2), and 0
    where x1 is 0. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.xlog1py(tensor([0.0, 2.0]), tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    return binary(xlog1py_p, x1, x2, floating=True)


entr_p = elementwise(
    "entr",
    lambda xp, x: xp.where(x > 0, -x * xp.log(xp.where(x > 0, x, 1.0)), xp.where(x == 0, 0.0, x * math.inf)),
    partials=(lambda x: -log(x) - 1,),
    singular=True,
)


def entr(x: Any, /) -> Any:
    """Element-wise term of an entropy: y = -x ln(x); 0 at 0, -inf below. dy/dx = -ln(x) - 1.

    x: real dtype, integers as float32. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.entr(tensor([0.0, 1.0, -1.0]))
    tensor([  0.,  -0., -inf])
    """
    require_real("entr", x)
    return unary(entr_p, x, floating=True)


logit_p = elementwise(
    "logit",
    # near 1/2 the quotient is near 1, and its logarithm would lose digits
    lambda xp, x: xp.where((x > 0.25) & (x < 0.75), xp.log1p((x + x - 1.0) / (1.0 - x)), xp.log(x / (1.0 - x))),
    partials=(lambda x: (x * (1 - x)).reciprocal(),),
    singular=True,
)


def logit(x: Any, /, eps: float | None = None) -> Any:
    """Element-wise logarithm of the odds: y = ln(x / (1 - x)), the inverse of ``sigmoid``.

    x: real dtype, integers as float32; -inf at 0, inf at 1, NaN outside. eps: x is first limited to [eps, 1 - eps].
    PyTorch.

    >>> import autograd_core as ag
    >>> ag.round(ag.logit(ag.tensor([0.5, 0.75])), decimals=4)
    tensor([0.    , 1.0986])
    """
    require_real("logit", x)
    return unary(logit_p, x if eps is None else clip(x, eps, 1 - eps), floating=True)


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


cbrt_p = elementwise("cbrt", lambda xp, x: xp.cbrt(x), partials=(lambda y: (y * y * 3).reciprocal(),), singular=True)


def cbrt(x: Any, /) -> Any:
    """Element-wise cube root, of negative numbers too; an infinite slope at 0. Integers as float32. NumPy.

    x: real dtype. Of complex numbers ``x ** (1 / 3)`` is the principal root, another one for negative x.

    >>> import autograd_core as ag
    >>> ag.round(ag.cbrt(ag.tensor([8.0, -27.0])), decimals=4)
    tensor([ 2., -3.])
    """
    require_real("cbrt", x)
    return unary(cbrt_p, x, floating=True)

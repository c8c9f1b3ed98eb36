"""Bessel functions: modified ones of the first kind, and the spherical one that is the cardinal sine.

Divided by x^n they are even and smooth at 0, and each one's slope is the next one's: f_n'(x) = x f_{n+1}(x) for
I_n(x) / x^n, and -x f_{n+1}(x) for j_n(x) / x^n. So one primitive with the parameter n has derivatives of every order.

Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 9.6 and 10.1.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import Elementwise, bind, elementwise
from ._apply import as_tensor, require_real, to_float, unary
from ._error_function import polynomial
from .arithmetic import abs, sign
from .selection import where

__all__ = ["i0", "i0e", "i1", "i1e", "sinc"]

# sqrt(x) e^-x I(x) for x >= 8, in powers of 16 / x - 1 from the highest down: Chebyshev expansions, cut off below 1e-17
_I0_FAR = (
    -2.02606042874967941e-11,
    9.36508689282934243e-11,
    1.52792026950274987e-10,
    -6.63328711255324943e-10,
    -5.715843864213651e-10,
    2.19689213788437319e-9,
    1.52008169539389376e-9,
    -4.57555342453696211e-9,
    -3.50596653088055531e-9,
    6.56013874691872491e-9,
    7.55258306212403525e-9,
    -5.03810648790418281e-9,
    -1.34089175400899599e-8,
    -6.84933818828645858e-9,
    7.55469188124885382e-9,
    2.15662514531042876e-8,
    3.93258433455295129e-8,
    8.87203438331414457e-8,
    2.97359858856739241e-7,
    1.48384766512502658e-6,
    1.11430337909320378e-5,
    1.36216074389847352e-4,
    3.36055198366786155e-3,
    4.02176509445008084e-1,
)
_I1_FAR = (
    1.85151188289461922e-11,
    -9.75239720414957087e-11,
    -1.40116251798223632e-10,
    6.9170892942000983e-10,
    5.29562544117365938e-10,
    -2.2970041618867039e-9,
    -1.43872505330578011e-9,
    4.81059740509197386e-9,
    3.4262341490092062e-9,
    -6.98383962489756874e-9,
    -7.64239413436432097e-9,
    5.59337010179152804e-9,
    1.40342387820674453e-8,
    6.84013899770664034e-9,
    -8.42776609373523992e-9,
    -2.33925037480185137e-8,
    -4.31291772917834852e-8,
    -1.00010956596365413e-7,
    -3.48385576104429472e-7,
    -1.83491023589553846e-6,
    -1.50385472005671667e-5,
    -2.19235763831724302e-4,
    -9.7495771932357362e-3,
    3.89398459025872321e-1,
)
_FAR = 8.0
_TERMS = 30  # of the power series, for less than 1e-17 up to _FAR


def _near(z: Any, n: int) -> Any:
    """sum_k z^k / (2^n k! (n + k)!): I_n(x) / x^n for z = x^2 / 4; all terms are positive."""
    y = 1.0
    for k in range(_TERMS, 0, -1):
        y = 1.0 + z * (1.0 / (k * (n + k))) * y
    return y * (1.0 / (2**n * math.factorial(n)))


def _far(xp: Any, x: Any, n: int) -> Any:
    """e^-x I_n(x) / x^n for x >= 8: upwards from two of them by I_{n+1} = I_{n-1} - 2n I_n / x."""
    t = 16.0 / x - 1.0
    r = 1.0 / xp.sqrt(x)
    y = polynomial(t, _I0_FAR) * r
    if n == 0:
        return y
    following = polynomial(t, _I1_FAR) * r / x
    for m in range(1, n):
        y, following = following, (y - 2.0 * m * following) / (x * x)
    return following


def _bessel(xp: Any, x: Any, *, n: int, scaled: bool) -> Any:
    size = xp.abs(x)
    inner = xp.minimum(size, _FAR)
    outer = xp.maximum(size, _FAR)
    near = _near(inner * inner * 0.25, n)
    if scaled:
        return xp.where(size <= _FAR, near * xp.exp(-inner), _far(xp, outer, n))
    outer = xp.minimum(outer, 1e4)  # where it has overflown; an infinite one would give 0 times infinity
    root = xp.exp(outer * 0.5)  # e^x overflows before I(x) does
    return xp.where(size <= _FAR, near, _far(xp, outer, n) * root * root)


def _bessel_slope(x: Any, y: Any, n: int, scaled: bool) -> Any:
    following = x * bind(bessel_p, (x,), {"n": n + 1, "scaled": scaled})
    return following - sign(x) * y if scaled else following


bessel_p: Elementwise = elementwise("bessel", _bessel, partials=(_bessel_slope,), singular=True)


def _modified(op: str, x: Any, n: int, scaled: bool) -> Any:
    require_real(op, x)
    return unary(bessel_p, x, floating=True, n=n, scaled=scaled)


def i0(x: Any, /) -> Any:
    """Modified Bessel function of the first kind and order 0: y = sum_k (x/2)^2k / (k!)^2; overflows from 713 on.

    x: real dtype, kept; integers as float32. Within 5 units in the last place in float32 and in float64; derivatives
    of every order. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.i0(ag.tensor([0.0, 1.0]))
    tensor([1.       , 1.2660658])
    """
    return _modified("i0", x, 0, False)


def i0e(x: Any, /) -> Any:
    """``i0`` without its growth: y = e^-|x| I_0(x). As accurate. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.i0e(tensor([0.0, 1000.0]))
    tensor([1.        , 0.01261724])
    """
    return _modified("i0e", x, 0, True)


def i1(x: Any, /) -> Any:
    """Modified Bessel function of the first kind and order 1, the slope of ``i0``; y = x/2 at small x.

    x: real dtype, kept; integers as float32. Within 5 units in the last place in float32 and in float64; derivatives
    of every order. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.i1(tensor([0.0, 1.0]))
    tensor([0.       , 0.5651591])
    """
    x = to_float(as_tensor("i1", x))
    return x * _modified("i1", x, 1, False)


def i1e(x: Any, /) -> Any:
    """``i1`` without its growth: y = e^-|x| I_1(x). As accurate. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.i1e(tensor([0.0, 1000.0]))
    tensor([0.        , 0.01261093])
    """
    x = to_float(as_tensor("i1e", x))
    return where(abs(x) < math.inf, x, 0) * _modified("i1e", x, 1, True)


# ---------------------------------------------------------------------------------------- cardinal sine


def _spherical(xp: Any, x: Any, *, n: int, unit: float) -> Any:
    """j_n(x) / x^n at ``unit`` x: a power series near 0, where the formula in sine and cosine cancels; else that."""
    x = x * unit
    if n == 0:
        return xp.where(x == 0, 1.0, xp.sin(x) / xp.where(x == 0, 1.0, x))
    limit = n + 2.0
    size = xp.abs(x)
    inner = xp.minimum(size, limit)
    z = inner * inner * 0.5
    near = 1.0
    for k in range(24 + n, 0, -1):
        near = 1.0 - z * (1.0 / (k * (2 * n + 2 * k + 1))) * near
    outer = xp.maximum(size, limit)
    squared = outer * outer
    y = xp.sin(outer) / outer
    far = (y - xp.cos(outer)) / squared
    for m in range(1, n):
        y, far = far, ((2.0 * m + 1.0) * far - y) / squared
    return xp.where(size <= limit, near * (1.0 / math.prod(range(1, 2 * n + 2, 2))), far)


spherical_p: Elementwise = elementwise(
    "spherical",
    _spherical,
    partials=(lambda x, n, unit: x * bind(spherical_p, (x,), {"n": n + 1, "unit": unit}) * -(unit * unit),),
)


def sinc(x: Any, /) -> Any:
    """Cardinal sine: y = sin(pi x) / (pi x), and 1 at 0; derivatives of every order, at 0 too.

    x: real dtype, kept; integers as float32. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.round(ag.sinc(ag.tensor([0.0, 0.5, 1.0])), decimals=4)
    tensor([ 1.    ,  0.6366, -0.    ])
    """
    require_real("sinc", x)
    return unary(spherical_p, x, floating=True, n=0, unit=math.pi)

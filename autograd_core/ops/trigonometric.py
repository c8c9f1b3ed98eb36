"""Trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

from ..primitive import bind, elementwise
from ._apply import as_tensor, binary, promoted, require_real, to_float, unary
from .arithmetic import hypot, multiply
from .casting import detach
from .complex_numbers import complex, imag, real
from .exponential import rsqrt
from .selection import where

__all__ = [
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "deg2rad",
    "rad2deg",
    "angle",
    "polar",
]

sin_p = elementwise("sin", lambda xp, x: xp.sin(x), partials=(lambda x: cos(x),))


def sin(x: Any, /) -> Any:
    """Element-wise sine of an angle in radians. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.sin(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 0.8415])
    """
    return unary(sin_p, x, floating=True)


cos_p = elementwise("cos", lambda xp, x: xp.cos(x), partials=(lambda x: -sin(x),))


def cos(x: Any, /) -> Any:
    """Element-wise cosine of an angle in radians. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.cos(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([1.    , 0.5403])
    """
    return unary(cos_p, x, floating=True)


tan_p = elementwise("tan", lambda xp, x: xp.tan(x), partials=(lambda y: 1 + y * y,))


def tan(x: Any, /) -> Any:
    """Element-wise tangent of an angle in radians. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.tan(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 1.5574])
    """
    return unary(tan_p, x, floating=True)


# (1 - x)(1 + x) keeps its digits near the ends of the domain, where 1 - x^2 loses them
asin_p = elementwise("asin", lambda xp, x: xp.arcsin(x), partials=(lambda x: rsqrt((1 - x) * (1 + x)),), singular=True)


def asin(x: Any, /) -> Any:
    """Element-wise inverse sine, in [-pi/2, pi/2]; NaN outside [-1, 1]. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.asin(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 1.5708])
    """
    return unary(asin_p, x, floating=True)


acos_p = elementwise("acos", lambda xp, x: xp.arccos(x), partials=(lambda x: -rsqrt((1 - x) * (1 + x)),), singular=True)


def acos(x: Any, /) -> Any:
    """Element-wise inverse cosine, in [0, pi]; NaN outside [-1, 1]. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.acos(ag.tensor([1.0, 0.0])), decimals=4)
    tensor([0.    , 1.5708])
    """
    return unary(acos_p, x, floating=True)


atan_p = elementwise("atan", lambda xp, x: xp.arctan(x), partials=(lambda x: (1 + x * x).reciprocal(),))


def atan(x: Any, /) -> Any:
    """Element-wise inverse tangent, in [-pi/2, pi/2]. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.atan(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 0.7854])
    """
    return unary(atan_p, x, floating=True)


def _over_squared_radius(a: Any, x1: Any, x2: Any) -> Any:
    # by the radius twice: its square underflows, or overflows, long before the quotient does
    radius = hypot(x1, x2)
    divisor = where(radius == 0, 1, radius)
    return where(radius == 0, 0, a) / divisor / divisor


atan2_p = elementwise(
    "atan2",
    lambda xp, x1, x2: xp.arctan2(x1, x2),
    partials=(
        lambda x1, x2: _over_squared_radius(x2, x1, x2),
        lambda x1, x2: -_over_squared_radius(x1, x1, x2),
    ),
)


def atan2(x1: Any, x2: Any, /) -> Any:
    """Element-wise angle of the point (x2, x1) in (-pi, pi]: the inverse tangent of x1 / x2 with the quadrant known.

    x1, x2: real dtype, integers as float32; shapes broadcast. The gradient at the origin is 0.
    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.atan2(ag.tensor([1.0, 1.0]), ag.tensor([1.0, -1.0])), decimals=4)
    tensor([0.7854, 2.3562])
    """
    return binary(atan2_p, x1, x2, floating=True, real=True)


# --------------------------------------------------------------------------------------- hyperbolic

sinh_p = elementwise("sinh", lambda xp, x: xp.sinh(x), partials=(lambda x: cosh(x),), singular=True)


def sinh(x: Any, /) -> Any:
    """Element-wise hyperbolic sine: y = (e^x - e^-x) / 2. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.sinh(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 1.1752])
    """
    return unary(sinh_p, x, floating=True)


cosh_p = elementwise("cosh", lambda xp, x: xp.cosh(x), partials=(lambda x: sinh(x),), singular=True)


def cosh(x: Any, /) -> Any:
    """Element-wise hyperbolic cosine: y = (e^x + e^-x) / 2. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.cosh(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([1.    , 1.5431])
    """
    return unary(cosh_p, x, floating=True)


# the operand is named t: in a rule, y would be the output
tanh_slope_p = elementwise("tanh_slope", lambda xp, t: 1.0 - t * t, partials=(lambda t: -(t + t),), signals=False)
tanh_p = elementwise(
    "tanh", lambda xp, x: xp.tanh(x), partials=(lambda y: bind(tanh_slope_p, (y,), {}),), signals=False
)


def tanh(x: Any, /) -> Any:
    """Element-wise hyperbolic tangent: y = (e^x - e^-x) / (e^x + e^-x). Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.tanh(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 0.7616])
    """
    return unary(tanh_p, x, floating=True)


asinh_p = elementwise("asinh", lambda xp, x: xp.arcsinh(x), partials=(lambda x: rsqrt(1 + x * x),))


def asinh(x: Any, /) -> Any:
    """Element-wise inverse hyperbolic sine. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.asinh(ag.tensor([0.0, 1.0])), decimals=4)
    tensor([0.    , 0.8814])
    """
    return unary(asinh_p, x, floating=True)


def _acosh_slope(x: Any) -> Any:
    # of complex numbers the root of the product would be on the wrong branch left of the imaginary axis
    return rsqrt(x - 1) * rsqrt(x + 1) if x.dtype.kind == "c" else rsqrt((x - 1) * (x + 1))


acosh_p = elementwise("acosh", lambda xp, x: xp.arccosh(x), partials=(_acosh_slope,), singular=True)


def acosh(x: Any, /) -> Any:
    """Element-wise inverse hyperbolic cosine; NaN below 1. Integers as float32. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.acosh(ag.tensor([1.0, 2.0])), decimals=4)
    tensor([0.   , 1.317])
    """
    return unary(acosh_p, x, floating=True)


atanh_p = elementwise(
    "atanh", lambda xp, x: xp.arctanh(x), partials=(lambda x: ((1 - x) * (1 + x)).reciprocal(),), singular=True
)


def atanh(x: Any, /) -> Any:
    """Element-wise inverse hyperbolic tangent; infinite at -1 and 1, NaN beyond. Integers as float32.

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.round(ag.atanh(ag.tensor([0.0, 0.5])), decimals=4)
    tensor([0.    , 0.5493])
    """
    return unary(atanh_p, x, floating=True)


# ------------------------------------------------------------------------------------------ degrees


def deg2rad(x: Any, /) -> Any:
    """Degrees to radians: y = x pi / 180. Integers as float32. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.round(ag.deg2rad(ag.tensor([180.0])), decimals=4)
    tensor([3.1416])
    """
    require_real("deg2rad", x)
    return multiply(x, math.pi / 180)


def rad2deg(x: Any, /) -> Any:
    """Radians to degrees: y = 180 x / pi. Integers as float32. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.round(ag.rad2deg(ag.tensor([1.0])), decimals=4)
    tensor([57.2958])
    """
    require_real("rad2deg", x)
    return multiply(x, 180 / math.pi)


# --------------------------------------------------------------------------- polar form of complex numbers


def angle(x: Any, /) -> Any:
    """Element-wise argument of complex numbers in (-pi, pi]: y = atan2(im, re). Of real ones 0, and pi below 0.

    complex64 gives float32, complex128 float64; integers count as float32. A cotangent g gives i g z / |z|^2, and 0
    at 0. NumPy, PyTorch.

    >>> import autograd_core as ag
    >>> ag.angle(ag.tensor([1j, -1 + 0j]))
    tensor([1.5707964, 3.1415927])
    """
    x = to_float(as_tensor("angle", x))
    if x.dtype.kind == "c":
        return atan2(imag(x), real(x))
    return where(x < 0, math.pi, where(x == x, 0.0, detach(x)))


def polar(modulus: Any, angle: Any, /) -> Any:
    """Complex numbers from modulus and angle in radians: y = modulus (cos(angle) + i sin(angle)).

    modulus, angle: real dtype; shapes broadcast; dtypes as for ``complex``. PyTorch.

    >>> import autograd_core as ag
    >>> ag.polar(ag.tensor([2.0]), ag.tensor([0.0]))
    tensor([2.+0.j])
    """
    modulus, angle = promoted("polar", (modulus, angle), floating=True)
    require_real("polar", modulus)
    return complex(modulus * cos(angle), modulus * sin(angle))

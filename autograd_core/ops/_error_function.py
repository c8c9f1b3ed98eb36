"""The error function and its complement, as formulas that any array namespace evaluates.

W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics of Computation 23, 1969.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..primitive import elementwise
from ._apply import require_real, unary

# erf(x) = x P(x^2) / Q(x^2) for |x| <= 0.5; coefficients from the highest power down
_P_SMALL = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_Q_SMALL = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
# erfc(x) = exp(-x^2) P(x) / Q(x) for 0.5 <= x <= 4
_P_MIDDLE = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_Q_MIDDLE = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
# erfc(x) = exp(-x^2) / x * (1 / sqrt(pi) - z P(z) / Q(z)), z = x^-2, for x >= 4
_P_LARGE = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_Q_LARGE = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)
# Cody divides at 0.46875; at 0.5, where erf and erfc exchange sizes, 1 - erfc loses nothing, and P / Q still holds
_SMALL, _MIDDLE = 0.5, 4.0


def polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's rule, from the highest coefficient down."""
    y = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        y = y * x + c
    return y


def _small(xp: Any, x: Any) -> Any:
    """erf(x) for |x| <= 0.5, where it has no cancellation."""
    x = xp.minimum(xp.maximum(x, -_SMALL), _SMALL)
    z = x * x
    return x * (polynomial(z, _P_SMALL) / polynomial(z, _Q_SMALL))


def _gaussian(xp: Any, x: Any) -> Any:
    """exp(-x^2), the square split in two so that its rounding error is not magnified."""
    head = xp.trunc(x * 16.0) * 0.0625
    return xp.exp(-head * head) * xp.exp((head - x) * (head + x))


def erf_formula(xp: Any, x: Any) -> Any:
    """erf(x) in the functions of ``xp``, for the formulas that contain it."""
    # erfc(6) is below half a unit in the last place of 1: beyond, erf is 1
    magnitude = xp.minimum(xp.maximum(xp.abs(x), _SMALL), 6.0)
    tail = xp.exp(-magnitude * magnitude) * (polynomial(magnitude, _P_MIDDLE) / polynomial(magnitude, _Q_MIDDLE))
    return xp.where(xp.abs(x) <= _SMALL, _small(xp, x), xp.copysign(1.0 - tail, x))


# erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.8326, beyond which it is 1 in single precision: fitted for the least greatest
# relative error, 2.1e-8; Q's constant term is 1
_P_SINGLE = (2.290486988e-4, 3.408357479e-3, 5.095589736e-2, 1.852104554e-1, 1.1283791436)
_Q_SINGLE = (-1.179106727e-7, 2.354744037e-5, 1.017971206e-3, 1.407061051e-2, 1.109858605e-1, 4.974711417e-1, 1.0)
_SATURATED = 3.8326


def single_erf_formula(xp: Any, x: Any) -> Any:
    """erf(x) for formulas in single precision: at most 7 units in the last place off, and half the work of ``erf``."""
    x = xp.minimum(xp.maximum(x, -_SATURATED), _SATURATED)
    z = x * x
    y = x * (polynomial(z, _P_SINGLE) / polynomial(z, _Q_SINGLE))
    return xp.minimum(xp.maximum(y, -1.0), 1.0)


def _scaled_tail(xp: Any, x: Any) -> Any:
    """exp(x^2) erfc(x) for x >= 0.5."""
    middle = xp.minimum(x, _MIDDLE)
    large = xp.maximum(x, _MIDDLE)
    r = 1.0 / large
    z = r * r
    far = (1.0 / math.sqrt(math.pi) - z * (polynomial(z, _P_LARGE) / polynomial(z, _Q_LARGE))) * r
    near = polynomial(middle, _P_MIDDLE) / polynomial(middle, _Q_MIDDLE)
    return xp.where(x <= _MIDDLE, near, far)


def erfcx_formula(xp: Any, x: Any) -> Any:
    """exp(x^2) erfc(x) in the functions of ``xp``, for the formulas that contain it."""
    tail = _scaled_tail(xp, xp.maximum(xp.abs(x), _SMALL))
    inner = xp.minimum(xp.maximum(x, -_SMALL), _SMALL)
    left = xp.maximum(xp.minimum(x, 0.0), -30.0)  # beyond -26.7 the result overflows
    near = xp.exp(inner * inner) * (1.0 - _small(xp, inner))
    return xp.where(xp.abs(x) <= _SMALL, near, xp.where(x < 0, 2.0 / _gaussian(xp, left) - tail, tail))


def erfc_formula(xp: Any, x: Any) -> Any:
    """erfc(x) in the functions of ``xp``, for the formulas that contain it."""
    magnitude = xp.minimum(xp.maximum(xp.abs(x), _SMALL), 30.0)
    tail = _gaussian(xp, magnitude) * _scaled_tail(xp, magnitude)
    return xp.where(xp.abs(x) <= _SMALL, 1.0 - _small(xp, x), xp.where(x < 0, 2.0 - tail, tail))


def _slope(x: Any) -> Any:
    return (-(x * x)).exp() * (2 / math.sqrt(math.pi))


erf_p = elementwise("erf", erf_formula, partials=(lambda x: _slope(x),))


def erf(x: Any, /) -> Any:
    """Element-wise error function: y = 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x.

    x: real dtype, kept; integers as float32. Computed in the dtype of ``x``, within 4 units in the last place in
    float32 and in float64. Cody 1969.

    >>> import autograd_core as ag
    >>> ag.round(ag.erf(ag.tensor([0.0, 0.5, -2.0])), decimals=4)
    tensor([ 0.    ,  0.5205, -0.9953])
    """
    require_real("erf", x)
    return unary(erf_p, x, floating=True)


erfc_p = elementwise("erfc", erfc_formula, partials=(lambda x: -_slope(x),))


def erfc(x: Any, /) -> Any:
    """Element-wise complement of the error function: y = 1 - erf(x), accurate where that difference is tiny.

    x: real dtype, kept; integers as float32. Computed in the dtype of ``x``, within 12 units in the last place in
    float32 and in float64. Cody 1969.

    >>> import autograd_core as ag
    >>> ag.round(ag.erfc(ag.tensor([0.0, 1.0, -2.0])), decimals=4)
    tensor([1.    , 0.1573, 1.9953])
    """
    require_real("erfc", x)
    return unary(erfc_p, x, floating=True)

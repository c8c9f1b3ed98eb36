"""The normal distribution: its cumulative probability, the logarithm and the inverse of that, and what these stand on.

Source of the inverse: M. J. Wichura, Algorithm AS 241, the percentage points of the normal distribution, Applied
Statistics 37, 1988.
"""

from __future__ import annotations

import math
from typing import Any

from ..primitive import elementwise
from ._apply import require_real, unary
from ._error_function import erfc_formula, erfcx_formula, polynomial
from .exponential import exp
from .selection import where

__all__ = ["erfinv", "erfcx", "ndtr", "ndtri", "log_ndtr"]

# of the quantile at 0.5 + q: q P(r) / Q(r) with r = 0.180625 - q^2, for |q| <= 0.425; from the highest power down
_P_CENTRE = (
    2.5090809287301226727e3,
    3.3430575583588128105e4,
    6.7265770927008700853e4,
    4.5921953931549871457e4,
    1.3731693765509461125e4,
    1.9715909503065514427e3,
    1.3314166789178437745e2,
    3.3871328727963666080e0,
)
_Q_CENTRE = (
    5.2264952788528545610e3,
    2.8729085735721942674e4,
    3.9307895800092710610e4,
    2.1213794301586595867e4,
    5.3941960214247511077e3,
    6.8718700749205790830e2,
    4.2313330701600911252e1,
    1.0,
)
# with r = sqrt(-ln(tail)): P(r - 1.6) / Q(r - 1.6) for r <= 5
_P_TAIL = (
    7.74545014278341407640e-4,
    2.27238449892691845833e-2,
    2.41780725177450611770e-1,
    1.27045825245236838258e0,
    3.64784832476320460504e0,
    5.76949722146069140550e0,
    4.63033784615654529590e0,
    1.42343711074968357734e0,
)
_Q_TAIL = (
    1.05075007164441684324e-9,
    5.47593808499534494600e-4,
    1.51986665636164571966e-2,
    1.48103976427480074590e-1,
    6.89767334985100004550e-1,
    1.67638483018380384940e0,
    2.05319162663775882187e0,
    1.0,
)
# P(r - 5) / Q(r - 5) beyond
_P_FAR = (
    2.01033439929228813265e-7,
    2.71155556874348757815e-5,
    1.24266094738807843860e-3,
    2.65321895265761230930e-2,
    2.96560571828504891230e-1,
    1.78482653991729133580e0,
    5.46378491116411436990e0,
    6.65790464350110377720e0,
)
_Q_FAR = (
    2.04426310338993978564e-15,
    1.42151175831644588870e-7,
    1.84631831751005468180e-5,
    7.86869131145613259100e-4,
    1.48753612908506148525e-2,
    1.36929880922735805310e-1,
    5.99832206555887937690e-1,
    1.0,
)


def _quantile(xp: Any, q: Any, tail: Any) -> Any:
    """The point below which a standard normal number is with probability 0.5 + q; tail = 0.5 - |q|, exactly."""
    inner = xp.minimum(xp.maximum(q, -0.425), 0.425)
    r = 0.180625 - inner * inner
    centre = inner * (polynomial(r, _P_CENTRE) / polynomial(r, _Q_CENTRE))
    r = xp.sqrt(-xp.log(tail))
    near = xp.minimum(r, 5.0) - 1.6
    far = xp.minimum(xp.maximum(r, 5.0), 30.0) - 5.0
    outer = xp.where(
        r <= 5.0,
        polynomial(near, _P_TAIL) / polynomial(near, _Q_TAIL),
        polynomial(far, _P_FAR) / polynomial(far, _Q_FAR),
    )
    outer = xp.where(tail == 0, math.inf, outer)
    return xp.where(xp.abs(q) <= 0.425, centre, xp.copysign(outer, q))


erfinv_p = elementwise(
    "erfinv",
    lambda xp, x: _quantile(xp, 0.5 * x, 0.5 - 0.5 * xp.abs(x)) * math.sqrt(0.5),
    partials=(lambda y: exp(y * y) * (math.sqrt(math.pi) / 2),),
    singular=True,
)


def erfinv(x: Any, /) -> Any:
    """Element-wise inverse of the error function: erf(y) = x; infinite at -1 and 1, NaN beyond.

    x: real dtype, kept; integers as float32. Within 8 units in the last place in float32 and in float64. PyTorch;
    Wichura 1988.

    >>> import autograd_core as ag
    >>> ag.round(ag.erfinv(ag.tensor([0.0, 0.5, -1.0])), decimals=4)
    tensor([0.    , 0.4769,   -inf])
    """
    require_real("erfinv", x)
    return unary(erfinv_p, x, floating=True)


def _erfcx_slope(x: Any, y: Any) -> Any:
    # 2 x y and 2 / sqrt(pi) cancel at large x; the series of their difference in x^-2
    z = where(x > 50, x, 50) ** -2
    series = z * (-1 + z * (1.5 + z * (-3.75 + z * (13.125 - z * 59.0625)))) * (1 / math.sqrt(math.pi))
    return where(x > 50, series, 2 * where(x > 50, 0, x) * y - 2 / math.sqrt(math.pi))


erfcx_p = elementwise("erfcx", erfcx_formula, partials=(_erfcx_slope,), singular=True)


def erfcx(x: Any, /) -> Any:
    """Element-wise y = exp(x^2) erfc(x), which neither underflows at large x nor loses digits there.

    x: real dtype, kept; integers as float32. Within 8 units in the last place in float32 and in float64. Overflows
    below -26.6 (-9.3 in float32). PyTorch (special); Cody 1969.

    >>> from autograd_core import special, tensor
    >>> special.erfcx(tensor([0.0, 100.0]))
    tensor([1.        , 0.00564161])
    """
    require_real("erfcx", x)
    return unary(erfcx_p, x, floating=True)


ndtr_p = elementwise(
    "ndtr",
    lambda xp, x: 0.5 * erfc_formula(xp, x * -math.sqrt(0.5)),
    partials=(lambda x: exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)),),
)


def ndtr(x: Any, /) -> Any:
    """Probability that a standard normal number is below x: y = erfc(-x / sqrt(2)) / 2.

    x: real dtype, kept; integers as float32. Within (8 + 2 x^2) units in the last place. PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.ndtr(tensor([0.0, 2.0]))
    tensor([0.5       , 0.97724986])
    """
    require_real("ndtr", x)
    return unary(ndtr_p, x, floating=True)


ndtri_p = elementwise(
    "ndtri",
    lambda xp, x: _quantile(xp, x - 0.5, xp.minimum(x, 1.0 - x)),
    partials=(lambda y: exp(y * y * 0.5) * math.sqrt(2 * math.pi),),
    singular=True,
)


def ndtri(x: Any, /) -> Any:
    """The inverse of ``ndtr``: ndtr(y) = x; infinite at 0 and 1, NaN beyond.

    x: real dtype, kept; integers as float32. Within 8 units in the last place in float32 and in float64. PyTorch
    (special); Wichura 1988.

    >>> from autograd_core import special, tensor
    >>> special.ndtri(tensor([0.5, 0.97724986]))
    tensor([0.       , 1.9999999])
    """
    require_real("ndtri", x)
    return unary(ndtri_p, x, floating=True)


def _log_ndtr(xp: Any, x: Any) -> Any:
    left = xp.minimum(x, -1.0)
    right = xp.maximum(x, -1.0)
    far = xp.log(0.5 * erfcx_formula(xp, left * -math.sqrt(0.5))) - left * left * 0.5
    return xp.where(x < -1.0, far, xp.log1p(-0.5 * erfc_formula(xp, right * math.sqrt(0.5))))


log_ndtr_p = elementwise(
    "log_ndtr",
    _log_ndtr,
    # the density over the probability
    partials=(lambda x: erfcx(x * -math.sqrt(0.5)).reciprocal() * math.sqrt(2 / math.pi),),
)


def log_ndtr(x: Any, /) -> Any:
    """Logarithm of ``ndtr``, accurate in both tails: about -x^2 / 2 far to the left, -ndtr(-x) far to the right.

    x: real dtype, kept; integers as float32. Within 8 units in the last place for x < 0, (8 + 2 x^2) units for x > 0.
    PyTorch (special).

    >>> from autograd_core import special, tensor
    >>> special.log_ndtr(tensor([0.0, -100.0]))
    tensor([-6.9314718e-01, -5.0055244e+03])
    """
    require_real("log_ndtr", x)
    return unary(log_ndtr_p, x, floating=True)

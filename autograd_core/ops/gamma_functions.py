"""The logarithm of the gamma function and its derivatives of every order.

Arguments below 1/2 are reflected, small ones moved to where a series holds, large ones go through Stirling's series.
Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1, 6.3, 6.4 and 23.2; Hurwitz's zeta function by
the summation formula of Euler and Maclaurin.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError
from ..primitive import Elementwise, bind, elementwise
from ._apply import as_tensor, require_real, unary
from ._error_function import polynomial

__all__ = ["lgamma", "digamma", "polygamma", "multigammaln"]

# Bernoulli's numbers B_2, B_4, ... B_28
_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
    854513 / 138,
    -236364091 / 2730,
    8553103 / 6,
    -23749461029 / 870,
)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))[::-1]
_STIRLING_SLOPE = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))[::-1]
_LARGE = 6.5  # from here on these series are exact to the last digits

# log gamma(2 + z) = z (1 - Euler's constant + sum (-1)^k (zeta(k) - 1) / k z^(k-1)), from the highest power down
_AROUND_TWO = (
    3.10442477473222728e-11,
    -6.42296456383810002e-11,
    1.33047643742444895e-10,
    -2.75952288512423315e-10,
    5.73136724167886201e-10,
    -1.19214014058609121e-9,
    2.48367454380247832e-9,
    -5.18347504197004666e-9,
    1.08386592148969541e-8,
    -2.27110946089431649e-8,
    4.76981016936398057e-8,
    -1.00432248239680996e-7,
    2.12071848055546659e-7,
    -4.49246919876456604e-7,
    9.55141213040741983e-7,
    -2.03921575380136624e-6,
    4.3748667899074878e-6,
    -9.4394882752683959e-6,
    2.05072127756706916e-5,
    -4.49262367381331417e-5,
    9.94575127818085337e-5,
    -2.2315475845357938e-4,
    5.09669524743042422e-4,
    -1.19275391170326098e-3,
    2.89051033074152329e-3,
    -7.38555102867398527e-3,
    2.05808084277845479e-2,
    -6.73523010531980951e-2,
    3.22467033424113218e-1,
    4.22784335098467139e-1,
)
_ALL_WHOLE = -(2.0**53)  # below, every floating number is a whole one, and a pole


def _distance(xp: Any, x: Any) -> Any:
    """How far x is from the next whole number, exactly: sin(pi x) = 0 there and nowhere else."""
    return xp.where(x == 0, x, x - xp.rint(x))  # which keeps the sign of a 0


def _lgamma(xp: Any, x: Any) -> Any:
    x = xp.maximum(x, _ALL_WHOLE)
    w = xp.where(x < 0.5, 1.0 - x, x)
    # down to [1.5, 2.5] by gamma(m) = (m - 1) gamma(m - 1); up from [0.5, 1.5] by gamma(m) = gamma(m + 1) / m
    m, factor = xp.minimum(w, _LARGE), 1.0
    for _ in range(4):
        over = m > 2.5
        m = xp.where(over, m - 1.0, m)
        factor = xp.where(over, factor * m, factor)
    below = m < 1.5
    z = xp.where(below, m - 1.0, m - 2.0)
    middle = z * polynomial(z, _AROUND_TWO) + xp.where(below, -xp.log1p(z), xp.log(factor))
    v = xp.maximum(w, _LARGE)
    r = 1.0 / v
    far = (v - 0.5) * (xp.log(v) - 1.0) + (0.5 * math.log(2 * math.pi) - 0.5) + r * polynomial(r * r, _STIRLING)
    y = xp.where(w < _LARGE, middle, far)
    reflected = xp.log(math.pi / xp.abs(xp.sin(math.pi * _distance(xp, x)))) - y
    return xp.where(x < 0.5, reflected, y)


lgamma_p = elementwise("lgamma", _lgamma, partials=(lambda x: digamma(x),), singular=True)


def lgamma(x: Any, /) -> Any:
    """Logarithm of the absolute value of the gamma function: y = ln|gamma(x)|; infinite at 0, -1, -2, ...

    x: real dtype, kept; integers as float32. For x > 0 within 8 units in the last place in float32 and in float64, for
    x < 0 of max(|y|, 1). dy/dx = digamma(x). PyTorch; ``gammaln`` in SciPy.

    >>> import autograd_core as ag
    >>> ag.round(ag.lgamma(ag.tensor([1.0, 0.5, 10.0])), decimals=4)
    tensor([ 0.    ,  0.5724, 12.8018])
    """
    require_real("lgamma", x)
    return unary(lgamma_p, x, floating=True)


def _digamma(xp: Any, x: Any) -> Any:
    x = xp.maximum(x, _ALL_WHOLE)
    w = xp.where(x < 0.5, 1.0 - x, x)
    v, shift = w, 0.0
    for _ in range(6):
        shift = shift + 1.0 / v
        v = v + 1.0
    r = 1.0 / v
    y = xp.log(v) - 0.5 * r - r * r * polynomial(r * r, _STIRLING_SLOPE) - shift
    d = _distance(xp, x)
    reflected = xp.where((d == 0) & (x < 0), math.nan, y - math.pi / xp.tan(math.pi * d))
    return xp.where(x < 0.5, reflected, y)


digamma_p = elementwise("digamma", _digamma, partials=(lambda x: polygamma(1, x),), singular=True)


def digamma(x: Any, /) -> Any:
    """Slope of ``lgamma``: y = gamma'(x) / gamma(x); -inf at 0, NaN at -1, -2, ...

    x: real dtype, kept; integers as float32. Within 8 units in the last place of max(|y|, 1), for x > 0. PyTorch;
    ``psi`` in SciPy.

    >>> import autograd_core as ag
    >>> ag.round(ag.digamma(ag.tensor([1.0, 0.5])), decimals=4)
    tensor([-0.5772, -1.9635])
    """
    require_real("digamma", x)
    return unary(digamma_p, x, floating=True)


def _zeta(s: int, w: Any) -> Any:
    """Hurwitz's zeta function sum_k (w + k)^-s for w > 0: some terms, the integral over the rest, corrections."""
    v, total = w, 0.0
    for _ in range(8 + s // 2):
        total = total + v**-s
        v = v + 1.0
    r = 1.0 / v
    z = r * r
    corrections = 0.0
    for k in range(len(_BERNOULLI), 0, -1):
        rising = math.prod(range(s, s + 2 * k - 1)) / math.factorial(2 * k)
        corrections = corrections * z + _BERNOULLI[k - 1] * rising
    return total + r ** (s - 1) * (1.0 / (s - 1) + 0.5 * r + z * corrections)


def _cotangent_derivative(n: int) -> tuple[int, ...]:
    """d^n/du^n cot u as a polynomial in c = cot u: every second coefficient, from the highest down; the sign is (-1)^n.

    With c' = -(1 + c^2), the polynomial P becomes -(1 + c^2) P'.
    """
    coefficients = {1: 1}
    for _ in range(n):
        following: dict[int, int] = {}
        for power, c in coefficients.items():
            for raised in (power - 1, power + 1):
                if power:
                    following[raised] = following.get(raised, 0) + power * c
        coefficients = following
    return tuple(coefficients[power] for power in sorted(coefficients, reverse=True))


def _polygamma(xp: Any, x: Any, *, n: int) -> Any:
    x = xp.maximum(x, _ALL_WHOLE)
    sign = 1.0 if n % 2 else -1.0
    positive = float(math.factorial(n)) * _zeta(n + 1, xp.where(x < 0, 1.0 - x, x))
    d = _distance(xp, x)
    c = 1.0 / xp.tan(math.pi * d)
    first, *others = _cotangent_derivative(n)
    slope = float(first)
    for coefficient in others:
        slope = slope * (c * c) + float(coefficient)
    if n % 2 == 0:
        slope = xp.where(d == 0, math.nan, slope * c)
    return xp.where(x < 0, (sign * math.pi ** (n + 1)) * slope - positive, sign * positive)


polygamma_p: Elementwise = elementwise(
    "polygamma", _polygamma, partials=(lambda x, n: bind(polygamma_p, (x,), {"n": n + 1}),), singular=True
)


def polygamma(n: int, x: Any, /) -> Any:
    """The ``n``-th derivative of ``digamma``: y = (-1)^(n+1) n! sum_k (x + k)^-(n+1) for n >= 1; ``digamma`` for n = 0.

    x: real dtype, kept; integers as float32. Within 8 units in the last place for x > 0 and n up to 12. Infinite at
    0, -1, -2, ... for odd n, NaN there for even n but at 0. ArgumentError unless n is an int of at least 0. PyTorch.

    >>> import autograd_core as ag
    >>> ag.round(ag.polygamma(1, ag.tensor([1.0, 2.0])), decimals=4)
    tensor([1.6449, 0.6449])
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ArgumentError(f"polygamma: n, the order of the derivative, must be an int of at least 0, got {n!r}")
    if n == 0:
        return digamma(x)
    require_real("polygamma", x)
    return unary(polygamma_p, x, floating=True, n=n)


def multigammaln(x: Any, p: int, /) -> Any:
    """Logarithm of the gamma function of p dimensions: y = p(p-1)/4 ln(pi) + sum_j lgamma(x - (j-1)/2), j = 1 ... p.

    x: real dtype, greater than (p-1)/2; integers as float32. ArgumentError unless p is an int of at least 1.
    PyTorch; ``mvlgamma`` there.

    >>> from autograd_core import special, tensor
    >>> special.multigammaln(tensor([3.0]), 1)
    tensor([0.6931472])
    """
    if not isinstance(p, int) or isinstance(p, bool) or p < 1:
        raise ArgumentError(f"multigammaln: p, the number of dimensions, must be an int of at least 1, got {p!r}")
    x = as_tensor("multigammaln", x)
    total = lgamma(x)
    for j in range(1, p):
        total = total + lgamma(x - 0.5 * j)
    return total + p * (p - 1) / 4 * math.log(math.pi)

"""Activation functions of neural networks, under PyTorch's names, arguments and defaults; more of them in ``units``.

``inplace`` is taken where PyTorch takes it, and changes nothing: a tensor is a value, the result is what is returned.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..aval import DEFAULT_INT
from ..errors import ArgumentError
from ..primitive import Elementwise, bind, elementwise
from ._apply import as_tensor, require_real, to_float, unary, unary_in_single
from ._error_function import erf_formula, single_erf_formula
from .arithmetic import add
from .exponential import exp
from .selection import clip, where

__all__ = [
    "sigmoid",
    "logsigmoid",
    "softplus",
    "silu",
    "mish",
    "gelu",
    "relu",
    "leaky_relu",
    "threshold",
    "hardtanh",
    "relu6",
    "hardsigmoid",
    "hardswish",
]


def of_reals(op: str, primitive: Elementwise, x: Any, **params: Any) -> Any:
    """``unary`` for what is defined by an order or a real formula: DTypeError for complex numbers."""
    x = as_tensor(op, x)
    if x.dtype.kind == "c":
        require_real(op, x)
    return unary(primitive, x, floating=True, **params)


# --------------------------------------------------------------------------------- of the logistic family

# the operand is named s: in a rule, y would be the output
sigmoid_slope_p = elementwise("sigmoid_slope", lambda xp, s: s * (1.0 - s), partials=(lambda s: 1 - (s + s),))
sigmoid_p = elementwise(
    "sigmoid", lambda xp, x: 1.0 / (1.0 + xp.exp(-x)), partials=(lambda y: bind(sigmoid_slope_p, (y,), {}),)
)


def sigmoid(input: Any) -> Any:
    """Logistic function: y = 1 / (1 + e^-x), dy/dx = y (1 - y). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.sigmoid(ag.tensor([0.0, 100.0]))
    tensor([0.5, 1. ])
    """
    return unary(sigmoid_p, input, floating=True)


logsigmoid_p = elementwise(
    "logsigmoid",
    lambda xp, x: xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x))),
    partials=(lambda x: sigmoid(-x),),
)


def logsigmoid(input: Any) -> Any:
    """Logarithm of the logistic function: y = -ln(1 + e^-x), finite for every finite x. Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.logsigmoid(ag.tensor([200.0, -200.0]))
    tensor([   0., -200.])
    """
    return of_reals("logsigmoid", logsigmoid_p, input)


softplus_slope_p = elementwise(
    "softplus_slope",
    lambda xp, x, *, beta, threshold: xp.where(x * beta > threshold, 1.0, 1.0 / (1.0 + xp.exp(x * -beta))),
    partials=(lambda y, beta: bind(sigmoid_slope_p, (y,), {}) * beta,),
)
softplus_p = elementwise(
    "softplus",
    lambda xp, x, *, beta, threshold: xp.where(
        x * beta > threshold, x, (xp.maximum(x * beta, 0) + xp.log1p(xp.exp(-xp.abs(x * beta)))) / beta
    ),
    partials=(lambda x, beta, threshold: bind(softplus_slope_p, (x,), {"beta": beta, "threshold": threshold}),),
)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Smooth rectifier: y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold. Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.softplus(ag.tensor([100.0, -200.0]))
    tensor([100.,   0.])
    """
    if beta == 0:
        raise ArgumentError("softplus: beta must not be 0")
    return of_reals("softplus", softplus_p, input, beta=float(beta), threshold=float(threshold))


def _silu_slope(xp: Any, x: Any) -> Any:
    s = 1.0 / (1.0 + xp.exp(-x))
    return s * (1.0 + x * (1.0 - s))


def _silu_curvature(x: Any) -> Any:
    s = sigmoid(x)
    return bind(sigmoid_slope_p, (s,), {}) * (2 + x * (1 - (s + s)))


silu_slope_p = elementwise("silu_slope", _silu_slope, partials=(_silu_curvature,))
silu_p = elementwise("silu", lambda xp, x: x / (1.0 + xp.exp(-x)), partials=(lambda x: bind(silu_slope_p, (x,), {}),))


def silu(input: Any, inplace: bool = False) -> Any:
    """Sigmoid-weighted linear unit (swish): y = x / (1 + e^-x). Integers as float32.

    Elfwing, Uchibe and Doya, Sigmoid-weighted linear units, 2018.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.silu(ag.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """
    return unary(silu_p, input, floating=True)


# tanh(softplus(x)) = n / (n + 2) with n = e^x (e^x + 2); beyond 20 it is 1 in double precision. What is left of its
# slope there, kept from underflow with e^x from overflow, must not be multiplied by a large x.


def _mish(xp: Any, x: Any) -> Any:
    e = xp.exp(xp.minimum(x, 20.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


def _mish_slope(xp: Any, x: Any) -> Any:
    x = xp.minimum(x, 20.0)
    e = xp.exp(x)
    n = e * (e + 2.0)
    m = n + 2.0
    return n / m + 4.0 * x * (e * (e + 1.0) / m / m)


def _mish_curvature(x: Any) -> Any:
    x = clip(x, None, 20.0)
    e = exp(x)
    a, m = e * (e + 1), e * (e + 2) + 2
    first = 4 * a / m / m
    second = 4 * (a + e * e) / m / m - 4 * a * first / m
    return first + first + x * second


mish_slope_p = elementwise("mish_slope", _mish_slope, partials=(_mish_curvature,))
mish_p = elementwise("mish", _mish, partials=(lambda x: bind(mish_slope_p, (x,), {}),))


def mish(input: Any, inplace: bool = False) -> Any:
    """Self-regularised smooth rectifier: y = x tanh(softplus(x)). Integers as float32.

    Misra, Mish: a self regularized non-monotonic activation function, 2019.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.mish(ag.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """
    x = as_tensor("mish", input)
    require_real("mish", x)
    return unary_in_single(mish_p, x)


# -------------------------------------------------------------------------------------------- gelu
# Both forms are y = x s(x), so a slope s + x s' finds s again as y / x: a division instead of an erf. There y is only
# a memory of gelu(x): the whole derivative of the slope is stated for x, none for y. Where x is subnormal in half
# precision, y has lost digits that x still has, and s is its Taylor polynomial.

_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_TWICE_SQRT_2_OVER_PI = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _share(xp: Any, x: Any, gelu_x: Any, cubic: float) -> Any:
    """gelu(x) / x, near 0 as 1 / 2 + x / sqrt(2 pi) - cubic x^3."""
    return xp.where(xp.abs(x) < 2.0**-14, 0.5 + x * (_DENSITY - cubic * x * x), gelu_x / x)


def _normal_density(x: Any) -> Any:
    return exp(x * x * -0.5) * _DENSITY


gelu_slope_p = elementwise(
    "gelu_slope",
    lambda xp, x, gelu_x: _share(xp, x, gelu_x, _DENSITY / 6) + x * (xp.exp(x * x * -0.5) * _DENSITY),
    partials=(lambda x: _normal_density(x) * (2 - x * x), 0),
)
gelu_p = elementwise(
    "gelu",
    lambda xp, x: 0.5 * x * (1.0 + erf_formula(xp, x * _SQRT_HALF)),
    partials=(lambda x, y: bind(gelu_slope_p, (x, y), {}),),
)
single_gelu_p = elementwise(
    "single_gelu",
    lambda xp, x: 0.5 * x * (1.0 + single_erf_formula(xp, x * _SQRT_HALF)),
    partials=(lambda x, y: bind(gelu_slope_p, (x, y), {}),),
)


def _tanh_gelu_slope(xp: Any, x: Any, gelu_x: Any) -> Any:
    s = _share(xp, x, gelu_x, (_TWICE_SQRT_2_OVER_PI**2 / 12 - _CUBIC) * _DENSITY)
    return s + x * s * (1.0 - s) * (_TWICE_SQRT_2_OVER_PI * (1.0 + 3.0 * _CUBIC * x * x))


def _tanh_gelu_curvature(x: Any) -> Any:
    s = sigmoid(_TWICE_SQRT_2_OVER_PI * (x + _CUBIC * x * x * x))
    rate = _TWICE_SQRT_2_OVER_PI * (1 + 3 * _CUBIC * x * x)
    slope = bind(sigmoid_slope_p, (s,), {})
    first = slope * rate
    second = first * (1 - (s + s)) * rate + slope * (6 * _CUBIC * _TWICE_SQRT_2_OVER_PI * x)
    return first + first + x * second


tanh_gelu_slope_p = elementwise("tanh_gelu_slope", _tanh_gelu_slope, partials=(_tanh_gelu_curvature, 0))
# (1 + tanh(u)) / 2 = 1 / (1 + e^-2u)
tanh_gelu_p = elementwise(
    "tanh_gelu",
    lambda xp, x: x / (1.0 + xp.exp(x * (-_TWICE_SQRT_2_OVER_PI - _TWICE_SQRT_2_OVER_PI * _CUBIC * x * x))),
    partials=(lambda x, y: bind(tanh_gelu_slope_p, (x, y), {}),),
)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit: y = x Phi(x), Phi the normal distribution function. Integers as float32.

    approximate: "none" for x (1 + erf(x / sqrt 2)) / 2; "tanh" for
    x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. ArgumentError for other words. In float32 off by 1e-6 at most.
    Hendrycks and Gimpel, Gaussian error linear units, 2016.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.gelu(ag.tensor([0.0, 100.0]))
    tensor([  0., 100.])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    x = as_tensor("gelu", input)
    exact = gelu_p if x.dtype == np.float64 else single_gelu_p
    return of_reals("gelu", exact if approximate == "none" else tanh_gelu_p, x)


# -------------------------------------------------------------------------------------- piecewise linear

where_positive_p: Elementwise = elementwise(
    "where_positive",
    lambda xp, c, x: xp.where(x > 0, c, 0),
    partials=(lambda g, x: bind(where_positive_p, (g, x), {}), 0),
    signals=False,
)
relu_p = elementwise(
    "relu",
    lambda xp, x: xp.maximum(x, 0),
    partials=(lambda g, y: bind(where_positive_p, (g, y), {}),),
    result=lambda x: DEFAULT_INT if x.kind == "b" else x,
    signals=False,
)


def relu(input: Any, inplace: bool = False) -> Any:
    """Rectified linear unit: y = max(x, 0), with slope 0 at 0. Integers keep their dtype.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.relu(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = as_tensor("relu", input)
    if x.dtype.kind == "c":
        require_real("relu", x)
    return unary(relu_p, x)


leak_p: Elementwise = elementwise(
    "leak",
    lambda xp, c, x, *, negative_slope: xp.where(x > 0, c, c * negative_slope),
    partials=(lambda g, x, negative_slope: bind(leak_p, (g, x), {"negative_slope": negative_slope}), 0),
    signals=False,
)
leaky_relu_p = elementwise(
    "leaky_relu",
    lambda xp, x, *, negative_slope: xp.where(x > 0, x, x * negative_slope),
    partials=(lambda g, x, negative_slope: bind(leak_p, (g, x), {"negative_slope": negative_slope}),),
    signals=False,
)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Leaky rectified linear unit: y = x for x > 0, negative_slope x elsewhere. Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.leaky_relu(ag.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5,  2. ])
    """
    return of_reals("leaky_relu", leaky_relu_p, input, negative_slope=float(negative_slope))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """y = x where x > threshold, ``value`` elsewhere.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.threshold(ag.tensor([0.5, 2.0]), 1.0, -1.0)
    tensor([-1.,  2.])
    """
    x = as_tensor("threshold", input)
    return where(x <= threshold, value, x)


between_p: Elementwise = elementwise(
    "between",
    lambda xp, c, x, *, low, high: xp.where((x > low) & (x < high), c, 0),
    partials=(lambda g, x, low, high: bind(between_p, (g, x), {"low": low, "high": high}), 0),
    signals=False,
)
hardtanh_p = elementwise(
    "hardtanh",
    lambda xp, x, *, low, high: xp.minimum(xp.maximum(x, low), high),
    partials=(lambda g, x, low, high: bind(between_p, (g, x), {"low": low, "high": high}),),
    signals=False,
)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """y = x limited to [min_val, max_val], with slope 0 at the limits (1 in ``ag.clip``). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.hardtanh(ag.tensor([-3.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    return of_reals("hardtanh", hardtanh_p, input, low=float(min_val), high=float(max_val))


def relu6(input: Any, inplace: bool = False) -> Any:
    """Rectified linear unit with a ceiling: y = min(max(x, 0), 6). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.relu6(ag.tensor([-1.0, 2.0, 8.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Piecewise linear sigmoid: y = min(max(x + 3, 0), 6) / 6. Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.hardsigmoid(ag.tensor([-4.0, 0.0, 4.0]))
    tensor([0. , 0.5, 1. ])
    """
    return relu6(add(input, 3)) / 6


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Piecewise swish: y = x min(max(x + 3, 0), 6) / 6. Integers as float32.

    Howard et al., Searching for MobileNetV3, 2019.

    >>> import autograd_core as ag
    >>> from autograd_core.ops import activation as F
    >>> F.hardswish(ag.tensor([-4.0, 1.5, 4.0]))
    tensor([-0.   ,  1.125,  4.   ])
    """
    x = to_float(as_tensor("hardswish", input))
    return x * relu6(x + 3) / 6

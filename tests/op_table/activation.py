"""Cases of activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import activation, units
from autograd_core.ops.trigonometric import tanh_slope_p
from autograd_core.primitive import Elementwise, bind

from .arithmetic import by_elements
from .case import OpCase, normal, operands
from .selection import steps


def case(
    name: str,
    reference: Callable[[float], float],
    variant: str = "",
    draw: Any = None,
    no_torch: str = "",
    **arguments: Any,
) -> OpCase:
    def of_torch(torch: Any, x: Any) -> Any:
        return (torch if name == "sigmoid" else torch.nn.functional).__dict__[name](x, **arguments)

    return OpCase(
        name + variant,
        lambda x: getattr(activation if hasattr(activation, name) else units, name)(x, **arguments),
        operands(draw or steps(3, 5)),
        by_elements(reference),
        None if no_torch else of_torch,
        no_torch=no_torch,
        elementwise=1,
    )


def slope(primitive: Elementwise, reference: Callable[..., float], *draws: Any, **params: Any) -> OpCase:
    """A derivative that is a primitive of its own."""
    return OpCase(
        primitive.name,
        lambda *xs: bind(primitive, xs, params),
        operands(*draws),
        by_elements(reference),
        no_torch="an inner step of the rules",
    )


def cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def tanh_gelu(x: float) -> float:
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def tanh_gelu_slope(x: float) -> float:
    c = math.sqrt(2 / math.pi)
    t = math.tanh(c * (x + 0.044715 * x**3))
    return (1 + t) / 2 + x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x) / 2


def elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * (math.exp(x) - 1)


CASES = [
    case("sigmoid", logistic),
    case("logsigmoid", lambda x: math.log(logistic(x))),
    case("softplus", lambda x: math.log(1 + math.exp(x))),
    case(
        "softplus", lambda x: math.log(1 + math.exp(3 * x)) / 3 if 3 * x <= 2 else x, "/beta", beta=3.0, threshold=2.0
    ),
    case("silu", lambda x: x * logistic(x)),
    case("mish", lambda x: x * math.tanh(math.log(1 + math.exp(x)))),
    case("gelu", lambda x: x * cdf(x)),
    case("gelu", tanh_gelu, "/tanh", approximate="tanh"),
    case("relu", lambda x: max(x, 0.0)),
    case("leaky_relu", lambda x: max(x, 0.01 * x)),
    case("leaky_relu", lambda x: x if x > 0 else -2 * x, "/negative", negative_slope=-2.0),
    case("threshold", lambda x: x if x > 0.5 else -7.0, threshold=0.5, value=-7.0),
    case("hardtanh", lambda x: min(max(x, -1.0), 1.0)),
    case("hardtanh", lambda x: min(max(x, -0.5), 2.0), "/limits", min_val=-0.5, max_val=2.0),
    case("relu6", lambda x: min(max(x, 0.0), 6.0), draw=lambda rng: 4 * steps(3, 5)(rng)),
    case(
        "hardsigmoid",
        lambda x: min(max(x + 3, 0.0), 6.0) / 6,
        draw=lambda rng: 2 * steps(3, 5)(rng),
        no_torch="PyTorch's gradient in double precision is 1/6 rounded to single precision",
    ),
    case("hardswish", lambda x: x * min(max(x + 3, 0.0), 6.0) / 6, draw=lambda rng: 2 * steps(3, 5)(rng)),
    case("elu", elu),
    case("elu", lambda x: elu(x, 0.7), "/alpha", alpha=0.7),
    case("selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    case("celu", elu),
    case("celu", lambda x: x if x > 0 else 0.5 * (math.exp(x / 0.5) - 1), "/alpha", alpha=0.5),
    case("softsign", lambda x: x / (1 + abs(x))),
    case("tanhshrink", lambda x: x - math.tanh(x)),
    case("hardshrink", lambda x: x if abs(x) > 0.5 else 0.0),
    case("hardshrink", lambda x: x if abs(x) > 1.0 else 0.0, "/lambd", lambd=1.0),
    case("softshrink", lambda x: math.copysign(max(abs(x) - 0.5, 0.0), x)),
    case("softshrink", lambda x: math.copysign(max(abs(x) - 1.0, 0.0), x), "/lambd", lambd=1.0),
    slope(activation.sigmoid_slope_p, lambda s: s - s * s, normal(5)),
    slope(tanh_slope_p, lambda t: 1 - t * t, normal(5)),
    slope(activation.softplus_slope_p, lambda x: logistic(3 * x), steps(5), beta=3.0, threshold=20.0),
    slope(activation.silu_slope_p, lambda x: logistic(x) * (1 + x * logistic(-x)), steps(5)),
    slope(
        activation.mish_slope_p,
        lambda x: math.tanh(math.log(1 + math.exp(x))) + x * logistic(x) / math.cosh(math.log(1 + math.exp(x))) ** 2,
        steps(5),
    ),
    slope(activation.where_positive_p, lambda c, x: c if x > 0 else 0.0, normal(5), steps(5)),
    slope(activation.leak_p, lambda c, x: c if x > 0 else c / 4, normal(5), steps(5), negative_slope=0.25),
    slope(activation.between_p, lambda c, x: c if -1 < x < 1 else 0.0, normal(5), steps(5), low=-1.0, high=1.0),
]
# gelu's slopes take gelu(x) along as a memory of what was computed: their derivative is that of the pair (x, gelu(x))
CASES += [
    OpCase(
        "gelu_slope",
        lambda x: bind(activation.gelu_slope_p, (x, activation.gelu(x)), {}),
        operands(steps(5)),
        by_elements(lambda x: cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
        no_torch="an inner step of the rules",
    ),
    OpCase(
        "single_gelu",
        lambda x: bind(activation.single_gelu_p, (x,), {}).astype("float32"),
        operands(steps(5)),
        lambda x: by_elements(lambda x: x * cdf(x))(x).astype(np.float32),
        no_torch="gelu, as it is computed in single precision",
        differentiable=(),
        why_not="its derivatives are those of gelu; its rounding is too coarse for finite differences",
    ),
    OpCase(
        "tanh_gelu_slope",
        lambda x: bind(activation.tanh_gelu_slope_p, (x, activation.gelu(x, "tanh")), {}),
        operands(steps(5)),
        by_elements(tanh_gelu_slope),
        no_torch="an inner step of the rules",
    ),
]

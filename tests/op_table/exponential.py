"""Cases of exponentials, logarithms, roots and the error function."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import autograd_core as ag
from autograd_core.ops.exponential import logaddexp_share_p
from autograd_core.primitive import bind

from .arithmetic import away_from_zero, by_elements
from .case import OpCase, normal, operands, uniform


def case(name: str, draw: Callable, reference: Callable[[float], float]) -> OpCase:
    """A function of one operand, compared element by element."""
    return OpCase(
        name,
        getattr(ag, name),
        operands(draw),
        by_elements(reference),
        lambda torch, x: getattr(torch, name)(x),
        elementwise=1,
    )


CASES = [
    case("exp", normal(3, 4), math.exp),
    case("exp2", normal(3, 4), lambda x: 2.0**x),
    case("expm1", uniform(-1e-3, 2.0, 3, 4), math.expm1),
    case("log", uniform(0.2, 4.0, 3, 4), math.log),
    case("log2", uniform(0.2, 4.0, 3, 4), math.log2),
    case("log10", uniform(0.2, 4.0, 3, 4), math.log10),
    case("log1p", uniform(-0.5, 2.0, 3, 4), math.log1p),
    case("sqrt", uniform(0.2, 4.0, 3, 4), math.sqrt),
    case("rsqrt", uniform(0.2, 4.0, 3, 4), lambda x: x**-0.5),
    case("erf", uniform(-3.0, 3.0, 3, 4), math.erf),
    case("erfc", uniform(-3.0, 5.0, 3, 4), math.erfc),
    OpCase(
        "logaddexp",
        ag.logaddexp,
        operands(normal(3, 4), normal(3, 4)),
        by_elements(lambda x, y: math.log(math.exp(x) + math.exp(y))),
        lambda torch, x, y: torch.logaddexp(x, y),
        elementwise=2,
    ),
    OpCase(
        "logaddexp/far apart",
        ag.logaddexp,
        operands(lambda rng: np.array([1000.0, -1000.0]), lambda rng: np.array([-1000.0, -1001.0])),
        lambda x, y: np.array([1000.0, -1000.0 + math.log1p(math.exp(-1))]),
        lambda torch, x, y: torch.logaddexp(x, y),
    ),
    OpCase(
        "logaddexp_share",
        lambda x, y: bind(logaddexp_share_p, (x, y), {}),
        operands(normal(3, 4), normal(3, 4)),
        by_elements(lambda x, y: math.exp(x) / (math.exp(x) + math.exp(y))),
        no_torch="an inner step of the rules",
    ),
    OpCase(
        "logaddexp2",
        ag.logaddexp2,
        operands(normal(3, 4), normal(3, 4)),
        by_elements(lambda x, y: math.log2(2.0**x + 2.0**y)),
        lambda torch, x, y: torch.logaddexp2(x, y),
        elementwise=2,
    ),
    OpCase(
        "cbrt",
        ag.cbrt,
        operands(away_from_zero(3, 4)),
        by_elements(lambda x: math.copysign(abs(x) ** (1 / 3), x)),
        no_torch="has no cube root",
        elementwise=1,
    ),
    OpCase(
        "xlogy",
        ag.xlogy,
        operands(normal(3, 4), uniform(0.2, 4.0, 3, 4)),
        lambda x, y: x * np.log(y),
        lambda torch, x, y: torch.xlogy(x, y),
        elementwise=2,
    ),
    OpCase(
        "xlogy/one operand",
        lambda x: ag.xlogy(x, x),
        operands(uniform(0.2, 4.0, 3, 4)),
        lambda x: x * np.log(x),
        lambda torch, x: torch.xlogy(x, x),
    ),
]

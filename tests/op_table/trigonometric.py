"""Cases of trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import autograd_core as ag

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
    case("sin", normal(3, 4), math.sin),
    case("cos", normal(3, 4), math.cos),
    case("tan", uniform(-1.2, 1.2, 3, 4), math.tan),
    case("asin", uniform(-0.9, 0.9, 3, 4), math.asin),
    case("acos", uniform(-0.9, 0.9, 3, 4), math.acos),
    case("atan", normal(3, 4), math.atan),
    case("sinh", normal(3, 4), math.sinh),
    case("cosh", normal(3, 4), math.cosh),
    case("tanh", normal(3, 4), math.tanh),
    case("asinh", normal(3, 4), math.asinh),
    case("acosh", uniform(1.2, 4.0, 3, 4), math.acosh),
    case("atanh", uniform(-0.9, 0.9, 3, 4), math.atanh),
    case("deg2rad", uniform(-180.0, 180.0, 3, 4), math.radians),
    case("rad2deg", normal(3, 4), math.degrees),
    OpCase(
        "atan2",
        ag.atan2,
        operands(away_from_zero(3, 4), away_from_zero(3, 4)),
        by_elements(math.atan2),
        lambda torch, x, y: torch.atan2(x, y),
        elementwise=2,
    ),
]

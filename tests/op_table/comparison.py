"""Cases of comparisons, logic and bits."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

import autograd_core as ag

from .case import OpCase, integers, operands

BOOLEAN = "the result is boolean"


def grid(*shape: int):
    """Draws from few values, so that ties, NaN and infinities are among them."""
    return lambda rng: rng.choice([-1.0, 0.0, -0.0, 2.0, np.inf, np.nan], shape)


def booleans(*shape: int):
    """Draws truth values."""
    return lambda rng: rng.choice([False, True], shape)


def comparison(name: str, reference: Callable, torch_name: str) -> list[OpCase]:
    def case(variant: str, *draws: Callable, elementwise: int = 0) -> OpCase:
        return OpCase(
            name + variant,
            getattr(ag, name),
            operands(*draws),
            np.errstate(invalid="ignore")(np.vectorize(reference, otypes=[np.bool_])),
            lambda torch, x, y: getattr(torch, torch_name)(x, y),
            differentiable=(),
            why_not=BOOLEAN,
            elementwise=elementwise,
        )

    return [
        case("", grid(4, 5), grid(4, 5), elementwise=2),
        case("/broadcast integers", integers(-2, 2, 3, 1), integers(-2, 2, 4)),
    ]


def logic(name: str, reference: Callable, arity: int) -> list[OpCase]:
    def case(variant: str, draw: Callable) -> OpCase:
        return OpCase(
            name + variant,
            getattr(ag, name),
            operands(*[draw] * arity),
            np.vectorize(reference, otypes=[np.bool_]),
            lambda torch, *xs: getattr(torch, name)(*xs),
            differentiable=(),
            why_not=BOOLEAN,
        )

    return [case("", booleans(4, 5)), case("/integers", integers(-1, 2, 4, 5))]


def bits(name: str, reference: Callable, torch_name: str, *draws: Callable, variant: str = "") -> OpCase:
    return OpCase(
        name + variant,
        getattr(ag, name),
        operands(*draws),
        lambda *xs: np.vectorize(reference, otypes=[xs[0].dtype])(*xs),
        lambda torch, *xs: getattr(torch, torch_name)(*xs),
        differentiable=(),
        why_not="integers and booleans have none",
    )


CASES = [
    *comparison("equal", operator.eq, "eq"),
    *comparison("not_equal", operator.ne, "ne"),
    *comparison("less", operator.lt, "lt"),
    *comparison("less_equal", operator.le, "le"),
    *comparison("greater", operator.gt, "gt"),
    *comparison("greater_equal", operator.ge, "ge"),
    *logic("logical_and", lambda x, y: bool(x) and bool(y), 2),
    *logic("logical_or", lambda x, y: bool(x) or bool(y), 2),
    *logic("logical_xor", lambda x, y: bool(x) != bool(y), 2),
    *logic("logical_not", operator.not_, 1),
    bits("bitwise_and", operator.and_, "bitwise_and", integers(-9, 9, 3, 4), integers(-9, 9, 4)),
    bits("bitwise_and", operator.and_, "bitwise_and", booleans(3, 4), booleans(4), variant="/booleans"),
    bits("bitwise_or", operator.or_, "bitwise_or", integers(-9, 9, 3, 4), integers(-9, 9, 4)),
    bits("bitwise_or", operator.or_, "bitwise_or", booleans(3, 4), booleans(4), variant="/booleans"),
    bits("bitwise_xor", operator.xor, "bitwise_xor", integers(-9, 9, 3, 4), integers(-9, 9, 4)),
    bits("bitwise_xor", operator.xor, "bitwise_xor", booleans(3, 4), booleans(4), variant="/booleans"),
    bits("bitwise_invert", operator.invert, "bitwise_not", integers(-9, 9, 3, 4)),
    bits("bitwise_invert", operator.not_, "bitwise_not", booleans(3, 4), variant="/booleans"),
    bits("invert", operator.invert, "bitwise_not", integers(-9, 9, 3, 4)),
    bits("bitwise_left_shift", operator.lshift, "bitwise_left_shift", integers(-9, 9, 3, 4), integers(0, 5, 4)),
    bits("bitwise_right_shift", operator.rshift, "bitwise_right_shift", integers(-99, 99, 3, 4), integers(0, 5, 4)),
]

"""Cases of rounding and of the kinds of floating values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import autograd_core as ag

from .arithmetic import away_from_integers
from .case import OpCase, integers, operands, uniform


def rounding(name: str, reference: Callable[[float], float]) -> list[OpCase]:
    """Floats, with a derivative of 0, and integers, which stay as they are."""
    fn = getattr(ag, name)
    return [
        OpCase(
            name,
            fn,
            operands(lambda rng: away_from_integers(3, 4)(rng) + 0.05),
            np.vectorize(reference, otypes=[np.float64]),
            lambda torch, x: getattr(torch, name)(x),
            elementwise=1,
        ),
        OpCase(
            f"{name}/integers",
            fn,
            operands(integers(-5, 5, 4)),
            lambda x: x,
            lambda torch, x: getattr(torch, name)(x),
            differentiable=(),
            why_not="integers",
        ),
    ]


def special(rng: np.random.Generator) -> np.ndarray:
    return np.array([[1.5, -2.0, 0.0, -0.0], [np.nan, np.inf, -np.inf, 1e30]])


def test_of_kind(name: str, reference: Callable[[float], bool]) -> OpCase:
    return OpCase(
        name,
        getattr(ag, name),
        operands(special),
        np.vectorize(reference, otypes=[np.bool_]),
        lambda torch, x: getattr(torch, name)(x),
        differentiable=(),
        why_not="the result is boolean",
        elementwise=1,
    )


CASES = [
    *rounding("floor", math.floor),
    *rounding("ceil", math.ceil),
    *rounding("trunc", int),
    *rounding("round", round),
    OpCase(
        "round/halves",
        ag.round,
        operands(lambda rng: np.arange(-3.5, 4.0)),
        lambda x: np.array([round(v) for v in x.tolist()], np.float64),
        lambda torch, x: torch.round(x),
        order=0,
    ),
    OpCase(
        "round/decimals",
        lambda x: ag.round(x, decimals=1),
        operands(lambda rng: np.array([0.12, -0.77, 2.06])),
        lambda x: np.array([0.1, -0.8, 2.1]),
        lambda torch, x: torch.round(x, decimals=1),
    ),
    test_of_kind("isnan", math.isnan),
    test_of_kind("isinf", math.isinf),
    test_of_kind("isfinite", math.isfinite),
    test_of_kind("signbit", lambda x: math.copysign(1.0, x) < 0),
    OpCase(
        "nextafter",
        ag.nextafter,
        operands(uniform(-2.0, 2.0, 3, 4), uniform(-2.0, 2.0, 4)),
        np.vectorize(math.nextafter),
        no_torch="has no derivative of it",
        elementwise=2,
    ),
    OpCase(
        "nextafter/special values",
        ag.nextafter,
        operands(
            lambda rng: np.array([0.0, -0.0, 1.0, np.inf, np.nan]), lambda rng: np.array([1.0, 0.0, 1.0, np.inf, 1.0])
        ),
        np.vectorize(math.nextafter),
        lambda torch, x, y: torch.nextafter(x, y),
        differentiable=(),
        why_not="values alone",
    ),
]

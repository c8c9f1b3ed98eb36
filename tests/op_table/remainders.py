"""Cases of remainders, fractional parts and common divisors."""

from __future__ import annotations

import math

import numpy as np

import autograd_core as ag

from .arithmetic import away_from_integers, away_from_zero, by_elements
from .case import OpCase, integers, operands, uniform

CASES = [
    OpCase(
        "frac",
        ag.frac,
        operands(away_from_integers(3, 4)),
        by_elements(lambda x: x - math.trunc(x)),
        lambda torch, x: torch.frac(x),
        no_jax="a function of PyTorch's that JAX does not have",
        elementwise=1,
    ),
    OpCase(
        "fmod",
        ag.fmod,
        operands(uniform(-7.0, 7.0, 2, 3), away_from_zero(2, 3)),
        by_elements(math.fmod),
        lambda torch, x, y: torch.fmod(x, y),
        elementwise=2,
    ),
    OpCase(
        "fmod/whole numbers",
        lambda x: ag.fmod(x, 3),
        lambda rng: (np.arange(-7, 8),),
        lambda x: x - 3 * (np.sign(x) * (abs(x) // 3)),
        lambda torch, x: torch.fmod(x, 3),
        differentiable=(),
        why_not="integers have no derivative",
    ),
    *[
        OpCase(
            name,
            getattr(ag, name),
            operands(integers(-30, 30, 4, 5), integers(-30, 30, 5)),
            np.vectorize(getattr(math, name), otypes=[np.int64]),
            lambda torch, x, y, name=name: getattr(torch, name)(x, y),
            differentiable=(),
            why_not="integers have no derivative",
        )
        for name in ("gcd", "lcm")
    ],
]

"""Cases of mantissas, exponents and infinities."""

from __future__ import annotations

import math

import numpy as np

import autograd_core as ag

from .arithmetic import by_elements
from .case import OpCase, integers, normal, operands

INF = math.inf


def parts(x: np.ndarray) -> list[np.ndarray]:
    pairs = [math.frexp(v) for v in x.ravel()]
    return [
        np.array([m for m, _ in pairs]).reshape(x.shape),
        np.array([e for _, e in pairs], np.int32).reshape(x.shape),
    ]


CASES = [
    OpCase(
        "frexp",
        ag.frexp,
        lambda rng: (rng.choice([-1, 1], 8) * rng.uniform(0.55, 0.95, 8) * 2.0 ** rng.integers(-4, 6, 8),),
        parts,
        lambda torch, x: torch.frexp(x),
    ),
    OpCase(
        "ldexp",
        ag.ldexp,
        operands(normal(3, 4), integers(-5, 6, 4)),
        by_elements(lambda x, n: math.ldexp(x, int(n))),
        no_torch="its gradient is 0 for negative exponents",
    ),
    *[
        OpCase(
            name,
            getattr(ag, name),
            lambda rng: (np.array([INF, -INF, 1.0, math.nan]),),
            lambda x, value=value: np.array([v == value for v in x]),
            lambda torch, x, name=name: getattr(torch, name)(x),
            differentiable=(),
            why_not="truth has no derivative",
            not_empty="its reference is a list of truth values",
        )
        for name, value in (("isposinf", INF), ("isneginf", -INF))
    ],
]

"""Cases of equality up to rounding."""

from __future__ import annotations

import math

import numpy as np

import autograd_core as ag

from .case import OpCase

INF, NAN = math.inf, math.nan
LEFT = np.array([1.0, 1.0, 1.0, 1.0, INF, INF, 1.0, -INF, NAN])
RIGHT = np.array([1.0, 1 + 1e-6, 1 + 1e-4, 2.0, INF, 1.0, INF, INF, NAN])
TRUTH = "truth has no derivative"

CASES = [
    OpCase(
        "isclose",
        ag.isclose,
        lambda rng: (LEFT, RIGHT),
        lambda x, y: np.isclose(x, y),
        lambda torch, x, y: torch.isclose(x, y),
        differentiable=(),
        why_not=TRUTH,
    ),
    OpCase(
        "isclose/tolerances",
        lambda x, y: ag.isclose(x, y, rtol=0.0, atol=0.5, equal_nan=True),
        lambda rng: (np.array([1.0, 2.0, 100.0, NAN]), np.array([1.4, 2.6, 100.4, NAN])),
        lambda x, y: np.isclose(x, y, rtol=0, atol=0.5, equal_nan=True),
        lambda torch, x, y: torch.isclose(x, y, rtol=0, atol=0.5, equal_nan=True),
        differentiable=(),
        why_not=TRUTH,
    ),
    OpCase(
        "allclose",
        ag.allclose,
        lambda rng: (LEFT[:2], RIGHT[:2]),
        lambda x, y: np.bool_(np.all(np.abs(x - y) <= 1e-8 + 1e-5 * np.abs(y))),
        lambda torch, x, y: torch.tensor(torch.allclose(x, y)),
        differentiable=(),
        why_not=TRUTH,
    ),
]

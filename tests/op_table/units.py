"""Cases of gated, learnt and random linear units, beside those in ``activation``."""

from __future__ import annotations

import numpy as np

from autograd_core.ops import philox, units

from .case import OpCase, normal, operands
from .random import CALL, SEED, generator
from .selection import steps


def glu(x: np.ndarray) -> np.ndarray:
    half = x.shape[-1] // 2
    y = [[a / (1 + np.exp(-b)) for a, b in zip(row[:half], row[half:])] for row in x]
    return np.array(y).reshape(len(x), half)


def prelu(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    slopes = np.resize(w, x.shape[1]) if w.size == 1 else w
    y = x.copy()
    for index in np.ndindex(x.shape):
        if x[index] <= 0:
            y[index] = x[index] * slopes[index[1]]
    return y


def rrelu(x: np.ndarray) -> np.ndarray:
    u = philox.uniform_float32(np, SEED, CALL, x.size).reshape(x.shape)
    return np.where(x > 0, x, x * (np.float32(0.25) + np.float32(0.5) * u))


CASES = [
    OpCase("glu", lambda x: units.glu(x), operands(normal(3, 6)), glu, lambda torch, x: torch.nn.functional.glu(x)),
    OpCase(
        "glu/axis",
        lambda x: units.glu(x, 0),
        operands(normal(4, 2)),
        lambda x: glu(x.T).T,
        lambda torch, x: torch.nn.functional.glu(x, 0),
    ),
    OpCase(
        "prelu",
        lambda x, w: units.prelu(x, w),
        operands(steps(2, 3, 2), normal(1)),
        prelu,
        lambda torch, x, w: torch.nn.functional.prelu(x, w),
    ),
    OpCase(
        "prelu/channels",
        lambda x, w: units.prelu(x, w),
        operands(steps(2, 3, 2), normal(3)),
        prelu,
        lambda torch, x, w: torch.nn.functional.prelu(x, w),
    ),
    OpCase(
        "rrelu",
        lambda x: units.rrelu(x, 0.25, 0.75),
        operands(steps(3, 4)),
        lambda x: np.where(x > 0, x, x / 2),
        lambda torch, x: torch.nn.functional.rrelu(x, 0.25, 0.75),
    ),
    OpCase(
        "rrelu/training",
        lambda x: units.rrelu(x, 0.25, 0.75, training=True, generator=generator()),
        operands(steps(3, 4)),
        rrelu,
        no_torch="PyTorch draws other numbers",
        no_jax="JAX draws other numbers",
    ),
]

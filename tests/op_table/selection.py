"""Cases of choices between values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import autograd_core as ag
from autograd_core.ops.selection import inside_p, share_p
from autograd_core.primitive import bind

from .case import OpCase, normal, operands, uniform
from .comparison import booleans

INNER = "an inner step of the rules"


def unequal(*shape: int):
    """Draws pairs at least 0.2 apart, larger first or second, as one array of pairs along a new first axis."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        first = rng.standard_normal(shape)
        gap = rng.uniform(0.2, 1.0, shape) * rng.choice([-1.0, 1.0], shape)
        return np.stack([first, first + gap])

    return draw


def pairs(*shape: int) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    return lambda rng: tuple(unequal(*shape)(rng))


def limited(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    """clip by its definition, element by element."""
    return np.vectorize(lambda x: max(low, min(high, x)), otypes=[np.float64])


def steps(*shape: int):
    """Draws values 0.1 from every multiple of 0.5 at least."""
    return lambda rng: rng.integers(-5, 5, shape) * 0.5 + rng.uniform(0.1, 0.4, shape)


CASES = [
    OpCase(
        "where",
        ag.where,
        operands(booleans(3, 4), normal(3, 4), normal(3, 4)),
        np.vectorize(lambda c, x, y: x if c else y),
        lambda torch, c, x, y: torch.where(c, x, y),
    ),
    OpCase(
        "where/broadcast",
        ag.where,
        operands(booleans(3, 1), normal(4), normal(2, 1, 1)),
        np.vectorize(lambda c, x, y: x if c else y),
        lambda torch, c, x, y: torch.where(c, x, y),
    ),
    OpCase(
        "where/numbers",
        lambda c, x: ag.where(c, 1.5, x),
        operands(booleans(3, 4), normal(3, 4)),
        np.vectorize(lambda c, x: 1.5 if c else x),
        lambda torch, c, x: torch.where(c, 1.5, x),
    ),
    OpCase(
        "where/one condition",
        ag.where,
        operands(booleans(), normal(3), normal(3)),
        lambda c, x, y: x if c else y,
        lambda torch, c, x, y: torch.where(c, x, y),
    ),
    OpCase(
        "maximum",
        ag.maximum,
        pairs(3, 4),
        np.vectorize(max),
        lambda torch, x, y: torch.maximum(x, y),
        elementwise=2,
    ),
    OpCase(
        "maximum/broadcast",
        lambda x, y: ag.maximum(x, y + 3),
        operands(uniform(0, 1, 3, 1), uniform(0, 1, 4)),
        lambda x, y: np.broadcast_to(y + 3, (3, 4)),
        lambda torch, x, y: torch.maximum(x, y + 3),
    ),
    OpCase(
        "maximum/ties",
        ag.maximum,
        operands(lambda rng: np.array([1.0, 2.0]), lambda rng: np.array([1.0, 2.0])),
        lambda x, y: x,
        lambda torch, x, y: torch.maximum(x, y),
        order=0,
    ),
    OpCase(
        "minimum",
        ag.minimum,
        pairs(3, 4),
        np.vectorize(min),
        lambda torch, x, y: torch.minimum(x, y),
        elementwise=2,
    ),
    OpCase(
        "minimum/ties",
        ag.minimum,
        operands(lambda rng: np.array([1.0, 2.0]), lambda rng: np.array([1.0, 2.0])),
        lambda x, y: x,
        lambda torch, x, y: torch.minimum(x, y),
        order=0,
    ),
    OpCase(
        "clip",
        lambda x: ag.clip(x, -0.5, 1.0),
        operands(steps(3, 4)),
        limited(-0.5, 1.0),
        lambda torch, x: torch.clip(x, -0.5, 1.0),
        elementwise=1,
    ),
    OpCase(
        "clip/at the limits",
        lambda x: ag.clip(x, -0.5, 1.0),
        operands(lambda rng: np.array([-0.5, 1.0])),
        lambda x: x,
        lambda torch, x: torch.clip(x, -0.5, 1.0),
        order=0,
    ),
    OpCase(
        "clip/below only",
        lambda x: ag.clip(x, 0),
        operands(steps(3, 4)),
        limited(0, np.inf),
        lambda torch, x: torch.clip(x, 0),
    ),
    OpCase(
        "clip/above only",
        lambda x: ag.clip(x, None, 0.5),
        operands(steps(3, 4)),
        limited(-np.inf, 0.5),
        lambda torch, x: torch.clip(x, None, 0.5),
    ),
    OpCase(
        "clip/tensors",
        ag.clip,
        operands(uniform(-2.0, 2.0, 3, 4), uniform(-1.0, -0.5, 4), uniform(0.5, 1.0, 3, 1)),
        lambda x, low, high: np.minimum(np.maximum(x, low), high),
        lambda torch, x, low, high: torch.clip(x, low, high),
    ),
    OpCase(
        "clip/limits crossed",
        ag.clip,
        operands(uniform(-2.0, 2.0, 6), uniform(0.5, 1.0, 6), uniform(-1.0, -0.5, 6)),
        lambda x, low, high: high,
        lambda torch, x, low, high: torch.clip(x, low, high),
    ),
    *[
        OpCase(
            name,
            getattr(ag, name),
            unequal(3, 4),
            getattr(np, "maximum" if name == "fmax" else "minimum"),
            lambda torch, x, y, name=name: getattr(torch, name)(x, y),
            elementwise=2,
        )
        for name in ("fmax", "fmin")
    ],
    *[
        OpCase(
            f"{name}/nan",
            getattr(ag, name),
            lambda rng: (np.array([1.0, np.nan, 2.0, np.nan]), np.array([np.nan, 3.0, 1.0, np.nan])),
            lambda x, y, inner=inner: np.array([1.0, 3.0, inner, np.nan]),
            lambda torch, x, y, name=name: getattr(torch, name)(x, y),
            differentiable=(),
            why_not="finite differences of NaN are NaN",
        )
        for name, inner in (("fmax", 2.0), ("fmin", 1.0))
    ],
    OpCase(
        "heaviside",
        ag.heaviside,
        lambda rng: (np.array([-1.5, 0.0, 2.0, -0.0]), rng.standard_normal(4)),
        lambda x, y: np.array([0, y[1], 1, y[3]]),
        lambda torch, x, y: torch.heaviside(x, y.detach()),
        differentiable=(),
        why_not="it jumps at 0, and PyTorch has no derivative of it",
    ),
    OpCase(
        "heaviside/value at 0",
        ag.heaviside,
        lambda rng: (np.array([-1.5, 0.0, 2.0]), rng.standard_normal(3)),
        lambda x, y: np.where(x == 0, y, x > 0),
        no_torch="has no derivative of it",
        differentiable=(1,),
    ),
    OpCase(
        "nan_to_num/complex",
        lambda x: ag.nan_to_num(x, nan=3.0),
        lambda rng: (rng.standard_normal(3) + 1j * rng.standard_normal(3),),
        lambda x: x,
        no_torch="does not differentiate it for complex numbers",
    ),
    OpCase(
        "nan_to_num",
        lambda x: ag.nan_to_num(x, nan=3.0),
        operands(normal(3, 4)),
        lambda x: x,
        lambda torch, x: torch.nan_to_num(x, nan=3.0),
        elementwise=1,
    ),
    OpCase(
        "nan_to_num/special values",
        lambda x: ag.nan_to_num(x, nan=3.0, posinf=7.0),
        operands(lambda rng: np.array([1.0, np.nan, np.inf, -np.inf])),
        lambda x: np.array([1.0, 3.0, 7.0, np.finfo(np.float64).min]),
        lambda torch, x: torch.nan_to_num(x, nan=3.0, posinf=7.0),
        order=0,
    ),
    OpCase(
        "share",
        lambda c, x1, x2: bind(share_p, (c, x1, x2), {}),
        lambda rng: (rng.standard_normal(4), *unequal(4)(rng)),
        lambda c, x1, x2: np.where(x1 > x2, c, 0.0),
        no_torch=INNER,
    ),
    OpCase(
        "inside",
        lambda c, x: bind(inside_p, (c, x), {"low": -0.5, "high": 1.0}),
        operands(normal(4), steps(4)),
        lambda c, x: np.where(np.abs(x - 0.25) <= 0.75, c, 0.0),
        no_torch=INNER,
    ),
]

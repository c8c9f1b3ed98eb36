"""Cases of places in order and of membership."""

from __future__ import annotations

import numpy as np

import autograd_core as ag

from .case import OpCase, integers, operands

NO_DERIVATIVE = "positions and truth values have none"


def ascending(rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.integers(-4, 5, 6) * 0.5)


def halves(*shape: int):
    return lambda rng: rng.integers(-6, 7, shape) * 0.5


def place(x1: np.ndarray, x2: np.ndarray, right: bool = False) -> np.ndarray:
    """By the definition: how many elements come before."""
    x2 = x2[..., None]
    return ((x1 <= x2) if right else (x1 < x2)).sum(-1).astype(np.int64)


def places(variant: str, fn: object, reference: object, torch: object, *draws: object) -> OpCase:
    return OpCase(
        f"searchsorted{variant}",
        fn,
        operands(*draws),
        reference,
        torch,
        differentiable=(),
        why_not=NO_DERIVATIVE,
    )


CASES = [
    places("", ag.searchsorted, place, lambda torch, x1, x2: torch.searchsorted(x1, x2), ascending, halves(2, 3)),
    places(
        "/right",
        lambda x1, x2: ag.searchsorted(x1, x2, side="right"),
        lambda x1, x2: place(x1, x2, right=True),
        lambda torch, x1, x2: torch.searchsorted(x1, x2, side="right"),
        ascending,
        halves(5),
    ),
    places(
        "/sorter",
        lambda x1, x2: ag.searchsorted(x1, x2, sorter=ag.argsort(x1)),
        place,
        lambda torch, x1, x2: torch.searchsorted(x1, x2, sorter=torch.argsort(x1)),
        halves(6),
        halves(4),
    ),
    places(
        "/0-d",
        ag.searchsorted,
        place,
        lambda torch, x1, x2: torch.searchsorted(x1, x2),
        ascending,
        lambda rng: np.array(0.5),
    ),
    places(
        "/empty",
        ag.searchsorted,
        place,
        lambda torch, x1, x2: torch.searchsorted(x1, x2),
        lambda rng: np.zeros(0),
        halves(3),
    ),
    *[
        OpCase(
            f"isin{variant}",
            lambda x1, x2, invert=invert: ag.isin(x1, x2, invert=invert),
            operands(first, second),
            lambda x1, x2, invert=invert: np.array(
                [(v in x2.ravel().tolist()) != invert for v in x1.ravel().tolist()], np.bool_
            ).reshape(x1.shape),
            lambda torch, x1, x2, invert=invert: torch.isin(x1, x2, invert=invert),
            differentiable=(),
            why_not=NO_DERIVATIVE,
        )
        for variant, invert, first, second in [
            ("", False, halves(3, 4), halves(2, 3)),
            ("/invert", True, integers(-3, 4, 6), integers(-3, 4, 3)),
            ("/nothing to find", False, halves(3), lambda rng: np.zeros(0)),
        ]
    ],
]

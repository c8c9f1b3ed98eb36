"""Cases of reductions that pass over NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag

from .case import OpCase, distinct, operands


def with_nan(rng: np.random.Generator) -> tuple[np.ndarray]:
    x = distinct(3, 4)(rng)
    x[[0, 1, 1], [2, 0, 3]] = np.nan
    return (x,)


def present(f: Callable[[list[float]], float]) -> Callable[[np.ndarray], np.ndarray]:
    """``f`` of what is no NaN, column by column."""
    return lambda x: np.array([f([v for v in column if v == v]) for column in x.T])


REFERENCES: dict[str, Callable[[list[float]], float]] = {
    "nansum": sum,
    "nanprod": math.prod,
    "nanmean": lambda values: sum(values) / len(values),
    "nanmax": max,
    "nanmin": min,
}
IN_TORCH: dict[str, Callable[..., Any]] = {
    "nansum": lambda torch, x: torch.nansum(x, 0),
    "nanmean": lambda torch, x: torch.nanmean(x, 0),
}
CASES = [
    *[
        OpCase(
            f"{name}/axis",
            lambda x, name=name: getattr(ag, name)(x, axis=0),
            with_nan,
            present(reference),
            IN_TORCH.get(name),
            no_torch="" if name in IN_TORCH else "has no such function",
            differentiable=(),
            why_not="finite differences of NaN are NaN; the gradient is tested apart",
        )
        for name, reference in REFERENCES.items()
    ],
    *[
        OpCase(
            name,
            getattr(ag, name),
            operands(distinct(2, 3)),
            lambda x, reference=reference: np.asarray(reference(list(x.ravel())), x.dtype),
            (lambda torch, x, name=name: getattr(torch, name)(x)) if name in IN_TORCH else None,
            no_torch="" if name in IN_TORCH else "has no such function",
        )
        for name, reference in REFERENCES.items()
    ],
]

"""Cases of distances and angles, checked one pair of vectors at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from autograd_core.ops import distances

from .case import OpCase, normal, operands


def length(v: np.ndarray, p: float) -> float:
    if p == math.inf:
        return max(abs(x) for x in v)
    if p == 0:
        return float(sum(x != 0 for x in v))
    return sum(abs(x) ** p for x in v) ** (1 / p)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return a @ b / (max(length(a, 2), 1e-8) * max(length(b, 2), 1e-8))


def crossed(p: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def reference(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        if x1.ndim > 2 or x2.ndim > 2:
            n = max(len(x1) if x1.ndim > 2 else 1, len(x2) if x2.ndim > 2 else 1)
            pairs = [(x1[i % len(x1)] if x1.ndim > 2 else x1, x2[i % len(x2)] if x2.ndim > 2 else x2) for i in range(n)]
            return np.array([reference(a, b) for a, b in pairs]).reshape(n, x1.shape[-2], x2.shape[-2])
        return np.array([[length(a - b, p) for b in x2] for a in x1]).reshape(len(x1), len(x2))

    return reference


def order_case(name: str, p: float, *shapes: tuple[int, ...], reference: Any, suffix: str = "") -> OpCase:
    def call(function: Any, xs: Any) -> Any:
        return function(*xs, p=p)

    return OpCase(
        f"{name}/p={p:g}{suffix}",
        lambda *xs: call(getattr(distances, name), xs),
        operands(*[normal(*shape) for shape in shapes]),
        reference,
        lambda torch, *xs: call(getattr(torch, name), xs),
        differentiable=() if p == 0 else None,
        why_not="a number of elements" if p == 0 else "",
    )


def bilinear(x1: np.ndarray, x2: np.ndarray, w: np.ndarray, b: Any = None) -> np.ndarray:
    y = np.array([[u @ m @ v for m in w] for u, v in zip(x1.reshape(-1, x1.shape[-1]), x2.reshape(-1, x2.shape[-1]))])
    return (y if b is None else y + b).reshape(*x1.shape[:-1], len(w))


CASES = [
    OpCase(
        "cosine_similarity",
        lambda x1, x2: distances.cosine_similarity(x1, x2),
        operands(normal(2, 3), normal(2, 3)),
        lambda x1, x2: np.array([cosine(a, b) for a, b in zip(x1, x2)]),
        lambda torch, x1, x2: torch.nn.functional.cosine_similarity(x1, x2),
    ),
    OpCase(
        "cosine_similarity/broadcast",
        lambda x1, x2: distances.cosine_similarity(x1, x2, dim=-1),
        operands(normal(2, 1, 3), normal(2, 3)),
        lambda x1, x2: np.array([[cosine(a, b) for b in x2] for (a,) in x1]).reshape(len(x1), len(x2)),
        lambda torch, x1, x2: torch.nn.functional.cosine_similarity(x1, x2, dim=-1),
    ),
    OpCase(
        "pairwise_distance",
        lambda x1, x2: distances.pairwise_distance(x1, x2),
        operands(normal(4, 3), normal(4, 3)),
        lambda x1, x2: np.array([length(a - b + 1e-6, 2) for a, b in zip(x1, x2)]),
        lambda torch, x1, x2: torch.nn.functional.pairwise_distance(x1, x2),
    ),
    OpCase(
        "pairwise_distance/arguments",
        lambda x1, x2: distances.pairwise_distance(x1, x2, 3.0, 0.1, True),
        operands(normal(4, 3), normal(3)),
        lambda x1, x2: np.array([length(a - x2 + 0.1, 3) for a in x1]).reshape(-1, 1),
        lambda torch, x1, x2: torch.nn.functional.pairwise_distance(x1, x2, 3.0, 0.1, True),
    ),
    *[
        order_case(
            "pdist", p, (4, 3), reference=lambda x, p=p: np.array([length(a - b, p) for a, b in combinations(x, 2)])
        )
        for p in (2.0, 1.0, 3.5, math.inf, 0.0)
    ],
    *[order_case("cdist", p, (3, 2), (4, 2), reference=crossed(p)) for p in (2.0, 1.0, 0.5, 3.5, math.inf, 0.0)],
    order_case("cdist", 2.0, (2, 3, 2), (4, 2), reference=crossed(2.0), suffix=", batches"),
    OpCase(
        "normalize",
        lambda x: distances.normalize(x),
        operands(normal(2, 3)),
        lambda x: np.array([row / length(row, 2) for row in x]).reshape(x.shape),
        lambda torch, x: torch.nn.functional.normalize(x),
    ),
    OpCase(
        "normalize/p",
        lambda x: distances.normalize(x, 3.0, dim=0),
        operands(normal(3, 2)),
        lambda x: np.array([row / length(row, 3) for row in x.T]).reshape(x.T.shape).T,
        lambda torch, x: torch.nn.functional.normalize(x, 3.0, dim=0),
    ),
    OpCase(
        "normalize/matrices",
        lambda x: distances.normalize(x, dim=(1, 2)),
        operands(normal(2, 2, 3)),
        lambda x: np.array([m / length(m.reshape(-1), 2) for m in x]).reshape(x.shape),
        lambda torch, x: torch.nn.functional.normalize(x, dim=(1, 2)),
    ),
    OpCase(
        "bilinear",
        lambda *xs: distances.bilinear(*xs),
        operands(normal(4, 2), normal(4, 3), normal(2, 2, 3), normal(2)),
        bilinear,
        lambda torch, *xs: torch.nn.functional.bilinear(*xs),
    ),
    OpCase(
        "bilinear/no bias",
        lambda *xs: distances.bilinear(*xs),
        operands(normal(2, 2, 2), normal(2, 2, 3), normal(2, 2, 3)),
        bilinear,
        lambda torch, *xs: torch.nn.functional.bilinear(*xs),
    ),
]

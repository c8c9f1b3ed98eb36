"""Cases of losses with a margin, checked against their definitions, one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import margin_losses

from .case import OpCase, integers, normal, operands, uniform
from .distances import length
from .losses import reduced
from .selection import steps

LISTS = np.array([[2, 0, -1, 1], [3, -1, 3, 3], [0, 1, 2, 3], [-1, 0, 1, 2]])


def signs(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: rng.integers(0, 2, shape) * 2 - 1


def constant(values: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: values


def case(name: str, draws: tuple[Any, ...], formula: Callable[..., float], n_axes: int, **arguments: Any) -> OpCase:
    """``formula``: the loss of one sample; samples are counted by the first ``n_axes`` axes of the operands."""
    function = name.partition("/")[0]

    def reference(*xs: np.ndarray) -> Any:
        shape = xs[0].shape[:n_axes]
        values = np.zeros(shape)
        for i in np.ndindex(shape):
            values[i] = formula(*[x[i] for x in xs])
        return reduced(values, arguments.get("reduction", "mean"))

    return OpCase(
        name,
        lambda *xs: getattr(margin_losses, function)(*xs, **arguments),
        operands(*draws),
        reference,
        lambda torch, *xs: getattr(torch.nn.functional, function)(*xs, **arguments),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return a @ b / math.sqrt((a @ a + 1e-12) * (b @ b + 1e-12))


def multi_margin(p: int = 1, margin: float = 1.0, weight: Any = None) -> Callable[..., float]:
    def formula(x: np.ndarray, t: int) -> float:
        terms = [max(0.0, margin - x[t] + x[j]) ** p for j in range(len(x)) if j != t]
        return sum(terms) / len(x) * (1.0 if weight is None else weight[t])

    return formula


def multilabel_margin(x: np.ndarray, t: np.ndarray) -> float:
    labels = t[: list(t).index(-1)] if -1 in t else t
    others = [j for j in range(len(x)) if j not in labels]
    return sum(max(0.0, 1 - x[k] + x[j]) for k in labels for j in others) / len(x)


def multilabel_soft(x: np.ndarray, t: np.ndarray, w: Any = None) -> float:
    w = np.ones(len(x)) if w is None else w
    p = 1 / (1 + np.exp(-x))
    return -(w * (t * np.log(p) + (1 - t) * np.log(1 - p))).mean()


def triplet(margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False) -> Callable[..., float]:
    def formula(a: np.ndarray, near: np.ndarray, far: np.ndarray) -> float:
        d = length(a - far + eps, p)
        d = min(d, length(near - far + eps, p)) if swap else d
        return max(0.0, length(a - near + eps, p) - d + margin)

    return formula


VECTORS = (normal(4, 3), normal(4, 3), normal(4, 3))
WEIGHT = np.array([0.5, 2.0, 1.0])

CASES = [
    case(
        "hinge_embedding_loss",
        (steps(2, 4), signs(2, 4)),
        lambda x, t: x if t == 1 else max(0.0, 0.72 - x),
        2,
        margin=0.72,
    ),
    case(
        "hinge_embedding_loss/none",
        (steps(4), signs(4)),
        lambda x, t: x if t == 1 else max(0.0, 2.5 - x),
        1,
        margin=2.5,
        reduction="none",
    ),
    case("soft_margin_loss", (normal(2, 4), signs(2, 4)), lambda x, t: math.log(1 + math.exp(-t * x)), 2),
    case(
        "soft_margin_loss/sum",
        (normal(4), signs(4)),
        lambda x, t: math.log(1 + math.exp(-t * x)),
        1,
        reduction="sum",
    ),
    case(
        "margin_ranking_loss",
        (normal(6), normal(6), signs(6)),
        lambda a, b, t: max(0.0, -t * (a - b)),
        1,
    ),
    case(
        "margin_ranking_loss/margin",
        (normal(2, 3), normal(2, 3), signs(2, 3)),
        lambda a, b, t: max(0.0, 0.3 - t * (a - b)),
        2,
        margin=0.3,
        reduction="none",
    ),
    case(
        "cosine_embedding_loss",
        (normal(5, 3), normal(5, 3), signs(5)),
        lambda a, b, t: 1 - cosine(a, b) if t == 1 else max(0.0, cosine(a, b) - 0.1),
        1,
        margin=0.1,
    ),
    case(
        "cosine_embedding_loss/one",
        (normal(3), normal(3), constant(np.array(1))),
        lambda a, b, t: 1 - cosine(a, b),
        0,
    ),
    case("multi_margin_loss", (normal(4, 3), integers(0, 3, 4)), multi_margin(), 1),
    case(
        "multi_margin_loss/squared",
        (normal(4, 3), integers(0, 3, 4)),
        multi_margin(2, 0.5),
        1,
        p=2,
        margin=0.5,
        reduction="none",
    ),
    case("multi_margin_loss/one", (normal(3), constant(np.array(1))), multi_margin(), 0),
    OpCase(
        "multi_margin_loss/weight",
        lambda x, t, w: margin_losses.multi_margin_loss(x, t, weight=w),
        operands(normal(4, 3), integers(0, 3, 4), constant(WEIGHT)),
        lambda x, t, w: np.mean([multi_margin(weight=w)(a, b) for a, b in zip(x, t)]),
        lambda torch, x, t, w: torch.nn.functional.multi_margin_loss(x, t, weight=w),
        differentiable=(0,),
    ),
    case("multilabel_margin_loss", (normal(4, 4), constant(LISTS)), multilabel_margin, 1),
    case("multilabel_margin_loss/one", (normal(4), constant(LISTS[0])), multilabel_margin, 0, reduction="sum"),
    case("multilabel_soft_margin_loss", (normal(3, 4), uniform(0.0, 1.0, 3, 4)), multilabel_soft, 1),
    OpCase(
        "multilabel_soft_margin_loss/weight",
        lambda x, t, w: margin_losses.multilabel_soft_margin_loss(x, t, w, reduction="none"),
        operands(normal(2, 3), integers(0, 2, 2, 3), constant(WEIGHT)),
        lambda x, t, w: np.array([multilabel_soft(a, b, w) for a, b in zip(x, t)]),
        lambda torch, x, t, w: torch.nn.functional.multilabel_soft_margin_loss(x, t, w, reduction="none"),
        differentiable=(0,),
    ),
    case("triplet_margin_loss", VECTORS, triplet(), 1),
    case(
        "triplet_margin_loss/arguments",
        VECTORS,
        triplet(2.0, 3.0, 1e-3, True),
        1,
        margin=2.0,
        p=3.0,
        eps=1e-3,
        swap=True,
        reduction="none",
    ),
    case("triplet_margin_with_distance_loss", VECTORS, triplet(), 1),
    OpCase(
        "triplet_margin_with_distance_loss/function",
        lambda *xs: margin_losses.triplet_margin_with_distance_loss(
            *xs, distance_function=lambda x1, x2: (x1 - x2).abs().sum(-1), swap=True, margin=0.5, reduction="sum"
        ),
        operands(*VECTORS),
        lambda *xs: np.array([triplet(0.5, 1.0, 0.0, True)(*row) for row in zip(*xs)]).sum(),
        lambda torch, *xs: torch.nn.functional.triplet_margin_with_distance_loss(
            *xs, distance_function=lambda x1, x2: (x1 - x2).abs().sum(-1), swap=True, margin=0.5, reduction="sum"
        ),
    ),
]

"""Cases of connectionist temporal classification: every alignment written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby, pairwise, product
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.ops import ctc
from autograd_core.ops.softmax import log_softmax
from autograd_core.primitive import bind

from .case import OpCase, normal, operands

T, N, C = 4, 3, 3
PADDED = np.array([[1, 2, 0], [2, 2, 0], [1, 0, 0]])
ROW = np.array([1, 2, 2, 2, 1])
STEPS, LENGTHS = np.array([4, 4, 3]), np.array([2, 2, 1])


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [k for k, _ in groupby(path) if k != blank]


def by_alignments(x: np.ndarray, labels: list[int], blank: int) -> float:
    """-ln of the sum of the probabilities of all paths through (T, C) that collapse to ``labels``."""
    paths = [p for p in product(range(x.shape[1]), repeat=len(x)) if collapsed(p, blank) == list(labels)]
    total = sum(math.exp(sum(x[t, c] for t, c in enumerate(p))) for p in paths)
    return -math.log(total) if total else math.inf


def reference(
    x: np.ndarray,
    targets: Any,
    steps: Any,
    lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    ends = np.cumsum(lengths)
    labels = [
        targets[end - k : end] if targets.ndim == 1 else targets[n, :k] for n, (k, end) in enumerate(zip(lengths, ends))
    ]
    losses = np.array([by_alignments(x[: steps[n], n], labels[n], blank) for n in range(x.shape[1])])
    if zero_infinity:
        losses[np.isinf(losses)] = 0.0
    if reduction == "mean":
        return (losses / np.maximum(lengths, 1)).mean()
    return losses.sum() if reduction == "sum" else losses


def log_softmax_of(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def constant(values: Any) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: np.array(values)


def case(variant: str, targets: np.ndarray, steps: Any = STEPS, lengths: Any = LENGTHS, **arguments: Any) -> OpCase:
    return OpCase(
        f"ctc_loss/{variant}",
        lambda x, *rest: ctc.ctc_loss(log_softmax(x), *rest, **arguments),
        operands(normal(T, N, C), constant(targets), constant(steps), constant(lengths)),
        lambda x, *rest: reference(log_softmax_of(x), *rest, **arguments),
        lambda torch, x, *rest: torch.nn.functional.ctc_loss(x.log_softmax(-1), *rest, **arguments),
    )


def emissions(rng: np.random.Generator) -> np.ndarray:
    return -rng.uniform(0.1, 2.0, (T, 2, 5))


LEAPS = np.array([[False, False, False, True, False], [False, False, False, False, False]])
INNER = "an inner step of ctc_loss"


def of_states(e: np.ndarray, leaps: np.ndarray, steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """By all walks through the states."""
    losses = []
    for n in range(e.shape[1]):
        last = 2 * lengths[n]
        total = 0.0
        for walk in product(range(e.shape[2]), repeat=int(steps[n])):
            moves = [b - a for a, b in pairwise(walk)]
            allowed = all(m in (0, 1) or (m == 2 and leaps[n, b]) for m, b in zip(moves, walk[1:]))
            if walk[0] < 2 and walk[-1] in (last, last - 1) and allowed:
                total += math.exp(sum(e[t, n, s] for t, s in enumerate(walk)))
        losses.append(-math.log(total))
    return np.array(losses)


def slope_of_states(g: np.ndarray, e: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """By differences of the loss."""
    slope, h = np.zeros_like(e), 1e-5
    for i in np.ndindex(e.shape):
        up, down = e.copy(), e.copy()
        up[i] += h
        down[i] -= h
        slope[i] = (g * (of_states(up, *rest) - of_states(down, *rest))).sum() / (2 * h)
    return np.round(slope, 7)


CASES = [
    case("padded", PADDED),
    case("in a row", ROW, reduction="none"),
    case("sum", PADDED, reduction="sum"),
    case("blank", np.array([[0, 1, 2], [1, 1, 0], [0, 0, 0]]), blank=2),
    case(
        "zero infinity",
        np.array([[1, 2, 0], [2, 2, 2], [1, 2, 0]]),
        np.array([4, 3, 0]),
        np.array([2, 3, 2]),
        zero_infinity=True,
        reduction="none",
    ),
    OpCase(
        "ctc_loss/no steps",
        lambda x, *rest: ctc.ctc_loss(x, *rest, reduction="none"),
        operands(normal(0, 2, 3), constant([[1], [2]]), constant([0, 0]), constant([0, 0])),
        lambda x, *rest: np.zeros(2),
        no_torch="PyTorch refuses sequences without steps",
        not_empty="there are none",
    ),
    case("empty target", PADDED, lengths=np.array([2, 0, 1]), reduction="none"),
    OpCase(
        "ctc_loss/of its own slope",
        lambda x, *rest: ctc.ctc_loss(x, *rest, reduction="none"),
        operands(lambda rng: -rng.uniform(0.1, 2.0, (T, N, C)), constant(PADDED), constant(STEPS), constant(LENGTHS)),
        lambda x, *rest: reference(x, *rest, reduction="none"),
        no_torch="its gradient is right only behind a log_softmax",
    ),
    OpCase(
        "ctc_loss/one sequence",
        lambda x, t: ctc.ctc_loss(log_softmax(x), t, (4,), (2,), reduction="none"),
        operands(normal(T, C), constant([1, 2])),
        lambda x, t: by_alignments(log_softmax_of(x), t, 0),
        lambda torch, x, t: torch.nn.functional.ctc_loss(x.log_softmax(-1), t, (4,), (2,), reduction="none").reshape(
            ()
        ),
    ),
    OpCase(
        "ctc_alignment",
        lambda *xs: bind(ctc.ctc_alignment_p, xs, {"impossible": np.inf}),
        operands(emissions, constant(LEAPS), constant([4, 3]), constant([2, 1])),
        of_states,
        no_torch=INNER,
    ),
    OpCase(
        "ctc_alignment_slope",
        lambda *xs: ag.round(bind(ctc.ctc_alignment_slope_p, xs, {}), decimals=7),
        operands(normal(2), emissions, constant(LEAPS), constant([4, 3]), constant([2, 1])),
        slope_of_states,
        no_torch=INNER,
        differentiable=(),
        why_not="rounded, since its reference is; its derivatives are the second ones of ctc_alignment",
    ),
]

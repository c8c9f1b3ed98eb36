"""Cases of attention. The reference takes one query at a time, and averages the values of the keys that it may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.ops import random
from autograd_core.ops.attention import scaled_dot_product_attention

from .case import OpCase, normal, operands

SEEN = np.array([[True, False, True, True], [False, True, False, False], [True, True, True, False]])
BLIND = np.array([[True, False, True, True], [False] * 4, [True, True, True, False]])
SEED = 7


def one_query(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, added: Any, kept: Any) -> np.ndarray:
    scores = k @ q * scale + added
    if np.isneginf(scores).all():
        return np.zeros(v.shape[1])
    weights = np.exp(scores - scores.max())
    return (weights / weights.sum() * kept) @ v


def reference(mask: Any = None, causal: bool = False, scale: Any = None, keep: Any = None) -> Callable[..., np.ndarray]:
    """mask: None, or an array (boolean or floating); a floating mask may also be the fourth operand."""

    def run(q: np.ndarray, k: np.ndarray, v: np.ndarray, added: Any = None) -> np.ndarray:
        lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        rows, keys = q.shape[-2], k.shape[-2]
        q, k, v = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
        if mask is not None:
            added = np.where(mask, 0, -np.inf) if mask.dtype == bool else mask
        added = np.broadcast_to(0.0 if added is None else added, (*lead, rows, keys)).copy()
        if causal:
            added[..., np.arange(keys) > np.arange(rows)[:, None]] = -np.inf
        kept = np.ones((*lead, rows, keys)) if keep is None else keep((*lead, rows, keys))
        y = np.zeros((*lead, rows, v.shape[-1]))
        for at in np.ndindex(*lead, rows):
            n = at[:-1]
            y[at] = one_query(q[at], k[n], v[n], q.shape[-1] ** -0.5 if scale is None else scale, added[at], kept[at])
        return y

    return run


def case(
    variant: str,
    *shapes: tuple[int, ...],
    mask: Any = None,
    causal: bool = False,
    scale: Any = None,
    no_torch: str = "",
) -> OpCase:
    """shapes: of query, key, value, and of a floating mask that is an operand."""
    return OpCase(
        f"scaled_dot_product_attention/{variant}",
        lambda q, k, v, m=None: scaled_dot_product_attention(
            q, k, v, mask if m is None else m, 0.0, causal, scale=scale
        ),
        operands(*[normal(*shape) for shape in shapes]),
        reference(mask, causal, scale),
        torch=None
        if no_torch
        else lambda torch, q, k, v, m=None: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, m if mask is None else torch.from_numpy(mask), 0.0, causal, scale=scale
        ),
        no_torch=no_torch,
        not_in={"bool": "a mask of booleans says where to look"} if len(shapes) > 3 else {},
    )


def dropped(shape: tuple[int, ...]) -> np.ndarray:
    """The weights' factors that the case of dropout draws."""
    return random.bernoulli(0.75, shape, generator=ag.random.Generator(SEED)).numpy() / 0.75


def grouped(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    times = q.shape[-3] // k.shape[-3], q.shape[-3] // v.shape[-3]
    return reference()(q, np.repeat(k, times[0], axis=-3), np.repeat(v, times[1], axis=-3))


CASES = [
    case("heads", (2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 3)),
    case("matrices", (3, 2), (4, 2), (4, 2)),
    case("scale", (3, 2), (4, 2), (4, 2), scale=0.3),
    case("mask", (2, 3, 2), (2, 4, 2), (2, 4, 2), mask=SEEN),
    case("mask-of-a-blind-query", (2, 3, 2), (2, 4, 2), (2, 4, 2), mask=BLIND),
    case("infinite-mask", (3, 2), (4, 2), (4, 2), mask=np.where(BLIND, 0.5, -np.inf)),
    case("learned-mask", (2, 3, 2), (2, 4, 2), (2, 4, 2), (3, 4)),
    case("learned-mask-broadcast", (2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), (2, 1, 1, 4)),
    case("causal", (2, 3, 2), (2, 3, 2), (2, 3, 2), causal=True),
    case("causal-more-keys", (3, 2), (4, 2), (4, 2), causal=True),
    case("causal-more-queries", (4, 2), (3, 2), (3, 2), causal=True),
    case("causal-and-mask", (3, 2), (4, 2), (4, 2), causal=True, mask=SEEN, no_torch="it takes one or the other"),
    case("mask-a-head", (2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), mask=np.stack([SEEN, ~SEEN])[None]),
    case("mask-of-keys", (2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), mask=SEEN[:2, None, None]),
    OpCase(
        "scaled_dot_product_attention/broadcast",
        scaled_dot_product_attention,
        operands(normal(2, 3, 2), normal(1, 4, 2), normal(4, 2)),
        reference(),
        torch=lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v),
    ),
    OpCase(
        "scaled_dot_product_attention/grouped-heads",
        lambda q, k, v: scaled_dot_product_attention(q, k, v, enable_gqa=True),
        operands(normal(1, 4, 2, 2), normal(1, 2, 3, 2), normal(1, 2, 3, 2)),
        grouped,
        torch=lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    ),
    OpCase(
        "scaled_dot_product_attention/dropout",
        lambda q, k, v: scaled_dot_product_attention(q, k, v, dropout_p=0.25, generator=ag.random.Generator(SEED)),
        operands(normal(2, 3, 2), normal(2, 4, 2), normal(2, 4, 2)),
        reference(keep=dropped),
        no_torch="PyTorch draws other numbers",
    ),
]

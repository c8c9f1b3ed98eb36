"""Cases of embeddings, bags of embeddings and one-hot vectors, checked one index at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import embedding

from .case import OpCase, distinct, integers, normal, operands, uniform

RAGGED = np.array([0, 2, 2, 5])  # the second bag is empty
COMBINE: dict[str, Callable[..., np.ndarray]] = {
    "sum": lambda rows: rows.sum(axis=0),
    "mean": lambda rows: rows.mean(axis=0) if len(rows) else rows.sum(axis=0),
    "max": lambda rows: rows.max(axis=0) if len(rows) else rows.sum(axis=0),
}


def constant(values: np.ndarray) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: values


def bags(indices: np.ndarray, offsets: np.ndarray | None, include_last_offset: bool) -> list[np.ndarray]:
    """For every bag, the places of its elements in ``indices`` flattened."""
    if offsets is None:
        return list(np.arange(indices.size).reshape(indices.shape))
    ends = offsets[1:] if include_last_offset else [*offsets[1:], indices.size]
    return [np.arange(start, end) for start, end in zip(offsets, ends)]


def bag_case(variant: str, *draws: Any, weighted: bool = False, **arguments: Any) -> OpCase:
    """Operands: table, indices[, offsets][, weights of samples]."""
    mode = arguments.get("mode", "mean")

    def split(xs: Any) -> tuple[Any, Any, Any, Any]:
        table, indices, *rest = xs
        weights = rest.pop() if weighted else None
        return table, indices, rest[0] if rest else None, weights

    def call(function: Any, xs: Any) -> Any:
        table, indices, offsets, weights = split(xs)
        return function(indices, table, offsets, per_sample_weights=weights, **arguments)

    def reference(*xs: np.ndarray) -> np.ndarray:
        table, indices, offsets, weights = split(xs)
        flat, factors = indices.reshape(-1), np.ones(indices.size) if weights is None else weights.reshape(-1)
        results = []
        for places in bags(indices, offsets, arguments.get("include_last_offset", False)):
            counted = [i for i in places if flat[i] != arguments.get("padding_idx")]
            rows = [table[flat[i]] * factors[i] for i in counted]
            results.append(COMBINE[mode](np.array(rows).reshape(len(counted), table.shape[1])))
        return np.array(results).reshape(len(results), table.shape[1])

    return OpCase(
        f"embedding_bag/{variant}",
        lambda *xs: call(embedding.embedding_bag, xs),
        operands(*draws),
        reference,
        lambda torch, *xs: call(torch.nn.functional.embedding_bag, xs),
    )


TABLE = normal(5, 3)
DISTINCT = distinct(5, 3)

CASES = [
    OpCase(
        "embedding",
        lambda w, i: embedding.embedding(i, w),
        operands(normal(5, 3), integers(0, 5, 2, 3)),
        lambda w, i: np.array([[w[k] for k in row] for row in i]).reshape(*i.shape, w.shape[1]),
        lambda torch, w, i: torch.nn.functional.embedding(i, w),
    ),
    OpCase(
        "embedding/one",
        lambda w, i: embedding.embedding(i, w),
        operands(normal(5, 3), integers(0, 5)),
        lambda w, i: w[int(i)],
        lambda torch, w, i: torch.nn.functional.embedding(i, w),
    ),
    bag_case("rows", TABLE, integers(0, 5, 2, 4)),
    bag_case("rows, sum", TABLE, integers(0, 5, 2, 4), mode="sum"),
    bag_case("rows, max", DISTINCT, constant(np.array([[0, 3, 1], [4, 2, 0]])), mode="max"),
    bag_case("rows, padding", TABLE, constant(np.array([[0, 3, 1], [3, 2, 3], [3, 3, 3]])), padding_idx=3),
    bag_case("rows, weights", TABLE, integers(0, 5, 2, 4), uniform(0.5, 2.0, 2, 4), weighted=True, mode="sum"),
    bag_case("ragged", TABLE, integers(0, 5, 6), constant(RAGGED)),
    bag_case("ragged, sum", TABLE, integers(0, 5, 6), constant(RAGGED), mode="sum"),
    bag_case("ragged, max", DISTINCT, constant(np.array([0, 3, 1, 4, 2, 0])), constant(RAGGED), mode="max"),
    bag_case(
        "ragged, max, padding",
        DISTINCT,
        constant(np.array([0, 3, 1, 4, 2, 3])),
        constant(RAGGED),
        mode="max",
        padding_idx=3,
    ),
    bag_case("ragged, padding", TABLE, constant(np.array([0, 3, 1, 4, 2, 3])), constant(RAGGED), padding_idx=3),
    bag_case(
        "ragged, ends given",
        TABLE,
        integers(0, 5, 6),
        constant(np.array([0, 2, 2, 6])),
        include_last_offset=True,
    ),
    bag_case(
        "ragged, weights",
        TABLE,
        integers(0, 5, 6),
        constant(RAGGED),
        uniform(0.5, 2.0, 6),
        weighted=True,
        mode="sum",
    ),
    OpCase(
        "one_hot",
        lambda x: embedding.one_hot(x, 4),
        operands(integers(0, 4, 2, 3)),
        lambda x: np.array([[[int(c == k) for c in range(4)] for k in row] for row in x], int).reshape(*x.shape, 4),
        lambda torch, x: torch.nn.functional.one_hot(x, 4),
        no_jax="its vectors are floating",
        differentiable=(),
        why_not="labels are integers",
    ),
    OpCase(
        "one_hot/largest",
        lambda x: embedding.one_hot(x),
        operands(constant(np.array([0, 2, 1]))),
        lambda x: np.eye(3, dtype=int)[x],
        lambda torch, x: torch.nn.functional.one_hot(x),
        no_jax="its vectors are floating",
        differentiable=(),
        why_not="labels are integers",
    ),
]

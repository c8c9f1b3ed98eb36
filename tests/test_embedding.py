"""Embeddings and bags of them: rows that are shortened, gradients by frequency, empty bags, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F

TABLE = ag.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_rows_that_are_looked_up_are_shortened_in_the_table() -> None:
    weight = nn.Parameter(ag.tensor([[3.0, 4.0], [3.0, 4.0], [0.3, 0.4]]))
    y = F.embedding(ag.tensor([0, 2, 0]), weight, max_norm=1.0)
    np.testing.assert_allclose(y.detach().numpy(), [[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(weight.detach().numpy(), [[0.6, 0.8], [3.0, 4.0], [0.3, 0.4]], rtol=1e-6)
    y.sum().backward()
    assert weight.grad.tolist() == [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]


def test_gradients_by_frequency_leave_values_alone() -> None:
    weight = nn.Parameter(ag.tensor(TABLE, dtype="float32"))
    y = F.embedding(ag.tensor([2, 1, 2]), weight, scale_grad_by_freq=True)
    assert y.tolist() == [[5.0, 6.0], [3.0, 4.0], [5.0, 6.0]]
    y.sum().backward()
    assert weight.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]


def test_integer_tables_can_be_read() -> None:
    assert F.embedding(ag.tensor([1]), ag.tensor([[1, 2], [3, 4]])).tolist() == [[3, 4]]


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_empty_bags_are_zero_and_move_nothing(mode: str) -> None:
    weight = nn.Parameter(TABLE)
    y = F.embedding_bag(ag.tensor([2]), weight, ag.tensor([0, 0, 1]), mode=mode)
    assert y.tolist() == [[0.0, 0.0], [5.0, 6.0], [0.0, 0.0]]
    y.sum().backward()
    assert weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    assert F.embedding_bag(ag.zeros(0, dtype="int64"), TABLE, ag.tensor([0, 0]), mode=mode).tolist() == [[0.0, 0.0]] * 2
    assert F.embedding_bag(ag.zeros((2, 0), dtype="int64"), TABLE, mode=mode).tolist() == [[0.0, 0.0]] * 2
    assert F.embedding_bag(ag.zeros((0, 3), dtype="int64"), TABLE, mode=mode).shape == (0, 2)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_padding_alone(mode: str) -> None:
    y = F.embedding_bag(ag.tensor([[1, 1], [1, 2]]), TABLE, mode=mode, padding_idx=1)
    assert y.tolist() == [[0.0, 0.0], [5.0, 6.0]]


def test_bags_of_several_batches_at_once() -> None:
    indices = ag.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])
    offsets = ag.tensor([[0, 3], [0, 1]])
    for mode in ("sum", "mean", "max"):
        y = ag.vmap(lambda i, o, mode=mode: F.embedding_bag(i, TABLE, o, mode=mode))(indices, offsets)
        rows = [F.embedding_bag(indices[k], TABLE, offsets[k], mode=mode).tolist() for k in range(2)]
        np.testing.assert_allclose(y.numpy(), rows, rtol=1e-6)


def test_a_pretrained_bag() -> None:
    bag = nn.EmbeddingBag.from_pretrained(TABLE, mode="sum", padding_idx=0)
    assert not bag.weight.requires_grad
    assert bag(ag.tensor([[0, 1], [2, 2]])).tolist() == [[3.0, 4.0], [10.0, 12.0]]
    assert repr(bag) == "EmbeddingBag(3, 2, padding_idx=0, mode='sum')"


BAG = ag.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: F.embedding(BAG, TABLE, max_norm=1.0), ag.ArgumentError, r"must be a variable: write nn.Parameter"),
        (lambda: F.embedding(BAG, TABLE, sparse=True), ag.ArgumentError, "gradients are dense tensors here"),
        (lambda: nn.Embedding(3, 2, sparse=True), ag.ArgumentError, "Embedding: gradients are dense tensors here"),
        (lambda: F.embedding(BAG, ag.ones(3)), ag.ShapeError, r"weight must be \(num_embeddings, embedding_dim\)"),
        (lambda: F.embedding_bag(BAG, TABLE), ag.ArgumentError, r"needs offsets, .*write input\[None, :\]"),
        (lambda: F.embedding_bag(BAG[None], TABLE, ag.tensor([0])), ag.ArgumentError, "holds a bag a row"),
        (lambda: F.embedding_bag(BAG, TABLE, ag.tensor([1, 2])), ag.DataError, r"must start with 0.*got \[1, 2\]"),
        (lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0, 2, 1])), ag.DataError, "never decrease"),
        (lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0, 4])), ag.DataError, "stay within 0 to 3"),
        (
            lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0, 2]), include_last_offset=True),
            ag.DataError,
            "end with the length of input, 3",
        ),
        (lambda: F.embedding_bag(BAG, TABLE, ag.zeros(0, dtype="int64")), ag.DataError, "there are no offsets"),
        (lambda: F.embedding_bag(BAG, TABLE, ag.tensor(0)), ag.ShapeError, "offsets must have one axis"),
        (lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0.0])), ag.DTypeError, "offsets must hold integers"),
        (
            lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0]), mode="median"),
            ag.ArgumentError,
            "'sum', 'mean' or 'max'",
        ),
        (
            lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0]), per_sample_weights=ag.ones(3)),
            ag.ArgumentError,
            "per_sample_weights go with mode='sum', not 'mean'",
        ),
        (
            lambda: F.embedding_bag(BAG, TABLE, ag.tensor([0]), mode="sum", per_sample_weights=ag.ones(2)),
            ag.ShapeError,
            r"per_sample_weights has shape \(2,\), input \(3,\)",
        ),
        (
            lambda: F.embedding_bag(BAG + 1, TABLE, ag.tensor([0])),
            ag.DataError,
            "index 3 at 2 is outside the vocabulary",
        ),
        (lambda: nn.EmbeddingBag(3, 2, mode="median"), ag.ArgumentError, "EmbeddingBag: mode must be"),
    ],
)
def test_errors_say_what_would_fit(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()

"""What nn adds to the operations: dropout, embeddings, one-hot vectors, padding, and what layers refuse."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F

# ------------------------------------------------------------------------------------------- dropout


def test_dropout_keeps_the_mean_and_scales_what_it_keeps() -> None:
    with ag.random.fork(0):
        y = nn.Dropout(0.25)(ag.ones((200, 100))).numpy()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    assert abs((y == 0).mean() - 0.25) < 0.02


def test_dropout_lets_gradients_through_where_it_let_values_through() -> None:
    x = ag.tensor(np.full((4, 5), 3.0, np.float32), requires_grad=True)
    with ag.random.fork(1):
        y = F.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy() * 3, y.detach().numpy())


def test_dropout_repeats_with_the_seed_and_not_without() -> None:
    layer, x = nn.Dropout(), ag.ones(64)
    with ag.random.fork(3):
        first, second = layer(x).tolist(), layer(x).tolist()
    with ag.random.fork(3):
        again = layer(x).tolist()
    assert first == again != second


def test_dropout_of_channels_takes_them_whole() -> None:
    with ag.random.fork(0):
        y = nn.Dropout2d(0.5)(ag.ones((8, 8, 3, 3))).numpy()
        z = nn.Dropout1d(0.5)(ag.ones((8, 4))).numpy()
    assert ((y == 0).all(axis=(2, 3)) | (y == 2).all(axis=(2, 3))).all()
    assert len(np.unique(y)) == 2
    assert ((z == 0).all(axis=1) | (z == 2).all(axis=1)).all()


def test_nothing_is_dropped_in_evaluation_and_infinities_are_dropped_too() -> None:
    x = ag.ones(3)
    assert nn.Dropout().eval()(x) is x
    assert F.dropout(ag.tensor([np.inf, np.nan]), 1.0).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("p", [-0.1, 1.5, True, "half", float("nan")])
def test_p_is_a_probability(p) -> None:
    with pytest.raises(ag.ArgumentError, match="p is the probability of a zero, between 0 and 1"):
        nn.Dropout(p)
    with pytest.raises(ag.ArgumentError, match="p is the probability of a zero"):
        F.dropout(ag.ones(2), p)


# ------------------------------------------------------------------------------------------- embeddings


def test_an_embedding_gathers_rows_and_adds_their_gradients() -> None:
    layer = nn.Embedding(4, 2)
    layer(ag.tensor([[1, 1], [3, 1]])).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [3, 3], [0, 0], [1, 1]]


def test_the_padding_row_is_zero_and_learns_nothing() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0.0, 0.0]
    layer(ag.tensor([3, 1, 3])).sum().backward()
    assert layer.weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


def test_an_index_outside_the_vocabulary_is_named() -> None:
    model = nn.Sequential(nn.Embedding(10, 3))
    with pytest.raises(ag.DataError) as caught:
        model(ag.tensor([[1, 2], [10, 3]]))
    assert str(caught.value) == (
        "in 0 (Embedding): embedding: index 10 at (1, 0) is outside the vocabulary of 10 embeddings: use 0 to 9"
    )
    with pytest.raises(ag.DataError, match="index -1 at 1 is outside"):
        model(ag.tensor([0, -1]))
    with pytest.raises(ag.DataError, match="index 12 is outside"):
        model(ag.tensor(12))
    with pytest.raises(ag.DTypeError, match="indices must be integers, got float32"):
        model(ag.tensor([1.0]))
    assert model(ag.zeros((0, 4), dtype="int64")).shape == (0, 4, 3)


def test_a_pretrained_embedding_is_frozen_unless_asked() -> None:
    table = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert not nn.Embedding.from_pretrained(table).weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False)(ag.tensor(1)).tolist() == [3.0, 4.0]
    with pytest.raises(ag.ArgumentError, match="padding_idx must be an int from -2 to 1, got 2"):
        nn.Embedding.from_pretrained(table, padding_idx=2)


# ------------------------------------------------------------------------------------------- the rest


def test_one_hot() -> None:
    assert F.one_hot(ag.tensor([[0], [2]])).tolist() == [[[1, 0, 0]], [[0, 0, 1]]]
    assert F.one_hot(ag.tensor([1]), 2).dtype == ag.int64
    with pytest.raises(ag.DataError, match="one_hot: index 3 at 0 is outside 3 classes: use 0 to 2"):
        F.one_hot(ag.tensor([3]), 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64"])
def test_one_hot_of_narrow_labels_has_a_single_one_among_many_classes(dtype: str) -> None:
    labels = np.array([0, 3, 43, 127])
    np.testing.assert_array_equal(F.one_hot(ag.tensor(labels.astype(dtype)), 600).numpy(), np.eye(600)[labels])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_counts_axes_from_the_last_as_pytorch_does(mode: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    for widths in [(1, 2), (1, 0, 2, 1), (-1, 1, 0, 0)] if mode == "constant" else [(1, 0, 2, 1)]:
        expected = torch.nn.functional.pad(torch.from_numpy(x), widths, mode)
        np.testing.assert_array_equal(F.pad(ag.asarray(x), widths, mode).numpy(), expected.numpy())


def test_pad_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ag.ArgumentError, match="mode must be one of 'constant', 'reflect', 'replicate', 'circular'"):
        F.pad(ag.ones(2), (1, 1), "edge")
    with pytest.raises(ag.ArgumentError, match=r"at most 2 for shape \(2,\); got \(1, 1, 1\)"):
        F.pad(ag.ones(2), (1, 1, 1))


def test_normalize_gives_unit_vectors_and_zeros_for_zeros() -> None:
    y = F.normalize(ag.tensor([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(y.numpy(), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(F.normalize(ag.tensor([3.0, -1.0]), p=1, dim=0).numpy(), [0.75, -0.25])


def test_softmax_takes_dim() -> None:
    x = ag.tensor([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_allclose(F.softmax(x, dim=0).numpy().sum(0), [1, 1], rtol=1e-6)
    np.testing.assert_allclose(F.log_softmax(x, 1).numpy(), np.log(F.softmax(x, 1).numpy()), rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Linear(0, 2), "Linear: in_features must be an int of at least 1, got 0"),
        (lambda: nn.Linear(2, 2.5), "out_features must be an int"),
        (lambda: nn.Conv2d(3, 4, 0), "Conv2d: kernel_size must be an int or 2 of them, at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size must be an int or 2 of them"),
        (lambda: nn.Conv1d(3, 4, 3, stride=0), "Conv1d: stride must be an int, at least 1, got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: in_channels=3 does not divide into groups=2"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding must be ints, 'same' or 'valid', got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, "same"), "padding='same' keeps the size only at stride 1, got stride=2"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of 'zeros', 'reflect'"),
        (lambda: nn.Softmax(), r"say along which axis: nn\.Softmax\(dim=1\)"),
        (lambda: nn.GELU("sigmoid"), "approximate must be 'none' or 'tanh'"),
        (lambda: nn.Hardtanh(1.0, -1.0), "needs min_val < max_val"),
        (lambda: nn.Softshrink(-1.0), "Softshrink: lambd must not be negative"),
        (lambda: nn.CrossEntropyLoss(reduction="average"), "CrossEntropyLoss: reduction must be 'mean' or 'sum'"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), "Embedding: padding_idx must be an int from -3 to 2, got 3"),
        (lambda: F.prelu(ag.ones((2, 3)), ag.ones(2)), r"prelu: weight of shape \(2,\) is neither one slope nor"),
    ],
)
def test_arguments_are_checked_when_a_layer_is_made(build, message: str) -> None:
    with pytest.raises(ag.AutogradError, match=message):
        build()

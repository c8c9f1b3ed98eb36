"""Layers that draw: dropout in its kinds, randomized rectifiers, Gumbel softmax; and what vmap makes of their draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    with ag.random.fork(0):
        x = ag.random.normal((400, 500))
        for p in (0.1, 0.5):
            y = nn.AlphaDropout(p)(x).numpy()
            assert abs(y.mean()) < 0.01
            assert abs(y.var() - 1) < 0.02


def test_feature_alpha_dropout_takes_channels_whole() -> None:
    with ag.random.fork(0):
        y = nn.FeatureAlphaDropout(0.5)(ag.zeros((8, 6, 5))).numpy()
    assert (y == y[:, :, :1]).all()
    assert len(np.unique(y)) == 2


def test_dropout_of_volumes_takes_channels_whole() -> None:
    with ag.random.fork(0):
        y = nn.Dropout3d(0.5)(ag.ones((8, 6, 2, 2, 2))).numpy()
    assert ((y == 0).all(axis=(2, 3, 4)) | (y == 2).all(axis=(2, 3, 4))).all()
    assert len(np.unique(y)) == 2


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Dropout3d])
def test_nothing_is_drawn_in_evaluation(kind: Any) -> None:
    x, layer = ag.ones((2, 3, 1, 1, 1)), kind(0.5).eval()
    with ag.random.fork(0) as generator:
        assert layer(x) is x
        assert generator.call == 0


def test_randomized_slopes_lie_between_their_bounds() -> None:
    with ag.random.fork(0):
        y = nn.RReLU(0.2, 0.4)(ag.full((100, 100), -1.0)).numpy()
    assert -0.4 < y.min() < -0.399 < -0.201 < y.max() <= -0.2
    assert abs(y.mean() + 0.3) < 0.002
    x = ag.tensor([-2.0, 3.0], requires_grad=True)
    with ag.random.fork(1):
        z = F.rrelu(x, training=True)
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy() * x.detach().numpy(), z.detach().numpy(), rtol=1e-6)


def test_gumbel_softmax_draws_from_the_distribution() -> None:
    p = np.array([0.1, 0.6, 0.3])
    with ag.random.fork(0):
        y = F.gumbel_softmax(ag.tensor(np.log(np.tile(p, (20000, 1)))), hard=True).numpy()
    assert (np.sort(y, axis=1) == [0, 0, 1]).all()
    np.testing.assert_allclose(y.mean(axis=0), p, atol=0.015)


def test_a_hard_gumbel_softmax_has_the_gradient_of_the_soft_one() -> None:
    gradients = []
    for hard in (False, True):
        x = ag.tensor([[0.5, -1.0, 0.0]], requires_grad=True)
        y = F.gumbel_softmax(x, tau=0.5, hard=hard, generator=ag.random.Generator(3))
        (y * ag.tensor([1.0, 2.0, 4.0])).sum().backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1]
    with pytest.raises(ag.ArgumentError, match="gumbel_softmax: tau must be positive, got 0"):
        F.gumbel_softmax(ag.ones(3), tau=0)


# ------------------------------------------------------------------------------------------- under vmap

DRAWS = {
    "uniform": lambda g: ag.random.uniform((4,), generator=g),
    "uniform, bounds": lambda g: ag.random.uniform((4,), -1.0, 2.0, dtype="float64", generator=g),
    "normal": lambda g: ag.random.normal((2, 2), generator=g),
    "bernoulli": lambda g: ag.random.bernoulli(0.3, (5,), generator=g),
    "integers": lambda g: ag.random.integers(0, 9, (5,), generator=g),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_different_examples_get_the_rows_of_one_draw(draw: Any) -> None:
    shapes = {"shape": draw(ag.random.Generator(0)).shape}
    with ag.random.fork(5):
        rows = ag.vmap(lambda x: draw(None), randomness="different")(ag.zeros(3)).numpy()
    assert rows.shape == (3, *shapes["shape"])
    assert len({row.tobytes() for row in rows}) == 3
    with ag.random.fork(5):
        alone = draw(None).numpy().reshape(-1)
    np.testing.assert_array_equal(rows.reshape(-1)[: alone.size], alone)


def test_the_same_draw_for_all_examples() -> None:
    with ag.random.fork(5):
        rows = ag.vmap(lambda x: x + ag.random.uniform((4,)), randomness="same")(ag.zeros(3)).numpy()
    with ag.random.fork(5):
        np.testing.assert_array_equal(rows, np.tile(ag.random.uniform((4,)).numpy(), (3, 1)))


def test_permutations_of_different_examples() -> None:
    with ag.random.fork(5):
        rows = ag.vmap(lambda x: ag.random.permutation(20), randomness="different")(ag.zeros(30)).numpy()
    assert (np.sort(rows, axis=1) == np.arange(20)).all()
    assert len({row.tobytes() for row in rows}) == 30


def test_probabilities_of_their_own_meet_draws_of_their_own() -> None:
    p = ag.tensor([0.0, 0.25, 1.0])
    with ag.random.fork(0):
        rows = ag.vmap(lambda p: ag.random.bernoulli(p, (4000,)), randomness="different")(p).numpy()
    np.testing.assert_allclose(rows.mean(axis=1), [0, 0.25, 1], atol=0.03)
    with ag.random.fork(0):
        rows = ag.vmap(lambda p: ag.random.bernoulli(p, (8,)), randomness="same")(p).numpy()
    with ag.random.fork(0):
        np.testing.assert_array_equal(rows[1], ag.random.bernoulli(0.25, (8,)).numpy())
    table = ag.tensor(np.random.default_rng(0).uniform(size=(3, 4)))
    with ag.random.fork(0):
        rows = ag.vmap(lambda p: ag.random.bernoulli(p), randomness="different")(table).numpy()
    with ag.random.fork(0):
        np.testing.assert_array_equal(rows, ag.random.bernoulli(table).numpy())
    with pytest.raises(ag.ArgumentError, match="p must lie between 0 and 1, got 2.0"):
        ag.vmap(lambda p: ag.random.bernoulli(p), randomness="same")(p * 2)


def test_dropout_in_per_sample_gradients_is_that_of_the_whole_batch() -> None:
    x, w = ag.tensor(np.random.default_rng(0).standard_normal((6, 5))), ag.ones(5, dtype="float64")

    def loss(w: ag.Tensor, x: ag.Tensor) -> ag.Tensor:
        return (F.dropout(x * w, 0.5) ** 2).sum()

    with ag.random.fork(2):
        each = ag.vmap(ag.grad(loss), in_axes=(None, 0), randomness="different")(w, x)
    with ag.random.fork(2):
        total = ag.grad(loss)(w, x)
    np.testing.assert_allclose(each.numpy().sum(axis=0), total.numpy(), rtol=1e-12)
    assert len({tuple((row == 0).tolist()) for row in each.numpy()}) > 3

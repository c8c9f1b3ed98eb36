"""The variational autoencoder: its divergence by sampling, its bounds by integration over a latent line."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn.models import VariationalAutoencoder


def values(x: ag.Tensor) -> np.ndarray:
    return np.array(x.detach())


def bits(rows: int, features: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (rows, features)).astype("float64")


def test_divergence_is_the_mean_of_the_log_ratio():
    rng = np.random.default_rng(0)
    m, log_variance = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    z = m + np.exp(log_variance / 2) * (noise := rng.normal(size=(40_000, 3, 5)))
    ratio = ((z**2 - noise**2 - log_variance) / 2).sum(axis=-1)  # log q(z | x) - log p(z)
    found = values(VariationalAutoencoder.kl(ag.tensor(m), ag.tensor(log_variance)))
    assert np.all(np.abs(ratio.mean(axis=0) - found) < 5 * ratio.std(axis=0) / 200)


def evidence(model: VariationalAutoencoder, x: np.ndarray) -> np.ndarray:
    """log p(x) by the trapezoidal rule over a latent of one dimension."""
    z = np.linspace(-8, 8, 2001)
    logits = values(model.decode(ag.tensor(z[:, None])))
    likelihood = (x[:, None] * logits - np.logaddexp(0, logits)).sum(axis=-1)
    density = np.exp(likelihood - z**2 / 2) / np.sqrt(2 * np.pi)
    return np.log(np.trapezoid(density, z, axis=1))


def test_bounds_are_below_the_evidence_and_the_tighter_one_comes_close():
    with ag.random.fork(0):
        model = VariationalAutoencoder((6, 8), latent=1, dtype="float64")
        x = bits(4, 6)
        model.encoder[-1].bias.assign_(
            ag.tensor([0.2, 0.5], dtype="float64")
        )  # wider than the posteriors: all of z is seen
        model.decoder[-1].weight.assign_(4 * model.decoder[-1].weight.detach())
        elbo = values(model.elbo(ag.tensor(x), samples=5000))
        estimate = values(model.log_likelihood(ag.tensor(x), samples=5000))
    exact = evidence(model, x)
    assert np.all(elbo < exact)
    np.testing.assert_allclose(estimate, exact, atol=0.02)


def test_gap_of_the_elbo_closes_when_the_encoder_knows_the_posterior():
    """A decoder that ignores z has the prior as its posterior; an encoder that says so leaves no gap."""
    model = VariationalAutoencoder((6, 8), latent=2, dtype="float64")
    model.decoder[0].weight.assign_(ag.zeros((8, 2), dtype="float64"))
    model.encoder[-1].weight.assign_(ag.zeros((4, 8), dtype="float64"))
    model.encoder[-1].bias.assign_(ag.zeros(4, dtype="float64"))
    x = ag.tensor(bits(4, 6))
    np.testing.assert_allclose(values(model.elbo(x)), values(model.log_likelihood(x, samples=3)), rtol=1e-12)


def test_gradient_reaches_the_encoder_through_the_noise():
    model = VariationalAutoencoder((6, 8), latent=2, dtype="float64")
    x = ag.tensor(bits(4, 6))
    weight = model.encoder[0].weight

    def loss(value):
        weight.assign_(value)
        with ag.random.fork(3):
            return -model.elbo(x, samples=2).mean()

    start = weight.detach()
    loss(start).backward()
    direction = ag.tensor(np.random.default_rng(1).normal(size=start.shape))
    slope = float(ag.sum(weight.grad * direction))
    numeric = (float(loss(start + 1e-5 * direction)) - float(loss(start - 1e-5 * direction))) / 2e-5
    assert slope == pytest.approx(numeric, rel=1e-6)


def test_a_sample_is_a_probability_for_each_bit():
    sample = values(VariationalAutoencoder((6, 8), latent=2).sample(5))
    assert sample.shape == (5, 6)
    assert 0 < sample.min() < sample.max() < 1


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ag.ArgumentError, match="sizes must name data and hidden layers"):
        VariationalAutoencoder((6,), latent=2)
    with pytest.raises(ag.ArgumentError, match="sizes must name data and hidden layers, .* got None"):
        VariationalAutoencoder(None, latent=2)
    with pytest.raises(ag.ArgumentError, match="latent must be an int of at least 1, got 0"):
        VariationalAutoencoder((6, 4), latent=0)
    with pytest.raises(ag.ArgumentError, match="samples must be an int of at least 1, got 0"):
        VariationalAutoencoder((6, 4), latent=2).elbo(ag.ones((1, 6)), samples=0)

"""Restricted Boltzmann machines and deep belief networks, against enumeration of machines small enough for it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.models import RBM, DeepBeliefNet

VISIBLE, HIDDEN = 4, 3


def values(x: ag.Tensor) -> np.ndarray:
    return np.array(x.detach())


def states(units: int) -> np.ndarray:
    """Every state of so many binary units."""
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def machine(scale: float = 1.0, visible: str = "bernoulli") -> RBM:
    rbm = RBM(VISIBLE, HIDDEN, visible=visible, dtype="float64")
    rng = np.random.default_rng(1)
    for parameter in rbm.parameters():
        parameter.assign_(ag.tensor(rng.normal(scale=scale, size=parameter.shape)))
    return rbm


def joint(rbm: RBM) -> np.ndarray:
    """p(v, h) by enumeration: (2^VISIBLE, 2^HIDDEN)."""
    w, a, b = (values(p) for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    v, h = states(VISIBLE), states(HIDDEN)
    weights = np.exp((v @ a)[:, None] + h @ b + v @ w.T @ h.T)
    return weights / weights.sum()


def test_energy_is_that_of_the_joint_distribution():
    rbm = machine()
    v, h = (part.reshape(-1, part.shape[-1]) for part in np.broadcast_arrays(states(4)[:, None], states(4)[None]))
    energies = values(rbm.energy(ag.tensor(v), ag.tensor(h[:, :HIDDEN]))).reshape(16, 16)[:, ::2]
    p = np.exp(-energies)
    np.testing.assert_allclose(p / p.sum(), joint(rbm), rtol=1e-12)


def test_free_energy_sums_over_the_hidden_units():
    rbm = machine()
    p = np.exp(-values(rbm.free_energy(ag.tensor(states(VISIBLE)))))
    np.testing.assert_allclose(p / p.sum(), joint(rbm).sum(axis=1), rtol=1e-12)


def test_free_energy_of_gaussian_units_sums_over_the_hidden_units():
    rbm = machine(visible="gaussian")
    v = np.random.default_rng(0).normal(size=(5, VISIBLE))
    h = states(HIDDEN)
    rows, columns = np.repeat(v, len(h), axis=0), np.tile(h, (5, 1))
    energies = values(rbm.energy(ag.tensor(rows), ag.tensor(columns))).reshape(5, len(h))
    expected = -np.log(np.exp(-energies).sum(axis=1))
    np.testing.assert_allclose(values(rbm.free_energy(ag.tensor(v))), expected, rtol=1e-12)
    # the exponent of p(v | h) is quadratic about the mean a + W^T h
    means = rbm.reconstruct(ag.tensor(h))
    np.testing.assert_allclose(values(means), h @ values(rbm.weight) + values(rbm.visible_bias), rtol=1e-12)


def test_conditional_probabilities():
    rbm = machine()
    p = joint(rbm)
    v, h = states(VISIBLE), states(HIDDEN)
    np.testing.assert_allclose(values(rbm(ag.tensor(v))), p @ h / p.sum(axis=1, keepdims=True), rtol=1e-12)
    expected = p.T @ v / p.sum(axis=0)[:, None]
    np.testing.assert_allclose(values(rbm.reconstruct(ag.tensor(h))), expected, rtol=1e-12)


def transition(rbm: RBM) -> np.ndarray:
    """p(v' | v) of one round of Gibbs sampling: (2^VISIBLE, 2^VISIBLE)."""
    p = joint(rbm)
    return (p / p.sum(axis=1, keepdims=True)) @ (p / p.sum(axis=0)).T


@pytest.mark.parametrize("steps", [1, 3])
def test_gibbs_sampling_follows_its_transition_matrix(steps):
    rbm = machine()
    count = 40_000
    start = ag.tensor(np.tile(states(VISIBLE)[5], (count, 1)))
    with ag.random.fork(0):
        v = values(rbm.gibbs(start, steps))
    found = np.bincount((v @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    expected = np.linalg.matrix_power(transition(rbm), steps)[5]
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / count)


def mean_gradients(rbm: RBM, weights: np.ndarray) -> list[np.ndarray]:
    """The gradients of sum_v weights(v) F(v) over all v, in closed form from p(h = 1 | v)."""
    v = states(VISIBLE)
    h = 1 / (1 + np.exp(-(v @ values(rbm.weight).T + values(rbm.hidden_bias))))
    return [-(weights[:, None] * h).T @ v, -weights @ v, -weights @ h]


@pytest.mark.parametrize("steps", [1, 2])
def test_expected_gradient_of_contrastive_divergence(steps):
    rbm = machine()
    copies = 30_000
    rows = np.resize([3, 3, 9], copies)
    data = np.bincount(rows, minlength=16) / copies
    with ag.random.fork(0):
        rbm.divergence(ag.tensor(states(VISIBLE)[rows]), steps).backward()
    dreamt = data @ np.linalg.matrix_power(transition(rbm), steps)
    expected = mean_gradients(rbm, data - dreamt)
    for parameter, gradient in zip((rbm.weight, rbm.visible_bias, rbm.hidden_bias), expected, strict=True):
        np.testing.assert_allclose(values(parameter.grad), gradient, atol=5 * 0.5 / np.sqrt(copies))
        assert np.abs(gradient).max() > 0.1  # far above what the tolerance lets pass


def test_gradient_of_the_likelihood_is_that_of_long_persistent_chains():
    rbm = machine()
    data = states(VISIBLE)[[3, 5, 9]]
    chains = nn.Buffer(ag.tensor(states(VISIBLE)[np.random.default_rng(0).integers(0, 16, 30_000)]))
    before = values(chains)
    with ag.random.fork(0):
        rbm.divergence(ag.tensor(data), 30, chains).backward()
    assert not np.array_equal(before, values(chains))
    weights = np.isin(np.arange(16), [3, 5, 9]) / 3 - joint(rbm).sum(axis=1)
    for parameter, gradient in zip(rbm.parameters(), mean_gradients(rbm, weights), strict=True):
        np.testing.assert_allclose(values(parameter.grad), gradient, atol=5 * 0.5 / np.sqrt(30_000))


def test_no_gradient_goes_through_the_sampling():
    rbm = machine()
    v = ag.tensor(states(VISIBLE), requires_grad=True)
    assert not rbm.gibbs(v).requires_grad


def test_pseudo_log_likelihood_is_the_sum_over_units_on_average():
    rbm = machine()
    v = states(VISIBLE)
    p = joint(rbm).sum(axis=1)
    index = (v @ [8, 4, 2, 1]).astype(int)
    flips = index[:, None] ^ np.array([8, 4, 2, 1])
    expected = np.log(p[:, None] / (p[:, None] + p[flips])).sum(axis=1)
    copies = 4000
    with ag.random.fork(0):
        found = values(rbm.pseudo_log_likelihood(ag.tensor(np.tile(v, (copies, 1))))).reshape(copies, 16)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 5 * found.std(axis=0) / np.sqrt(copies) + 1e-12)


def test_compiled_training_learns_the_distribution():
    """Two patterns and their noise: after training the model gives them most of its probability."""
    rng = np.random.default_rng(0)
    patterns = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    rbm = RBM(VISIBLE, HIDDEN, dtype="float64")
    chains = nn.Buffer(ag.tensor(rng.integers(0, 2, (200, VISIBLE)).astype("float64")))

    @ag.compile
    def step(v, rate):
        rbm.zero_grad()
        loss = rbm.divergence(v, 1, chains)
        loss.backward()
        with ag.no_grad():
            for p in rbm.parameters():
                p.assign_(p - rate * p.grad)
        return loss

    with ag.random.fork(0):
        v = ag.tensor(patterns[rng.integers(0, 2, 200)])
        for _ in range(1500):
            step(v, ag.tensor(0.1))
    assert joint(rbm).sum(axis=1)[[12, 3]].sum() > 0.8


def test_features_of_a_deep_belief_net_go_from_machine_to_machine():
    net = DeepBeliefNet((6, 5, 4), dtype="float64")
    x = ag.tensor(np.random.default_rng(0).uniform(size=(3, 6)))
    first, second = net.machines
    np.testing.assert_array_equal(values(net.features(x, 0)), values(x))
    np.testing.assert_array_equal(values(net.features(x, 1)), values(first(x)))
    np.testing.assert_array_equal(values(net(x)), values(second(first(x))))


def test_unrolled_network_has_the_features_below_its_last_layer_and_its_own_weights():
    net = DeepBeliefNet((6, 5, 4), visible="gaussian", dtype="float64")
    for p in net.parameters():
        p.assign_(ag.tensor(np.random.default_rng(p.size).normal(size=p.shape)))
    x = ag.tensor(np.random.default_rng(0).normal(size=(3, 6)))
    before = values(net(x))
    network = net.unrolled(10)
    np.testing.assert_allclose(values(network[:-1](x)), before, rtol=1e-12)
    assert network(x).shape == (3, 10)
    for p in network.parameters():
        p.assign_(ag.zeros(p.shape, dtype="float64"))
    np.testing.assert_array_equal(values(net(x)), before)


def test_a_machine_turned_about_on_top_leaves_the_distribution_as_it_is():
    """Hinton, Osindero and Teh: the prior of h that the second machine stands for is the first one."""
    rbm = machine()
    net = DeepBeliefNet((VISIBLE, HIDDEN, VISIBLE), dtype="float64")
    first, top = net.machines
    first.load_state_dict(rbm.state_dict())
    top.weight.assign_(rbm.weight.T)
    top.visible_bias.assign_(rbm.hidden_bias.detach())
    top.hidden_bias.assign_(rbm.visible_bias.detach())
    p = np.exp(-values(top.free_energy(ag.tensor(states(HIDDEN)))))
    np.testing.assert_allclose(p / p.sum(), joint(rbm).sum(axis=0), rtol=1e-12)
    with ag.random.fork(0):
        means = values(net.sample(ag.zeros((20_000, VISIBLE), dtype="float64"), steps=20))
    np.testing.assert_allclose(means.mean(axis=0), joint(rbm).sum(axis=1) @ states(VISIBLE), atol=5 * 0.5 / 141)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ag.ArgumentError, match="visible must be 'bernoulli' or 'gaussian', got 'binary'"):
        RBM(3, 2, visible="binary")
    with pytest.raises(ag.ShapeError, match=r"v must have the shape \(N, 4\), got \(2, 5\)"):
        machine().free_energy(ag.ones((2, 5)))
    with pytest.raises(ag.ArgumentError, match="steps must be an int of at least 1, got 0"):
        machine().gibbs(ag.ones((2, 4)), 0)
    with pytest.raises(ag.ArgumentError, match="is for visible='bernoulli'"):
        machine(visible="gaussian").pseudo_log_likelihood(ag.ones((2, 4)))
    with pytest.raises(ag.ArgumentError, match="depth must be an int from 0 to 2, got 3"):
        DeepBeliefNet((4, 3, 2)).features(ag.ones((1, 4)), 3)
    with pytest.raises(ag.ArgumentError, match="depth must be an int from 0 to 2, got 0.5"):
        DeepBeliefNet((4, 3, 2)).features(ag.ones((1, 4)), 0.5)
    with pytest.raises(ag.ArgumentError, match=r"chains must be a variable, .* got a Tensor; write nn.Buffer\(x\)"):
        machine().divergence(ag.ones((2, 4)), chains=ag.ones((2, 4)))
    with pytest.raises(ag.ArgumentError, match="sizes must name data and layers"):
        DeepBeliefNet((4,))

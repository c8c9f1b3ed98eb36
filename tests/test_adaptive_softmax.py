"""Adaptive softmax is a softmax over all classes, whose rare ones are made of fewer features."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn


def layer() -> nn.AdaptiveLogSoftmaxWithLoss:
    with ag.random.fork(0):
        return nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], 2.0)


def inputs(n: int) -> ag.Tensor:
    return ag.asarray(np.random.default_rng(0).standard_normal((n, 8)).astype("float32"))


def test_probabilities_sum_to_1_and_forward_picks_the_targets() -> None:
    model, x, target = layer(), inputs(12), ag.arange(12)
    log_prob = model.log_prob(x).detach().numpy()
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1, rtol=1e-5)
    output, loss = model(x, target)
    np.testing.assert_allclose(output.detach().numpy(), np.diagonal(log_prob), rtol=1e-5)
    np.testing.assert_allclose(loss.item(), -np.diagonal(log_prob).mean(), rtol=1e-5)
    assert model.predict(x).tolist() == log_prob.argmax(axis=1).tolist()


def test_one_sample_needs_no_axis_of_its_own() -> None:
    model, x = layer(), inputs(1)
    assert model(x[0], ag.tensor(7)).output.shape == ()
    assert model.log_prob(x[0]).shape == (12,)
    assert model.predict(x[0]).item() == model.predict(x).item()


def test_all_parameters_learn_if_all_clusters_occur() -> None:
    model = layer()
    model(inputs(3), ag.tensor([0, 4, 9])).loss.backward()
    assert all(p.grad is not None and p.grad.numpy().any() for p in model.parameters())


def test_compiled_once_for_all_labels(device: str) -> None:
    """Which rows a cluster has does not matter, nor whether it has any."""
    model, x = layer(), inputs(5)

    def gradients(x: ag.Tensor, target: ag.Tensor) -> tuple[ag.Tensor, ...]:
        output, loss = model(x, target)
        for p in model.parameters():
            p.grad = None
        loss.backward()
        return (output.detach(), *(p.grad for p in model.parameters()))

    compiled = ag.compile(gradients)
    for labels in ([0, 1, 2, 0, 1], [3, 4, 5, 3, 4], [11, 6, 0, 5, 7], [11, 6, 0, 5, 7], [2, 2, 10, 2, 2]):
        target = ag.tensor(labels)
        found = compiled(x, target)
        for y, known in zip(found, gradients(x, target), strict=True):
            np.testing.assert_allclose(y.numpy(), known.numpy(), rtol=1e-5, atol=1e-6)
    assert len(compiled.variants) == 1


def test_every_example_of_a_batch_has_its_own_clusters() -> None:
    model = layer()
    x, target = inputs(6).reshape(3, 2, 8), ag.tensor([[0, 4], [11, 7], [2, 2]])
    found = ag.vmap(lambda x, y: model(x, y).loss)(x, target).detach().numpy()
    expected = [model(x[i], target[i]).loss.item() for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("cutoffs", "div_value", "message"),
    [
        ([], 4.0, "cutoffs must be ints that increase between 0 and n_classes=12"),
        ([3, 3], 4.0, r"got \[3, 3\]"),
        ([3, 12], 4.0, r"got \[3, 12\]"),
        ([0, 3], 4.0, r"got \[0, 3\]"),
        ([3.0], 4.0, r"got \[3.0\]"),
        ([3, 6], 4.0, "in_features=8 over div_value=4.0 leaves cluster 1 no features"),
    ],
)
def test_cutoffs_are_checked(cutoffs: list, div_value: float, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        nn.AdaptiveLogSoftmaxWithLoss(8, 12, cutoffs, div_value)


def test_inputs_are_checked() -> None:
    with pytest.raises(ag.ShapeError, match=r"takes \(N, 8\) or \(8,\), got \(2, 7\)"):
        layer()(ag.ones((2, 7)), ag.tensor([0, 1]))
    with pytest.raises(ag.ShapeError, match=r"needs a target of \(2,\), got \(3,\)"):
        layer()(inputs(2), ag.tensor([0, 1, 2]))
    with pytest.raises(ag.DataError, match="index 12 at 1 is outside 12 classes"):
        layer()(inputs(2), ag.tensor([0, 12]))

"""Normalization where it is hard: statistics that move, numbers far from 0, batches too small, higher derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F


def test_running_statistics_follow_the_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=0.25)
    x = np.array([[1.0, 10.0], [3.0, 30.0]], np.float32)
    layer(ag.asarray(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * x.mean(0))
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * x.var(0, ddof=1))
    assert layer.num_batches_tracked.item() == 1
    layer.eval()(ag.asarray(x))
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]


def test_without_momentum_the_running_mean_is_the_mean_of_the_batches() -> None:
    layer = nn.BatchNorm1d(1, momentum=None)
    batches = [np.array([[1.0], [3.0]]), np.array([[5.0], [7.0]]), np.array([[2.0], [0.0]])]
    for batch in batches:
        layer(ag.asarray(batch.astype(np.float32)))
    np.testing.assert_allclose(layer.running_mean.numpy(), [np.mean(batches)], rtol=1e-6)


def test_a_mean_far_from_zero_costs_no_digits_of_the_deviation() -> None:
    deviations = np.linspace(-1, 1, 64, dtype=np.float32)
    x = ag.asarray(np.float32(4096) + deviations[:, None])  # exact in float32
    expected = deviations / deviations.astype(np.float64).std()
    y = F.batch_norm(x, training=True, eps=0.0).numpy()[:, 0]
    np.testing.assert_allclose(y, expected, atol=1e-3)
    y = F.layer_norm(x[:, 0], 64, eps=0.0).numpy()
    np.testing.assert_allclose(y, expected, atol=1e-3)


def test_equal_elements_become_zero_not_nan() -> None:
    x = ag.tensor(np.full((3, 2), 7.0, np.float32), requires_grad=True)
    y = F.layer_norm(x, 2)
    y.sum().backward()
    assert not y.numpy().any()
    assert np.isfinite(x.grad.numpy()).all()


def test_half_precision_is_normalized_in_single() -> None:
    x = ag.asarray(np.array([[300.0, -300.0, 300.0, -300.0]], np.float16))  # squares are beyond float16
    y = F.layer_norm(x, 4)
    assert y.dtype == ag.float16
    assert y.tolist() == [[1.0, -1.0, 1.0, -1.0]]


def test_a_batch_of_one_is_refused_in_training_before_anything_changes() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with pytest.raises(ag.ShapeError) as caught:
        model(ag.ones((1, 3)))
    assert str(caught.value) == (
        "in 1 (BatchNorm1d): batch_norm: training needs more than one value per channel, input (1, 4) has 1: "
        "use a larger batch (DataLoader(drop_last=True) leaves out a last one of 1), or model.eval()"
    )
    assert model[1].num_batches_tracked.item() == 0
    assert model.eval()(ag.ones((1, 3))).shape == (1, 4)
    assert nn.BatchNorm1d(4)(ag.ones((1, 4, 2))).shape == (1, 4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.BatchNorm2d(3)(ag.ones((2, 4, 5, 5))), r"takes \(N, C, H, W\) with C = num_features = 3, got"),
        (lambda: nn.BatchNorm2d(3)(ag.ones((2, 3))), r"got shape \(2, 3\)"),
        (lambda: F.batch_norm(ag.ones((2, 3)), training=True, weight=ag.ones(2)), r"weight must have shape \(3,\)"),
        (lambda: F.batch_norm(ag.ones((2, 3))), "training=False needs running_mean and running_var"),
        (lambda: F.batch_norm(ag.ones((2, 1)), ag.zeros(1), ag.ones(1), training=True), "must be a variable"),
        (lambda: F.layer_norm(ag.ones((2, 3)), 4), r"input of shape \(2, 3\) does not end in normalized_shape \(4,\)"),
        (lambda: F.layer_norm(ag.ones((2, 3)), 3, bias=ag.ones(2)), r"bias must have the shape .* \(3,\), got \(2,\)"),
        (lambda: F.layer_norm(ag.ones((2, 3)), 3, eps=-1.0), "eps must not be negative, got -1.0"),
        (lambda: F.group_norm(ag.ones((2, 3)), 2), "num_groups must divide the 3 channels"),
        (lambda: F.instance_norm(ag.ones((2, 3, 1))), "needs more than one element per channel"),
        (lambda: nn.GroupNorm(2, 3), "num_channels=3 does not divide into num_groups=2"),
        (lambda: nn.BatchNorm1d(0), "num_features must be an int of at least 1, got 0"),
        (lambda: nn.BatchNorm1d(1, momentum=2.0), "momentum must be None or between 0 and 1"),
        (lambda: nn.LayerNorm((3, 0)), r"normalized_shape\[1\] must be an int of at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_said(call, message: str) -> None:
    with pytest.raises(ag.AutogradError, match=message):
        call()


def test_given_moments_meet_pytorchs_values() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, mean, weight, bias = rng.standard_normal((4, 3, 2)), *rng.standard_normal((3, 3))
    var = rng.uniform(0.5, 2.0, 3)
    y = F.batch_norm(*map(ag.asarray, (x, mean, var, weight, bias)))
    z = torch.nn.functional.batch_norm(*map(torch.from_numpy, (x, mean, var, weight, bias)))
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-12)


def test_a_frozen_weight_and_a_constant_input_are_no_obstacle() -> None:
    layer = nn.LayerNorm(3)
    layer.weight.requires_grad_(False)
    layer(ag.tensor([[1.0, 2.0, 4.0]])).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [1.0, 1.0, 1.0]


def test_hessians_go_through_batch_norm_in_evaluation_and_without_running_statistics() -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False).double()
    x = np.random.default_rng(0).standard_normal((3, 2))
    ag.check_grads(lambda x: layer(x).square(), (x,), order=2)
    ag.check_grads(nn.BatchNorm1d(2).double().eval(), (x,), order=2)


# ---------------------------------------------------------------------------------- instances, root mean squares


def test_an_instance_norm_follows_the_averages_of_its_samples() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 50)) * 3 + 2
    layer = nn.InstanceNorm1d(3, momentum=0.25, track_running_stats=True).double()
    layer(ag.asarray(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * x.mean(axis=(0, 2)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * x.var(axis=2, ddof=1).mean(axis=0), rtol=1e-12)
    mean, var = (v.numpy()[:, None] for v in (layer.running_mean, layer.running_var))
    expected = (x - mean) / np.sqrt(var + layer.eps)
    np.testing.assert_allclose(layer.eval()(ag.asarray(x)).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(layer(ag.asarray(x[0])).numpy(), expected[0], rtol=1e-9)


def test_root_mean_squares_of_half_precision_do_not_overflow() -> None:
    y = nn.RMSNorm(3).half()(ag.tensor([[300.0, 400.0, 0.0]], dtype="float16"))
    assert y.dtype == "float16"
    np.testing.assert_allclose(y.detach().numpy(), [[1.039, 1.386, 0.0]], atol=2e-3)


def test_per_sample_gradients_of_normalization_are_those_of_single_samples() -> None:
    x, w = ag.tensor(np.random.default_rng(0).standard_normal((5, 4, 6))), ag.ones(4, dtype="float64")

    def loss(w: ag.Tensor, x: ag.Tensor) -> ag.Tensor:
        return (nn.functional.group_norm(x[None], 2, w, w) ** 3).sum()

    each = ag.vmap(ag.grad(loss), in_axes=(None, 0))(w, x).numpy()
    for i in range(5):
        np.testing.assert_allclose(each[i], ag.grad(loss)(w, x[i]).numpy(), rtol=1e-10)
    np.testing.assert_allclose(
        ag.grad(lambda w: ag.vmap(lambda x: loss(w, x))(x).sum())(w).numpy(), each.sum(axis=0), rtol=1e-10
    )


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: nn.InstanceNorm1d(3)(ag.ones((2, 4, 5))),
            ag.ShapeError,
            r"takes \(N, C, L\) or \(C, L\) with C",
        ),
        (lambda: nn.InstanceNorm2d(3)(ag.ones((3, 5))), ag.ShapeError, r"num_features = 3, got shape \(3, 5\)"),
        (lambda: nn.InstanceNorm1d(3)(ag.ones((2, 3, 1))), ag.ShapeError, "more than one element per channel"),
        (lambda: nn.BatchNorm3d(3)(ag.ones((2, 3, 4, 4))), ag.ShapeError, r"takes \(N, C, D, H, W\)"),
        (lambda: nn.RMSNorm(3)(ag.ones((2, 4))), ag.ShapeError, r"does not end in normalized_shape \(3,\)"),
        (lambda: nn.RMSNorm((3, 0)), ag.ArgumentError, r"normalized_shape\[1\] must be an int of at least 1, got 0"),
        (lambda: nn.LocalResponseNorm(0), ag.ArgumentError, "LocalResponseNorm: size must be an int of at least 1"),
        (lambda: nn.LocalResponseNorm(2)(ag.ones((2, 3))), ag.ShapeError, r"\(N, C, ...\) with an axis after C"),
        (
            lambda: nn.functional.instance_norm(ag.ones((1, 2, 3)), ag.zeros(2), ag.ones(2)),
            ag.ArgumentError,
            r"running_mean is updated in training and must be a variable: write nn.Buffer\(running_mean\)",
        ),
        (lambda: nn.functional.rms_norm(ag.ones((2, 3)), 3, ag.ones(2)), ag.ShapeError, "weight must have the shape"),
        (lambda: nn.functional.layer_norm(ag.ones((2, 3)) * 1j, 3), ag.DTypeError, "takes real numbers"),
    ],
)
def test_normalization_says_what_would_fit(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_examples_with_weights_of_their_own_may_be_empty() -> None:
    x, weight, bias = ag.zeros((2, 3, 0, 4)), ag.zeros((2, 0)), ag.zeros(0)
    assert ag.vmap(lambda x, weight: F.instance_norm(x, weight=weight, bias=bias))(x, weight).shape == x.shape

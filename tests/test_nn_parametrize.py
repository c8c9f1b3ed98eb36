"""Parametrized weights: the same state dict, values and gradients as PyTorch's, assignment, removal, copies."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.utils import parametrizations, parametrize

BUILDS = {
    "weight_norm": lambda n: n.utils.parametrizations.weight_norm(n.Linear(3, 4)),
    "weight_norm, dim": lambda n: n.utils.parametrizations.weight_norm(n.Conv1d(3, 4, 2), dim=1),
    "weight_norm, whole": lambda n: n.utils.parametrizations.weight_norm(n.Linear(3, 4), dim=None),
    "spectral_norm": lambda n: n.utils.parametrizations.spectral_norm(n.Linear(3, 4)),
    "spectral_norm, steps": lambda n: n.utils.parametrizations.spectral_norm(n.Conv2d(3, 4, 2), n_power_iterations=3),
    "spectral_norm, transposed": lambda n: n.utils.parametrizations.spectral_norm(n.ConvTranspose1d(3, 4, 2)),
    "spectral_norm, vector": lambda n: n.utils.parametrizations.spectral_norm(n.Linear(3, 4), "bias"),
    "both": lambda n: n.utils.parametrizations.spectral_norm(
        n.utils.parametrizations.weight_norm(n.Linear(3, 4)), "bias"
    ),
}


def shape_of(layer: Any) -> tuple[int, ...]:
    return {"Linear": (2, 3), "Conv1d": (2, 3, 5), "Conv2d": (2, 3, 4, 4), "ConvTranspose1d": (2, 3, 5)}[
        type(layer).__name__.removeprefix("Parametrized")
    ]


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_the_same_as_pytorch(build: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    ours, theirs = build(nn).double(), build(torch.nn).double()
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in state.items()}
    assert type(ours).__name__ == type(theirs).__name__
    ours.load_state_dict(state)
    x = np.random.default_rng(0).standard_normal(shape_of(ours))
    for training in (True, False, True):
        ours.train(training)
        theirs.train(training)
        y, z = ours(ag.asarray(x)), theirs(torch.from_numpy(x))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-10)
        y.square().sum().backward()
        z.square().sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), expected[name].grad.numpy(), rtol=1e-9, atol=1e-12)
    for name, value in theirs.named_buffers():
        np.testing.assert_allclose(ours.get_buffer(name).numpy(), value.numpy(), rtol=1e-9)


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, value: Any) -> Any:
        return value / 2


class Positive(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.exp()


def test_a_value_stays_what_it_is_where_there_is_an_inverse() -> None:
    layer = nn.Linear(2, 2)
    before, original = layer.weight.tolist(), layer.weight
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert layer.weight.tolist() == before
    assert layer.parametrizations["weight"].original is original
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert layer.weight.tolist() == before
    assert (original * 4).tolist() == before


def test_assignment_goes_to_the_originals() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 1), "weight", Doubled())
    layer.weight = ag.tensor([[2.0, 6.0]])
    assert layer.parametrizations["weight"].original.tolist() == [[1.0, 3.0]]
    other = parametrize.register_parametrization(nn.Linear(2, 1), "weight", Positive())
    with pytest.raises(ag.ArgumentError, match="Positive has no right_inverse"):
        other.weight = ag.ones((1, 2))


def test_removal_leaves_the_value_or_the_original() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 1), "weight", Positive())
    original, value = layer.parametrizations["weight"].original.tolist(), layer.weight.tolist()
    twin = copy.deepcopy(layer)
    assert type(parametrize.remove_parametrizations(layer, "weight")) is nn.Linear
    assert layer.weight.tolist() == value
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert parametrize.is_parametrized(twin, "weight")
    assert twin.weight.tolist() == value
    parametrize.remove_parametrizations(twin, "weight", leave_parametrized=False)
    assert twin.weight.tolist() == original
    normed = parametrizations.weight_norm(nn.Linear(2, 1))
    with pytest.raises(ag.ArgumentError, match="weight is made from 2 tensors; leave_parametrized=True keeps"):
        parametrize.remove_parametrizations(normed, "weight", leave_parametrized=False)
    assert isinstance(parametrize.remove_parametrizations(normed, "weight").weight, nn.Parameter)


def test_two_layers_of_one_class_do_not_share_parametrizations() -> None:
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    parametrizations.weight_norm(one)
    assert not parametrize.is_parametrized(other)
    assert isinstance(other.weight, nn.Parameter)
    assert isinstance(one, nn.Linear)


def test_the_largest_singular_value_is_one() -> None:
    with ag.random.fork(0):
        layer = parametrizations.spectral_norm(nn.Linear(6, 5).double(), n_power_iterations=30)
    np.testing.assert_allclose(np.linalg.svd(layer.weight.detach().numpy())[1][0], 1.0, rtol=1e-6)


def test_what_cannot_be_parametrized_is_said() -> None:
    layer = nn.Linear(2, 3)
    with pytest.raises(ag.ArgumentError, match=r"Linear has no parameter or buffer 'gain'; it has: weight, bias"):
        parametrize.register_parametrization(layer, "gain", Doubled())
    with pytest.raises(ag.ArgumentError, match="a parametrization is an nn.Module, got function"):
        parametrize.register_parametrization(layer, "weight", lambda x: x)
    with pytest.raises(ag.ShapeError, match=r"weight has shape \(3, 2\), its parametrization gives \(6,\)"):
        parametrize.register_parametrization(layer, "weight", nn.Flatten(0))
    assert not parametrize.is_parametrized(layer)
    assert isinstance(layer.weight, nn.Parameter)
    with pytest.raises(ag.ArgumentError, match="Linear.weight has no parametrization"):
        parametrize.remove_parametrizations(layer, "weight")
    with pytest.raises(ag.ArgumentError, match="weight_norm: ReLU has no parameter 'weight'"):
        parametrizations.weight_norm(nn.ReLU())
    with pytest.raises(ag.ShapeError, match="spectral_norm: dim 2 is no axis"):
        parametrizations.spectral_norm(layer, dim=2)


def test_vectors_of_parameters() -> None:
    model, other = nn.Linear(2, 3), nn.Linear(2, 3)
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), other.parameters())
    assert other.weight.tolist() == model.weight.tolist()
    assert other.bias.tolist() == model.bias.tolist()
    with pytest.raises(ag.ShapeError, match=r"the parameters hold 9 elements, vec has shape \(8,\)"):
        nn.utils.vector_to_parameters(ag.ones(8), model.parameters())

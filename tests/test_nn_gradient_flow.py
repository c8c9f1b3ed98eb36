"""Gradient sizes by layer: numbers worked out by hand, vanishing made visible, and what is an error."""

from __future__ import annotations

import math

import pytest

import autograd_core as ag
from autograd_core import nn


def chain(factors: list[float]) -> nn.Sequential:
    """y = f_n ... f_1 x: the gradient of each factor is the product of the others."""
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in factors))
    for layer, factor in zip(model, factors, strict=True):
        nn.init.constant_(layer.weight, factor)
    return model


def test_numbers_worked_out_by_hand() -> None:
    model = chain([2.0, 0.5, 4.0])
    model(ag.tensor([[3.0]])).sum().backward()
    layers = nn.gradient_flow(model).layers
    assert [(layer.path, layer.type, layer.parameters) for layer in layers] == [(str(i), "Linear", 1) for i in range(3)]
    assert [layer.norm for layer in layers] == [6.0, 24.0, 3.0]
    assert [layer.weight_norm for layer in layers] == [2.0, 0.5, 4.0]
    assert [layer.relative for layer in layers] == [3.0, 48.0, 0.75]


def test_weight_and_bias_of_a_layer_are_one_row() -> None:
    layer = nn.Linear(3, 1)
    layer(ag.tensor([[2.0, 4.0, 4.0]])).sum().backward()
    (found,) = nn.gradient_flow(layer).layers
    assert (found.path, found.parameters) == ("", 4)
    assert found.norm == pytest.approx(math.sqrt(4 + 16 + 16 + 1))
    assert found.rms == pytest.approx(math.sqrt(37 / 4))
    assert found.largest == 4.0


def test_complex_gradients_count_by_their_absolute_values() -> None:
    model = nn.Module()
    model.weight = nn.Parameter(ag.tensor([3 + 4j], dtype="complex64"))
    ag.real(model.weight * ag.tensor([5 + 12j], dtype="complex64")).sum().backward()
    (found,) = nn.gradient_flow(model).layers
    assert (found.norm, found.weight_norm) == (13.0, 5.0)


def test_the_bars_show_what_vanishes() -> None:
    model = chain([2.0**-10] * 4)
    model(ag.tensor([[1.0]])).sum().backward()
    assert {layer.rms for layer in nn.gradient_flow(model).layers} == {2.0**-30}

    nn.init.constant_(model[0].weight, 1.0)  # the gradients of the others are 2**10 times as large now
    model.zero_grad()
    model(ag.tensor([[1.0]])).sum().backward()
    lines = str(nn.gradient_flow(model)).splitlines()
    assert lines[0].split() == ["layer", "type", "parameters", "norm", "rms", "of", "weights"]
    assert [line.count("#") for line in lines[2:]] == [14, 24, 24, 24]


def test_layers_without_gradient_say_so_and_a_shared_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    model[2].weight = model[1].weight
    model(ag.ones((1, 2))).sum().backward()
    frozen, first, second = nn.gradient_flow(model).layers
    assert (frozen.norm, frozen.relative) == (None, None)
    assert "no gradient" in str(nn.gradient_flow(model)).splitlines()[2]
    assert (first.parameters, second.parameters) == (6, 2)


def test_what_is_not_finite_shows() -> None:
    model = chain([1.0, 1.0])
    model(ag.tensor([[float("inf")]])).sum().backward()
    flow = nn.gradient_flow(model)
    assert not math.isfinite(flow.layers[0].norm)
    assert "inf" in str(flow) or "nan" in str(flow)


def test_an_all_zero_gradient_is_a_table_without_bars() -> None:
    model = nn.Linear(2, 1, bias=False)
    (model(ag.zeros((1, 2))) * 0.0).sum().backward()
    assert "#" not in str(nn.gradient_flow(model))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("net", "model must be an nn.Module, got str"),
        (nn.ReLU(), "ReLU has no parameters"),
        (nn.Linear(1, 1), r"no parameter has a gradient; call loss.backward\(\) first"),
    ],
)
def test_what_has_no_gradients_is_an_error(model: object, said: str) -> None:
    with pytest.raises(ag.errors.ArgumentError, match=f"gradient_flow: {said}"):
        nn.gradient_flow(model)

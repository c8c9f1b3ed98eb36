"""Residual networks: the sizes of the paper, torchvision's names, PyTorch's outputs and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.models import BasicBlock, ResNet


def test_the_usual_sizes_are_those_of_resnet_18() -> None:
    assert sum(p.size for p in ResNet(3, 10).parameters()) == 11_173_962


def test_every_stage_but_the_first_halves_the_image() -> None:
    rows = {row.path: row for row in nn.summary(ResNet(1, 10, width=4), (1, 28, 28), batch_size=2).rows}
    shapes = [rows[f"layer{i}"].output_shapes for i in (1, 2, 3, 4)]
    assert shapes == [[(2, 4, 28, 28)], [(2, 8, 14, 14)], [(2, 16, 7, 7)], [(2, 32, 4, 4)]]


def test_a_block_without_residual_is_relu() -> None:
    with ag.random.fork(0):
        block = BasicBlock(3, 3)
        x = ag.random.normal((2, 3, 5, 5))
    nn.init.zeros_(block.bn2.weight)
    np.testing.assert_array_equal(block(x).numpy(), x.relu().numpy())


def test_the_state_dict_has_torchvisions_names() -> None:
    names = set(ResNet(1, 10, blocks=(1, 2), width=4).state_dict())
    assert {"conv1.weight", "bn1.running_var", "fc.bias"} < names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias", "layer2.1.conv2.weight"} < names
    assert not any(name.startswith("layer1.0.downsample") for name in names)


def test_convolutions_begin_with_the_variance_of_their_fan_out() -> None:
    with ag.random.fork(0):
        weight = ResNet(1, 10, blocks=(1,), width=64).layer1[0].conv2.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("stride", "channels"), [(1, 4), (1, 6), (2, 4), (2, 6)])
def test_a_block_computes_what_pytorchs_layers_compute(stride: int, channels: int) -> None:
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's own layers")
    rng = np.random.default_rng(0)
    block = BasicBlock(4, channels, stride, dtype="float64")
    reference = torch.nn.ModuleDict(
        {
            "conv1": torch.nn.Conv2d(4, channels, 3, stride, 1, bias=False),
            "bn1": torch.nn.BatchNorm2d(channels),
            "conv2": torch.nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            "bn2": torch.nn.BatchNorm2d(channels),
        }
    ).double()
    if block.downsample is not None:
        convolution = torch.nn.Conv2d(4, channels, 1, stride, bias=False)
        reference["downsample"] = torch.nn.Sequential(convolution, torch.nn.BatchNorm2d(channels)).double()
    block.load_state_dict({name: value.numpy() for name, value in reference.state_dict().items()})

    x = rng.normal(size=(3, 4, 7, 7))
    ours, theirs = ag.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    part = torch.relu(reference["bn1"](reference["conv1"](theirs)))
    shortcut = reference["downsample"](theirs) if "downsample" in reference else theirs
    expected = torch.relu(reference["bn2"](reference["conv2"](part)) + shortcut)
    found = block(ours)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-10)

    weights = rng.normal(size=found.shape)
    (found * ag.tensor(weights)).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-8, atol=1e-10)
    gradients = dict(reference.named_parameters())
    for name, parameter in block.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), gradients[name].grad.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 0}, "width must be an int of at least 1, got 0"),
        ({"blocks": ()}, r"blocks says how many blocks each stage has, such as \(2, 2, 2, 2\), got \(\)"),
        ({"blocks": 2}, r"blocks says how many blocks each stage has, .*, got 2"),
        ({"blocks": (2, 0)}, r"blocks\[1\] must be an int of at least 1, got 0"),
        ({"num_classes": "ten"}, "num_classes must be an int"),
    ],
)
def test_sizes_that_make_no_network(arguments: dict, said: str) -> None:
    with pytest.raises(ag.errors.ArgumentError, match=f"ResNet: {said}"):
        ResNet(1, **arguments)


def test_a_batch_of_one_that_ends_in_one_pixel_says_which_layer_it_is() -> None:
    """Batch norm has one value a channel then, whose variance is nothing to divide by."""
    model = ResNet(1, 2, blocks=(1, 1), width=2)
    with pytest.raises(ag.errors.AutogradError, match=r"layer2\.0\.bn1"):
        model(ag.ones((1, 1, 2, 2)))

"""Summaries: numbers worked out by hand, and a model that stays as it was."""

from __future__ import annotations

import pytest

import autograd_core as ag
from autograd_core import nn


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(8 * 4 * 4, 10, bias=False),
    )


def test_numbers_worked_out_by_hand() -> None:
    found = nn.summary(network(), (3, 8, 8), batch_size=2)
    rows = {row.path: row for row in found.rows}
    assert [row.type for row in found.rows] == [
        "Sequential", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten", "Dropout", "Linear",
    ]  # fmt: skip
    assert rows["0"].output_shapes == [(2, 8, 8, 8)]
    assert rows[""].output_shapes == [(2, 10)]
    image = 2 * 8 * 8 * 8
    assert rows["0"].parameters == 8 * 3 * 9 + 8
    assert rows["0"].flops == 2 * image * 3 * 9 + image  # multiply-adds, and the bias
    assert rows["1"].parameters == 16
    assert 2 * image <= rows["1"].flops < 2 * image + 100  # a product and a sum; the rest is by channel
    assert rows["2"].flops == image
    assert rows["3"].flops == 2 * 8 * 4 * 4 * 4
    assert rows["4"].flops == rows["5"].flops == 0
    assert rows["6"].flops == 2 * 2 * 128 * 10
    assert found.parameters == found.trainable == 224 + 16 + 1280
    assert found.parameter_bytes == 4 * found.parameters
    assert found.buffer_bytes == 4 * 16 + 8
    assert found.activation_bytes == 4 * (3 * image + 3 * 2 * 128 + 2 * 10)
    assert found.flops == sum(row.flops for row in found.rows)


def test_groups_divide_the_cost_and_frozen_parameters_are_told_apart() -> None:
    layer = nn.Conv1d(4, 4, 3, groups=4)
    layer.bias.requires_grad_(False)
    found = nn.summary(layer, (4, 10))
    assert found.flops == 2 * (4 * 8) * 3 + 4 * 8
    assert (found.parameters, found.trainable) == (16, 12)


def test_operations_outside_layers_belong_to_the_module_that_ran_them() -> None:
    class Attention(nn.Module):
        def __init__(self):
            self.q = nn.Linear(6, 6, bias=False)

        def forward(self, x):
            return (self.q(x) @ x.mT) @ x

    found = nn.summary(Attention(), (5, 6))
    assert [row.flops for row in found.rows] == [2 * 5 * 5 * 6 * 2, 2 * 5 * 6 * 6]


def test_a_reduction_costs_what_it_reads() -> None:
    class Reductions(nn.Module):
        def forward(self, x):
            return x.sum(axis=1) + x.mean(axis=1) + x.max(axis=1) + x.cumsum(axis=1)[:, -1]

    assert nn.summary(Reductions(), (10,), batch_size=3).flops == 4 * 30 + 3 * 3


def test_the_model_stays_as_it_was() -> None:
    model = network()
    model[2].eval()
    before = {name: value.tolist() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with ag.random.fork(5) as generator:
        nn.summary(model, (3, 8, 8))
        assert generator.call == 0
    assert {name: value.tolist() for name, value in model.state_dict().items()} == before
    assert [module.training for module in model.modules()] == modes
    assert not any(module._hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_an_input_that_does_not_fit_is_told_with_the_module_and_leaves_the_model_alone() -> None:
    model = network()
    with pytest.raises(ag.ShapeError, match=r"^in 6 \(Linear\): linear"):
        nn.summary(model, (3, 10, 10))
    assert all(module.training for module in model.modules())
    assert not any(module._hooks for module in model.modules())


def test_several_inputs_and_integer_inputs() -> None:
    class Two(nn.Module):
        def __init__(self):
            self.words = nn.Embedding(10, 4)

        def forward(self, x, i):
            return x + self.words(i), self.words(i)

    found = nn.summary(Two(), [(3, 4), (3,)], dtype=["float32", "int64"], batch_size=2)
    assert found.input_shapes == [(2, 3, 4), (2, 3)]
    assert found.rows[0].output_shapes == [(2, 3, 4), (2, 3, 4)]
    assert found.rows[1].calls == 2
    assert "Embedding x2" in str(found)


def test_a_shared_module_counts_its_parameters_once() -> None:
    layer = nn.Linear(3, 3)
    found = nn.summary(nn.Sequential(layer, nn.ReLU(), layer), (3,))
    assert found.parameters == 12
    assert len(found.rows) == 3
    assert found.flops == 2 * (2 * 9 + 3) + 3


def test_unused_modules_are_marked() -> None:
    class Lazy(nn.Module):
        def __init__(self):
            self.spare = nn.Linear(2, 2)

        def forward(self, x):
            return x

    assert "(not used)" in str(nn.summary(Lazy(), (2,)))


def test_arguments_are_checked() -> None:
    with pytest.raises(ag.ArgumentError, match=r"model must be an nn\.Module, got function"):
        nn.summary(nn.functional.relu, (2,))
    with pytest.raises(ag.ArgumentError, match="batch_size must be an int of at least 1"):
        nn.summary(nn.ReLU(), (2,), batch_size=0)
    with pytest.raises(ag.ArgumentError, match="2 dtypes given for 1 inputs"):
        nn.summary(nn.ReLU(), (2,), dtype=["float32", "float32"])

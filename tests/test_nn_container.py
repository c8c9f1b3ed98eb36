"""Containers behave as the lists and dicts they look like, and keep names in order."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import autograd_core as ag
from autograd_core import nn


def sequence() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def test_sequential_runs_its_modules_in_order() -> None:
    model = sequence()
    x = ag.ones((4, 2))
    assert model(x).tolist() == model[2](model[1](model[0](x))).tolist()


def test_sequential_takes_names() -> None:
    model = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), act=nn.ReLU()))
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    assert model.act is model[1]
    assert [name for name, _ in model[1:].named_children()] == ["act"]


def test_indexing_and_slicing_share_the_modules() -> None:
    model = sequence()
    assert model[-1] is model[2]
    tail = model[1:]
    assert isinstance(tail, nn.Sequential)
    assert tail[1] is model[2]
    assert list(tail.state_dict()) == ["1.weight", "1.bias"]
    assert len(model) == 3
    assert [type(m).__name__ for m in model] == ["Linear", "ReLU", "Linear"]


def test_lists_grow_and_shrink_and_names_stay_consecutive() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers.append(nn.ReLU()).extend([nn.Tanh(), nn.Linear(1, 2)])
    layers.insert(1, nn.Sigmoid())
    assert [type(m).__name__ for m in layers] == ["Linear", "Sigmoid", "ReLU", "Tanh", "Linear"]
    assert layers[4].weight.name == "4.weight"
    del layers[1]
    assert isinstance(layers.pop(1), nn.ReLU)
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert layers[2].weight.name == "2.weight"
    layers[0] = nn.Identity()
    del layers[1:]
    assert [name for name, _ in layers.named_children()] == ["0"]


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(
        ag.ArgumentError, match=r"Sequential: element 1 must be an nn\.Module, such as nn\.ReLU\(\).*relu"
    ):
        nn.Sequential(nn.Linear(1, 1), nn.functional.relu)
    with pytest.raises(ag.ArgumentError, match="ModuleDict: 'a' must be"):
        nn.ModuleDict({"a": 3})
    with pytest.raises(ag.ArgumentError, match=r"ParameterList: element 0 must be an nn\.Parameter, got Tensor"):
        nn.ParameterList([ag.ones(1)])


def test_an_element_that_is_not_there() -> None:
    with pytest.raises(IndexError, match="Sequential has no element 5: use an int below 3"):
        sequence()[5]
    with pytest.raises(KeyError, match=r"ModuleDict has no element 'b': use one of \['a'\]"):
        nn.ModuleDict({"a": nn.ReLU()})["b"]


def test_a_module_dict_is_a_dict() -> None:
    heads = nn.ModuleDict([("a", nn.Linear(1, 2)), ("b", nn.Linear(1, 3))])
    heads.update({"c": nn.ReLU()})
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"]
    assert "a" in heads
    assert 1 not in heads
    assert len(heads) == 3
    assert [type(m).__name__ for m in heads.values()] == ["Linear", "Linear", "ReLU"]
    assert heads.pop("b").out_features == 3
    assert [name for name, _ in heads.items()] == ["a", "c"]
    assert list(heads.state_dict()) == ["a.weight", "a.bias"]
    heads.clear()
    assert not list(heads.parameters())
    with pytest.raises(ag.ArgumentError, match="'keys' exists already"):
        heads["keys"] = nn.ReLU()


def test_a_parameter_list_holds_parameters() -> None:
    scales = nn.ParameterList([nn.Parameter(ag.ones(2)), nn.Parameter(ag.zeros(3))])
    assert [p.shape for p in scales.parameters()] == [(2,), (3,)]
    assert scales[1].name == "1"


def test_a_list_has_no_forward() -> None:
    with pytest.raises(NotImplementedError, match="ModuleList holds modules and computes nothing"):
        nn.ModuleList([nn.ReLU()])(ag.ones(1))

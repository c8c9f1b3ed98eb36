"""Modules: what they own, how it is found, moved and loaded, and what they say when something is wrong."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.norm(self.linear1(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(ag.ones(1))
        self.blocks = nn.ModuleList([Block(3), Block(3)])
        self.head = nn.Linear(3, 2)
        self.register_buffer("offset", ag.zeros(2))
        self.register_buffer("scratch", ag.zeros(2), persistent=False)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x * self.scale) + self.offset


# ------------------------------------------------------------------------------------------- the tree


def test_attributes_are_found_by_their_type_in_pytorchs_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "blocks.0.linear1.weight",
        "blocks.0.linear1.bias",
        "blocks.0.norm.weight",
        "blocks.0.norm.bias",
        "blocks.1.linear1.weight",
        "blocks.1.linear1.bias",
        "blocks.1.norm.weight",
        "blocks.1.norm.bias",
        "head.weight",
        "head.bias",
    ]
    assert [name for name, _ in net.named_buffers()][:3] == ["offset", "scratch", "blocks.0.norm.running_mean"]
    assert [name for name, _ in net.named_modules()][:3] == ["", "blocks", "blocks.0"]
    assert [name for name, _ in net.named_children()] == ["blocks", "head"]
    assert len(list(net.parameters(recurse=False))) == 1
    assert net.get_submodule("blocks.1.norm") is net.blocks[1].norm


def test_the_order_of_a_state_dict_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    tnn = torch.nn

    def build(n):
        return n.Sequential(n.Conv2d(1, 2, 3), n.BatchNorm2d(2), n.Sequential(n.Linear(2, 2), n.PReLU()))

    assert list(build(nn).state_dict()) == list(build(tnn).state_dict())


def test_shared_modules_and_parameters_count_once_and_are_saved_under_both_names() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    twice = nn.ModuleList([net[0], net[0]])
    assert len(list(twice.modules())) == 2
    assert set(twice.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_subclass_needs_no_call_of_super_init() -> None:
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x)

    net = Forgetful()
    assert net.training
    assert set(net.eval().state_dict()) == {"layer.weight", "layer.bias"}
    assert net(ag.ones((3, 2))).shape == (3, 1)


def test_parameters_know_their_path_and_so_does_the_graph() -> None:
    net = Net()
    weight = net.blocks[1].linear1.weight
    assert weight.name == weight.node.name == "blocks.1.linear1.weight"
    weight.requires_grad_(False).requires_grad_(True)
    assert weight.node.name == "blocks.1.linear1.weight"


def test_deleting_an_attribute_takes_it_out_of_the_tree() -> None:
    net = Net()
    del net.head
    assert "head.weight" not in net.state_dict()


# ------------------------------------------------------------------------------------------- attributes


def test_a_parameter_is_not_hidden_by_assigning_a_tensor() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ag.ArgumentError, match=r"Linear\.weight is a parameter.*assign_"):
        layer.weight = ag.ones((2, 2))
    layer.bias = None
    assert set(layer.state_dict()) == {"weight"}
    assert layer(ag.ones((1, 2))).shape == (1, 2)


def test_a_tensor_assigned_to_a_buffer_is_a_buffer() -> None:
    net = Net()
    net.scratch = ag.ones(2)
    assert isinstance(net.scratch, nn.Buffer)
    assert not net.scratch.persistent


def test_names_that_a_state_dict_could_not_hold_are_refused() -> None:
    net = Net()
    with pytest.raises(ag.ArgumentError, match="without dots"):
        net.register_buffer("a.b", ag.ones(1))
    with pytest.raises(ag.ArgumentError, match="'forward' exists already"):
        net.add_module("forward", nn.ReLU())
    with pytest.raises(ag.ArgumentError, match="'head' exists already"):
        net.register_parameter("head", nn.Parameter(ag.ones(1)))
    with pytest.raises(ag.ArgumentError, match="must be a Parameter or None, got Tensor"):
        net.register_parameter("new", ag.ones(1))
    with pytest.raises(ag.ArgumentError, match=r"has no submodule 'blocks\.7'; it has: blocks, blocks\.0"):
        net.get_submodule("blocks.7")


def test_an_integer_parameter_is_refused() -> None:
    with pytest.raises(ag.DTypeError, match="int64 cannot require gradients"):
        nn.Parameter(ag.tensor([1, 2]))
    assert not nn.Parameter(ag.tensor([1, 2]), requires_grad=False).requires_grad


# ------------------------------------------------------------------------------------------- modes and conversions


def test_train_and_eval_reach_every_module() -> None:
    net = Net().eval()
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())
    with pytest.raises(ag.ArgumentError, match="mode must be True or False"):
        net.train("yes")


def test_frozen_parameters_collect_no_gradient() -> None:
    net = Net()
    net.blocks.requires_grad_(False)
    net(ag.ones((4, 3)) * ag.arange(4.0)[:, None]).sum().backward()
    assert net.head.weight.grad is not None
    assert net.blocks[0].linear1.weight.grad is None


def test_zero_grad_forgets_or_fills() -> None:
    layer = nn.Linear(2, 1)
    layer(ag.ones((1, 2))).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    assert layer.weight.grad is None


def test_apply_visits_children_first() -> None:
    seen = []
    Block(2).apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "BatchNorm1d", "Block"]


def test_conversions_keep_the_parameters_and_leave_integers_alone() -> None:
    net = Net()
    before = list(net.parameters())
    net(ag.ones((4, 3)) * ag.arange(4.0)[:, None]).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {ag.float64}
    assert net.head.weight.grad.dtype == ag.float64
    assert net.head.weight.requires_grad
    assert net.blocks[0].norm.running_mean.dtype == ag.float64
    assert net.blocks[0].norm.num_batches_tracked.dtype == ag.int64
    assert net(ag.ones((4, 3), dtype="float64") * ag.arange(4.0)[:, None]).dtype == ag.float64
    assert net.to("float32").scale.dtype == ag.float32
    with pytest.raises(ag.DTypeError, match=r"Net\.to: parameters are floating or complex, got dtype int64"):
        net.to(ag.int64)


def test_to_another_device_moves_everything_and_an_unknown_one_moves_nothing() -> None:
    net = Net()
    before = net.scale.device
    with pytest.raises(ag.DeviceError, match="no backend is named 'abacus'"):
        net.to("abacus", ag.float64)
    assert net.scale.device is before
    assert net.scale.dtype == ag.float32
    net.to("numpy")
    assert {str(v.device) for v in [*net.parameters(), *net.buffers()]} == {"numpy"}
    assert net.to(device="cpu").scale.device == "cpu"


def test_a_deep_copy_shares_nothing_but_the_device() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    assert twin.scale.device is net.scale.device
    assert twin.head.weight is not net.head.weight
    assert twin.head.weight.name == "head.weight"
    assert twin.head.weight.requires_grad
    twin.head.weight.assign_(ag.zeros((2, 3)))
    assert net.head.weight.numpy().any()
    assert isinstance(twin.offset, nn.Buffer)


def test_a_module_is_freed_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        net = Net()
        net(ag.ones((4, 3)) * ag.arange(4.0)[:, None]).sum().backward()
        alive = weakref.ref(net)
        del net
        assert alive() is None
    finally:
        gc.enable()


# ------------------------------------------------------------------------------------------- hooks


def test_hooks_see_and_may_replace_what_passes() -> None:
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    after = layer.register_forward_hook(lambda module, args, output: output + 1)
    assert layer(ag.tensor([3.0])).tolist() == [7.0]
    before.remove()
    assert layer(ag.tensor([3.0])).tolist() == [4.0]
    after.remove()
    after.remove()
    assert layer(ag.tensor([3.0])).tolist() == [3.0]
    assert nn.Identity()(ag.tensor([3.0])).tolist() == [3.0]


# ------------------------------------------------------------------------------------------- errors from inside


def test_an_error_names_the_path_of_the_module_it_came_from_once() -> None:
    net = Net()
    net.blocks[1].linear1 = nn.Linear(4, 3)
    with pytest.raises(ag.ShapeError) as caught:
        net(ag.ones((2, 3)))
    assert str(caught.value) == (
        "in blocks.1.linear1 (Linear): linear: x of shape (2, 3) has 3 features along its last axis, but weight of "
        "shape (3, 4) takes 4 (weight is (out, in)). Write in_features=3"
    )


def test_an_error_in_the_outermost_forward_names_its_class() -> None:
    class Wrong(nn.Module):
        def forward(self, x):
            return x + ag.ones(3)

    with pytest.raises(ag.ShapeError, match=r"^in Wrong: add: shapes"):
        Wrong()(ag.ones(2))
    with pytest.raises(ag.ShapeError, match=r"^in 0 \(Wrong\): add: shapes"):
        nn.Sequential(Wrong())(ag.ones(2))


def test_a_module_without_forward_says_so() -> None:
    class Empty(nn.Module):
        def foward(self, x):
            return x

    with pytest.raises(NotImplementedError, match=r"Empty defines no forward\(\)"):
        Empty()(1)


# ------------------------------------------------------------------------------------------- state


def test_a_state_dict_is_a_snapshot_of_plain_tensors() -> None:
    net = Net()
    state = net.state_dict()
    assert "scratch" not in state
    assert type(state["head.weight"]) is ag.Tensor
    assert not state["head.weight"].requires_grad
    before = state["head.bias"].numpy().copy()
    net.head.bias.assign_(ag.tensor([7.0, 8.0]))
    np.testing.assert_array_equal(state["head.bias"].numpy(), before)
    assert set(net.state_dict(prefix="model.")) == {f"model.{name}" for name in state}


@pytest.mark.parametrize("convert", [lambda v: v, lambda v: v.numpy()], ids=["tensors", "arrays"])
def test_a_state_dict_loads_into_another_module(convert) -> None:
    source, target = Net(), Net()
    source(ag.ones((4, 3)) * ag.arange(4.0)[:, None])
    state = {name: convert(value) for name, value in source.state_dict().items()}
    assert target.load_state_dict(state) == ([], [])
    assert all(bool((a == b).all()) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert target.blocks[0].norm.num_batches_tracked.item() == 1
    x = ag.ones((2, 3))
    assert source.eval()(x).tolist() == target.eval()(x).tolist()


def test_a_loaded_array_may_be_written_to_afterwards() -> None:
    layer = nn.Linear(1, 1, bias=False)
    array = np.array([[5.0]], np.float32)
    layer.load_state_dict({"weight": array})
    array[:] = 0
    assert layer.weight.item() == 5.0


def test_every_misfit_is_named_and_nothing_is_loaded() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = net.state_dict()
    wrong = {
        "0.weight": np.zeros((3, 2), np.float32),
        "0.bias": np.zeros(4, np.float32),
        "1.weight": np.zeros((1, 3), np.float64),
        "1.scale": np.zeros(3, np.float32),
        "2.weight": [1.0, 2.0],
    }
    with pytest.raises(ag.StateDictError) as caught:
        net.load_state_dict(wrong)
    assert str(caught.value) == (
        "Sequential: the state dict does not fit, and nothing was loaded. "
        "To load only what fits by name, pass strict=False.\n"
        "  wrong shape: 0.bias is (4,) in the state dict, (3,) in the module\n"
        "  wrong dtype: 1.weight is float64 in the state dict, float32 in the module; "
        "convert one: value.astype('float32') or module.to('float64')\n"
        "  missing: 1.bias (shape (1,))\n"
        "  unexpected: 1.scale (shape (3,))\n"
        "  unexpected: 2.weight"
    )
    assert all(net.state_dict()[name].tolist() == value.tolist() for name, value in before.items())


def test_without_strict_missing_and_unexpected_keys_are_returned_and_misfits_are_still_errors() -> None:
    layer = nn.Linear(2, 1)
    found = layer.load_state_dict({"weight": np.ones((1, 2), np.float32), "other": np.ones(1)}, strict=False)
    assert found.missing_keys == ["bias"]
    assert found.unexpected_keys == ["other"]
    assert layer.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(ag.StateDictError, match=r"wrong shape: weight is \(2, 2\) in the state dict"):
        layer.load_state_dict({"weight": np.ones((2, 2), np.float32)}, strict=False)
    with pytest.raises(ag.StateDictError, match="weight is a list, it must be a tensor"):
        layer.load_state_dict({"weight": [[1.0, 2.0]]}, strict=False)
    with pytest.raises(ag.StateDictError, match="takes a dict of names and tensors, got list"):
        layer.load_state_dict([1.0])


# ------------------------------------------------------------------------------------------- repr


def test_the_repr_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")

    def build(n):
        return n.Sequential(
            n.Conv2d(1, 4, 3, padding="same", bias=False),
            n.Conv1d(4, 4, 3, stride=2, padding=1, dilation=2, groups=2, padding_mode="reflect"),
            n.MaxPool2d(2),
            n.AvgPool2d((2, 3), 1, 1),
            n.AdaptiveAvgPool2d((1, None)),
            n.Dropout(0.3),
            n.Flatten(),
            n.ModuleList([n.Linear(2, 3), n.ReLU()]),
            n.ModuleDict({"a": n.Embedding(3, 2, padding_idx=0)}),
            n.GELU("tanh"),
            n.Softmax(dim=1),
            n.LeakyReLU(),
            n.ELU(),
            n.Softplus(),
            n.Hardtanh(),
            n.CrossEntropyLoss(),
        )

    assert repr(build(nn)).splitlines() == repr(build(torch.nn)).splitlines()

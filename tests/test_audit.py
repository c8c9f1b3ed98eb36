"""audit and GraphWatch: what a training forgets, and what it keeps for too long."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import fit


class Net(nn.Module):
    """A layer that is used, one whose output is thrown away, and one that is frozen."""

    def __init__(self) -> None:
        self.used = nn.Linear(2, 3)
        self.unused = nn.Linear(2, 3)
        self.frozen = nn.Linear(3, 1).requires_grad_(False)

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        self.unused(x)
        return self.frozen(self.used(x).tanh())


def loss_of(model: nn.Module) -> ag.Tensor:
    return model(ag.ones((4, 2))).sum()


FROZEN = "- (note) 'frozen.weight', 'frozen.bias': frozen, without a gradient"


# ------------------------------------------------------------------------------------ golden texts


def test_nothing_to_report() -> None:
    model = nn.Linear(2, 1)
    found = ag.audit(model, optim.SGD(model.parameters(), lr=0.1), loss_of(model))
    assert str(found) == repr(found) == "audit of 2 parameters: no problem"
    assert found.ok
    assert found.problems == found.notes == []


def test_before_backward() -> None:
    model = Net()
    found = ag.audit(model, optim.SGD(model.used.parameters(), lr=0.1), loss_of(model))
    assert str(found) == (
        "audit of 6 parameters: 2 problems\n"
        "- 'unused.weight' (float32[3, 2]), 'unused.bias' (float32[3]): each gets no gradient: y does not depend on "
        "it, but on 'used.weight', 'used.bias'. If it should: detach(), no_grad, an operation without derivative or a "
        "way through NumPy lies between. Pass the function that computes y to see which: ag.explain_grad(x, lambda: "
        "loss(x))\n- 'unused.weight', 'unused.bias': require gradients, but are in no optimizer and will not change. "
        "Give them to one, or freeze them with requires_grad_(False)\n"
        f"{FROZEN}"
    )
    assert all(parameter.grad is None for parameter in model.parameters())


def test_after_backward() -> None:
    model = Net()
    loss_of(model).backward()
    assert str(ag.audit(model)) == (
        "audit of 6 parameters: 1 problem\n"
        "- 'unused.weight' (float32[3, 2]), 'unused.bias' (float32[3]): each got no gradient: what backward was called "
        "on does not depend on it. ag.explain_grad(parameter, lambda: loss(...)) says why\n"
        f"{FROZEN}"
    )


def test_no_backward_at_all() -> None:
    assert str(ag.audit(Net())) == (
        "audit of 6 parameters: 1 problem\n"
        "- none of the 4 parameters that require gradients has one: audit after backward() and before zero_grad(), or "
        "pass the loss: ag.audit(model, optimizer, loss)\n"
        f"{FROZEN}"
    )


def test_a_function_names_the_line() -> None:
    model = nn.Linear(2, 1)

    def loss() -> ag.Tensor:
        return (ag.ones((1, 2)) @ model.weight.detach().mT + model.bias).sum()

    found = ag.audit(model, loss=loss)
    assert re.sub(r"[^\s(]*test_audit\.py:\d+", "HERE", str(found)) == (
        "audit of 2 parameters: 1 problem\n"
        "- 'weight' (float32[1, 2]): gets no gradient: its value reaches y, but its history does not: its value was "
        "detached (HERE in loss: return (ag.ones((1, 2)) @ model.weight.detach().mT + model.bias).sum())"
    )


def test_optimizers() -> None:
    model, other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), nn.Linear(3, 3)
    sgd = optim.SGD([*model[0].parameters(), *other.parameters()], lr=0.1)
    adam = optim.Adam([model[0].weight])
    found = ag.audit(model, [sgd, adam], loss_of(model))
    assert str(found) == (
        "audit of 4 parameters: 3 problems\n"
        "- SGD: its parameters weight float32[3, 3], bias float32[3] are not among those audited, and stepping them "
        "changes nothing here. Was the optimizer made before the model was rebuilt? Make it again from "
        "model.parameters()\n"
        "- '1.weight', '1.bias': require gradients, but are in no optimizer and will not change. Give them to one, or "
        "freeze them with requires_grad_(False)\n"
        "- '0.weight': in two optimizers (SGD and Adam), moved twice a step. Take them out of one"
    )
    assert [notice.kind for notice in found.problems] == ["foreign", "in no optimizer", "in two optimizers"]
    assert found.problems[1].parameters == ("1.weight", "1.bias")


def test_zero_and_not_finite() -> None:
    w, v = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor([0.0], requires_grad=True)
    found = ag.audit({"w": w, "v": v}, loss=(w * 0.0).sum() + v.sqrt().sum())
    assert str(found) == (
        "audit of 2 parameters: 1 problem\n"
        "- 'v' (float32[1]): gets a gradient that is not finite (infinity in 1 of 1 element): the derivative of sqrt "
        "by operand x made it (the result is float32[1] of 0)\n"
        "- (note) 'w' (float32[2]): gets a gradient of zero: multiply stops it, where 1.41421 (|g|) arrives and 0 goes "
        "on: the other operand is 0 there"
    )


def test_many_are_listed_not_explained() -> None:
    model = nn.Sequential(*[nn.Linear(1, 1) for _ in range(10)])
    model[9](ag.ones((1, 1))).sum().backward()
    (explained, listed) = ag.audit(model).problems
    assert explained.parameters == ("0.weight", "0.bias", "1.weight")
    assert len(listed.parameters) == 15
    assert listed.text.endswith("'5.weight' and 7 more: no gradient either")


# ------------------------------------------------------------------------------------ what it takes


def test_parameters_in_other_forms() -> None:
    w = ag.tensor([1.0], requires_grad=True)
    for parameters, name in [({"w": w}, "w"), ([("w", w)], "w"), ([w], "0"), (w, "0")]:
        (notice,) = ag.audit(parameters).problems
        assert notice.parameters == (name,)


def test_named_groups() -> None:
    model, stranger = nn.Linear(2, 1), nn.Parameter(ag.ones(2))
    optimizer = optim.SGD([*model.named_parameters(), ("stranger", stranger)], lr=0.1)
    (notice,) = ag.audit(model, optimizer, loss_of(model)).problems
    assert notice.parameters == ("stranger float32[2]",)


def test_mistakes() -> None:
    model = nn.Linear(2, 1)
    parameters = model.parameters()
    list(parameters)
    with pytest.raises(ag.ArgumentError) as caught:
        ag.audit(parameters)
    assert str(caught.value) == (
        "audit: there are no parameters. Was a generator such as model.parameters() used up before?"
    )
    with pytest.raises(ag.ArgumentError) as caught:
        ag.audit(model, [model])
    assert str(caught.value) == "audit: Linear is no optimizer: it has no param_groups"
    with pytest.raises(ag.ArgumentError) as caught:
        ag.audit(model, loss=3.0)
    assert str(caught.value) == "audit: loss is a tensor or a function that returns one, got float"
    loss = loss_of(model)
    loss.backward()
    with pytest.raises(ag.GradientError, match=r"^audit: an earlier backward has freed the graph of this result"):
        ag.audit(model, loss=loss)


# ------------------------------------------------------------------------------------ in fit


def loader() -> DataLoader:
    x = np.ones((4, 2), np.float32)
    return DataLoader(ArrayDataset(x, x[:, :1]), batch_size=2)


def test_fit_warns_once() -> None:
    model = Net()
    model.frozen.requires_grad_(True)
    with pytest.warns(UserWarning, match="fit: the first step") as caught:
        fit(
            model,
            loader(),
            loss=nn.functional.mse_loss,
            optimizer=optim.SGD(model.used.parameters(), lr=0.1),
            epochs=2,
            progress=False,
        )
    (warning,) = caught
    expected = (
        "fit: the first step leaves something out:\n- 'unused.weight' (float32[3, 2]), 'unused.bias' (float32[3]): "
    )
    assert str(warning.message).startswith(expected)
    assert warning.filename == __file__


def test_fit_is_silent_where_all_is_well() -> None:
    model = nn.Linear(2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            model,
            loader(),
            loss=nn.functional.mse_loss,
            optimizer=optim.SGD(model.parameters(), lr=0.1),
            epochs=1,
            progress=False,
        )


# ------------------------------------------------------------------------------------ graphs that outlive their step


def run(keep: object, steps: int = 8, allowed: int = 3) -> ag.GraphWatch:
    """A loop that adds up ``keep(loss)``."""
    w, total = ag.tensor([1.0], requires_grad=True), 0.0
    with ag.GraphWatch(steps=allowed) as watch:
        for _ in range(steps):
            loss = (w * w).sum()
            total = total + keep(loss)
            watch.step()
    return watch


def test_losses_added_up_with_their_history() -> None:
    with pytest.warns(UserWarning, match="^GraphWatch: ") as caught:
        run(lambda loss: loss)
    (warning,) = caught
    assert re.sub(r"[^\s(]*test_audit\.py:\d+", "HERE", str(warning.message)) == (
        "GraphWatch: 6 operations recorded more than 3 steps ago are still alive: 2 of add (HERE in run: total = total "
        "+ keep(loss)); 2 of multiply (HERE in run: loss = (w * w).sum()); 2 of sum (HERE in run: loss = (w * w).sum())"
        ". Something keeps results with their history. To add up losses write total += loss.item() (or "
        "loss.detach()); detach() a state before it goes into the next step"
    )
    assert warning.filename == __file__


@pytest.mark.parametrize("keep", [lambda loss: loss.item(), lambda loss: loss.detach()], ids=["item", "detach"])
def test_values_added_up(keep: object) -> None:
    assert run(keep).alive == 0


def test_what_is_made_once_may_stay() -> None:
    w = ag.tensor([1.0], requires_grad=True)
    with ag.GraphWatch(steps=1) as watch:
        scale = w * 2.0
        for _ in range(5):
            loss = (w * 3.0).sum()
            watch.step()
        del loss
    assert watch.alive == 1
    assert scale.requires_grad


def test_steps_must_be_an_int() -> None:
    for bad in (0, True, 1.5):
        with pytest.raises(ag.ArgumentError) as caught:
            ag.GraphWatch(steps=bad)
        assert str(caught.value) == f"GraphWatch: steps must be an int of at least 1, got {bad!r}"

"""Optimizers refuse what makes no sense before anything changes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from optim_tools import make

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn import Parameter


def result() -> ag.Tensor:
    return Parameter(np.ones(2)) * 2


SHARED = Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ([], ag.ArgumentError, "list of parameters is empty"),
        (iter(()), ag.ArgumentError, "list of parameters is empty"),
        ([{"params": []}], ag.ArgumentError, "a group has no parameters"),
        (SHARED, ag.ArgumentError, r"got one tensor; write \[w\]"),
        ({"w": SHARED}, ag.ArgumentError, "got a dict"),
        ("w", ag.ArgumentError, "got a str"),
        (None, ag.ArgumentError, "got a NoneType"),
        ([np.ones(2)], ag.ArgumentError, "parameter 0 is a ndarray, not a tensor"),
        ([result()], ag.GradientError, "parameter 0 of shape .* is the result of an operation"),
        ([ag.tensor([1.0], requires_grad=True)], ag.ArgumentError, "immutable tensor; write w = nn.Parameter"),
        ([Parameter(np.ones(2, int), requires_grad=False)], ag.DTypeError, "parameter 0 has dtype int64"),
        ([SHARED, SHARED], ag.ArgumentError, "parameter 1 was given before, as parameter 0"),
        ([{"params": SHARED}, {"params": [SHARED]}], ag.ArgumentError, "parameter 1 was given before, as parameter 0"),
        ([("a", SHARED), ("b", SHARED)], ag.ArgumentError, "parameter 'b' was given before, as parameter 'a'"),
        ([("a", SHARED), Parameter(np.ones(1))], ag.ArgumentError, "a name to every parameter of a group, or to none"),
        ([{"params": SHARED}, SHARED], ag.ArgumentError, "mixes groups"),
        ([{"lr": 0.1}], ag.ArgumentError, "the key 'params'"),
        ([{"params": SHARED, "weigth_decay": 0.1}], ag.ArgumentError, r"unknown options \['weigth_decay'\]"),
    ],
)
def test_parameters_that_cannot_be_optimised_are_refused(params: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        optim.SGD(params)


def test_a_model_instead_of_its_parameters_gets_a_hint() -> None:
    class Model:
        def parameters(self) -> list[Parameter]:
            return [SHARED]

    with pytest.raises(ag.ArgumentError, match=r"write model.parameters\(\)"):
        optim.SGD(Model())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -0.1}, "SGD: lr must be a number"),
        ("SGD", {"lr": "fast"}, "SGD: lr must be a number"),
        ("SGD", {"lr": ag.zeros(2)}, r"lr must be one number, got a tensor of shape \(2,\)"),
        ("SGD", {"momentum": -1.0}, "momentum"),
        ("SGD", {"weight_decay": -1.0}, "weight_decay"),
        ("SGD", {"nesterov": True}, "nesterov=True needs a momentum"),
        ("SGD", {"maximize": "no"}, "SGD: maximize must be True or False, got 'no'"),
        ("Adam", {"amsgrad": None}, "Adam: amsgrad must be True or False, got None"),
        ("RMSprop", {"centered": 1}, "RMSprop: centered must be True or False, got 1"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov=True needs"),
        ("Adam", {"lr": float("nan")}, "Adam: lr"),
        ("Adam", {"betas": (0.9, 1.0)}, r"Adam: betas\[1\] must be a number in \[0, 1\)"),
        ("Adam", {"betas": 0.9}, "betas must be two numbers"),
        ("Adam", {"eps": -1e-8}, "eps"),
        ("AdamW", {"weight_decay": -0.1}, "AdamW: weight_decay"),
        ("Adagrad", {"lr_decay": -1.0}, "Adagrad: lr_decay"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        ("Adadelta", {"rho": 1.5}, "Adadelta: rho"),
        ("RMSprop", {"alpha": 1.0}, "RMSprop: alpha"),
        ("RMSprop", {"momentum": -1}, "RMSprop: momentum"),
        ("NAdam", {"momentum_decay": -0.1}, "NAdam: momentum_decay"),
        ("RAdam", {"betas": (0.9, -0.1)}, r"RAdam: betas\[1\]"),
        ("Adamax", {"eps": "small"}, "Adamax: eps"),
        ("Lion", {"betas": (1.0, 0.9)}, r"Lion: betas\[0\]"),
        ("Rprop", {"etas": (1.2, 0.5)}, "Rprop: etas must be below 1 and above 1"),
        ("Rprop", {"etas": 0.5}, "Rprop: etas must be two numbers"),
        ("Rprop", {"step_sizes": (1.0, 0.1)}, r"Rprop: step_sizes must be \(least, largest\)"),
        ("ASGD", {"t0": -1}, "ASGD: t0"),
        ("Muon", {"ns_steps": 100}, r"Muon: ns_steps must be a number in \[0, 100\)"),
        ("Muon", {"ns_steps": 2.5}, "Muon: ns_steps must be an int, got 2.5"),
        ("Muon", {"ns_coefficients": (1.0, 2.0)}, "ns_coefficients must be three numbers"),
        ("Muon", {"adjust_lr_fn": "fast"}, "adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got 'fast'"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        make(name, [Parameter(np.ones((2, 2)))], options)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([{"params": None}], "a group's 'params' must be a list of parameters, got a NoneType"),
        ([{"params": "weight"}], "a group's 'params' must be a list of parameters, got a str"),
        ([{"params": nn.Linear(2, 2)}], r"got a Linear; write model.parameters\(\)"),
        ({Parameter(np.ones(1))}, "params is a set, whose order is another in every run"),
        ([{"params": {Parameter(np.ones(1))}}], "params is a set"),
    ],
)
def test_groups_that_list_no_parameters_are_refused(params: Any, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        optim.SGD(params)


@pytest.mark.parametrize("name", ["SGD", "LBFGS"])
def test_a_closure_that_is_no_function_is_refused(name: str) -> None:
    with pytest.raises(ag.ArgumentError, match=f"{name}.step: closure must be a function .* got a Tensor"):
        make(name, [Parameter(np.ones(1))], {}).step(ag.ones(()))


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ag.ArgumentError, match=r"Muon: parameter 'bias' has shape \(2,\); .* give other .* to AdamW"):
        optim.Muon([("weight", Parameter(np.ones((2, 2)))), ("bias", Parameter(np.ones(2)))])


def test_a_group_that_does_not_fit_changes_nothing() -> None:
    optimizer = optim.SGD([SHARED])
    with pytest.raises(ag.ArgumentError, match="lr must be"):
        optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": -1.0})
    assert len(optimizer.param_groups) == 1


def test_a_gradient_that_does_not_fit_is_named_before_any_parameter_changes() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([("encoder.weight", a), ("encoder.bias", b)])
    a.grad = ag.ones(2, dtype="float64")
    for wrong, kind in ((ag.ones(3, dtype="float64"), ag.ShapeError), (ag.ones(2), ag.DTypeError)):
        b.node.grad = wrong
        with pytest.raises(kind, match=rf"'encoder.bias' is float64\[2\] on {a.device}, its gradient float"):
            optimizer.step()
    with ag.default_device("numpy"):
        b.node.grad = ag.ones(2, dtype="float64")
    with pytest.raises(ag.DeviceError, match="its gradient .* on numpy"):
        optimizer.step()
    assert a.tolist() == [1.0, 1.0]


def test_a_model_that_moved_after_the_first_step_is_noticed_and_can_go_on() -> None:
    w = Parameter(np.ones(2))
    optimizer = optim.SGD([w], lr=1.0, momentum=0.5)
    w.grad = ag.ones(2, dtype="float64")
    optimizer.step()
    w.convert_("numpy")
    with pytest.raises(ag.DeviceError, match="parameter 0 is on numpy, its optimizer state is not"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert str(w.device) == "numpy"
    assert w.tolist() == [-1.5, -1.5]


def test_no_warning_comes_from_diverging_numbers() -> None:
    w = Parameter(np.full(2, 1e38, np.float32))
    w.grad = ag.tensor(np.array([np.inf, 1e38], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.Adam([w], lr=1e38).step()
        optim.SGD([w], lr=1e38, momentum=0.9).step()

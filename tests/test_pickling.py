"""Tensors, modules and optimizers in the standard library's pickles, as process pools and scikit-learn make them."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import GradientError
from autograd_core.graph import Leaf


def passed_on(value: object) -> object:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


def test_a_variable_keeps_its_value_and_its_gradient():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    y = passed_on(x)
    assert y.tolist() == [1.0, 2.0]
    assert y.grad.tolist() == [2.0, 4.0]
    (y * 3.0).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([2.0, 4.0], [5.0, 7.0])


def test_a_variable_is_as_new_as_its_reading():
    """Transforms tell by age what was made inside them: a pickle of another process must not say that it was."""
    program = (
        "import sys, pickle, autograd_core as ag\n"
        "from autograd_core.graph import Leaf\n"
        "for _ in range(100_000): Leaf()\n"
        "sys.stdout.buffer.write(pickle.dumps(ag.tensor([2.0], requires_grad=True)))"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    before = Leaf().order
    x = pickle.loads(made)  # noqa: S301 - our own bytes
    assert before > x.node.order > Leaf().order
    ag.checkpoint(lambda v: (v * x).sum())(ag.tensor([3.0])).backward()
    assert x.grad.tolist() == [3.0]


def test_modules_keep_names_modes_and_what_is_shared():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    model[2].weight = model[0].weight
    other = passed_on(model)
    assert other[2].weight is other[0].weight is not model[0].weight
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert other[1].running_mean is not model[1].running_mean
    assert (other[0].weight.name, other[1].training) == (model[0].weight.name, False)
    x = ag.random.normal((3, 2))
    assert np.array_equal(other(x).detach().numpy(), model(x).detach().numpy())


def test_an_optimizer_pickled_with_its_model_updates_that_model():
    def step(model, optimizer):
        optimizer.zero_grad()
        (model(ag.ones((4, 2))) ** 2).sum().backward()
        optimizer.step()
        return [p.detach().tolist() for p in model.parameters()]

    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    step(model, optimizer)
    copies = passed_on((model, optimizer))
    assert step(*copies) == step(model, optimizer)


def test_a_result_with_a_history_is_refused():
    y = ag.tensor([1.0], requires_grad=True) * 2.0
    with pytest.raises(GradientError, match=r"cannot be pickled, its history stays here: x\.detach\(\)"):
        pickle.dumps(y)
    assert passed_on(y.detach()).tolist() == [2.0]


def test_a_generator_goes_on():
    generator = ag.random.Generator(3)
    generator.next()
    assert passed_on(generator).next() == generator.next()


@ag.compile
def tripled(x):
    return x * 3


def doubled(x):
    return x * 2


def test_compiled_functions_are_passed_on_without_what_they_compiled():
    x = ag.ones(2)
    compiled, model = ag.compile(doubled), ag.compile(nn.Linear(2, 1))
    for f in (compiled, model, tripled):
        for _ in range(3):
            f(x)
    for passed in (passed_on, copy.deepcopy):
        assert passed(tripled) is tripled
        again, network = passed([compiled, model])
        assert repr(again) == "<compiled doubled: 0 variants>"
        assert again(x).tolist() == [2.0, 2.0]
        assert network.function is not model.function
        assert network(x).tolist() == model(x).tolist()


@pytest.mark.parametrize("passed", [passed_on, copy.copy, copy.deepcopy])
def test_constants_and_variables_of_every_kind(passed):
    view = ag.arange(6).reshape(2, 3).T
    for x in (view, ag.tensor(1.5), ag.zeros((0, 2)), ag.ones(2, dtype="bfloat16"), nn.Buffer(ag.ones(2))):
        y = passed(x)
        assert type(y) is type(x)
        assert (y.tolist(), y.dtype, y.shape, y.device) == (x.tolist(), x.dtype, x.shape, x.device)

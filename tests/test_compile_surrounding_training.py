"""Compiled functions while what trainings consist of changes between calls: modules, hooks, gradients, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compile_worlds import Thing, World, Worlds, X, compare, placing, setting

import autograd_core as ag
from autograd_core import nn, optim

world = Worlds()
GLOBAL = 2.0


@pytest.mark.parametrize("build", world, ids=lambda build: build.__name__)
def test_a_change_around_a_compiled_function_is_seen(build: Callable[[], World]) -> None:
    compare(build)


def set_global(value: float) -> Callable[[], None]:
    return lambda: globals().__setitem__("GLOBAL", value)


# --------------------------------------------------------------------------------------------- modules


class Scaled(nn.Module):
    """Everything that a module may read besides its attributes."""

    k = 2.0

    def __init__(self, thing: Any, act: Any):
        self.thing, self.act, self._hidden, self.extra = thing, act, [2.0], 3.0

    def forward(self, x):
        return self.act(self.helper(x)) * self.k * self._hidden[0] * getattr(self, "extra", 1.0)

    def helper(self, x):
        return x * GLOBAL * self.thing.k


@world
def what_a_module_reads() -> World:
    thing, k = Thing(), [2.0]
    set_global(2.0)()
    module = Scaled(thing, lambda x: x * k[0])
    network = nn.Sequential(nn.Identity(), module)
    changes = [set_global(3.0), setting(thing), placing(k), placing(module._hidden), setting(module, 7.0)]
    changes += [lambda: delattr(module, "k"), lambda: delattr(module, "extra")]
    return network, [ag.tensor(X)], changes


@world
def a_modules_class() -> World:
    class Own(Scaled):
        k = 3.0

    set_global(2.0)()
    module = Own(Thing(), lambda x: x)
    changes = [setting(Own), setting(Own, lambda self, x: x, "helper"), setting(Own, lambda self, x: -x, "forward")]
    return (lambda x: module(x)), [ag.tensor(X)], changes


@world
def modules_taken_out() -> World:
    heads = nn.ModuleDict({"a": nn.Tanh(), "b": nn.Tanh(), "c": nn.Tanh()})

    def f(x):
        for head in heads.values():
            x = head(x)
        return x

    return f, [ag.tensor(X)], [lambda: heads.pop("b"), lambda: heads.__delitem__("a"), lambda: heads.clear()]


@world
def module_hooks() -> World:
    module, k, handles = nn.Tanh(), [2.0], []
    handles.append(module.register_forward_hook(lambda m, a, y: y * k[0]))
    changes = [
        placing(k),
        lambda: handles.append(module.register_forward_hook(lambda m, a, y: y * 3)),
        handles[0].remove,
        lambda: handles[1].remove(),
        lambda: module.register_forward_pre_hook(lambda m, a: (a[0] * 2,)),
    ]
    return (lambda x: module(x)), [ag.tensor(X)], changes


# ------------------------------------------------------------------------------------------- gradients


@world
def gradient_hooks() -> World:
    p, k, handles = nn.Parameter(ag.tensor(X)), [2.0], []

    def f(x):
        p.grad = None
        (p * p * x).sum().backward()
        return p.grad

    changes = [
        lambda: handles.append(p.register_hook(lambda g: g * k[0])),
        placing(k),
        lambda: handles.append(p.register_hook(lambda g: g + 1)),
        lambda: handles[0].remove(),
        lambda: handles[1].remove(),
    ]
    return f, [ag.tensor(X)], changes


def test_an_outer_tensor_that_requires_gradients_later_gets_one() -> None:
    w, x = ag.tensor(X) * 3, ag.tensor(X)
    f = ag.compile(lambda x: (w * x).sum())
    for _ in range(3):
        assert not f(x).requires_grad
    w.requires_grad_()
    f(x).backward()
    assert w.grad.tolist() == [1, 1]


@world
def arguments_that_are_one_tensor() -> World:
    a, b = (ag.tensor(X * k, requires_grad=True) for k in (2, 3))
    given = [a, b]

    def f(x, y):
        (x * y * y * a).sum().backward()
        return x

    def arguments() -> list[Any]:
        a.grad = b.grad = None
        return given

    def gradients(x, y):
        f(x, y)
        return [g for g in (a.grad, b.grad) if g is not None]

    changes = [placing(given, a, 1), placing(given, b, 0), placing(given, b, 1), placing(given, a, 0)]
    return gradients, arguments, changes


def test_hooks_on_arguments_are_seen() -> None:
    def f(x):
        (x * x).sum().backward()

    f = ag.compile(f)
    for factor in (1, 1, 1, 2, 3, 1):
        x = ag.tensor(X, requires_grad=True)
        if factor != 1:
            x.register_hook(lambda g, factor=factor: g * factor)
        f(x)
        assert x.grad.tolist() == [2 * factor] * 2


# ------------------------------------------------------------------------------------------ optimizers


def _training(optimizer_of: Callable[[Any], Any]) -> tuple[Any, Any, Callable[[Any], Any]]:
    p, q = nn.Parameter(ag.tensor(X)), nn.Parameter(ag.tensor(X))
    optimizer = optimizer_of(p)

    def step(x):
        p.grad = q.grad = None
        (p * p * q * x).sum().backward()
        optimizer.step()
        return p.detach(), q.detach()

    return optimizer, q, step


@world
def parameters_of_an_optimizer() -> World:
    optimizer, q, step = _training(lambda p: optim.SGD([p], lr=0.1))
    changes = [
        lambda: optimizer.add_param_group({"params": [q], "lr": 0.5}),
        lambda: optimizer.param_groups[1].update(lr=0.01),
        lambda: optimizer.param_groups.pop(0),
    ]
    return step, [ag.tensor(X)], changes


@world
def a_parameter_in_the_place_of_another() -> World:
    optimizer, q, step = _training(lambda p: optim.SGD([p], lr=0.1))
    return step, [ag.tensor(X)], [placing(optimizer.param_groups[0]["params"], q)]


@world
def state_of_an_optimizer() -> World:
    optimizer, _, step = _training(lambda p: optim.Adam([p], lr=0.1, betas=[0.9, 0.99]))
    fresh = optim.Adam([nn.Parameter(ag.tensor(X))], lr=0.3, betas=[0.9, 0.99]).state_dict()
    changes = [
        lambda: optimizer.state.clear(),
        lambda: optimizer.load_state_dict(fresh),
        lambda: optimizer.param_groups[0].update(betas=[0.5, 0.9]),
        lambda: placing(optimizer.param_groups[0]["betas"], 0.1)(),
    ]
    return step, [ag.tensor(X)], changes


@world
def rates_that_python_works_out() -> World:
    base = [0.1]
    _, _, step = _training(lambda p: optim.SGD([p], lr=lambda t: base[0] / (t + 1)))
    return step, [ag.tensor(X)], [placing(base, 1.0)]


@world
def an_optimizer_of_ones_own() -> World:
    k = [1.0]

    class Own(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})
            self.factor = 1.0

        def init_single(self, param, group):
            return {}

        def apply_single(self, param, grad, state, group):
            return param - 0.1 * k[0] * self.factor * grad, {}

    optimizer, _, step = _training(lambda p: Own([p]))
    return step, [ag.tensor(X)], [placing(k, 0.5), setting(optimizer, 2.0, "factor")]


def test_a_learning_rate_set_inside_is_refused_and_right_until_then() -> None:
    found = []
    for compiled in (False, True):
        optimizer, _, step = _training(lambda p: optim.SGD([p], lr=0.1))

        def halving(x, optimizer=optimizer, step=step):
            step(x)
            optimizer.param_groups[0]["lr"] *= 0.5
            return optimizer.param_groups[0]["params"][0]

        take = ag.compile(halving) if compiled else halving
        found.append([take(ag.tensor(X)).tolist() for _ in range(8)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    with pytest.raises(ag.errors.CompileError, match="it sets a learning rate"):
        take(ag.tensor(X))

"""Compiled functions against the same functions run eagerly, while what surrounds them changes between calls.

A world is a function and the changes that its surroundings go through; it is built twice, and after every change both
must answer the same.
"""

from __future__ import annotations

import collections
import contextvars
import copy
import dataclasses
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim

World = tuple[Callable[..., Any], Any, list[Callable[[], Any]]]  # a function, its arguments, changes
WORLDS: list[Callable[[], World]] = []
X = np.ones(2, np.float32)
GLOBAL = 2.0


def world(build: Callable[[], World]) -> Callable[[], World]:
    WORLDS.append(build)
    return build


def answers(build: Callable[[], World], compiled: bool) -> Iterator[Any]:
    """What a world answers, three times after each change: captured, confirmed and compiled, if it is."""
    f, arguments, changes = build()
    take = ag.compile(f) if compiled else f
    for change in (lambda: None, *changes):
        change()
        for _ in range(3):
            y = take(*(arguments() if callable(arguments) else arguments))
            yield y.tolist() if isinstance(y, ag.Tensor) else [t.tolist() for t in y]


@pytest.mark.parametrize("build", WORLDS, ids=lambda build: build.__name__)
def test_a_change_around_a_compiled_function_is_seen(build: Callable[[], World]) -> None:
    with ag.default_device("numpy"), ag.random.fork(0):
        expected = list(answers(build, compiled=False))
        found = list(answers(build, compiled=True))
    assert len({str(y) for y in expected}) > 1, "the world does not change"
    assert found == expected


class Thing:
    """An object with an attribute."""

    def __init__(self, k: float = 2.0):
        self.k = k


def setting(thing: Any, value: Any = 5.0, name: str = "k") -> Callable[[], None]:
    return lambda: setattr(thing, name, value)


def placing(container: Any, value: Any = 5.0, at: Any = 0) -> Callable[[], None]:
    return lambda: container.__setitem__(at, value)


def set_global(value: float) -> Callable[[], None]:
    return lambda: globals().__setitem__("GLOBAL", value)


# ------------------------------------------------------------------------- functions, files, classes


@world
def defaults() -> World:
    thing, items = Thing(), [3.0]

    def f(x, t=thing, *, k=items):
        return x * t.k * k[0]

    return (lambda x: f(x)), [ag.tensor(X)], [setting(thing), placing(items), setting(f, (Thing(7.0),), "__defaults__")]


@world
def code_replaced() -> World:
    def f(x):
        return x * 2

    return (lambda x: f(x)), [ag.tensor(X)], [setting(f, (lambda x: x * 3).__code__, "__code__")]


@world
def attributes_of_a_function() -> World:
    def f(x):
        return x * f.k

    f.k = 2.0
    return f, [ag.tensor(X)], [setting(f)]


def _file() -> Any:
    file = types.ModuleType("a_users_file")
    exec("K = 2.0\ndef scaled(x):\n    return x * K", vars(file))  # noqa: S102 a file that was imported
    return file


@world
def a_users_file() -> World:
    file = _file()
    return (lambda x: file.scaled(x) * file.K), [ag.tensor(X)], [setting(file, 5.0, "K"), setting(file, abs, "scaled")]


@world
def a_file_imported_inside() -> World:
    sys.modules["a_users_file"] = file = _file()

    def f(x):
        import a_users_file

        return x * a_users_file.K

    return f, [ag.tensor(X)], [setting(file, 5.0, "K")]


@world
def attributes_of_a_class() -> World:
    class Config:
        k = 2.0

    config = Config()
    changes = [setting(Config), setting(config, 6.0), lambda: delattr(config, "k")]
    return (lambda x: (x * Config.k, x * config.k)), [ag.tensor(X)], changes


@world
def methods_that_read_globals() -> World:
    class Scales:
        def scaled(self, x):
            return x * GLOBAL

        @property
        def factor(self):
            return GLOBAL

        @staticmethod
        def twice():
            return GLOBAL * 2

        def __call__(self, x):
            return self.scaled(x) * self.factor * self.twice()

    thing = Scales()
    set_global(2.0)()
    changes = [set_global(5.0), setting(thing, lambda x: x, "scaled"), setting(Scales, lambda self, x: x, "__call__")]
    return (lambda x: thing(x)), [ag.tensor(X)], changes


@world
def a_method_of_a_method() -> World:
    class Trainer:
        def step(self, x):
            return self.loss(x)

        def loss(self, x):
            return x * GLOBAL

    set_global(2.0)()
    trainer = Trainer()
    changes = [set_global(5.0), setting(Trainer, lambda self, x: x, "loss"), setting(trainer, lambda x: -x, "loss")]
    return trainer.step, [ag.tensor(X)], changes


@world
def wrappers_and_partials() -> World:
    k, shift = [2.0], [1.0]

    def wrapped(f):
        @functools.wraps(f)
        def wrapper(x, **options):
            return f(x, **options) * k[0]

        return wrapper

    part = functools.partial(wrapped(lambda x, y: x * y + shift[0]), y=3.0)
    return part, [ag.tensor(X)], [placing(k), placing(shift)]


@world
def functions_within_ours() -> World:
    k = [2.0]
    inner = ag.compile(lambda x: x * k[0])
    custom = ag.custom_vjp(lambda x: x * k[0])
    custom.defvjp(lambda x: (x * k[0], None), lambda _, g: (g * k[0],))
    slope = ag.vmap(ag.grad(lambda x: x * x * k[0]))
    return (lambda x: (inner(x), custom(x), slope(x))), [ag.tensor(X)], [placing(k)]


# --------------------------------------------------------------------------------- objects, containers


@world
def slots() -> World:
    class Slotted:
        __slots__ = ("k",)

    thing, data = Slotted(), dataclasses.make_dataclass("Data", [("k", float, 3.0)], slots=True)()
    thing.k = 2.0
    return (lambda x: x * thing.k * data.k), [ag.tensor(X)], [setting(thing), setting(data)]


CONTAINERS: dict[str, tuple[Callable[[], Any], Callable[[Any], float], Callable[[Any], Any]]] = {
    "objects_in_lists": (lambda: [Thing()], lambda c: c[0].k, lambda c: setattr(c[0], "k", 5.0)),
    "lists_in_tuples": (lambda: ([2.0],), lambda c: c[0][0], lambda c: placing(c[0])()),
    "default_dicts": (lambda: collections.defaultdict(float, a=2.0), lambda c: c["a"], lambda c: c.update(a=5.0)),
    "ordered_dicts": (lambda: collections.OrderedDict(a=2.0), lambda c: c["a"], lambda c: c.update(a=5.0)),
    "sets": (lambda: {2.0}, lambda c: sum(c), lambda c: c.add(5.0)),
    "deques": (lambda: collections.deque([2.0]), lambda c: c[0], lambda c: c.appendleft(5.0)),
    "proxies": (lambda: types.MappingProxyType({"a": [2.0]}), lambda c: c["a"][0], lambda c: placing(c["a"])()),
    "signed_zeros": (lambda: [0.0], lambda c: np.copysign(1.0, c[0]).item(), lambda c: placing(c, -0.0)()),
    "lists_in_themselves": (lambda: _knot(), lambda c: c[0], lambda c: placing(c)()),
    "deep_objects": (lambda: _deep(6), lambda c: c.k.k.k.k.k.k, lambda c: setattr(c.k.k.k.k.k, "k", 5.0)),
    "bytes": (lambda: bytearray(b"2"), lambda c: float(c[0]), lambda c: placing(c, 7)()),
}


def _knot() -> list[Any]:
    knot: list[Any] = [2.0]
    knot.append(knot)
    return knot


def _deep(levels: int) -> Any:
    return Thing(2.0 if levels == 1 else _deep(levels - 1))


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_is_in_containers_and_objects_is_seen(kind: str) -> None:
    make, read, change = CONTAINERS[kind]

    def build() -> World:
        container = make()
        return (lambda x: x * read(container)), [ag.tensor(X)], [lambda: change(container)]

    def given() -> World:
        if kind in ("objects_in_lists", "lists_in_tuples", "default_dicts", "ordered_dicts", "lists_in_themselves"):
            return build()  # lists and dicts among the arguments are taken apart
        container = make()
        return (lambda x, c: x * read(c)), [ag.tensor(X), container], [lambda: change(container)]

    test_a_change_around_a_compiled_function_is_seen(build)
    test_a_change_around_a_compiled_function_is_seen(given)


@world
def objects_among_the_arguments() -> World:
    thing, k = Thing(), [2.0]

    class Listed(nn.Module):
        def __init__(self):
            self.factors = [2.0]

        def forward(self, x):
            return x * self.factors[0]

    module = Listed()
    arguments = [ag.tensor(X), thing, lambda x: x * k[0], module]
    changes = [setting(thing), placing(k), placing(module.factors)]
    return (lambda x, t, f, m: m(f(x * t.k))), arguments, changes


@world
def context_variables_and_threads() -> World:
    variable = contextvars.ContextVar("variable", default=2.0)
    mine = threading.local()
    mine.k = 3.0
    return (lambda x: x * variable.get() * mine.k), [ag.tensor(X)], [lambda: variable.set(5.0), setting(mine)]


def test_a_thread_reads_its_own_variables() -> None:
    mine, found = threading.local(), []
    mine.k = 2.0
    f = ag.compile(lambda x: x * mine.k)
    x = ag.tensor(X)

    def other() -> None:
        mine.k = 7.0
        found.append(f(x).tolist())

    for _ in range(3):
        assert f(x).tolist() == [2, 2]
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == [[7, 7]] * 3


@world
def signed_zero_among_the_arguments() -> World:
    zero = [0.0]
    f = lambda x, k: ag.copysign(x, k * x)  # noqa: E731
    return f, (lambda: (ag.tensor(X), zero[0])), [placing(zero, -0.0)]


@world
def layers_chosen_by_a_global() -> World:
    kinds = {"ACT": nn.ReLU}
    f = types.FunctionType((lambda x: ACT()(x)).__code__, kinds)  # noqa: F821
    return f, [ag.tensor(-X)], [placing(kinds, nn.Tanh, "ACT")]


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


# ------------------------------------------------------------------------------------ compiled methods


def test_copies_of_an_object_have_compiled_methods_of_their_own() -> None:
    class Own:
        k = 2.0

        @ag.compile
        def step(self, x):
            return x * self.k

    first = Own()
    first.k = 2.0
    for _ in range(3):
        assert first.step(ag.tensor(X)).tolist() == [2, 2]
    for copied in (copy.copy(first), copy.deepcopy(first)):
        copied.k = 5.0
        for _ in range(3):
            assert copied.step(ag.tensor(X)).tolist() == [5, 5]
            assert first.step(ag.tensor(X)).tolist() == [2, 2]


def test_a_compiled_method_overrides_another() -> None:
    class Base:
        @ag.compile
        def step(self, x):
            return x * 2

    class Own(Base):
        @ag.compile
        def step(self, x):
            return super().step(x) + 1

    own = Own()
    for _ in range(3):
        assert own.step(ag.tensor(X)).tolist() == [3, 3]
    Own.step = ag.compile(lambda self, x: x * 7)
    for _ in range(3):
        assert own.step(ag.tensor(X)).tolist() == [7, 7]


# --------------------------------------------------------------------------------------- what is refused


def test_what_is_used_up_is_not_compiled() -> None:
    numbers, tossed = iter([1.0] * 6 + [5.0] * 20), np.random.default_rng(0)

    def drawn(x):
        return x * 2 if tossed.random() < 2 else x

    for f, message in ((lambda x: x * next(numbers), "reads the iterator"), (drawn, r"write ag\.random")):
        take = ag.compile(f)
        for _ in range(8):
            take(ag.tensor(X))
        with pytest.raises(ag.errors.CompileError, match=message):
            take(ag.tensor(X))


def test_generators_are_not_returned() -> None:
    def f(x):
        yield x

    with pytest.raises(ag.errors.CompileError, match="can be used once"):
        ag.compile(f)(ag.tensor(X))

"""Compiled functions while what surrounds them changes between calls: functions, classes, objects, containers."""

from __future__ import annotations

import collections
import contextvars
import copy
import dataclasses
import functools
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compile_worlds import Thing, World, Worlds, X, compare, placing, setting

import autograd_core as ag
from autograd_core import nn

world = Worlds()
GLOBAL = 2.0


@pytest.mark.parametrize("build", world, ids=lambda build: build.__name__)
def test_a_change_around_a_compiled_function_is_seen(build: Callable[[], World]) -> None:
    compare(build)


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

    compare(build)
    compare(given)


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

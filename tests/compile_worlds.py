"""Worlds: functions and the changes that what surrounds them goes through between calls.

A world is built twice, for a compiled function and for the same function run eagerly; after every change both must
answer the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import autograd_core as ag

World = tuple[Callable[..., Any], Any, list[Callable[[], Any]]]  # a function, its arguments, changes
X = np.ones(2, np.float32)


class Worlds(list[Callable[[], World]]):
    """Those that a file of tests builds, each marked with it."""

    def __call__(self, build: Callable[[], World]) -> Callable[[], World]:
        self.append(build)
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


def compare(build: Callable[[], World]) -> None:
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

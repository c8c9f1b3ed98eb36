"""What a function's Python code can see, noted when it was captured, to notice that it has changed since.

Compiled code does not run Python again. What Python would read in the next call (visible.py) is compared instead. What
was replaced, or is another number now, has the function captured again; that costs one slow call, and gives the same
compiled code if nothing of it mattered.

The same, looked at before and after a capture, shows what the function itself changes: a counter, a list that
grows, the learning rate. Compiled code would not, so such a function is not compiled.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any

import numpy as np

from ..tensor import Tensor
from . import changes
from .visible import MISSING, SCALARS, Visible


class Watch:
    """The state of the Python variables that ``f`` can see, and of ``things`` that answered for their options.

    given: objects among the arguments.
    """

    def __init__(self, f: Callable[..., Any], things: Iterable[Any], given: Iterable[Any] = ()):
        self._changes, self._flags = changes.count, changes.flags
        self.visible = Visible([f, *given])
        self._values = [(place.read, place.value) for place in self.visible.places]
        self._codes = [(f, f.__code__) for f in self.visible.functions]
        self._containers = [_Contents(container, described) for described, container in self.visible.containers]
        self._things = [(t.compile_guard, _copied(t.compile_guard()), type(t).__name__) for t in things]

    def changed(self) -> str | None:
        """What has changed since, in words; None if nothing has."""
        if changes.count != self._changes or changes.flags != self._flags:
            return "an attribute of a module was set"
        try:
            for read, before in self._values:
                if read() is not before:
                    raise ValueError
        except ValueError:  # which an outer variable that was deleted raises too
            found = self._difference()
            if found is not None:
                return found
        for f, code in self._codes:
            if f.__code__ is not code:
                return f"the code of {f.__name__} is another"
        for contents in self._containers:
            if not contents.agree():
                return f"what is in {contents.described} has changed"
        for guard, options, name in self._things:
            try:
                changed = guard() != options
            except ValueError:  # of an option that is an array now, which nothing can be compared with
                changed = True
            if changed:
                return f"the options of {name} have changed"
        return None

    def _difference(self) -> str | None:
        values = []
        for described, read, before in self.visible.places:
            try:
                now = read()
            except ValueError:
                now = MISSING
            if not same(now, before):
                return f"{described} was {_shown(before)} and is now {_shown(now)}"
            values.append((read, now))
        self._values = values  # equal, and faster to compare the next time
        return None


def objects_among(arguments: Iterable[Any]) -> list[Any]:
    """What is neither a tensor nor a number: the same in each call that the code is for, but not as it was."""
    return [x for x in arguments if not isinstance(x, (*SCALARS, Tensor, np.ndarray))]


class _Contents:
    """A list, dict, set or small array, and what was in it."""

    def __init__(self, container: Any, described: str):
        self.container, self.described = container, described
        if isinstance(container, (np.ndarray, bytearray)):
            self._read: Callable[[Any], Any] = bytes if isinstance(container, bytearray) else _bytes_of
        elif isinstance(container, set):
            self._read = frozenset
        else:
            self._read = list if isinstance(container, (list, deque)) else _items
        self._before = self._read(container)

    def agree(self) -> bool:
        now, before = self._read(self.container), self._before
        if type(before) is not list:
            return bool(now == before)
        return len(now) == len(before) and (all(map(is_, now, before)) or all(map(same, now, before)))


def _items(mapping: Any) -> list[Any]:
    return [*mapping, *mapping.values()]


def _bytes_of(array: np.ndarray) -> tuple[Any, ...]:
    return array.shape, array.dtype, array.tobytes()


def _copied(value: Any) -> Any:
    """Lists within lists as they are now."""
    return [_copied(x) for x in value] if type(value) is list else value


class Own:
    """What a function must not do itself, found by a look before and one after it: what it decided would stay so.

    Random numbers of Python and of NumPy are drawn, learning rates set, iterators used up.
    """

    def __init__(self, watch: Watch) -> None:
        self._visible = watch.visible
        self._before = self._state()

    def found(self) -> str | None:
        """In words; None if it does nothing of the sort."""
        if self._visible.iterators:
            return f"it reads the iterator {self._visible.iterators[0]}, which is used up: pass what it gives"
        draws, rates = self._state()
        if draws != self._before[0]:
            return "it draws Python's or NumPy's random numbers: write ag.random, which compiled code draws too"
        if len(rates) != len(self._before[1]) or not all(map(same, rates, self._before[1])):
            return "it sets a learning rate: pass a schedule of the step as lr, or set it outside"
        return None

    def _state(self) -> tuple[list[Any], list[Any]]:
        groups = [group for thing in self._visible.options for group in getattr(thing, "param_groups", ())]
        draws = [random.getstate(), *map(_drawn, self._visible.generators)]
        module: Any = sys.modules.get("numpy.random")  # who draws from it has loaded it
        if module is not None:
            draws.append(_plain(module.get_state(legacy=False)))
        return draws, [group.get("lr") for group in groups]


def _drawn(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if hasattr(generator, "bit_generator"):
        return _plain(generator.bit_generator.state)
    return _plain(generator.get_state(legacy=False))


def _plain(state: Any) -> Any:
    """As something that ``==`` compares."""
    if isinstance(state, dict):
        return [(name, _plain(value)) for name, value in state.items()]
    return state.tobytes() if isinstance(state, np.ndarray) else state


def same(now: Any, before: Any) -> bool:
    """Whether a value is the same to whoever reads it: the object, or an equal number, text, or tuple of such."""
    if now is before:
        return True
    if type(now) is tuple and type(before) is tuple:
        return len(now) == len(before) and all(map(same, now, before))
    if type(now) is not type(before) or not isinstance(before, SCALARS):
        return False
    if isinstance(before, (float, complex)):
        return repr(now) == repr(before)  # 0.0 is another number than -0.0, and NaN the same as NaN
    return bool(now == before)


def _shown(value: Any) -> str:
    if value is MISSING:
        return "missing"
    return repr(value)[:60] if isinstance(value, (*SCALARS, tuple)) else f"a {type(value).__name__}"

"""What a function's Python code can see, noted when it was captured, to notice that it has changed since.

Compiled code does not run Python again. What Python would read in the next call is compared instead: the variables that
the function closes over, the globals that it names, those of the functions that it calls by these names, the attributes
of objects among them, and the attributes of modules; of the object of a method, those that the method's code names
(attributes.py). What was replaced, or is another number now, has the function
captured again; that costs one slow call, and gives the same compiled code if nothing of it mattered.

The same list, looked at before and after a capture, shows what the function itself changes: a counter, a list that
grows. Compiled code would not, so such a function is not compiled.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Set
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..tensor import Tensor
from . import changes
from .attributes import attributes_used

PACKAGE = __name__.partition(".")[0]
SCALARS = (bool, int, float, complex, str, bytes, type(None))
DEEPEST = 3  # objects within objects
SMALL = 256  # elements of an array that is compared, and not taken to stay as it is
MISSING = object()


class Watch:
    """The state of the Python variables that ``f`` can see, and of ``things`` that answered for their options."""

    def __init__(self, f: Callable[..., Any], things: list[Any]):
        self._changes, self._flags = changes.count, changes.flags
        self._places: list[tuple[str, Callable[[], Any], Any]] = []
        self._seen: set[int] = set()
        self._noted: set[tuple[int, str]] = set()  # attributes of objects
        self._things = [(thing, thing.compile_guard()) for thing in things]
        self._visit(f)

    def changed(self) -> str | None:
        """What has changed since, in words; None if nothing has."""
        if changes.count != self._changes or changes.flags != self._flags:
            return "an attribute of a module was set"
        for name, read, before in self._places:
            now = read()
            if now is not before and not _same(now, before):
                return f"{name} was {_shown(before)} and is now {_shown(now)}"
        for thing, before in self._things:
            if thing.compile_guard() != before:
                return f"the options of {type(thing).__name__} have changed"
        return None

    def _visit(self, f: Any) -> None:
        if isinstance(f, MethodType):
            self._visit_object(f.__self__, type(f.__self__).__name__, DEEPEST, f)
            f = f.__func__
        f = getattr(f, "__wrapped__", f)
        if not isinstance(f, FunctionType):
            self._visit_object(f, type(f).__name__, DEEPEST)
            return
        if id(f) in self._seen or _is_ours(f.__module__):
            return
        self._seen.add(id(f))
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._note(f"the outer variable {name!r} of {f.__name__}", partial(_contents, cell), DEEPEST)
        space = f.__globals__
        for name in dict.fromkeys(_names(f.__code__)):
            if name in space:
                self._note(f"the global {name!r}", _reader(space, name), DEEPEST)

    def _note(self, described: str, read: Callable[[], Any], depth: int) -> None:
        value = read()
        if isinstance(value, ModuleType) or (isinstance(value, type) and _is_ours(value.__module__)):
            return
        self._places.append((described, read, _frozen(value)))
        if isinstance(value, (FunctionType, MethodType)):
            self._visit(value)
        else:
            self._visit_object(value, described, depth)

    def _visit_object(self, obj: Any, described: str, depth: int, method: MethodType | None = None) -> None:
        """The attributes of an object of the user's; what is ours says itself when an attribute is set.

        method: by which the object is reached, and not otherwise.
        """
        attributes = getattr(obj, "__dict__", None)
        if not isinstance(attributes, dict) or isinstance(obj, (Tensor, type, ModuleType)) or id(obj) in self._seen:
            return
        if hasattr(obj, "forward") and hasattr(obj, "modules"):  # a module: but lists within it can change unseen
            self._seen.add(id(obj))
            for i, module in enumerate(obj.modules()):
                for name, value in vars(module).items():
                    if isinstance(value, (list, dict, np.ndarray)) and not name.startswith("_"):
                        self._note(f"{described}: {name} of module {i}", _reader(vars(module), name), 0)
        elif depth and not _is_ours(type(obj).__module__):
            used: Set[str] | None = None if method is None else attributes_used(method)
            if used is None or not all(_is_told(attributes[name]) for name in used & attributes.keys()):
                used = attributes.keys()
                self._seen.add(id(obj))
            for name in list(attributes):
                if name in used and (id(obj), name) not in self._noted:
                    self._noted.add((id(obj), name))
                    self._note(f"{described}.{name}", _reader(attributes, name), depth - 1)


class Draws:
    """Whether Python's or NumPy's random numbers are drawn between two looks: what they decide would be so for ever."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy = self._position()

    def any_since(self) -> bool:
        return random.getstate() != self._python or self._position() != self._numpy

    @staticmethod
    def _position() -> tuple[Any, ...]:
        module: Any = sys.modules.get("numpy.random")  # who draws from it has loaded it
        if module is None:
            return ()
        state = module.get_state(legacy=False)
        return state["state"]["pos"], state["has_gauss"], state["state"]["key"].tobytes()


def _reader(attributes: dict[str, Any], name: str) -> Callable[[], Any]:
    return lambda: attributes.get(name, MISSING)


def _names(code: CodeType) -> Iterator[str]:
    """Global names that the code, or a function defined in it, may read."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return MISSING


def _is_told(value: Any) -> bool:
    """Whether all that a value may read elsewhere is found by a visit: not what a container or a partial hands on."""
    if isinstance(value, (list, tuple, set, dict)):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        return all(isinstance(x, (*SCALARS, Tensor, np.ndarray)) for x in items)
    return not isinstance(value, partial)


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] in (PACKAGE, "builtins")


def _frozen(value: Any) -> Any:
    """What may change within is compared with a copy of what was in it."""
    if type(value) is list:
        return _Items(value, tuple(map(_frozen, value)))
    if type(value) is dict:
        return _Items(value, tuple(x for item in value.items() for x in map(_frozen, item)))
    if isinstance(value, np.ndarray) and value.size <= SMALL and value.dtype != object:
        return _Items(value, value.tobytes())
    return value


class _Items:
    """A list, dict or small array, and what was in it."""

    def __init__(self, container: Any, items: Any):
        self.container, self.items = container, items

    def __repr__(self) -> str:
        return f"a {type(self.container).__name__} of {len(self.items)}"

    def agrees(self, now: Any) -> bool:
        if now is not self.container:
            return False
        if isinstance(now, np.ndarray):
            return now.tobytes() == self.items
        items = [x for item in now.items() for x in item] if type(now) is dict else now
        return len(items) == len(self.items) and all(map(_same, items, self.items))


def _same(now: Any, before: Any) -> bool:
    if now is before:
        return True
    if isinstance(before, _Items):
        return before.agrees(now)
    if type(now) is tuple and type(before) is tuple:
        return len(now) == len(before) and all(map(_same, now, before))
    return isinstance(before, SCALARS) and type(now) is type(before) and (now == before or now != now)


def _shown(value: Any) -> str:
    if value is MISSING:
        return "missing"
    return repr(value)[:60] if isinstance(value, (*SCALARS, _Items, tuple)) else f"a {type(value).__name__}"

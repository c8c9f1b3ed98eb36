"""What a function's Python code can see, noted when it was captured, to notice that it has changed since.

Compiled code does not run Python again. What Python would read in the next call is compared instead: the variables that
the function closes over, the globals that it names, those of the functions that it calls by these names, the attributes
of objects among them, and the attributes of modules. What was replaced, or is another number now, has the function
captured again; that costs one slow call, and gives the same compiled code if nothing of it mattered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ..tensor import Tensor
from . import changes

PACKAGE = __name__.partition(".")[0]
SCALARS = (bool, int, float, complex, str, bytes, type(None))
MISSING = object()


class Watch:
    """The state of the Python variables that ``f`` can see, and of ``things`` that answered for their options."""

    def __init__(self, f: Callable[..., Any], things: list[Any]):
        self._changes = changes.count
        self._places: list[tuple[str, Callable[[], Any], Any]] = []
        self._seen: set[int] = set()
        self._things = [(thing, thing.compile_guard()) for thing in things]
        self._visit(f)

    def changed(self) -> str | None:
        """What has changed since, in words; None if nothing has."""
        if changes.count != self._changes:
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
            self._visit_object(f.__self__, type(f.__self__).__name__)
            f = f.__func__
        f = getattr(f, "__wrapped__", f)
        if not isinstance(f, FunctionType) or id(f) in self._seen or _is_ours(f.__module__):
            if not isinstance(f, FunctionType):
                self._visit_object(f, type(f).__name__)
            return
        self._seen.add(id(f))
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            self._note(f"{f.__name__}: the outer variable {name!r}", lambda cell=cell: _contents(cell))
        space = f.__globals__
        for name in _names(f.__code__):
            if name in space:
                self._note(f"the global {name!r}", lambda name=name, space=space: space.get(name, MISSING))

    def _note(self, described: str, read: Callable[[], Any]) -> None:
        value = read()
        if isinstance(value, ModuleType) or (isinstance(value, type) and _is_ours(value.__module__)):
            return
        self._places.append((described, read, _frozen(value)))
        if isinstance(value, (FunctionType, MethodType)):
            self._visit(value)
        else:
            self._visit_object(value, described)

    def _visit_object(self, obj: Any, described: str) -> None:
        """The attributes of an object of the user's; what is ours says itself when it changes."""
        attributes = getattr(obj, "__dict__", None)
        known = isinstance(obj, (Tensor, type, ModuleType)) or id(obj) in self._seen
        if not isinstance(attributes, dict) or known or _is_ours(type(obj).__module__) or hasattr(obj, "forward"):
            return
        self._seen.add(id(obj))
        for name, value in attributes.items():
            read = lambda name=name, attributes=attributes: attributes.get(name, MISSING)  # noqa: E731
            self._places.append((f"{described}.{name}", read, _frozen(value)))


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


def _is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] in (PACKAGE, "builtins")


def _frozen(value: Any) -> Any:
    """Lists and dicts may change within: what is compared is a copy of their items."""
    if type(value) is list:
        return _Items(value, tuple(value))
    if type(value) is dict:
        return _Items(value, tuple(value.items()))
    return value


class _Items:
    """A list or dict, and what was in it."""

    def __init__(self, container: Any, items: tuple[Any, ...]):
        self.container, self.items = container, items

    def __repr__(self) -> str:
        return repr(type(self.container)(self.items))


def _same(now: Any, before: Any) -> bool:
    if now is before:
        return True
    if isinstance(before, _Items):
        if now is not before.container:
            return False
        items = tuple(now.items()) if type(now) is dict else tuple(now)
        return len(items) == len(before.items) and all(map(_same, items, before.items))
    if type(now) is tuple and type(before) is tuple:
        return len(now) == len(before) and all(map(_same, now, before))
    return isinstance(before, SCALARS) and type(now) is type(before) and (now == before or now != now)


def _shown(value: Any) -> str:
    return "missing" if value is MISSING else repr(value)[:60]

"""A case's call with another library's functions in the place of ours.

A case's function names operations of ours as globals or in closures (``ag.sum``, ``conv2d``). ``translated`` makes a
copy of it in which these names lead elsewhere. The arguments stay what they are, so every variant of a case, axes and
all, is judged by others without being written a second time.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from op_catalog import is_public

import autograd_core as ag
from autograd_core.primitive import Primitive

CONSTANTS = {name for name in ag.dtypes.__all__ if hasattr(np, name)}


class NoSuchName(Exception):
    """A case names something that has no counterpart; the text says what."""


class Namespace:
    """Our names, leading to those of a library: stands for ``autograd_core`` and every module of it.

    rooms: the library's modules, in the order in which they are searched; asarray: makes its arrays; adapted: what does
    the same with other arguments or under another name; absent: names that it has for something else, and why.
    """

    def __init__(
        self,
        library: str,
        rooms: Sequence[Any],
        asarray: Callable[[np.ndarray], Any],
        adapted: Mapping[str, Callable[..., Any]] | None = None,
        absent: Mapping[str, str] | None = None,
    ):
        self._library = library
        self._rooms = rooms
        self._asarray = asarray
        self._adapted = adapted or {}
        self._absent = absent or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``fft`` is a module, and a function in it."""
        return next(room.fft for room in self._rooms if callable(getattr(room, "fft", None)))(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in ("fft", "linalg"):
            return self
        if name in self._adapted:
            return self._adapted[name]
        if name in self._absent:
            raise NoSuchName(self._absent[name])
        if name.endswith("_p") or (not is_public(name) and name not in CONSTANTS):
            raise NoSuchName(f"names {name}, an inner step")
        for room in self._rooms:
            if hasattr(room, name):
                return getattr(room, name)
        raise NoSuchName(f"{self._library} has no function of this name")

    def bind(self, name: str) -> Any:
        """The function of that name, looked up when it is called: what is not called need not exist."""
        return lambda *args, **kwargs: getattr(self, name)(*args, **kwargs)


def translated(f: Callable[..., Any], namespace: Namespace) -> Callable[..., Any]:
    """``f`` with the functions of ``namespace`` for ours."""
    return _translated(f, namespace, {})


def _translated(value: Any, namespace: Namespace, seen: dict[int, Any]) -> Any:
    """``value`` as it is, or what stands for it."""
    if isinstance(value, types.ModuleType):
        return namespace if value.__name__.partition(".")[0] == "autograd_core" else value
    if isinstance(value, (tuple, list)) and any(isinstance(v, types.FunctionType) for v in value):
        return type(value)(_translated(v, namespace, seen) for v in value)
    if isinstance(value, Primitive):
        raise NoSuchName(f"binds the primitive {value.name} itself")
    if isinstance(value, ag.Tensor):
        return namespace._asarray(value.numpy())
    if isinstance(value, dict) and value and all(isinstance(v, types.FunctionType) for v in value.values()):
        return {key: _translated(v, namespace, seen) for key, v in value.items()}
    if not isinstance(value, types.FunctionType):
        return value
    if value.__module__.startswith("autograd_core."):
        return namespace.bind(value.__name__)
    if not value.__module__.startswith("op_table"):
        return value
    if id(value) not in seen:
        seen[id(value)] = _copied(value, namespace, seen)
    return seen[id(value)]


def _copied(f: types.FunctionType, namespace: Namespace, seen: dict[int, Any]) -> types.FunctionType:
    """A function of the op table with every name that it uses translated."""
    cells = tuple(types.CellType(_translated(cell.cell_contents, namespace, seen)) for cell in f.__closure__ or ())
    used = {name: f.__globals__[name] for name in _names(f.__code__) if name in f.__globals__}
    names = {"__builtins__": f.__globals__["__builtins__"]}
    names |= {name: _translated(value, namespace, seen) for name, value in used.items()}
    made = types.FunctionType(f.__code__, names, f.__name__, f.__defaults__, cells or None)
    made.__kwdefaults__ = f.__kwdefaults__
    return made


def _names(code: types.CodeType) -> set[str]:
    """The globals that a function and those inside it read."""
    read = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return read.union(*(_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)))

"""What a function's Python code may read: a walk from the function to variables, containers and other functions.

The walk goes wherever code can: to the variables that a function closes over, its defaults, the globals that it names,
the attributes of objects among them, their methods, what lies in containers. It ends at this package and at other
libraries, of which nobody expects that they change (origins.py). Of classes, of modules, and of files that are
imported, which hold much that nobody asks for, only names count that some code on the way mentions.
"""

from __future__ import annotations

import dis
import random
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from enum import Enum
from functools import lru_cache, partial
from threading import local
from types import BuiltinMethodType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor
from .attributes import attributes_used
from .origins import is_foreign, is_ours

SCALARS = (bool, int, float, complex, str, bytes, type(None))
CONTAINERS = (list, tuple, dict, set, frozenset, deque, bytearray, MappingProxyType)
DEEPEST = 3  # objects within objects, all of whose attributes are watched: of those within, what code mentions
SMALL = 256  # elements of an array that is compared, and of a container that is looked into
MISSING = object()
OF_GLOBALS = ("_GLOBAL", "LOAD_NAME", "_OR_GLOBALS")  # the last letters of instructions

OF_OPTIMIZERS = frozenset({"defaults", "param_groups", "state", "steps"})  # of which ``compile_guard`` tells

# Who uses these reads attributes whose names need not stand in the code.
BY_NAME = frozenset({"getattr", "hasattr", "vars", "__dict__", "attrgetter", "methodcaller", "dir"})
# Special methods that run when an object is made, shown or copied, and not when a function uses it.
OF_MAKING = (
    "__new__",
    "__init__",
    "__post_init__",
    "__init_subclass__",
    "__class_getitem__",
    "__set_name__",
    "__del__",
)
OF_COPYING = ("__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
ELSEWHERE = frozenset({*OF_MAKING, *OF_COPYING, "__repr__", "__str__", "__format__", "__sizeof__"})


class Place(NamedTuple):
    """A variable: what messages call it, how to read it, and what it was."""

    described: str
    read: Callable[[], Any]
    value: Any


class Visible:
    """Everything that code reached from ``roots`` may read.

    places: variables. containers: lists and the like, which can change within. functions: whose code is reached.
    options: objects that answer for theirs (``compile_guard``). generators: of random numbers. iterators: by name.
    """

    def __init__(self, roots: Iterable[Any]):
        self.places: list[Place] = []
        self.containers: list[tuple[str, Any]] = []
        self.functions: list[FunctionType] = []
        self.options: list[Any] = []
        self.generators: list[Any] = []
        self.iterators: list[str] = []
        self._seen: dict[Any, Any] = {}  # what is kept here keeps its id
        self._names: set[str] = set()  # mentioned by code
        self._any_name = False
        self._waiting: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)  # until a name is mentioned
        self._todo = deque((root, type(root).__name__, DEEPEST) for root in roots)
        while self._todo:
            self._visit(*self._todo.popleft())
        self._seen.clear()
        self._waiting.clear()

    def _is_new(self, value: Any, *about: Any) -> bool:
        key = (id(value), *about)
        if key in self._seen:
            return False
        self._seen[key] = value
        return True

    def _reach(self, value: Any, described: str, depth: int = DEEPEST) -> None:
        if not isinstance(value, (*SCALARS, Tensor, Enum)):
            self._todo.append((value, described, depth))

    def _place(self, described: str, read: Callable[[], Any], depth: int = DEEPEST) -> None:
        value = read()
        self.places.append(Place(described, read, value))
        self._reach(value, described, depth)

    def _visit(self, value: Any, described: str, depth: int) -> None:
        if isinstance(value, MethodType):
            self._object(value.__self__, type(value.__self__).__name__, DEEPEST, value)
            self._reach(value.__func__, described)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, (partial, staticmethod, classmethod, property, BuiltinMethodType)):
            for part in _parts(value):
                self._reach(part, described)
        elif isinstance(value, (*CONTAINERS, np.ndarray)):
            self._container(value, described, depth)
        elif isinstance(value, ModuleType):
            self._file(value)
        elif isinstance(value, type):
            if self._is_new(value):
                self._class(value, value.__name__, None)
        elif isinstance(value, ContextVar):
            if self._is_new(value):
                self._place(f"the context variable {value.name!r}", partial(value.get, MISSING))
        elif is_random(value):
            if self._is_new(value):
                self.generators.append(value)
        elif is_iterator(value):
            self.iterators.append(described)
        else:
            self._object(value, described, depth)

    # ----------------------------------------------------------------------------------- functions

    def _function(self, f: FunctionType) -> None:
        if not self._is_new(f):
            return
        own = f.__module__ in (None, "builtins") or not is_foreign(f.__module__)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            value, described = _contents(cell), f"the outer variable {name!r} of {f.__name__}"
            if not own:  # nobody else changes what it holds, but what the user gave may be in it
                for part in value.values() if type(value) is dict else value if type(value) is list else (value,):
                    self._reach(part, described)
            else:
                empty = value is MISSING
                self._place(described, partial(_contents, cell) if empty else partial(getattr, cell, "cell_contents"))
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(f, name):
                self._place(f"{f.__name__}.{name}", partial(getattr, f, name))
        self._reach(getattr(f, "__wrapped__", None), f.__name__)
        if own:
            self.functions.append(f)
            self._globals(f)
            self._named(f"{f.__name__}.", vars(f), {"__wrapped__"})

    def _globals(self, f: FunctionType) -> None:
        space, (variables, names) = f.__globals__, names_in(f.__code__)
        for name in variables:
            if name in space and self._is_new(space, name) and not _stays(name, space[name]):
                self._place(f"the global {name!r}", partial(space.get, name, MISSING))
        for name in names:  # of what is imported inside, perhaps
            for path in (name, f"{space.get('__package__')}.{name}"):
                self._reach(sys.modules.get(path), path)
        self._mention(names)

    def _file(self, module: ModuleType) -> None:
        """A file of the user's: what code mentions of its variables."""
        if not is_foreign(module.__name__) and self._is_new(module):
            self._named(f"{module.__name__}.", vars(module), ())

    def _named(self, prefix: str, space: dict[str, Any], but: Iterable[str]) -> None:
        for name, value in list(space.items()):
            if name not in but and not _stays(name, value):
                read = partial(space.get, name, MISSING)
                self._when_mentioned(name, partial(self._place_once, space, name, f"{prefix}{name}", read))

    def _place_once(self, owner: Any, name: str, described: str, read: Callable[[], Any]) -> None:
        if self._is_new(owner, name):
            self._place(described, read)

    def _container(self, value: Any, described: str, depth: int) -> None:
        if not self._is_new(value, "contents"):
            return
        if isinstance(value, np.ndarray):
            if value.size <= SMALL and value.dtype != object:
                self.containers.append((described, value))
            return
        if not isinstance(value, (tuple, frozenset)):
            self.containers.append((described, value))
        if len(value) <= SMALL and not isinstance(value, bytearray):
            for item in list(value.values() if isinstance(value, (dict, MappingProxyType)) else value):
                self._reach(item, f"an element of {described}", depth)
        if not is_foreign(type(value).__module__):
            self._object(value, described, depth)

    # ------------------------------------------------------------------------------------- objects

    def _object(self, obj: Any, described: str, depth: int, method: MethodType | None = None) -> None:
        """method: by which the object is reached, and not otherwise."""
        if isinstance(obj, type):
            self._reach(obj, described)
        elif isinstance(obj, (*SCALARS, Tensor, ModuleType, Enum)):
            pass
        elif is_network(obj):
            self._network(obj, described)
        elif hasattr(obj, "compile_guard"):
            if self._is_new(obj):
                self.options.append(obj)
                for group in getattr(obj, "param_groups", ()):
                    self._reach(group.get("lr"), "lr")
                if not is_ours(type(obj).__module__):
                    self._named(f"{described}.", vars(obj), OF_OPTIMIZERS)
                self._class(type(obj), described, obj)
        elif is_ours(type(obj).__module__):
            if self._is_new(obj):
                for part in getattr(obj, "__dict__", {}).values():
                    if callable(part) and not isinstance(part, type):
                        self._reach(part, described, depth - 1)
        else:
            self._attributes(obj, described, depth, None if method is None else attributes_used(method))

    def _attributes(self, obj: Any, described: str, depth: int, used: set[str] | None) -> None:
        if used is None and not self._is_new(obj):
            return
        space = getattr(obj, "__dict__", {})
        for name in [*space, *_slots(obj)]:
            if (used is None or name in used) and self._is_new(obj, name):
                plain = name in space and not isinstance(obj, local)
                read = partial(space.get, name, MISSING) if plain else partial(getattr, obj, name, MISSING)
                act = partial(self._place, f"{described}.{name}", read, depth - 1)
                if depth > 0 and not is_iterator(read()):
                    act()
                else:
                    self._when_mentioned(name, act)
        if self._is_new(obj, "class"):
            self._class(type(obj), described, obj)

    def _class(self, owner: type, described: str, instance: Any) -> None:
        """What code mentions of a class: for an instance or, with None, as the class itself."""
        for base in owner.__mro__:
            if is_foreign(base.__module__):
                continue
            for name, member in list(vars(base).items()):
                act = partial(self._member, owner, name, member, described, instance)
                if not (name.startswith("__") and name.endswith("__")):
                    called_by_us = any(name in vars(b) for b in owner.__mro__ if is_ours(b.__module__))
                    act() if called_by_us else self._when_mentioned(name, act)
                elif instance is None or name not in ELSEWHERE:
                    if isinstance(member, (FunctionType, staticmethod, classmethod, property)):
                        self._reach(member, f"{owner.__name__}.{name}")
                    if name == "__call__":
                        act()

    def _member(self, owner: type, name: str, member: Any, described: str, instance: Any) -> None:
        self._reach(member, f"{owner.__name__}.{name}")
        space = getattr(instance, "__dict__", None)
        hidden = isinstance(space, dict) and name in space
        computed = hasattr(type(member), "__get__") and not isinstance(member, (FunctionType, staticmethod, property))
        if not hidden and not computed and self._is_new(owner, name):
            self._place(f"{owner.__name__}.{name}", partial(getattr, owner, name, MISSING))
        if not isinstance(space, dict) or hidden or is_network(instance) or name == "__call__":
            return
        if not hasattr(type(member), "__set__") and self._is_new(instance, name):
            self._place(f"{described}.{name}", partial(space.get, name, MISSING))  # would hide that of the class

    def _network(self, network: Any, described: str) -> None:
        """A tree of modules, which say themselves when an attribute is set; what is in attributes can change unseen."""
        for i, module in enumerate(network.modules() if self._is_new(network, "network") else ()):
            if not self._is_new(module):
                continue
            ours = is_ours(type(module).__module__)
            for name, value in list(vars(module).items()):
                where = f"{described}: {name} of module {i}"
                if name == "_hooks":
                    hooks = [] if value is None else [h.function for when in vars(value).values() for h in when]
                    self._reach(tuple(hooks), where)
                elif isinstance(value, (*SCALARS, Tensor)) or is_network(value):
                    pass
                elif isinstance(value, (*CONTAINERS, np.ndarray)) and not name.startswith("_"):
                    self._reach(value, where)
                elif not ours:
                    self._when_mentioned(name, partial(self._reach, value, where))
                elif callable(value):
                    self._reach(value, where)
            if not ours:
                self._class(type(module), type(module).__name__, module)

    # --------------------------------------------------------------------------------------- names

    def _when_mentioned(self, name: str, act: Callable[[], None]) -> None:
        if self._any_name or name in self._names:
            act()
        else:
            self._waiting[name].append(act)

    def _mention(self, names: Iterable[str]) -> None:
        new = set(names) - self._names
        self._names |= new
        if not self._any_name and not BY_NAME.isdisjoint(new):
            self._any_name = True
        for name in [*self._waiting] if self._any_name else new & self._waiting.keys():
            for act in self._waiting.pop(name):
                act()


@lru_cache(maxsize=4096)
def names_in(code: CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """The globals that the code, or a function defined in it, may read or set; with the attributes that it names."""
    variables = [at.argval for at in dis.get_instructions(code) if at.opname.endswith(OF_GLOBALS)]
    names = {*code.co_names}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            within, attributes = names_in(constant)
            variables += within
            names |= attributes
    return tuple(dict.fromkeys(variables)), frozenset(names)


def is_iterator(value: Any) -> bool:
    """Whether a value is used up by who reads it, and cannot be asked how far: what ``iter`` and the like return."""
    return hasattr(type(value), "__next__") and type(value).__module__ in ("builtins", "itertools")


def is_random(value: Any) -> bool:
    """A generator of random numbers of Python's or NumPy's; NumPy loads its own when they are first asked for."""
    if isinstance(value, random.Random):
        return True
    module: Any = sys.modules.get("numpy.random")
    return module is not None and isinstance(value, (module.Generator, module.RandomState))


def is_network(value: Any) -> bool:
    """An ``nn.Module``, which this package's core does not know."""
    return hasattr(value, "forward") and hasattr(value, "modules") and not isinstance(value, type)


def _stays(name: str, value: Any) -> bool:
    """Whether a variable is what an import has made, of this package or another library."""
    if isinstance(value, ModuleType):
        return is_foreign(value.__name__)
    return isinstance(value, type) and name == value.__name__ and is_ours(value.__module__)


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, partial):
        return (value.func, value.args, value.keywords)
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    return () if isinstance(value.__self__, (type, ModuleType)) else (value.__self__,)


def _slots(obj: Any) -> list[str]:
    found = []
    for base in type(obj).__mro__:
        known = not is_foreign(base.__module__) or "__dataclass_fields__" in vars(base)
        slots = vars(base).get("__slots__", ()) if known else ()
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return found


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return MISSING

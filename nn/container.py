"""Modules that hold modules: Sequential, ModuleList, ModuleDict; and lists and dicts of parameters."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Generic, TypeVar

from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor

from .module import ForwardNotImplementedError, Module
from .parameter import Parameter

Held = TypeVar("Held", Module, Parameter)


class _Numbered(Module, Generic[Held]):
    """A list whose elements are the attributes "0", "1", ...: so they have these names in a state dict."""

    _holds: type[Any] = Module
    _found: type[Any] = Module

    def _append(self, values: Iterable[Held]) -> None:
        n = len(self)
        for i, value in enumerate(values, start=n):
            self._check(i, value)
            setattr(self, str(i), value)

    def _check(self, i: int, value: Any) -> None:
        if not isinstance(value, self._holds):
            given = getattr(value, "__name__", type(value).__name__)
            hint = ", such as nn.ReLU() for nn.functional.relu" if self._holds is Module else ""
            several = isinstance(self, Sequential) and isinstance(value, (list, tuple))
            fix = "; for a list of them write nn.Sequential(*layers)" if several else ""
            raise ArgumentError(
                f"{type(self).__name__}: element {i} must be an nn.{self._holds.__name__}{hint}, got {given}{fix}"
            )

    def _items(self) -> list[tuple[str, Held]]:
        return self._own(self._found)

    def _values(self) -> list[Held]:
        return [value for _, value in self._items()]

    def _keys(self) -> list[str]:
        return [name for name, _ in self._items()]

    def _replace(self, values: Iterable[Held]) -> None:
        values = list(values)
        for key in self._keys():
            delattr(self, key)
        self._append(values)

    def _key(self, index: Any) -> str:
        keys = self._keys()
        try:
            return keys[operator.index(index)]
        except (IndexError, TypeError):
            raise _no_element(self, index, f"an int below {len(keys)}") from None

    def __len__(self) -> int:
        return len(self._values())

    def __iter__(self) -> Iterator[Held]:
        return iter(self._values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(*self._constructor_arguments(self._items()[index]))
        return self.__dict__[self._key(index)]

    def _constructor_arguments(self, items: list[tuple[str, Held]]) -> tuple[Any, ...]:
        return ([value for _, value in items],)

    def __setitem__(self, index: Any, value: Held) -> None:
        self._check(index, value)
        setattr(self, self._key(index), value)

    def __delitem__(self, index: Any) -> None:
        values = self._values()
        if not isinstance(index, slice):
            self._key(index)
        del values[index]
        self._replace(values)

    def append(self, value: Held) -> Any:
        """Add an element at the end; returns self."""
        self._append([value])
        return self

    def extend(self, values: Iterable[Held]) -> Any:
        """Add elements at the end; returns self."""
        self._append(list(values))
        return self

    def insert(self, index: int, value: Held) -> Any:
        """Put an element before ``index``; the later ones are renamed. Returns self."""
        self._check(index, value)
        values = self._values()
        values.insert(index, value)
        self._replace(values)
        return self

    def pop(self, index: int = -1) -> Held:
        """Take an element out and return it; the later ones are renamed."""
        value = self[index]
        del self[index]
        return value


class Sequential(_Numbered[Module]):
    """Modules one after the other: y = m_n(...m_2(m_1(x))).

    Takes the modules, or one dict that names them. Indexing gives a module, slicing a Sequential that shares its
    modules. ArgumentError for elements that are no modules.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(ag.ones((3, 4))).shape, len(model[:2])
    ((3, 2), 2)
    """

    def __init__(self, *modules: Any):
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self._check(name, module)
                self.add_module(name, module)
        else:
            self._append(modules)

    def forward(self, input: Any) -> Any:
        for module in self._values():
            input = module(input)
        return input

    def _constructor_arguments(self, items: list[tuple[str, Module]]) -> tuple[Any, ...]:
        named = any(name != str(i) for i, name in enumerate(self._keys()))
        return (dict(items),) if named else tuple(module for _, module in items)


class ModuleList(_Numbered[Module]):
    """A list of modules that ``parameters()`` and ``state_dict()`` see, as they do not see a Python list.

    >>> from autograd_core import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> layers.append(nn.ReLU())[-1]
    ReLU()
    """

    def __init__(self, modules: Iterable[Module] | None = None):
        self._append(() if modules is None else modules)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing: a list does not say what is computed with its modules."""
        raise ForwardNotImplementedError(
            "ModuleList holds modules and computes nothing: loop over it in forward(), or use nn.Sequential"
        )


class ParameterList(_Numbered[Parameter]):
    """A list of parameters that ``parameters()`` and ``state_dict()`` see.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> scales = nn.ParameterList([nn.Parameter(ag.ones(2))])
    >>> list(scales.state_dict())
    ['0']
    """

    _holds = Parameter
    _found = Tensor  # functional_call puts other tensors in the places of parameters

    def __init__(self, values: Iterable[Parameter] | None = None):
        self._append(() if values is None else values)

    def extra_repr(self) -> str:
        return ", ".join(f"({name}): {value.dtype}{list(value.shape)}" for name, value in self._own(Parameter))


class _Keyed(Module, Generic[Held]):
    """A dict whose values are attributes under their keys: so they have these names in a state dict."""

    _holds: type[Any] = Module
    _found: type[Any] = Module

    def update(self, values: Mapping[str, Held] | Iterable[tuple[str, Held]]) -> None:
        """Set the values of a mapping, or of (key, value) pairs."""
        for key, value in values.items() if isinstance(values, Mapping) or hasattr(values, "items") else values:
            self[key] = value

    def __setitem__(self, key: str, value: Held) -> None:
        if not isinstance(value, self._holds):
            raise ArgumentError(
                f"{type(self).__name__}: {key!r} must be an nn.{self._holds.__name__}, got {type(value).__name__}"
            )
        self._register("add_module" if self._holds is Module else "register_parameter", key, value, self._holds)

    def __getitem__(self, key: str) -> Held:
        value = self.__dict__.get(key)
        if not isinstance(value, self._found):
            raise _no_element(self, key, f"one of {list(self)}")
        return value

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return isinstance(self.__dict__.get(key), self._found) if isinstance(key, str) else False

    def __len__(self) -> int:
        return len(self._own(self._found))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        return dict(self._own(self._found)).keys()

    def values(self) -> ValuesView[Held]:
        return dict(self._own(self._found)).values()

    def items(self) -> ItemsView[str, Held]:
        return dict(self._own(self._found)).items()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, ``default`` if there is none."""
        value = self.__dict__.get(key)
        return value if isinstance(value, self._found) else default

    def pop(self, key: str) -> Held:
        """Take a value out and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all values out."""
        for key in list(self):
            del self[key]


class ModuleDict(_Keyed[Module]):
    """A dict of modules that ``parameters()`` and ``state_dict()`` see. Keys are strings without dots.

    >>> from autograd_core import nn
    >>> heads = nn.ModuleDict({"kind": nn.Linear(8, 3)})
    >>> heads["age"] = nn.Linear(8, 1)
    >>> list(heads)
    ['kind', 'age']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        self.update(modules or ())


class ParameterDict(_Keyed[Parameter]):
    """A dict of parameters that ``parameters()`` and ``state_dict()`` see. Keys are strings without dots.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> scales = nn.ParameterDict({"left": nn.Parameter(ag.ones(2))})
    >>> list(scales.state_dict()), "right" in scales
    (['left'], False)
    """

    _holds = Parameter
    _found = Tensor  # functional_call puts other tensors in the places of parameters

    def __init__(self, parameters: Mapping[str, Parameter] | Iterable[tuple[str, Parameter]] | None = None):
        self.update(parameters or ())

    def extra_repr(self) -> str:
        return ", ".join(f"({name}): {value.dtype}{list(value.shape)}" for name, value in self._own(Parameter))


class _ElementError(ArgumentError, IndexError, KeyError):
    """No such element; also what a list and a dict raise."""

    def __str__(self) -> str:
        return self.args[0]


def _no_element(container: Module, key: Any, known: str) -> _ElementError:
    return _ElementError(f"{type(container).__name__} has no element {key!r}: use {known}")

"""The dicts in which an optimizer keeps its state: they count their changes, so that nobody has to look for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from autograd_core.tensor import Tensor, Variable

T = TypeVar("T")


class Changes:
    """How often the dicts that share this were changed."""

    def __init__(self) -> None:
        self.count = 0


class Counted(dict[Any, Any]):
    """A dict whose changes ``changes`` counts; a subclass says as what values are kept."""

    changes: Changes | None = None  # until it is known, as while a pickle is read

    def __init__(self, items: Mapping[Any, Any], changes: Changes):
        super().__init__()
        self.changes = changes
        self.update(items)

    def kept(self, value: Any) -> Any:
        return value

    def _change(self, act: Callable[..., T], *arguments: Any) -> T:
        if self.changes is not None:
            self.changes.count += 1
        return act(*arguments)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._change(super().__setitem__, key, self.kept(value))

    def __delitem__(self, key: Any) -> None:
        self._change(super().__delitem__, key)

    def pop(self, *arguments: Any) -> Any:
        return self._change(super().pop, *arguments)

    def popitem(self) -> Any:
        return self._change(super().popitem)

    def clear(self) -> None:
        self._change(super().clear)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *items: Any, **named: Any) -> None:
        for key, value in dict(*items, **named).items():
            self[key] = value

    def __ior__(self, items: Any) -> Any:  # type: ignore[misc]  # not as |, which makes a dict that counts nothing
        self.update(items)
        return self


class Entries(Counted):
    """The state of one parameter, by name: what steps assign to, so a tensor is kept as a variable."""

    def kept(self, value: Any) -> Any:
        is_constant = isinstance(value, Tensor) and not isinstance(value, Variable)
        return Variable(value.data, value.device) if is_constant else value


class States(Counted):
    """The state of every parameter that has one."""

    def kept(self, value: Any) -> Any:
        changes = self.changes
        if changes is None or not isinstance(value, dict) or (isinstance(value, Entries) and value.changes is changes):
            return value
        return Entries(value, changes)

"""A backend whose arrays are not NumPy's: as strict as a device's, they never become NumPy arrays by themselves."""

from __future__ import annotations

import operator
from types import ModuleType
from typing import Any

import numpy as np

from autograd_core.backend import Availability

USED: set[str] = set()  # the namespace's functions that were asked for


class Box:
    """An array behind a wall. What lies on the host (a NumPy array) is refused, as a device's arrays refuse it."""

    __array_ufunc__ = None

    def __init__(self, inner: np.ndarray):
        self.inner = inner

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("an implicit conversion to NumPy: it would wait for the device and copy")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.inner, name)
        return _boxed(found) if callable(found) else _box(found)

    def __getitem__(self, key: Any) -> Any:
        return _box(self.inner[_unbox(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.inner[_unbox(key)] = _unbox(value)

    def __len__(self) -> int:
        return len(self.inner)

    def __bool__(self) -> bool:
        return bool(self.inner)

    def __int__(self) -> int:
        return int(self.inner)

    def __float__(self) -> float:
        return float(self.inner)


def _operator(name: str, reflected: bool) -> Any:
    function = getattr(operator, name.strip("_") + ("_" if name in ("__and__", "__or__") else ""))

    def method(self: Box, other: Any) -> Any:
        operands = (_unbox(other), self.inner) if reflected else (self.inner, _unbox(other))
        return _box(function(*operands))

    return method


def _unary(function: Any) -> Any:
    return lambda self: _box(function(self.inner))


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
):
    setattr(Box, f"__{_name}__", _operator(f"__{_name}__", reflected=False))
    setattr(Box, f"__r{_name}__", _operator(f"__{_name}__", reflected=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Box, f"__{_name}__", _operator(f"__{_name}__", reflected=False))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Box, f"__{_name}__", _unary(getattr(operator, _name)))


def _unbox(value: Any) -> Any:
    if isinstance(value, Box):
        return value.inner
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array among the operands of a device's function")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_unbox, value))
    return value


def _box(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return Box(np.asarray(value))
    if isinstance(value, (tuple, list)) and any(isinstance(v, np.ndarray) for v in value):
        boxes = map(_box, value)
        return type(value)(*boxes) if hasattr(value, "_fields") else type(value)(boxes)
    return value


def _boxed(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return _box(function(*map(_unbox, args), **{name: _unbox(value) for name, value in kwargs.items()}))

    return call


class Namespace:
    """NumPy's functions on boxes; types and constants as they are."""

    def __init__(self, module: ModuleType, prefix: str = ""):
        self._module = module
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            return Namespace(found, f"{self._prefix}{name}.")
        if isinstance(found, type) or not callable(found):
            return found
        USED.add(self._prefix + name)
        if isinstance(found, np.ufunc):
            boxed = _boxed(found)
            boxed.at, boxed.reduce, boxed.accumulate = map(_boxed, (found.at, found.reduce, found.accumulate))
            return boxed
        return _boxed(found)


class BoxedBackend:
    """Two devices, no kernels."""

    name = "boxed"
    array_types = (Box,)
    xp = Namespace(np)

    def availability(self) -> Availability:
        return Availability(True)

    def device_count(self) -> int:
        return 2

    def asarray(self, obj: Any, *, dtype: Any, device: Any) -> Box:
        array = np.array(obj.inner if isinstance(obj, Box) else obj, dtype=dtype)
        return Box(array.astype(array.dtype.newbyteorder("="), copy=False))

    def to_numpy(self, array: Box) -> np.ndarray:
        return array.inner.copy()

    def synchronize(self, device: Any) -> None:
        pass

    def kernel(self, primitive: Any) -> None:
        return None

"""Whose code something is: this package's, another library's, or the user's, which may change between two calls."""

from __future__ import annotations

import os
import sys
from functools import cache
from types import FunctionType, ModuleType

PACKAGE = __name__.partition(".")[0]
_STANDARD = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def is_ours(module: str | None) -> bool:
    return (module or "").partition(".")[0] == PACKAGE


def is_foreign(module: str | None) -> bool:
    """Whether the module belongs to this package, to Python, or to an installed package that has nothing to do with us.

    What is installed but imports this package is taken to be the user's.
    """
    return _is_foreign((module or "").partition(".")[0])


@cache
def _is_foreign(top: str) -> bool:
    if top == PACKAGE:
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None:
        return top in sys.stdlib_module_names
    if not any(f"{os.sep}{name}{os.sep}" in file for name in _INSTALLED):
        return file.startswith(_STANDARD)
    return not _builds_on_us(top)


def _builds_on_us(top: str) -> bool:
    files = [m for name, m in list(sys.modules.items()) if name == top or name.startswith(f"{top}.")]
    return any(_is_of_ours(value) for m in files for value in list(getattr(m, "__dict__", {}).values()))


def _is_of_ours(value: object) -> bool:
    """A module, class or function of this package, or an object of one of its classes.

    The object itself is not asked for anything, not even by ``isinstance``: some load a library then, or warn.
    """
    kind = type(value)
    if issubclass(kind, ModuleType):
        name = vars(value).get("__name__")
    elif issubclass(kind, type):
        name = vars(value).get("__module__")
    else:
        name = value.__module__ if kind is FunctionType else kind.__module__
    return isinstance(name, str) and is_ours(name)

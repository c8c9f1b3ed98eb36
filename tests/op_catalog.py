"""What there is to prove: the public operations by family, and the primitives below them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from autograd_core import ops
from autograd_core.primitive import Primitive

# In __all__ beside the operations of their family: they make or hold generators, and take no tensors.
NOT_OPERATIONS = {"Generator", "default_generator", "seed", "fork"}


def families() -> list[ModuleType]:
    return [importlib.import_module(f"{ops.__name__}.{info.name}") for info in pkgutil.iter_modules(ops.__path__)]


@cache
def public_functions() -> dict[str, str]:
    """Public operation -> the module that defines it: what families list, and what nn.functional alone passes on."""
    functional = importlib.import_module("autograd_core.nn.functional")
    found: dict[str, str] = {}
    for module in (*families(), functional):
        for name in getattr(module, "__all__", ()):
            home = getattr(getattr(module, name), "__module__", module.__name__)
            if home.startswith(f"{ops.__name__}."):
                found.setdefault(name, home)
    return found


def is_public(function: str) -> bool:
    """Whether a case's function is one that users call: a listed one, or a piece of syntax such as indexing."""
    return function.rpartition(".")[2] in public_functions() or function in ("getitem", "at")


def primitives() -> dict[Primitive, str]:
    modules = [*families(), importlib.import_module("autograd_core.primitive")]
    return {v: f"{m.__name__}.{name}" for m in modules for name, v in vars(m).items() if isinstance(v, Primitive)}

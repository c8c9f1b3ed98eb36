"""Every primitive there is, and which of them a block of code runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from autograd_core import context, ops, primitive
from autograd_core.primitive import Primitive


def primitives() -> list[Primitive]:
    """Every primitive that the operations define, by name."""
    modules = [primitive, *(import_module(f"{ops.__name__}.{m.name}") for m in iter_modules(ops.__path__))]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, Primitive)}
    return sorted(found, key=lambda p: p.name)


class Recorder:
    """An interpreter that notes which primitives it passes on."""

    def __init__(self, base: Any):
        self.base = base.base
        self.reached: set[Primitive] = set()

    def run(self, p: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        self.reached.add(p)
        return self.base.run(p, inputs, params)


@contextmanager
def recorded() -> Iterator[set[Primitive]]:
    recorder = Recorder(context.current().interpreter)
    with context.scope(interpreter=recorder):
        yield recorder.reached

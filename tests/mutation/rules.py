"""Which functions to mutate: the rules of every primitive, and the private functions that they call."""

from __future__ import annotations

import dis
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from op_catalog import primitives, public_functions

from autograd_core.primitive import Primitive

SLOTS = ("partials", "transposes", "vjp", "jvp_rule", "composed", "batch")
# Coercion of operands and the binding of primitives are no rule's mathematics, and all tests run them; what is drawn
# has no derivative, and how it is drawn under vmap is tested with the generators.
PLUMBING = {f"autograd_core.ops.{name}" for name in ("_apply", "_composed", "_generator", "_keys", "philox", "random")}


class Rule(NamedTuple):
    """What to mutate, what the report calls it, and the primitives with a rule that is it or calls it.

    ``functions``: those that share one code, as what a factory of rules returns each time does. They change together.
    """

    functions: list[FunctionType]
    label: str
    module: ModuleType
    primitives: set[Primitive]

    @property
    def code(self) -> CodeType:
        return self.functions[0].__code__


def stated(primitive: Primitive) -> Iterator[tuple[str, FunctionType]]:
    """The rules in a primitive's declaration, with the slot that each stands in."""
    for slot in SLOTS:
        rules = getattr(primitive, slot, None)
        for i, rule in enumerate(rules if isinstance(rules, (tuple, list)) else [rules]):
            if isinstance(rule, FunctionType):
                name = slot.removesuffix("_rule")
                yield f"{name}[{i}]" if isinstance(rules, (tuple, list)) else name, rule


def all_rules() -> list[Rule]:
    """Every rule and every private function below one, each once."""
    found: dict[CodeType, Rule] = {}
    for primitive, place in primitives().items():
        name = place.removeprefix("autograd_core.").removeprefix("ops.")
        waiting = [(f"{name} {slot}", rule) for slot, rule in stated(primitive)]
        met: set[FunctionType] = set()
        while waiting:
            label, function = waiting.pop()
            if not is_ours(function) or function in met:
                continue
            met.add(function)
            module = sys.modules[function.__module__]
            rule = found.setdefault(function.__code__, Rule([], label, module, set()))
            if function not in rule.functions:
                rule.functions.append(function)
            rule.primitives.add(primitive)
            waiting += [(_label(f), f) for f in called(function)]
    return sorted(found.values(), key=lambda rule: (rule.module.__name__, rule.code.co_firstlineno))


def is_ours(function: FunctionType) -> bool:
    name = function.__module__
    return (name.startswith("autograd_core.ops.") and name not in PLUMBING) or name == "autograd_core.primitive"


def _label(function: FunctionType) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"


def called(function: FunctionType) -> Iterator[FunctionType]:
    """Private functions of the operations that ``function`` names or has in its closure."""
    values: list[Any] = [function.__globals__[n] for n in _globals(function.__code__) if n in function.__globals__]
    for cell in function.__closure__ or ():
        values.append(cell.cell_contents)
    public = public_functions()
    for value in values:
        value = getattr(value, "__wrapped__", value)
        if not isinstance(value, FunctionType) or not value.__module__.startswith("autograd_core.ops."):
            continue
        if value.__name__ == "<lambda>" or public.get(value.__name__) != value.__module__:
            yield value


def _globals(code: CodeType) -> set[str]:
    read = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    return read.union(*(_globals(c) for c in code.co_consts if isinstance(c, CodeType)))


@cache
def cached_functions() -> list[Any]:
    modules = [module for name, module in sys.modules.items() if name.startswith("autograd_core.ops")]
    return [value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")]


def clear_caches() -> None:
    """Forget what cached functions of the operations returned: a mutant below one must be run, not remembered."""
    for function in cached_functions():
        function.cache_clear()


def family(rule: Rule) -> str:
    return rule.module.__name__.rpartition(".")[2]


def load() -> None:
    """Everything that declares primitives."""
    importlib.import_module("autograd_core.nn")

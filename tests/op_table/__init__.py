"""Every public operation, a family a file; ``CASES`` is all of them."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

from .case import OpCase
from .exceptions import EXCEPTIONS


def _with_exceptions(case: OpCase) -> OpCase:
    return replace(case, **EXCEPTIONS.get(case.function, {}) | EXCEPTIONS.get(case.name, {}))


CASES: list[OpCase] = [
    _with_exceptions(case)
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "case", "exceptions", "jax_names")
    for case in import_module(f".{path.stem}", __name__).CASES
]

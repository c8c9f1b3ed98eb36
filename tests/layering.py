"""Reads a tree of sources and says where it breaks the house's layers; imports nothing of what it reads.

Every import counts, also one inside a function: a deferred import hides a circle, it does not remove it. Only
imports for the type checker (``if TYPE_CHECKING:``) may point upwards, since they never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

CORE = "autograd_core"

# Lowest first. Names on one level may import each other as long as no circle closes.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"aval", "backend", "batching", "context", "dtypes", "errors", "graph", "rules", "scalars", "tree"}),
    frozenset({"primitive"}),
    frozenset({"ops"}),
    frozenset({"fft", "linalg", "methods", "random", "special"}),
    frozenset({"tensor"}),
    frozenset({"interpreters"}),
    frozenset({"transforms"}),
    frozenset({"compiler", "cuda", "diagnostics", "interop"}),
    frozenset({""}),  # the face: autograd_core/__init__.py
)

# These see the core and themselves; each backend is an area of its own. Benchmarks may import everything.
OUTSIDE_CORE = ("backends", "estimators", "nn", "optim")

# "cpu" is the reference with kernels put over single primitives; the estimators make networks and train them.
STANDS_ON: dict[str, tuple[str, ...]] = {"backends.cpu": ("backends.numpy",), "estimators": ("nn", "optim")}

# Third-party packages that only some areas may import.
CONFINED: dict[str, tuple[str, ...]] = {
    "cupy": ("backends.cuda",),
    "numba": ("backends.cpu", "backends.cuda", "benchmarks"),
    "llvmlite": ("backends.cpu", "benchmarks"),
    "matplotlib": ("benchmarks",),
    "sklearn": ("estimators", "nn.data"),
    "tensorboardX": ("nn.training",),
    "torch": ("benchmarks",),
    "jax": ("benchmarks",),
    "einops": ("interop",),
}

UNSAFE_MODULES = frozenset({"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"})
UNSAFE_CALLS = frozenset({"eval", "exec"})

DEVICE_LITERAL = re.compile(r"(cuda|cupy|numba)(:\d+)?", re.IGNORECASE)


class Import(NamedTuple):
    line: int
    module: str  # dotted name of what was imported, relative names resolved
    relative: bool


@dataclass(frozen=True)
class Source:
    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def parse(modules: Mapping[str, Path]) -> dict[str, Source]:
    return {name: Source(name, path, ast.parse(path.read_text(), str(path))) for name, path in modules.items()}


def area(name: str) -> str:
    """``autograd_core.nn.data.loader`` -> ``nn.data``; ``autograd_core.ops.math`` -> ``ops``; the face is ``""``."""
    parts = name.split(".")[1:]
    if not parts:
        return ""
    return ".".join(parts[:2]) if parts[0] in ("backends", "nn") else parts[0]


def is_core(name: str) -> bool:
    return name.split(".")[0] == CORE and area(name).split(".")[0] not in (*OUTSIDE_CORE, "benchmarks")


def imports(source: Source, known: Mapping[str, Source]) -> Iterator[Import]:
    """What the module imports when it runs; ``from .ops import math`` is ``ops.math`` where that is a module."""
    for node in running(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, False)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = source.package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(node.lineno, inner if inner in known else base, node.level > 0)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from running(other)
        else:
            yield node
            yield from running(node)


def level(name: str) -> int | None:
    return next((rank for rank, names in enumerate(LEVELS) if area(name) in names), None)


def upward_imports(sources: Mapping[str, Source]) -> list[str]:
    """Imports within the core that point to a higher level, and core modules that no level names."""
    found = []
    for source in filter(lambda s: is_core(s.name), sources.values()):
        mine = level(source.name)
        if mine is None:
            found.append(f"{source.name}: not placed in a level; say in tests/layering.py where it belongs")
            continue
        for line, module, _ in imports(source, sources):
            if module.split(".")[0] != CORE:
                continue
            if not is_core(module):
                found.append(f"{source.name}:{line}: the core imports {module}")
            elif (theirs := level(module)) is not None and theirs > mine:
                found.append(f"{source.name}:{line}: points upwards to {module}")
    return found


def sideways_imports(sources: Mapping[str, Source]) -> list[str]:
    """Imports between nn, optim and the single backends, which must not know each other or what stands on them."""
    found = []
    for source in sources.values():
        mine = area(source.name)
        top = mine.split(".")[0]
        if top not in OUTSIDE_CORE:
            continue
        for line, module, _ in imports(source, sources):
            if module.split(".")[0] != CORE or is_core(module):
                continue
            theirs = area(module)
            same = theirs == mine if top == "backends" else theirs.split(".")[0] == top
            below = STANDS_ON.get(mine, ())
            if not same and theirs not in below and theirs.split(".")[0] not in below:
                found.append(f"{source.name}:{line}: {mine} imports {module}")
    return found


def misspelt_imports(sources: Mapping[str, Source], roots: Mapping[str, Path]) -> list[str]:
    """Across folders an import is absolute: a relative one that leaves its top folder breaks when folders move."""

    def folder(name: str) -> str:
        return max((root for root in roots if name == root or name.startswith(f"{root}.")), key=len, default="")

    return [
        f"{source.name}:{line}: relative import leaves its folder for {module}"
        for source in sources.values()
        for line, module, relative in imports(source, sources)
        if relative and folder(module) != folder(source.name)
    ]


def circles(sources: Mapping[str, Source]) -> list[str]:
    """Modules that import each other, directly or round a corner. A package imports its modules by being imported."""
    graph = {
        source.name: {m for _, m, _ in imports(source, sources) if m in sources and m != source.name}
        for source in sources.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def confined_imports(sources: Mapping[str, Source]) -> list[str]:
    """Heavy or optional packages imported where they do not belong."""
    found = []
    for source in sources.values():
        for line, module, _ in imports(source, sources):
            homes = CONFINED.get(module.split(".")[0])
            if homes is not None and not any(area(source.name) == home for home in homes):
                found.append(
                    f"{source.name}:{line}: imports {module}, which belongs to {homes or 'examples and tests'}"
                )
    return found


def unsafe_code(sources: Mapping[str, Source], generators: frozenset[str] = frozenset()) -> list[str]:
    """Ways by which data can become code; ``generators`` may execute the code that they generate themselves."""
    found = []
    for source in sources.values():
        for line, module, _ in imports(source, sources):
            if module.split(".")[0] in UNSAFE_MODULES:
                found.append(f"{source.name}:{line}: imports {module}")
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name in UNSAFE_CALLS and source.name not in generators:
                found.append(f"{source.name}:{node.lineno}: calls {name}")
            if any(k.arg == "allow_pickle" and getattr(k.value, "value", None) is not False for k in node.keywords):
                found.append(f"{source.name}:{node.lineno}: allows pickle")
    return found


def named_devices(sources: Mapping[str, Source]) -> list[str]:
    """String constants (docstrings aside) by which code outside ``backends/cuda`` singles out a backend."""
    found = []
    for source in sources.values():
        if area(source.name) in ("backends.cuda", "benchmarks"):
            continue
        for node in ast.walk(source.tree):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            if area(source.name) in CONFINED.get(node.value, ()):
                continue  # a package may be named where it may be imported
            if DEVICE_LITERAL.fullmatch(node.value) or node.value.startswith(f"{CORE}.backends."):
                found.append(f"{source.name}:{node.lineno}: names {node.value!r}")
    return found


def engine_lines(sources: Mapping[str, Source]) -> int:
    """Lines of the engine: the core without what stands on it, the op families and their names; every line counts."""
    families = ("ops", "fft", "linalg", "random", "special")
    others = (*families, "compiler", "cuda", "diagnostics", "interop", "transforms")
    return sum(lines(source) for source in sources.values() if is_core(source.name) and area(source.name) not in others)


def lines(source: Source) -> int:
    return len(source.path.read_text().splitlines())

"""The code of a compiled function as text: what runs, on what, and its LLVM IR or assembly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd_core.compiler.steps import Note
from autograd_core.errors import ArgumentError

from .engine import KernelSpec, assembly, build
from .machine import host
from .program import Program


def listing(segments: Sequence[Any], notes: Sequence[Note], kernel: str | None, as_assembly: bool) -> str:
    """Every step in order, each code once. kernel: only those of this name."""
    steps = list(_steps(segments))
    names = step_names(segments)
    if kernel is not None and kernel not in names:
        raise ArgumentError(f"source: no kernel is called {kernel!r}; there are {', '.join(dict.fromkeys(names))}")
    shown: dict[tuple[str, str], int] = {}
    parts = []
    for i, ((name, spec, how), note) in enumerate(zip(steps, notes, strict=True), 1):
        if kernel not in (None, name):
            continue
        parts.append(f"; {i} of {len(steps)}: {name}{how}")
        parts += [f";   {line}" for line in note.described()]
        if spec is not None:
            first = shown.setdefault((name, repr(spec.key)), i)
            parts.append(_code(spec, as_assembly) if first == i else f";   its code is that of {first}\n")
    return "\n".join(parts)


def step_names(segments: Sequence[Any]) -> list[str]:
    return [name for name, _, _ in _steps(segments)]


def _steps(segments: Sequence[Any]) -> Iterable[tuple[str, KernelSpec | None, str]]:
    for segment in segments:
        if not isinstance(segment, Program):
            yield segment.equation.primitive.name, None, ", by the device's own kernel"
            continue
        for call, waits, serial in zip(segment.calls, segment.barriers, segment.serial, strict=True):
            how = ", after a barrier" * waits + ", by thread 0" * serial
            yield call.spec.name, call.spec, how


def _code(spec: KernelSpec, as_assembly: bool) -> str:
    module = build([spec], host())
    return assembly(module, host()) if as_assembly else str(module)

"""The code of a compiled function as text: what runs, on what, and its LLVM IR or assembly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_core.compiler.ir import Equation, Var
from autograd_core.errors import ArgumentError

from .engine import KernelSpec, assembly, build
from .machine import host
from .program import Program


class Note(NamedTuple):
    """What is known of one step: its operands, which of them are written, the equations that it stems from."""

    reads: tuple[Var, ...]
    writes: tuple[Var, ...]
    origins: tuple[Equation, ...]

    @property
    def dtype(self) -> str:
        """Of most of its arithmetic."""
        size = {np.dtype(t): 0 for t in (np.float32, np.float64)}
        for v in (*self.reads, *self.writes):
            if v.dtype in size:
                size[v.dtype] += v.aval.size
        return max(size, key=size.__getitem__).name

    @property
    def operations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.primitive.name for e in self.origins))

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.origin for e in self.origins if e.origin))


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
        parts += [f";   {what} {', '.join(some)}" for what, some in _described(note) if some]
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


def _described(note: Note) -> Iterable[tuple[str, Sequence[str]]]:
    reads, writes = ([str(v.aval) for v in some] for some in (note.reads, note.writes))
    return ("reads", reads), ("writes", writes), ("computes", note.operations), ("for lines", note.lines)


def _code(spec: KernelSpec, as_assembly: bool) -> str:
    module = build([spec], host())
    return assembly(module, host()) if as_assembly else str(module)

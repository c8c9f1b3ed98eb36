"""Kernels as a launch runs them: compiled by NVRTC to PTX with CuPy's options or ours, and run by the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from cuda_offline import CUPY, ptx
from ptx_machine import Machine
from ptx_memory import Global
from ptx_parser import Module, parse
from ptx_threads import symbols

from autograd_core.backends.cuda.native.source import OPTIONS, Source, with_functions

STATIC = 48 << 10  # bytes of shared memory that a kernel may declare


AT_ONCE = {0: 2048, 1: 32, 5: 200}  # threads, of whole blocks, that go in lockstep: "orders" as on the host


@cache
def module(unit: str, options: tuple[str, ...] = OPTIONS, architecture: str = "compute_90") -> Module:
    return parse(ptx(unit, options, architecture))


def run(
    source: Source,
    arrays: Sequence[np.ndarray],
    *,
    end: bool = False,
    compiled: Module | None = None,
    options: tuple[str, ...] = OPTIONS,
    order: int = 0,
    counts: dict[str, Machine] | None = None,
) -> list[np.ndarray]:
    """The arrays after all launches on copies of them. end: lie as askew as the source says that they may.

    counts: where the machines are noted that ran, by entry.
    """
    compiled = module(source.unit, options) if compiled is None else compiled
    memory = Global()
    shifts = [a % 256 if end else 0 for a in (*source.alignment, *(256,) * len(arrays))]
    places = [memory.add(a, shift) for a, shift in zip(arrays, shifts, strict=False)]
    given = [*places, memory.add(np.full(source.workspace, 0xA5, np.uint8))] if source.workspace else places
    for launch in source.launches:
        check_launch(compiled, launch.entry, len(given), launch.block, launch.shared)
        sizes = {"grid": launch.grid, "block": launch.block, "shared": launch.shared}
        machine = Machine(compiled, launch.entry, memory, given, **sizes, at_once=AT_ONCE[order])
        if counts is not None:
            counts[launch.entry] = machine
    return [memory.array(place, a) for place, a in zip(places, arrays, strict=True)]


def check_launch(compiled: Module, entry: str, arguments: int, block: int, dynamic: int) -> None:
    """What a launch passes is what the entry takes: pointers, threads, and shared memory where it declares some."""
    f = compiled.functions[entry]
    assert [p.size for p in f.parameters] == [8] * arguments, (entry, f.parameters)
    assert f.directives["maxntid"] == (block, *(1,) * (len(f.directives["maxntid"]) - 1)), (entry, f.directives, block)
    used = [v for v in (*compiled.variables, *f.variables) if v.space == "shared"]
    assert sum(v.size for v in used) <= STATIC, entry
    names = {name for i in f.instructions for name in symbols(i.operands)}
    assert bool(dynamic) == any(not v.size and v.name in names for v in used), (entry, dynamic)


def run_on(
    compiled: Module, entry: str, arguments: Sequence[np.ndarray | int | None], *, together: bool = False, **sizes: int
) -> Machine:
    """One launch that leaves its results in the arrays among the arguments, one of which may be there twice."""
    memory, places = Global(), {}
    for a in arguments:
        if isinstance(a, np.ndarray) and id(a) not in places:
            places[id(a)] = memory.add(a, a.ctypes.data % 256)
    given = [places[id(a)] if isinstance(a, np.ndarray) else a or 0 for a in arguments]
    machine = Machine(compiled, entry, memory, given, together=together, **sizes)
    for a in arguments:
        if isinstance(a, np.ndarray):
            a[...] = memory.array(places[id(a)], a)
    return machine


def body(kernel: Any, settings: dict[str, Any]) -> Callable[[tuple, tuple, list[Any]], None]:
    """As ``cuda_code.body``: what a launch of a raw kernel of the fake CuPy does, with the options that CuPy takes."""
    compiled = module(kernel.code, (*kernel.options, *CUPY))
    together = kernel.settings.get("enable_cooperative_groups", False)

    def launch(grid: tuple, block: tuple, arguments: list[Any]) -> None:
        sizes = {"grid": grid[0], "block": block[0], "shared": settings.get("shared_mem", 0)}
        run_on(compiled, kernel.name, arguments, together=together, **sizes)

    return launch


@dataclass
class Batch:
    """As ``cuda_host.Batch``: kernels that are compiled together, run by the machine."""

    options: tuple[str, ...] = OPTIONS
    jobs: list[tuple[Source, list[np.ndarray], bool]] = field(default_factory=list)

    def add(self, source: Source, arrays: Sequence[np.ndarray], *, end: bool = False) -> None:
        self.jobs.append((source, list(arrays), end))

    def run(self, orders: Sequence[int] = (0,)) -> list[list[list[np.ndarray]]]:
        """Of each job, the arrays after it ran on copies of them, in each order."""
        texts = dict.fromkeys(source.text for source, *_ in self.jobs)
        compiled = module(with_functions("\n".join(texts), self.jobs[0][0].files), self.options)
        return [[run(s, a, end=end, compiled=compiled, order=o) for o in orders] for s, a, end in self.jobs]


def total(counts: dict[str, Machine]) -> Counter[str]:
    return sum((m.count for m in counts.values()), Counter())

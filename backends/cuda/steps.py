"""The steps of a compiled graph on a GPU: what enqueues each of them on given arrays, lists and measures them.

Arrays are given by the entries of the storage's table. What ordinary kernels allocate comes from a pool of the steps'
own: a CUDA graph that has been captured of them finds it where it was. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from autograd_core import context
from autograd_core.backend import Device
from autograd_core.compiler.ir import Graph, Var
from autograd_core.compiler.report import KernelReport
from autograd_core.compiler.steps import Host, Note
from autograd_core.compiler.storage import Storage
from autograd_core.errors import ArgumentError
from autograd_core.interpreters.eager import EAGER
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor

from .launching import Launcher
from .native import table
from .programmatic import Programmatic, programmatic


class Plan(NamedTuple):
    """What is to run. updates: outputs that may be written over inputs. variables: inputs that are such arrays. early:
    what is written before a step that can raise an error.
    """

    graph: Graph
    steps: Sequence[Any]
    notes: Sequence[Note]
    storage: Storage
    updates: Mapping[int, int]
    variables: frozenset[int]
    early: frozenset[Var]


class Steps:
    """``fixed``: the arrays that are the same in every call: the arena, and constants. ``at``: the step being
    enqueued. ``codes``: how many different ones are compiled.

    Constructed, and called, where the device's stream is current.
    """

    def __init__(
        self, cupy: Any, queue: Any, kernels: Mapping[Primitive, Callable[..., Any]], device: Device, plan: Plan
    ):
        self._cupy, self._queue, self._kernels, self._device = cupy, queue, kernels, device
        self._plan, self._storage = plan, plan.storage
        self._pool = cupy.cuda.MemoryPool()
        self.at = 0
        entries = self._storage.table
        self.fixed: list[Any] = [None] * len(entries)
        self.fixed[0] = cupy.empty(max(self._storage.arena, 1), "uint8")
        for base in self._used_constants():
            self.fixed[base] = cupy.asarray(entries[base][1])
        self._launcher = Launcher(cupy)
        for step in plan.steps:
            if hasattr(step, "source"):
                self._launcher.compiled(step.source)
        self.codes = len(self._launcher)

    def __len__(self) -> int:
        return len(self._plan.steps)

    def _used_constants(self) -> set[int]:
        read = {v for note in self._plan.notes for v in note.reads} | set(self._plan.graph.outputs)
        bases = {self._storage.base(self._storage.root(v)) for v in read}
        return {b for b in bases if b is not None and self._storage.table[b][0] == "constant"}

    def enqueue(
        self,
        arrays: Sequence[Any],
        tables: Mapping[int, Any],
        steps: Iterable[int],
        operands: dict[Var, Any] | None = None,
        *,
        programmatic: bool = False,
    ) -> None:
        """Have the steps with these numbers computed. operands: those of kernel calls that are known, and kept.

        programmatic: in a capture, kernels may begin before those before them have ended, where the GPU knows how.
        """
        early = self.programmatic if programmatic else None
        with self._cupy.cuda.using_allocator(self._pool.malloc):
            for n in steps:
                self.at = n
                step = self._plan.steps[n]
                if type(step) is Host:
                    self._call_kernel(step, arrays, {} if operands is None else operands)
                elif hasattr(step, "rendered"):
                    self._launcher(step.rendered(context.current().math), self._arguments(n, arrays), early)
                elif hasattr(step, "begins"):
                    begins = [self._pointer(v, arrays).ptr for v in step.operands]
                    workspace = arrays[0].data.ptr + (self._storage.scratch[n] or 0)
                    step.enqueue(begins, workspace, self._queue.stream.ptr)
                elif hasattr(step, "enqueue"):
                    step.enqueue(self._arguments(n, arrays), self._queue.stream.ptr)
                elif hasattr(step, "equation"):
                    a, b, y = (self._array(v, arrays) for v in step.operands)
                    self._kernels[step.equation.primitive](a, b, out=y)
                else:
                    self._launcher(step.source, self._arguments(n, arrays, tables.get(n)), early)

    @property
    def programmatic(self) -> Programmatic | None:
        """What launches kernels so, where the GPU and its driver know how."""
        return programmatic(self._cupy, self._queue.index)

    def _arguments(self, n: int, arrays: Sequence[Any], table: Any = None) -> list[Any]:
        """A kernel's arrays, or the table of them, and its workspace."""
        step, scratch = self._plan.steps[n], self._storage.scratch[n]
        arguments = [self._whole(v, arrays) for v in step.operands] if table is None else [table]
        if scratch is not None:
            size = step.source.workspace if hasattr(step, "source") else step.workspace
            arguments.append(self._cupy.ndarray((size,), "uint8", arrays[0].data + scratch))
        return arguments

    def _call_kernel(self, step: Host, arrays: Sequence[Any], known: dict[Var, Any]) -> None:
        e = step.equation
        for v in e.inputs:
            if v not in known:
                known[v] = self._array(v, arrays)
        with context.scope(interpreter=EAGER, recording=False, tape=None, observer=None):
            y = EAGER.run(e.primitive, [Tensor(known[v], self._device) for v in e.inputs], e.params)
        for v, tensor in zip(e.outputs, y if type(y) is tuple else (y,), strict=True):
            if v.aval.size:
                self._array(v, arrays)[...] = tensor.data

    def tables(self, arrays: Sequence[Any]) -> dict[int, Any]:
        """What kernels over segments are told: where arrays are."""
        tables = {}
        for n, step in enumerate(self._plan.steps):
            unit = getattr(step, "segments", None)
            if unit is None:
                continue
            addresses = [
                self._pointer(v, arrays).ptr + offset * dtype.itemsize
                for s in unit.segments
                for v, offset, dtype in zip(s.operands, s.offsets, unit.kernel.operands, strict=True)
            ]
            lengths = [s.length for s in unit.segments]
            tables[n] = self._cupy.asarray(table(unit.kernel, lengths, addresses))
        return tables

    # Arrays over memory that others hold: they keep the memory, but nobody takes them for somebody who would see that
    # it is written again.

    def _pointer(self, v: Var, arrays: Sequence[Any]) -> Any:
        """Where the array begins that holds ``v``."""
        place = self._storage.operand(v, start=True)
        return arrays[place.base].data + place.offset

    def _whole(self, v: Var, arrays: Sequence[Any]) -> Any:
        root = self._storage.root(v)
        return self._cupy.ndarray((root.aval.size,), root.dtype, self._pointer(v, arrays))

    def _array(self, v: Var, arrays: Sequence[Any]) -> Any:
        at = self._storage.located(v)
        size = at.dtype.itemsize
        begin = self._pointer(v, arrays) + at.offset * size
        return self._cupy.ndarray(at.shape, at.dtype, begin, tuple(s * size for s in at.strides))

    # ------------------------------------------------------------------------------------ looking at them

    @property
    def names(self) -> list[str]:
        return [s.equation.primitive.name if type(s) is Host else s.name for s in self._plan.steps]

    def source(self, kernel: str | None, assembly: bool) -> str:
        """Every step with its operands and its CUDA C; of one kernel, if it is named."""
        names = self.names
        if assembly:
            raise ArgumentError("source: assembly=True is for machine code of the CPU; leave it out to read CUDA C")
        if kernel is not None and kernel not in names:
            raise ArgumentError(f"source: no kernel is called {kernel!r}; there are {', '.join(dict.fromkeys(names))}")
        shown: dict[str, int] = {}
        parts = []
        for n, (name, step, note) in enumerate(zip(names, self._plan.steps, self._plan.notes, strict=True), 1):
            if kernel not in (None, name):
                continue
            code = _code(step)
            how = "" if code is not None else ", by a library" if type(step) is not Host else ", a kernel call"
            parts.append(f"// {n} of {len(names)}: {name}{how}")
            parts += [f"//   {line}" for line in note.described()]
            if code is not None:
                first = shown.setdefault(code, n)
                parts.append(code if first == n else f"//   its code is that of {first}\n")
        return "\n".join(parts)

    def profiled(self, arrays: Sequence[Any], tables: Mapping[int, Any]) -> list[float]:
        stream = self._queue.stream
        events = [stream.record(self._cupy.cuda.Event())]
        for n in range(len(self._plan.steps)):
            self.enqueue(arrays, tables, [n])
            events.append(stream.record(self._cupy.cuda.Event()))
        self._queue.wait()
        elapsed = self._cupy.cuda.get_elapsed_time
        return [elapsed(a, b) * 1e-3 for a, b in pairwise(events)]

    def row(self, n: int, step: Any, note: Note, seconds: float) -> KernelReport:
        name, flops, native = self.names[n], getattr(step, "flops", 0), type(step) is not Host
        name = name if native else f"kernel call: {name}"
        return KernelReport(name, seconds, note.bytes, flops, note.dtype, note.operations, note.lines, native=native)


def _code(step: Any) -> str | None:
    """A step's CUDA C, in the math mode that is asked for."""
    if hasattr(step, "rendered"):
        return step.rendered(context.current().math).text
    if hasattr(step, "text"):
        return step.text
    return step.source.text if hasattr(step, "source") else None

"""A compiled graph on a GPU: arrays put in their places, and a step that is enqueued as one CUDA graph.

The first call with arrays launches one kernel after the other. When the same arrays come again the launches are
captured, and from then on replayed: nothing is allocated, nothing waited for, and the host makes one call. A graph
knows addresses alone, so all that it works on must stay where it is:

- what lives between kernels is in the runner's arena, and what ordinary kernels allocate comes from a pool of its own;
- variables are read where they lie, and written there if nobody else holds their arrays;
- what each call brings along is copied to a place of the runner's;
- results are in two arrays that take turns, with a graph for each: who is given one may hold it during the next call.
  Whoever holds more than two is given copies.

What refuses to be captured is enqueued by itself, between two graphs. Not yet run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from sys import getrefcount
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from autograd_core import context
from autograd_core.backend import Device
from autograd_core.compiler.ir import Graph, Var
from autograd_core.compiler.report import Build, KernelReport, Report
from autograd_core.compiler.runner import Part
from autograd_core.compiler.steady import ALONE
from autograd_core.compiler.steps import Host, Note
from autograd_core.compiler.storage import Located, Storage
from autograd_core.errors import ArgumentError
from autograd_core.interpreters.eager import EAGER
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor

from .memory import memory_for
from .native import OPTIONS, table

log = logging.getLogger("autograd_core.compile")
GRAPHS = 4  # kept, those that were used last
PACK = 16  # bytes: kernels are rendered for arrays that begin at multiples of it
REPORT_RUNS = 5


class Plan(NamedTuple):
    """What is to run. updates: outputs that may be written over inputs. variables: inputs that are such arrays."""

    graph: Graph
    steps: Sequence[Any]
    notes: Sequence[Note]
    storage: Storage
    updates: Mapping[int, int]
    variables: frozenset[int]


class _Binding:
    """Arrays that a step has run on. tables: of segments, by step. pieces: graphs, and numbers of steps between them;
    None as long as nothing is captured. operands: of these steps.
    """

    def __init__(self, arrays: Sequence[Any], math: str, tables: dict[int, Any]):
        self.held_by_others = [ref(a) for a in arrays]
        self.math, self.tables = math, tables
        self.pieces: list[Any] | None = None
        self.operands: dict[Var, Any] = {}

    def fits(self, arrays: Sequence[Any], math: str) -> bool:
        return math == self.math and all(r() is a for r, a in zip(self.held_by_others, arrays, strict=True))


class CapturedRunner:
    """Runs one graph. Inputs are arrays of the avals that the graph states; outputs are arrays nobody else holds.

    refused: why steps cannot be captured, by number.
    """

    def __init__(
        self,
        cupy: Any,
        queue: Any,
        kernels: Mapping[Primitive, Callable[..., Any]],
        device: Device,
        name: str,
        plan: Plan,
        *,
        started: float,
    ):
        self._cupy, self._queue, self._kernels = cupy, queue, kernels
        self.device, self.name, self.graph = device, name, plan.graph
        self._plan, self._storage = plan, plan.storage
        self.lock = Lock()
        self.refused: dict[int, str] = {}
        table = self._storage.table
        with memory_for(cupy, device, name), queue:
            self._pool = cupy.cuda.MemoryPool()
            self._fixed: list[Any] = [None] * len(table)
            self._fixed[0] = cupy.empty(max(self._storage.arena, 1), "uint8")
            for base in self._used_constants():
                self._fixed[base] = cupy.asarray(table[base][1])
            codes = dict.fromkeys(s.source.unit for s in plan.steps if hasattr(s, "source"))
            modules = {code: cupy.RawModule(code=code, options=OPTIONS) for code in codes}
            self._launches = [
                [(modules[s.source.unit].get_function(x.entry), x) for x in s.source.launches]
                if hasattr(s, "source")
                else []
                for s in plan.steps
            ]
        self._inputs = [(base, what) for base, (kind, what) in enumerate(table) if kind == "input"]
        self._made = {base: what.aval for base, (kind, what) in enumerate(table) if kind == "output"}
        self._baked = [base for base, (kind, _) in enumerate(table) if kind in ("input", "output")]
        outputs = self.graph.outputs
        self._outputs = [(self._home(v), v) for v in outputs]
        self._updated = {self._home(outputs[k]): i for k, i in plan.updates.items()}
        self._slots: dict[int, list[Any]] = {base: [] for base in self._made}
        self._copied: set[int] = set()  # outputs of which whoever takes them holds more than two
        self._forgotten: frozenset[int] = frozenset()
        self._places: dict[int, Any] = {}  # of inputs that each call brings along
        self._seen: dict[int, Any] = {}
        self._moving: set[int] = set()
        self._bindings: list[_Binding] = []  # the one used last at the end
        self._at = 0  # the step that is being enqueued
        self.build = Build(perf_counter() - started, len(codes), 0)

    def _used_constants(self) -> set[int]:
        read = {v for note in self._plan.notes for v in note.reads} | set(self.graph.outputs)
        bases = {self._storage.base(self._storage.root(v)) for v in read}
        return {b for b in bases if b is not None and self._storage.table[b][0] == "constant"}

    def _home(self, v: Var) -> int:
        base = self._storage.base(self._storage.root(v))
        assert base is not None
        return base

    # ------------------------------------------------------------------------------------ a call

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        with self.lock, memory_for(self._cupy, self.device, self.name), self._queue:
            arrays = self._bound(inputs)
            self._run(arrays)
            return self._handed(arrays, inputs)

    def forget(self, outputs: Collection[int]) -> None:
        """Hold these outputs no longer than a call: their memory is free when those who were given them let go.

        Each call has other memory then, and is not captured.
        """
        self._forgotten = frozenset(self._outputs[k][0] for k in outputs) & self._made.keys()

    def _bound(self, inputs: Sequence[Any]) -> list[Any]:
        """The array of every entry of the table."""
        arrays = list(self._fixed)
        for base, i in self._updated.items():  # the variable has it, besides the list of inputs
            mine = getrefcount(inputs[i]) <= ALONE + 1 and _lies_well(inputs[i]) and inputs[i].base is None
            arrays[base] = inputs[i] if mine else self._empty(base)
        for base in self._made:
            if base not in self._updated:
                arrays[base] = self._slot(base)
        for base, i in self._inputs:
            if self._is_fixed(i, inputs[i]):
                arrays[base] = inputs[i]
                continue
            if i not in self._places:
                self._places[i] = self._cupy.empty(inputs[i].shape, inputs[i].dtype)
            self._places[i][...] = inputs[i]
            arrays[base] = self._places[i]
        return arrays

    def _empty(self, base: int) -> Any:
        aval = self._made[base]
        return self._cupy.empty(aval.shape, aval.dtype)

    def _slot(self, base: int) -> Any:
        """An array for an output that nobody holds, of two that take turns."""
        slots = self._slots[base]
        if base in self._forgotten:
            return self._empty(base)
        if base in self._copied:
            return slots[0]
        for k in range(len(slots)):
            if getrefcount(slots[k]) <= ALONE:
                return slots[k]
        if len(slots) == 2:
            self._copied.add(base)
            slots.clear()
        slots.append(self._empty(base))
        return slots[-1]

    def _is_fixed(self, i: int, array: Any) -> bool:
        """Whether the input is read where it lies: variables, and what has been the same array in every call."""
        before, self._seen[i] = self._seen.get(i), ref(array)
        if i not in self._plan.variables and before is not None and before() is not array:
            self._moving.add(i)
        return i not in self._moving and _lies_well(array)

    def _handed(self, arrays: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        input_of = dict(self._inputs)
        copies: dict[int, Any] = {}
        results = []
        for base, v in self._outputs:
            array = inputs[input_of[base]] if base in input_of else arrays[base]
            if base in self._copied:
                array = copies[base] if base in copies else copies.setdefault(base, array.copy())
            results.append(self._part(array, self._storage.located(v)) if v in self._storage.views else array)
        return results

    def _part(self, array: Any, located: Located) -> Any:
        """A view that holds the array."""
        flat = self._cupy.ascontiguousarray(array).reshape(-1)[located.offset :]
        strides = tuple(s * located.dtype.itemsize for s in located.strides)
        return self._cupy.lib.stride_tricks.as_strided(flat, located.shape, strides)

    # ------------------------------------------------------------------------------------ running

    def _run(self, arrays: Sequence[Any]) -> None:
        baked = [arrays[base] for base in self._baked]
        math = context.current().math
        found = next((b for b in self._bindings if b.fits(baked, math)), None)
        if found is None:
            found = _Binding(baked, math, self._tables(arrays))
            self._bindings = [*self._bindings[1 - GRAPHS :], found]
            self._enqueue(arrays, found.tables, range(len(self._plan.steps)))
            return
        self._bindings.remove(found)
        self._bindings.append(found)
        while found.pieces is None:  # once more for each step that refuses
            found.pieces = self._captured(arrays, found.tables)
        for piece in found.pieces:
            if type(piece) is int:
                self._enqueue(arrays, found.tables, [piece], found.operands)
            else:
                piece.launch(self._queue.stream)

    def _captured(self, arrays: Sequence[Any], tables: Mapping[int, Any]) -> list[Any] | None:
        """CUDA graphs with the numbers of the steps between them; None where another step turns out to refuse."""
        pieces: list[Any] = []
        for alone, some in groupby(range(len(self._plan.steps)), key=self.refused.__contains__):
            steps = [*some]
            if alone:
                pieces += steps
                continue
            graph = self._graph(steps, arrays, tables)
            if graph is None:
                return None
            pieces.append(graph)
        return pieces

    def _graph(self, steps: Sequence[int], arrays: Sequence[Any], tables: Mapping[int, Any]) -> Any:
        refused: dict[int, str] = {}
        with self._queue.captured() as stream:
            stream.begin_capture()
            try:
                self._enqueue(arrays, tables, steps)
            except Exception as error:  # if it was not the capture, it comes again when the step runs for good
                refused[self._at] = str(error)
            try:
                graph = stream.end_capture()
            except RuntimeError as error:  # CUDA ends what was refused with an error of its own
                refused = refused or dict.fromkeys(steps, str(error))
        if not refused:
            graph.upload(self._queue.stream)
            return graph
        self.refused |= refused
        log.warning("%s: enqueued by itself, since a CUDA graph cannot have it: %s", self.name, self._told(refused))
        return None

    def _told(self, refused: Mapping[int, str]) -> str:
        names = self._names()
        return "; ".join(dict.fromkeys(f"{names[n]} ({reason})" for n, reason in refused.items()))

    def _enqueue(
        self,
        arrays: Sequence[Any],
        tables: Mapping[int, Any],
        steps: Iterable[int],
        operands: dict[Var, Any] | None = None,
    ) -> None:
        """Have the steps with these numbers computed. operands: those of kernel calls that are known, and kept."""
        with self._cupy.cuda.using_allocator(self._pool.malloc):
            for n in steps:
                self._at = n
                step = self._plan.steps[n]
                if type(step) is Host:
                    self._call_kernel(step, arrays, {} if operands is None else operands)
                elif hasattr(step, "equation"):
                    a, b, y = (self._array(v, arrays) for v in step.operands)
                    self._kernels[step.equation.primitive](a, b, out=y)
                else:
                    self._launch(n, arrays, tables)

    def _launch(self, n: int, arrays: Sequence[Any], tables: Mapping[int, Any]) -> None:
        step, scratch = self._plan.steps[n], self._storage.scratch[n]
        arguments = [tables[n]] if n in tables else [self._whole(v, arrays) for v in step.operands]
        if scratch is not None:
            arguments.append(self._cupy.ndarray((step.source.workspace,), "uint8", arrays[0].data + scratch))
        for function, launch in self._launches[n]:
            function((launch.grid,), (launch.block,), tuple(arguments))

    def _call_kernel(self, step: Host, arrays: Sequence[Any], known: dict[Var, Any]) -> None:
        e = step.equation
        for v in e.inputs:
            if v not in known:
                known[v] = self._array(v, arrays)
        with context.scope(interpreter=EAGER, recording=False, tape=None, observer=None):
            y = EAGER.run(e.primitive, [Tensor(known[v], self.device) for v in e.inputs], e.params)
        for v, tensor in zip(e.outputs, y if type(y) is tuple else (y,), strict=True):
            if v.aval.size:
                self._array(v, arrays)[...] = tensor.data

    def _tables(self, arrays: Sequence[Any]) -> dict[int, Any]:
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

    # ------------------------------------------------------------------------------------ looking at it

    @property
    def host_calls(self) -> list[str]:
        """The primitives that the device's ordinary kernels compute."""
        return [s.equation.primitive.name for s in self._plan.steps if type(s) is Host]

    @property
    def captured(self) -> int:
        """How many CUDA graphs a call is, 0 as long as nothing is captured."""
        return max(
            (sum(type(p) is not int for p in b.pieces) for b in self._bindings if b.pieces is not None), default=0
        )

    def parts(self) -> list[Part]:
        """Each step's name, and what it computes."""
        return [Part(n, note.origins, note.writes) for n, note in zip(self._names(), self._plan.notes, strict=True)]

    def _names(self) -> list[str]:
        return [s.equation.primitive.name if type(s) is Host else s.name for s in self._plan.steps]

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """Every step with its operands and its CUDA C; of one kernel, if it is named."""
        names = self._names()
        if assembly:
            raise ArgumentError("source: assembly=True is for machine code of the CPU; leave it out to read CUDA C")
        if kernel is not None and kernel not in names:
            raise ArgumentError(f"source: no kernel is called {kernel!r}; there are {', '.join(dict.fromkeys(names))}")
        shown: dict[str, int] = {}
        parts = []
        for n, (name, step, note) in enumerate(zip(names, self._plan.steps, self._plan.notes, strict=True), 1):
            if kernel not in (None, name):
                continue
            how = "" if hasattr(step, "source") else ", by a library" if type(step) is not Host else ", a kernel call"
            parts.append(f"// {n} of {len(names)}: {name}{how}")
            parts += [f"//   {line}" for line in note.described()]
            if hasattr(step, "source"):
                first = shown.setdefault(step.source.text, n)
                parts.append(step.source.text if first == n else f"//   its code is that of {first}\n")
        return "\n".join(parts)

    def report(self, present: Mapping[int, Any] | None = None) -> Report | None:
        """Times between events on the stream, of the fastest of a few runs; what is written are copies.

        present: arrays for inputs, where those of the last call are gone.
        """
        with self.lock, self._queue:
            arrays = list(self._fixed)
            for base, i in self._inputs:
                held = self._seen[i]() if i in self._seen else None
                array = self._places.get(i) if i in self._moving else held
                array = (present or {}).get(i) if array is None else array
                if array is None:
                    return None
                arrays[base] = array if _lies_well(array) else self._packed(array)
            for base in self._made:
                arrays[base] = self._empty(base)
            runs = [self._profiled(arrays, self._tables(arrays)) for _ in range(REPORT_RUNS)]
        times = min(runs, key=sum)
        rows = [
            self._row(n, step, note, seconds)
            for n, (step, note, seconds) in enumerate(zip(self._plan.steps, self._plan.notes, times, strict=True))
        ]
        made = Report(self.name, rows, sum(times), arena=self._storage.arena, build=self.build)
        made.math = context.current().math
        made.where = str(self.device)
        made.remarks = (self._how(),)
        return made

    def _how(self) -> str:
        if not any(b.pieces is not None for b in self._bindings):
            return "enqueued op by op, until the same arrays come again"
        graphs = "one CUDA graph" if self.captured == 1 else f"{self.captured} CUDA graphs"
        by_itself = f"; by itself, since a graph cannot have it: {self._told(self.refused)}" if self.refused else ""
        return f"replayed as {graphs}{by_itself}"

    def _packed(self, array: Any) -> Any:
        copy = self._cupy.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def _profiled(self, arrays: Sequence[Any], tables: Mapping[int, Any]) -> list[float]:
        stream = self._queue.stream
        events = [stream.record(self._cupy.cuda.Event())]
        for n in range(len(self._plan.steps)):
            self._enqueue(arrays, tables, [n])
            events.append(stream.record(self._cupy.cuda.Event()))
        self._queue.wait()
        elapsed = self._cupy.cuda.get_elapsed_time
        return [elapsed(a, b) * 1e-3 for a, b in pairwise(events)]

    def _row(self, n: int, step: Any, note: Note, seconds: float) -> KernelReport:
        moved = sum(v.aval.size * np.dtype(v.dtype).itemsize for v in (*note.reads, *note.writes))
        name, flops, native = self._names()[n], getattr(step, "flops", 0), type(step) is not Host
        name = name if native else f"kernel call: {name}"
        return KernelReport(name, seconds, moved, flops, note.dtype, note.operations, note.lines, native=native)


def _lies_well(array: Any) -> bool:
    """Whether kernels can read it where it lies."""
    return bool(array.flags.c_contiguous) and not array.data.ptr % PACK

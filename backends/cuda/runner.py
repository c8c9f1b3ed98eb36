"""A compiled graph on a GPU: a step that is enqueued as one CUDA graph.

The first call with arrays launches one kernel after the other. When the same arrays come again the launches are
captured, and from then on replayed: nothing is allocated, nothing waited for, and the host makes one call. What lives
between kernels is in the runner's arena, what ordinary kernels allocate comes from a pool of its own, and ``places.py``
says where the rest lies.

What refuses to be captured is enqueued by itself, between two graphs. Not yet run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from threading import Lock
from time import perf_counter
from typing import Any
from weakref import ref

from autograd_core import context
from autograd_core.backend import Device
from autograd_core.compiler.ir import Var
from autograd_core.compiler.report import Build, Report, counted
from autograd_core.compiler.runner import Part
from autograd_core.compiler.steps import Host
from autograd_core.primitive import Primitive

from .memory import memory_for
from .places import Places
from .steps import Plan, Steps

log = logging.getLogger("autograd_core.compile")
GRAPHS = 4  # kept, those that were used last
REPORT_RUNS = 5


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

    host_calls: the primitives that the device's ordinary kernels compute. refused: why steps cannot be captured, by
    number.
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
        self._cupy, self._queue = cupy, queue
        self.device, self.name, self.graph = device, name, plan.graph
        self._plan = plan
        self.lock = Lock()
        self.refused: dict[int, str] = {}
        with memory_for(cupy, device, name), queue:
            self._steps = Steps(cupy, queue, kernels, device, plan)
        self._places = places = Places(cupy, plan, self._steps.fixed)
        self.in_place, self.keeps, self.place, self.input = places.in_place, places.keeps, places.place, places.input
        self.settle, self.join = places.settle, places.join
        self._bindings: list[_Binding] = []  # the one used last at the end
        self.host_calls: Sequence[str] = [s.equation.primitive.name for s in plan.steps if type(s) is Host]
        self.build: Build | None = Build(perf_counter() - started, self._steps.codes, 0)

    # ------------------------------------------------------------------------------------ a call

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        with self.lock, memory_for(self._cupy, self.device, self.name), self._queue:
            arrays = self._places.bound(inputs)
            self._run(arrays)
            return self._places.handed()

    def repeat(self, given: Sequence[tuple[int, Any]]) -> None:
        """Run once more on the arrays of the last call, but for those ``given`` as (input, array).

        The caller has the lock, has called ``settle``, and knows that nobody else holds what is kept.
        """
        with memory_for(self._cupy, self.device, self.name), self._queue:
            self._run(self._places.again(given))

    def part(self, outputs: Iterable[int]) -> bool:
        """Before ``repeat``: these outputs go elsewhere, since somebody holds what is there; False if they cannot."""
        with memory_for(self._cupy, self.device, self.name), self._queue:
            return self._places.part(outputs)

    def output(self, k: int) -> Any:
        """Output k of the last run."""
        with self._queue:
            return self._places.output(k)

    def forget(self, outputs: Collection[int]) -> None:
        """Hold these outputs no longer than a call: their memory is free when those who were given them let go.

        Each call has other memory then, and is not captured.
        """
        self._places.forget(outputs)

    # ------------------------------------------------------------------------------------ running

    def _run(self, arrays: Sequence[Any]) -> None:
        if self._places.forgotten:
            self._steps.enqueue(arrays, self._steps.tables(arrays), range(len(self._steps)))
            return
        baked = [arrays[base] for base in self._places.changing]
        math = context.current().math
        found = next((b for b in self._bindings if b.fits(baked, math)), None)
        if found is None:
            found = _Binding(baked, math, self._steps.tables(arrays))
            self._bindings = [*self._bindings[1 - GRAPHS :], found]
            self._steps.enqueue(arrays, found.tables, range(len(self._steps)))
            return
        self._bindings.remove(found)
        self._bindings.append(found)
        if found.pieces is None:
            found.pieces = self._captured(arrays, found.tables)
        for piece in found.pieces:
            if type(piece) is int:
                self._steps.enqueue(arrays, found.tables, [piece], found.operands)
            else:
                piece.launch(self._queue.stream)

    def _captured(self, arrays: Sequence[Any], tables: Mapping[int, Any]) -> list[Any]:
        """CUDA graphs with the numbers of the steps between them, which refuse."""
        pieces: list[Any] = []
        known, begin, count = set(self.refused), 0, len(self._steps)
        while begin < count:
            end = min((n for n in self.refused if n >= begin), default=count)
            if end == begin:
                pieces.append(begin)
                begin += 1
                continue
            graph = self._graph(range(begin, end), arrays, tables)
            if graph is not None:  # else once more, up to the step that has refused
                pieces.append(graph)
                begin = end
        new = {n: reason for n, reason in self.refused.items() if n not in known}
        if new:
            log.warning("%s: enqueued by itself, since a CUDA graph cannot have it: %s", self.name, self._told(new))
        return pieces

    def _graph(self, steps: Sequence[int], arrays: Sequence[Any], tables: Mapping[int, Any]) -> Any:
        """These steps as one CUDA graph; None, and why in ``refused``, if one of them cannot be captured."""
        refused: dict[int, str] = {}
        with self._queue.captured() as stream:
            stream.begin_capture()
            try:
                self._steps.enqueue(arrays, tables, steps)
            except Exception as error:  # if it was not the capture, it comes again when the step runs for good
                refused[self._steps.at] = str(error)
            try:
                graph = stream.end_capture()
            except RuntimeError as error:  # CUDA ends what was refused with an error of its own
                refused = refused or dict.fromkeys(steps, str(error))
        if not refused:
            graph.upload(self._queue.stream)
            return graph
        self.refused |= refused
        return None

    def _told(self, refused: Mapping[int, str]) -> str:
        names = self._steps.names
        return "; ".join(dict.fromkeys(f"{names[n]} ({reason})" for n, reason in refused.items()))

    # ------------------------------------------------------------------------------------ looking at it

    @property
    def captured(self) -> int:
        """How many CUDA graphs a call is, 0 as long as nothing is captured."""
        pieces = [b.pieces for b in self._bindings if b.pieces is not None]
        return max((sum(type(p) is not int for p in some) for some in pieces), default=0)

    def parts(self) -> list[Part]:
        """Each step's name, and what it computes."""
        return [Part(n, note.origins, note.writes) for n, note in zip(self._steps.names, self._plan.notes, strict=True)]

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """Every step with its operands and its CUDA C; of one kernel, if it is named."""
        return self._steps.source(kernel, assembly)

    def report(self, present: Mapping[int, Any] | None = None) -> Report | None:
        """Times between events on the stream, of the fastest of a few runs; what is written are copies.

        present: arrays for inputs, where those of the last call are gone.
        """
        with self.lock, self._queue:
            arrays = self._places.copies(present or {})
            if arrays is None:
                return None
            runs = [self._steps.profiled(arrays, self._steps.tables(arrays)) for _ in range(REPORT_RUNS)]
        times = min(runs, key=sum)
        rows = [
            self._steps.row(n, step, note, seconds)
            for n, (step, note, seconds) in enumerate(zip(self._plan.steps, self._plan.notes, times, strict=True))
        ]
        made = Report(self.name, rows, sum(times), arena=self._plan.storage.arena, build=self.build)
        made.math = context.current().math
        made.where = str(self.device)
        made.remarks = (self._how(),)
        return made

    def _how(self) -> str:
        if self._places.forgotten:
            return "enqueued op by op, since results are in new memory in each call"
        if not any(b.pieces is not None for b in self._bindings):
            return "enqueued op by op, until the same arrays come again"
        graphs = counted(self.captured, "CUDA graph") if self.captured != 1 else "one CUDA graph"
        by_itself = f"; by itself, since a graph cannot have it: {self._told(self.refused)}" if self.refused else ""
        return f"replayed as {graphs}{by_itself}"

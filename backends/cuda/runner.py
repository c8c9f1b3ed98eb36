"""A compiled graph on a GPU: a step that is enqueued as one CUDA graph.

The first call with arrays launches one kernel after the other. When the same arrays come again the launches are
captured, and from then on replayed: nothing is allocated, nothing waited for, and the host makes one call. What lives
between kernels is in the runner's arena, what ordinary kernels allocate comes from a pool of its own, and ``places.py``
says where the rest lies.

What refuses to be captured is enqueued by itself, between two graphs. Not yet run on hardware.
"""

from __future__ import annotations

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

from .graphs import Graphs, NotCaptured, Piece
from .memory import memory_for
from .places import Places
from .steps import Plan, Steps
from .trials import CHAIN, Trial, Variant, pinned

GRAPHS = 4  # kept, those that were used last
REPORT_RUNS = 5


class _Binding:
    """Arrays, by entry, that a step has run on. tables: of segments, by step. pieces: what it is replayed as, by
    variant; none as long as nothing is captured. operands: of steps between graphs. version: of the places, when all
    fitted.
    """

    def __init__(self, arrays: Mapping[int, Any], math: str, tables: dict[int, Any]):
        self._held_by_others = {base: ref(a) for base, a in arrays.items()}
        self.math, self.tables = math, tables
        self.pieces: dict[Variant, list[Piece]] = {}
        self.operands: dict[Var, Any] = {}
        self.version = 0

    def fits(self, arrays: Mapping[int, Any], math: str) -> bool:
        """Whether these of its arrays are the same."""
        held = self._held_by_others
        return math == self.math and all(held[base]() is a for base, a in arrays.items())

    @property
    def is_graphs(self) -> bool:
        """Whether nothing is enqueued between graphs, which would need the arrays."""
        return all(piece.graph is not None for pieces in self.pieces.values() for piece in pieces)


class CapturedRunner:
    """Runs one graph. Inputs are arrays of the avals that the graph states; outputs are arrays nobody else holds.

    host_calls: the primitives that the device's ordinary kernels compute.
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
        with memory_for(cupy, device, name), queue:
            self._steps = Steps(cupy, queue, kernels, device, plan)
        self._graphs = Graphs(cupy, queue, self._steps, plan, name)
        self._trials: dict[str, Trial] = {}  # by math mode
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
            changed = self._places.again(given)
            math, version = context.current().math, self._places.version
            known = (b for b in self._bindings if b.version == version and b.fits(changed, math))
            binding = next(known, None)
            if binding is not None and self._is_ready(binding):
                self._used(binding)
                self._replay(binding)
            else:
                binding = self._run(self._places.arrays())
                binding.version = version

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

    def _run(self, arrays: Sequence[Any]) -> _Binding:
        """On these arrays; what is known of them from now on."""
        baked = {base: arrays[base] for base in self._places.changing}
        math = context.current().math
        found = next((b for b in self._bindings if b.fits(baked, math)), None)
        if found is None or self._places.forgotten:
            found = _Binding(baked, math, self._steps.tables(arrays))
            self._bindings = [*self._bindings[1 - GRAPHS :], found]
            self._steps.enqueue(arrays, found.tables, range(len(self._steps)))
            return found
        self._used(found)
        trial = self._trials.get(math) or self._trial(arrays, math)
        while missing := [v for v in trial.variants if v not in found.pieces]:
            self._capture(missing[0], found, arrays, trial)
        self._replay(found, arrays)
        return found

    def _used(self, binding: _Binding) -> None:
        if binding is not self._bindings[-1]:
            self._bindings.remove(binding)
            self._bindings.append(binding)

    def _is_ready(self, binding: _Binding) -> bool:
        """Whether it can be replayed without its arrays."""
        trial = self._trials.get(binding.math)
        return trial is not None and binding.pieces.keys() >= {*trial.variants} and binding.is_graphs

    def _replay(self, binding: _Binding, arrays: Sequence[Any] = ()) -> None:
        """arrays: for steps between graphs."""
        trial = self._trials[binding.math]
        variant = trial.turn()
        if len(binding.pieces) > len(trial.variants):
            binding.pieces = {v: binding.pieces[v] for v in trial.variants}
        with trial.measured(variant, self._queue.stream):
            for piece in binding.pieces[variant]:
                if piece.graph is None:
                    self._steps.enqueue(arrays, binding.tables, piece.steps, binding.operands)
                else:
                    piece.graph.launch(self._queue.stream)

    def _trial(self, arrays: Sequence[Any], math: str) -> Trial:
        asked, cuda = pinned(), self._cupy.cuda
        variants = self._graphs.variants(arrays, math) if asked is None else [asked]
        return self._trials.setdefault(math, Trial(self.name, variants, cuda.Event, cuda.get_elapsed_time))

    def _capture(self, variant: Variant, binding: _Binding, arrays: Sequence[Any], trial: Trial) -> None:
        """One that cannot be captured is dropped."""
        if variant == CHAIN or not self._graphs.spans:
            chained = self._graphs.chained(arrays, binding.tables)
            if variant == CHAIN:
                binding.pieces[CHAIN] = chained
                return
        try:
            pieces = self._graphs.captured_as(variant, arrays, binding.tables, binding.math)
            binding.pieces[variant] = pieces
        except NotCaptured as error:
            trial.drop(variant, str(error))

    # ------------------------------------------------------------------------------------ looking at it

    @property
    def captured(self) -> int:
        """How many CUDA graphs a call is, 0 as long as nothing is captured."""
        all_ = [pieces for b in self._bindings for pieces in b.pieces.values()]
        return max((sum(p.graph is not None for p in some) for some in all_), default=0)

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
        trial = self._trials.get(context.current().math)
        if trial is None or not self.captured:
            return "enqueued op by op, until the same arrays come again"
        graphs = counted(self.captured, "CUDA graph") if self.captured != 1 else "one CUDA graph"
        refused = self._graphs.told(self._graphs.refused)
        by_itself = f"; by itself, since a graph cannot have it: {refused}" if refused else ""
        how = "" if trial.variants == [CHAIN] and len(trial.times) == 1 else f" of kernels in {trial}"
        return f"replayed as {graphs}{how}{by_itself}"

"""What runs a compiled graph: a backend's own code where it has a compiler, its kernels one after another where not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol
from weakref import ref

from ..backend import Device
from .capture import evaluate
from .ir import Equation, Graph, Var
from .report import Build, KernelReport, Report, counted

log = logging.getLogger("autograd_core.compile")


class Part(NamedTuple):
    """One kernel or host call: the equations that it computes, or a part of, and the values that it leaves."""

    name: str
    equations: tuple[Equation, ...]
    values: tuple[Var, ...]


class Runner(Protocol):
    """A graph made executable.

    graph: as it runs, simplified. build: what making it took. host_calls: what no generated code computes, by name.
    """

    graph: Graph
    build: Build | None
    host_calls: Sequence[str]

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs, as arrays of their own, from the inputs in order."""

    def forget(self, outputs: Collection[int]) -> None:
        """Hold these outputs no longer than a call: their memory is free when those who were given them let go."""

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """The code, as text."""

    def parts(self) -> Sequence[Part]:
        """What runs, in order."""

    def report(self, present: Mapping[int, Any] | None = None) -> Report | None:
        """A row for each kernel, measured with the last inputs; None if there are none, because it has not run.

        present: arrays for inputs that variables have replaced since.
        """


class KernelRunner:
    """Runs the equations one by one by the device's kernels: right everywhere, fused nowhere."""

    build: Build | None = None

    def __init__(self, graph: Graph, device: Device, name: str = "the graph", variables: Collection[int] = ()):
        self.graph, self.device, self.name = graph, device, name
        self.host_calls: Sequence[str] = [e.primitive.name for e in graph.equations]
        self._variables = frozenset(variables)
        self._last: list[Callable[[], Any]] | None = None  # what gives the inputs of the last call, or None

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        self._last = [ref(x) if i in self._variables else partial(_itself, x) for i, x in enumerate(inputs)]
        return evaluate(self.graph, self.device, dict(zip(self.graph.inputs, inputs, strict=True)))

    def forget(self, outputs: Collection[int]) -> None:
        """No output is held."""

    def source(self, kernel: str | None = None, *, assembly: bool = False) -> str:
        """The graph: no code is generated."""
        return str(self.graph)

    def parts(self) -> list[Part]:
        return [Part(e.primitive.name, (e,), e.outputs) for e in self.graph.equations]

    def report(self, present: Mapping[int, Any] | None = None) -> Report | None:
        if self._last is None:
            return None
        values = {v: held() for v, held in zip(self.graph.inputs, self._last, strict=True)}
        for i, v in enumerate(self.graph.inputs):
            values[v] = present.get(i) if values[v] is None and present is not None else values[v]
        if any(array is None for array in values.values()):
            return None
        values.update(self.graph.constants)
        start = time.perf_counter()
        rows = [self._row(e, values) for e in self.graph.equations]
        return Report(self.name, rows, time.perf_counter() - start)

    def _row(self, e: Equation, values: dict[Var, Any]) -> KernelReport:
        """Run one equation on ``values``, and add its results to them."""
        alone = Graph(list(dict.fromkeys(e.inputs)), [e], e.outputs)
        start = time.perf_counter()
        results = evaluate(alone, self.device, values)
        self.device.synchronize()
        seconds = time.perf_counter() - start
        values.update(zip(e.outputs, results, strict=True))
        size = sum(v.aval.size * v.aval.dtype.itemsize for v in (*e.inputs, *e.outputs))
        name, lines = e.primitive.name, (e.origin,) if e.origin else ()
        return KernelReport(f"host: {name}", seconds, size, 0, operations=(name,), lines=lines, native=False)


def _itself(x: Any) -> Any:
    return x


def runner_for(
    graph: Graph,
    device: Device,
    name: str,
    updates: Mapping[int, int] | None = None,
    variables: Collection[int] = (),
) -> Runner:
    """The fastest way that the device's backend has to run the graph.

    updates: output -> input that the caller replaces by it. If nobody but the caller and the runner holds that array,
    the output may take its memory. variables: inputs that are arrays of variables; the runner keeps none alive, so that
    the others who use the same variables may update them in place.
    """
    make = getattr(device.backend, "compile", None)
    made = None if make is None else make(graph, device, name, updates or {}, variables)
    runner: Runner = KernelRunner(graph, device, name, variables) if made is None else made
    log.info("%s: %s", name, _told(runner, len(graph.equations), device))
    return runner


def _told(runner: Runner, equations: int, device: Device) -> str:
    if runner.build is None:
        return f"{counted(equations, 'equation')}, run one by one: {device} has no compiler"
    made = runner.build
    hosts = f"; no kernels of their own: {', '.join(sorted(set(runner.host_calls)))}" if runner.host_calls else ""
    took = f"compiled {counted(equations, 'equation')} in {made.seconds:.2f} s"
    return f"{took}: {counted(made.kernels, 'kernel')}, {made.cached} from the cache{hosts}"

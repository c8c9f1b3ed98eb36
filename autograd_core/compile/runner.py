"""What runs a compiled graph: a backend's own code where it has a compiler, its kernels one after another where not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..backend import Device
from .capture import evaluate
from .ir import Graph


class KernelReport(NamedTuple):
    """One kernel of a compiled function: seconds in one run, bytes moved, floating-point operations."""

    name: str
    seconds: float
    bytes: int
    flops: int


class Runner(Protocol):
    """A graph made executable."""

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs, as arrays of their own, from the inputs in order."""

    def source(self) -> str:
        """The code, as text."""

    def report(self) -> list[KernelReport]:
        """A row for each kernel, measured with the last inputs."""


class KernelRunner:
    """Runs the equations one by one by the device's kernels: right everywhere, fused nowhere."""

    def __init__(self, graph: Graph, device: Device):
        self.graph, self.device = graph, device
        self._last: Sequence[Any] = ()

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        self._last = inputs
        return evaluate(self.graph, self.device, dict(zip(self.graph.inputs, inputs, strict=True)))

    def source(self) -> str:
        return str(self.graph)

    def report(self) -> list[KernelReport]:
        start = time.perf_counter()
        self(self._last)
        self.device.synchronize()
        size = sum(v.aval.size * v.aval.dtype.itemsize for e in self.graph.equations for v in (*e.inputs, *e.outputs))
        return [KernelReport("all equations, one by one", time.perf_counter() - start, size, 0)]


def runner_for(graph: Graph, device: Device, name: str, updates: Mapping[int, int]) -> Runner:
    """The fastest way that the device's backend has to run the graph.

    updates: output -> input that the caller replaces by it. If nobody but the caller and the runner holds that array,
    the output may take its memory.
    """
    make = getattr(device.backend, "compile", None)
    made = None if make is None else make(graph, device, name, updates)
    return KernelRunner(graph, device) if made is None else made

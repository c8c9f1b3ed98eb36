"""Graphs from Python functions, and the run of a schedule in NumPy: tools of the tests of the compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag
from autograd_core import context
from autograd_core.aval import Aval
from autograd_core.backend import get_device
from autograd_core.compiler.capture import Argument, Capture, trace
from autograd_core.compiler.capture import evaluate as evaluate_graph
from autograd_core.compiler.epilogue import FusedUnit
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.fuse import LoopUnit, Schedule, View
from autograd_core.compiler.ir import Graph, Var, check
from autograd_core.interpreters.eager import EAGER
from autograd_core.tensor import Tensor

__all__ = ["captured", "graph_of", "run", "trace"]


class Captured(NamedTuple):
    """What a function did with tensors, the arrays of all inputs of the graph, and its results equation by equation."""

    graph: Graph
    arrays: list[np.ndarray]
    expected: list[np.ndarray]


def captured(f: Callable[..., Any], *arrays: np.ndarray) -> Captured:
    """``f`` of tensors of these arrays; backward may be part of it, and tensors and generators from outside."""
    device = get_device("numpy")
    capture = Capture(device)
    for i, a in enumerate(arrays):
        capture._input(Aval(a.shape, a.dtype), Argument(i), a)
    tensors = [Tensor(capture._symbol(v), device) for v in list(capture.inputs)]
    try:
        with context.scope(interpreter=capture, device="numpy"):
            y = f(*tensors)
            outputs = [capture.var_of(r) for r in (y if isinstance(y, (tuple, list)) else (y,))]
    finally:
        capture.overlay.end()
    graph = check(Graph(capture.inputs, capture.equations, outputs, capture.constants))
    expected = [np.array(x) for x in evaluate_graph(graph, device, capture.values)]
    return Captured(graph, [capture.values[v] for v in graph.inputs], expected)


def graph_of(f: Callable[..., Any], *arrays: np.ndarray) -> Graph:
    return captured(f, *arrays).graph


def run(graph: Graph, plan: Schedule, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a graph, by its schedule: kernels evaluated in NumPy, opaque equations run eagerly."""
    memory: dict[Var, np.ndarray] = dict(zip(graph.inputs, [np.array(a, order="C") for a in arrays], strict=True))
    memory.update((v, np.array(a, order="C")) for v, a in graph.constants.items())

    def value(v: Var) -> np.ndarray:
        if v not in plan.views and v not in plan.layouts:
            return memory[v] if v.aval.size else np.zeros(v.shape, v.dtype)
        view = plan.views.get(v) or View(v, plan.layouts[v])
        flat = memory[view.base].reshape(-1)[view.offset :] if v.aval.size else np.zeros(0, v.dtype)
        return np.lib.stride_tricks.as_strided(flat, v.shape, [s * flat.itemsize for s in view.strides])

    def keep(v: Var, result: np.ndarray) -> None:
        strides = plan.layouts.get(v, range(result.ndim, 0, -1))
        memory[v] = np.array(result.transpose(sorted(range(result.ndim), key=lambda d: -strides[d])), order="C")

    for unit in plan.units:
        if isinstance(unit, LoopUnit):
            for v in unit.outputs:  # one value can be written in parts
                memory.setdefault(v, np.full(v.shape, 77, v.dtype))
            evaluate(unit.kernel, [memory[v] for v in unit.operands])
            continue
        e = unit.equation
        if isinstance(unit, FusedUnit):
            for v in unit.outputs:
                memory.setdefault(v, np.full(v.shape, 77, v.dtype))
        y = EAGER.run(e.primitive, [ag.tensor(np.array(value(v)), device="numpy") for v in e.inputs], e.params)
        for v, r in zip(e.outputs, y if type(y) is tuple else (y,), strict=True):
            keep(v, r.data)
        if isinstance(unit, FusedUnit):
            evaluate(unit.kernel, [memory[v] for v in unit.operands])
    return [np.array(value(v)) for v in graph.outputs]

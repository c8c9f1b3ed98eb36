"""A captured graph as one operation, which can itself be differentiated, batched and captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import context
from ..backend import Device
from ..interpreters.eager import EAGER
from ..ops.creation import zeros
from ..primitive import Primitive, bind, general
from ..tensor import Tensor
from .capture import Capture, evaluate, trace
from .ir import Graph
from .runner import runner_for

Run = Callable[[Sequence[Any]], list[Any]]


def primitive_of(name: str, graph: Graph, device: Device, run: Run | None) -> Primitive:
    """``graph`` as a primitive; ``run`` computes it on arrays (None: by the device's kernels).

    Its vjp is another such primitive, of the graph that pulls back, compiled when it is first needed. Forward mode and
    batching go through the equations, one by one.
    """
    several = len(graph.outputs) != 1
    avals = tuple(v.aval for v in graph.outputs)
    pullbacks: dict[tuple[int, ...], Primitive] = {}

    def forward(xp: Any, *inputs: Any) -> Any:
        if run is None:
            outputs = evaluate(graph, device, dict(zip(graph.inputs, inputs, strict=True)))
        else:
            outputs = run(inputs)
        return tuple(outputs) if several else outputs[0]

    def composed(*inputs: Tensor) -> Any:
        outputs = replay(graph, inputs, device)
        return tuple(outputs) if several else outputs[0]

    def vjp(g: Any, inputs: Sequence[Tensor], wanted: tuple[int, ...]) -> list[Any]:
        if wanted not in pullbacks:
            pullbacks[wanted] = _pullback(name, graph, device, composed, wanted)
        cotangents = g if several else (g,)
        pulled = bind(pullbacks[wanted], (*inputs, *cotangents), {})
        found = dict(zip(wanted, pulled if isinstance(pulled, tuple) else (pulled,), strict=True))
        return [found.get(i) for i in range(len(inputs))]

    return general(
        f"compiled {name}",
        forward,
        lambda *inputs: avals if several else avals[0],
        vjp=vjp,
        composed=composed,
        signals=False,
    )


def replay(graph: Graph, inputs: Sequence[Tensor], device: Device) -> list[Tensor]:
    """The outputs as tensors, each equation run as an operation of its own: recorded, batched, captured again."""
    base = context.current().interpreter.base
    known = base.known if isinstance(base, Capture) else Tensor
    values: dict[Any, Any] = {v: known(array, device) for v, array in graph.constants.items()}
    values.update(zip(graph.inputs, inputs, strict=True))
    for e in graph.equations:
        result = bind(e.primitive, [values[v] for v in e.inputs], e.params)
        values.update(zip(e.outputs, result if type(result) is tuple else (result,), strict=True))
    return [values[v] for v in graph.outputs]


def _pullback(name: str, graph: Graph, device: Device, composed: Any, wanted: tuple[int, ...]) -> Primitive:
    """(inputs, cotangents) -> the cotangents of the inputs ``wanted``, as a primitive."""
    arity = len(graph.inputs)

    def pull(*values: Tensor) -> Any:
        given = values[arity:]
        g = given if len(graph.outputs) != 1 else given[0]
        pulled = EAGER.transforms.pull_composed(composed, values[:arity], wanted, g, {})
        pulled = pulled if len(wanted) > 1 else [pulled]
        return tuple(
            zeros(graph.inputs[i].shape, dtype=graph.inputs[i].dtype, device=device) if p is None else p
            for i, p in zip(wanted, pulled, strict=True)
        )

    avals = [v.aval for v in (*graph.inputs, *graph.outputs)]
    pulled = trace(pull, avals, device)
    return primitive_of(f"pullback of {name}", pulled, device, runner_for(pulled, device, f"{name}_pullback", {}))

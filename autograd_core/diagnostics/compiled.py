"""A compiled function as a picture: its equations, and which of them became one kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..compiler.capture import Argument, Gradient, Outer, Source
from ..compiler.effects import Assign, SetGrad
from ..compiler.ir import Equation, Graph, Var
from ..compiler.jit import Compiled
from ..compiler.runner import Part
from ..compiler.variant import Variant
from ..tensor import Tensor
from .dot import Drawing, DrawnEdge, DrawnNode

LONGEST_OPTION = 24


def drawing_of(y: Compiled | Graph) -> Drawing:
    """Inputs by what they are, equations as boxes, kernels as boxes around them, outputs by what becomes of them."""
    if isinstance(y, Graph):
        return _drawn(y, {}, {}, {})
    variant = y.latest
    assert variant.runner is not None  # which is what makes it the latest
    graph = variant.runner.graph
    inputs = dict(zip(graph.inputs, map(_source_name, variant.sources), strict=True))
    return _drawn(graph, inputs, _output_names(variant, graph), _kernels(variant.runner.parts()))


def _kernels(parts: Sequence[Part]) -> dict[Equation, str]:
    """For each equation the kernel that leaves its result, or most of it; else the first that computes it."""
    found: dict[Equation, tuple[int, str]] = {}
    for i, part in enumerate(parts, 1):
        for e in part.equations:
            left = sum(v.aval.size for v in e.outputs if v in part.values)
            if e not in found or left > found[e][0]:
                found[e] = left, f"{i}: {part.name}"
    return {e: kernel for e, (_, kernel) in found.items()}


def _drawn(
    graph: Graph, inputs: Mapping[Var, str], outputs: Mapping[Var, list[str]], kernels: Mapping[Equation, str]
) -> Drawing:
    nodes: list[DrawnNode] = []
    edges: list[DrawnEdge] = []
    keys: dict[Var, str] = {}
    used = {v for e in graph.equations for v in e.inputs} | set(graph.outputs)
    called = graph.names()
    for v in (*graph.inputs, *graph.constants):
        if v in used:
            keys[v] = f"n{len(nodes)}"
            name = inputs.get(v) or ("constant" if v in graph.constants else f"input {called[v]}")
            nodes.append(DrawnNode(keys[v], (name, str(v.aval), *outputs.get(v, ())), "leaf", ""))
    wanted = set(graph.outputs)
    for e in graph.equations:
        key = f"n{len(nodes)}"
        ends = [told for v in e.outputs for told in outputs.get(v, ())]
        label = (_title(e), ", ".join(str(v.aval) for v in e.outputs), *ends)
        kind = "operation" if wanted.isdisjoint(e.outputs) else "result"
        nodes.append(DrawnNode(key, label, kind, kernels.get(e, "")))
        edges += [DrawnEdge(keys[v], key, None, None) for v in e.inputs]
        keys.update((v, key) for v in e.outputs)
    return Drawing(nodes, edges)


def _title(e: Equation) -> str:
    options = (f"{k}={v!r}" for k, v in e.params.items() if v is not None)
    short = ", ".join(o for o in options if len(o) <= LONGEST_OPTION)
    return e.primitive.name + (f"({short})" if short else "")


def _source_name(source: Source) -> str:
    if isinstance(source, Argument):
        return f"argument {source.leaf}"
    if isinstance(source, Outer):
        return _called(source.tensor)
    return f"gradient of {_called(source.tensor)}" if isinstance(source, Gradient) else "random key"


def _called(tensor: Tensor) -> str:
    return getattr(tensor.node, "name", None) or "a tensor from outside"


def _output_names(variant: Variant, graph: Graph) -> dict[Var, list[str]]:
    """For each output what becomes of it; one value can be several."""
    made = [effect for effect, var in variant.effects if var is not None]
    told = ["returned"] * (len(graph.outputs) - len(made)) + [_effect_name(effect) for effect in made]
    names: dict[Var, list[str]] = {}
    for v, name in zip(graph.outputs, told, strict=True):
        names.setdefault(v, []).append(name)
    return names


def _effect_name(effect: Assign | SetGrad) -> str:
    what = "new value" if isinstance(effect, Assign) else "gradient"
    return f"{what} of {_called(effect.tensor)}"

"""The recorded graph as a picture: operations, parameters by name, and how much gradient passes every edge."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..compiler.ir import Graph
from ..compiler.jit import Compiled
from ..errors import ArgumentError, GradientError
from ..graph import AnyNode, Leaf, Node
from ..interpreters.reverse import main_node
from ..tensor import Tensor
from .compiled import drawing_of
from .dot import Drawing, DrawnEdge, DrawnNode
from .flow import Flow, graph_of, measure, named_tensors, refuse_freed
from .origins import origin_of
from .values import aval_text, number


def draw(
    y: Any,
    *,
    path: str | os.PathLike[str] | None = None,
    format: str | None = None,
    gradients: bool | Sequence[Any] | None = None,
    names: Any = None,
    depth: int | None = None,
) -> Drawing:
    """The graph of a tensor (or of several) as it was recorded: operations with shapes, parameters by name, and on
    every edge the norm |g| of the gradient that comes back, as label and line width. Zero is dashed, NaN and infinity
    red.

    path, format: also write it, as ``.dot`` or ``.svg``.
    gradients: True makes a sweep of its own (cotangents of ones) that leaves the graph and all ``grad`` as they are; or
    the cotangents themselves, one an output; False makes none. None: True if every output is one number.
    names: a module, or a dict of tensors: what leaves are called (parameters of modules know their names) and the
    values for shares: the percentage beside |g| is the part that sum |g * x| over this operand has in that of all
    operands of the operation, where their values are at hand: which operand the result owes its value to, to first
    order.
    depth: fold what ran in modules deeper than this many names; needs a forward pass inside ``record_origins()``,
    after which modules are drawn as boxes in any case.

    A compiled function (or the graph that its ``graph()`` returns) is drawn too, as it was last compiled: what it
    reads and leaves, its equations, and around those that became one kernel a box with the kernel's name.

    Draw before ``backward``, which frees the graph, or keep it with ``retain_graph=True``; GradientError if it is gone.

    >>> import autograd_core as ag
    >>> w = ag.tensor([3.0, 4.0], requires_grad=True)
    >>> drawing = ag.draw((w * w).sum(), names={"w": w})
    >>> drawing
    <drawing of 3 nodes and 3 edges: .dot, .svg(), .save(path)>
    >>> [(edge.norm, edge.share) for edge in drawing.edges][:2]
    [(5.0, 0.5), (5.0, 0.5)]
    """
    if isinstance(y, (Compiled, Graph)):
        if gradients or names is not None or depth is not None:
            raise ArgumentError("draw: gradients, names and depth are for recorded graphs, not for compiled functions")
        return _saved(drawing_of(y), path, format)
    outputs = _outputs(y)
    refuse_freed("draw", outputs)
    tensors = named_tensors("draw", names)
    leaves = {x.node: x for x in tensors.values() if isinstance(x.node, Leaf)}
    if gradients is None:
        gradients = all(x.size == 1 for x in outputs)
    flow = None
    if gradients is not False:
        flow, _ = measure(
            "draw", outputs, None if gradients is True else _cotangents(gradients, outputs), leaves=leaves
        )
    maker = _Maker(outputs, graph_of([x.node for x in outputs if x.node is not None]), flow, tensors, depth)
    return _saved(Drawing(maker.nodes(), maker.edges()), path, format)


def _saved(drawing: Drawing, path: str | os.PathLike[str] | None, format: str | None) -> Drawing:
    if path is not None:
        drawing.save(path, format)
    return drawing


def _outputs(y: Any) -> list[Tensor]:
    several = y.values() if isinstance(y, Mapping) else y if isinstance(y, (list, tuple)) else (y,)
    given = list(several)
    if not given or not all(isinstance(x, Tensor) for x in given):
        kinds = ", ".join(sorted({type(x).__name__ for x in given})) or "nothing"
        raise ArgumentError(f"draw: takes a tensor, or several in a list or dict, got {kinds}")
    recorded = [x for x in given if x.node is not None]
    if not recorded:
        raise GradientError(
            "draw: this value does not depend on any tensor with requires_grad=True (or was computed under no_grad), "
            "so there is no graph; ag.explain_grad says why"
        )
    return recorded


def _cotangents(gradients: Any, outputs: Sequence[Tensor]) -> list[Any]:
    given = [gradients] if isinstance(gradients, Tensor) else list(gradients)
    if len(given) != len(outputs):
        raise ArgumentError(f"draw: {len(given)} cotangent(s) given in gradients for {len(outputs)} recorded output(s)")
    return given


class _Maker:
    """From the graph and what was measured to nodes and edges as drawn."""

    def __init__(
        self,
        outputs: Sequence[Tensor],
        graph: Sequence[Leaf | Node],
        flow: Flow | None,
        tensors: Mapping[str, Tensor],
        depth: int | None,
    ):
        self.graph, self.flow = graph, flow
        self.called = {main_node(x.node): name for name, x in tensors.items() if x.node is not None}
        self.roots = {main_node(x.node) for x in outputs if x.node is not None}
        self.known: dict[AnyNode, str] = {}  # shapes and dtypes, as far as anybody told
        self._learn(outputs, tensors)
        self.paths = {node: getattr(origin_of(node), "module", "") for node in graph}
        self.folded = {} if depth is None else self._fold(depth)
        self.groups = {path: f"m{i}" for i, path in enumerate(dict.fromkeys(self.folded.values()))}
        self.keys = {
            node: self.groups[self.folded[node]] if node in self.folded else f"n{i}" for i, node in enumerate(graph)
        }

    def _learn(self, outputs: Sequence[Tensor], tensors: Mapping[str, Tensor]) -> None:
        for (node, i), passage in ({} if self.flow is None else self.flow.edges).items():
            if passage is not None:
                self.known[main_node(node.parents[i])] = f"{passage.dtype}{list(passage.shape)}"
        for x in (*outputs, *tensors.values()):
            if x.node is not None:
                self.known[main_node(x.node)] = aval_text(x)

    def _fold(self, depth: int) -> dict[AnyNode, str]:
        if not any(self.paths.values()):
            raise ArgumentError(
                "draw: depth folds modules, but this graph does not know them: run the forward pass inside "
                "`with ag.record_origins():`"
            )
        parts = {node: path.split(".") for node, path in self.paths.items() if path}
        return {node: ".".join(names[:depth]) for node, names in parts.items() if len(names) >= depth}

    # ------------------------------------------------------------------------------ nodes

    def nodes(self) -> list[DrawnNode]:
        drawn = []
        inside: dict[str, int] = {}
        for node in self.graph:
            if node in self.folded:
                inside[self.folded[node]] = inside.get(self.folded[node], 0) + 1
            elif isinstance(node, Leaf):
                drawn.append(DrawnNode(self.keys[node], self._leaf_label(node), "leaf", ""))
            else:
                kind = "result" if node in self.roots else "operation"
                drawn.append(DrawnNode(self.keys[node], self._label(node), kind, self.paths[node]))
        modules = [
            DrawnNode(self.groups[path], (path, f"{count} operation{'s' * (count > 1)}"), "module", "")
            for path, count in inside.items()
        ]
        return drawn + modules

    def _leaf_label(self, leaf: Leaf) -> tuple[str, ...]:
        total = None if self.flow is None else self.flow.arrived.get(leaf)
        shape = [self.known[leaf]] if leaf in self.known else []
        size = [] if total is None else [f"|g| {number(total)}"]
        return (self.called.get(leaf) or leaf.name or "leaf", *shape, *size)

    def _label(self, node: Node) -> tuple[str, ...]:
        options = [f"{k}={v!r}" for k, v in node.params.items() if v is not None]
        short = ", ".join(o for o in options if len(o) <= 24)
        title = node.pullback.primitive.name + (f"({short})" if short else "")
        name = [self.called[node]] if node in self.called else []
        freed = ["freed by backward"] if node.saved is None else []
        return (*name, title, self._shape(node), *freed)

    def _shape(self, node: Node) -> str:
        if node.output and not isinstance(node.output[0], int):
            return ", ".join(map(aval_text, node.output))
        return self.known.get(node, str(list(node.output)))

    # ------------------------------------------------------------------------------ edges

    def edges(self) -> list[DrawnEdge]:
        drawn: list[DrawnEdge] = []
        merged: dict[tuple[str, str], list[float | None]] = {}
        modules = set(self.groups.values())
        for node in self.graph:
            if isinstance(node, Leaf):
                continue
            for parent, (size, share) in zip(node.parents, self._measured(node), strict=True):
                source, target = self.keys[main_node(parent)], self.keys[node]
                if source in modules or target in modules:
                    merged.setdefault((source, target), []).append(size)
                else:
                    drawn.append(DrawnEdge(source, target, size, share))
        for (source, target), sizes in merged.items():
            if source != target:
                drawn.append(DrawnEdge(source, target, _together(sizes), None))
        return drawn

    def _measured(self, node: Node) -> list[tuple[float | None, float | None]]:
        """(norm, share) of every edge to an operand."""
        if self.flow is None:
            return [(None, None)] * len(node.parents)
        passages = [self.flow.edges.get((node, i)) for i in range(len(node.parents))]
        worths = [None if p is None else p.worth for p in passages]
        known = [w for w in worths if w is not None]
        total = math.fsum(known) if len(known) == len(worths) > 1 else 0.0
        comparable = 0 < total < math.inf
        return [
            (0.0 if p is None else p.norm, w / total if comparable and w is not None else None)
            for p, w in zip(passages, worths, strict=True)
        ]


def _together(norms: Sequence[float | None]) -> float | None:
    known = [n for n in norms if n is not None]
    return math.sqrt(math.fsum(n * n for n in known)) if known else None

"""Cotangents on their way: a sweep of its own over a graph that stays, measuring what passes every edge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import context
from ..errors import ArgumentError, GradientError
from ..graph import AnyNode, Leaf, Node
from ..interpreters.reverse import initial_cotangent, main_node, sweep
from ..primitive import OUTPUT
from ..tensor import Tensor
from .origins import Observer
from .values import operand_positions


class Passage(NamedTuple):
    """What passed one edge, from an operation to one operand: the cotangent's norm, shape and dtype.

    worth: the sum of |g * x| over the operand's elements, None where nobody kept its values.
    """

    norm: float
    shape: tuple[int, ...]
    dtype: Any
    worth: float | None

    @property
    def is_zero(self) -> bool:
        return self.norm == 0


class Flow(Observer):
    """Told of a sweep: ``edges[node, i]`` is what passed to the i-th parent (None: nothing did), ``arrived[node]`` the
    norm of what came to the node, ``order`` the nodes as they were visited."""

    def __init__(self, nodes: Iterable[AnyNode], leaves: Mapping[Leaf, Tensor]):
        super().__init__()
        self.nodes = set(nodes)
        self.leaves = leaves
        self.edges: dict[tuple[Node, int], Passage | None] = {}
        self.arrived: dict[AnyNode, float] = {}
        self.order: list[Node] = []

    def pulled(self, node: Node, g: Any, cotangents: Any) -> None:
        if node not in self.nodes:  # a rule's own graph
            return
        self.order.append(node)
        self.arrived[node] = norm(g)
        found = cotangents if len(node.parents) > 1 else (cotangents,)
        positions = operand_positions(node)
        for i, (parent, cotangent) in enumerate(zip(node.parents, found, strict=True)):
            if cotangent is None:
                self.edges[node, i] = None
                continue
            value = self._value(node, positions[i], parent)
            worth = None if value is None else _worth(cotangent, value)
            self.edges[node, i] = Passage(norm(cotangent), cotangent.shape, cotangent.dtype, worth)

    def _value(self, node: Node, position: int, parent: AnyNode) -> Tensor | None:
        """The operand's value, where the operation, the one that made it, or the user kept it."""
        if isinstance(parent, Leaf) and parent in self.leaves:
            return self.leaves[parent]
        if position in node.pullback.saves:
            return _only_tensor(node, node.pullback.saves.index(position))
        if isinstance(parent, Node) and OUTPUT in parent.pullback.saves:
            return _only_tensor(parent, parent.pullback.saves.index(OUTPUT))
        return None


def _only_tensor(node: Node, index: int) -> Tensor | None:
    value = node.saved[index] if node.saved is not None else None
    return value if isinstance(value, Tensor) else None


def norm(g: Any) -> float:
    """The Euclidean norm of a cotangent, of all of them where an operation has several results (None: not used)."""
    pieces = [x for x in (g if isinstance(g, (tuple, list)) else (g,)) if x is not None]
    with np.errstate(all="ignore"):
        return math.sqrt(sum(float(np.square(np.abs(_host(x))).sum()) for x in pieces))


def _host(x: Tensor) -> np.ndarray:
    while x.level:
        x = x.inner
    return x.numpy().astype("complex128" if x.dtype.kind == "c" else "float64")


def _worth(g: Tensor, x: Tensor) -> float | None:
    with np.errstate(all="ignore"):
        return float(np.abs(_host(g) * _host(x)).sum()) if g.shape == x.shape else None


def measure(
    op: str,
    outputs: Sequence[Tensor],
    cotangents: Sequence[Any] | None,
    *,
    targets: set[AnyNode] | None = None,
    leaves: Mapping[Leaf, Tensor] | None = None,
) -> tuple[Flow, dict[AnyNode, Tensor]]:
    """A sweep from ``outputs`` (with cotangents of ones where none are given) that leaves graph and gradients alone.

    Returns what it saw, and the cotangents of the leaves (or of ``targets``).
    """
    roots = [y for y in outputs if y.node is not None]
    refuse_freed(op, roots)
    given = [None] * len(outputs) if cotangents is None else list(cotangents)
    started: list[tuple[AnyNode, Tensor]] = []
    for y, g in zip(outputs, given, strict=True):
        if y.node is not None:
            g = y.new_ones(y.shape) if g is None else initial_cotangent(op, y, g)
            started.append((y.node, g.detach()))
    graph = graph_of([y.node for y in roots if y.node is not None])
    flow = Flow(graph, leaves or {})
    retained = [(node.retained, node.retained.grad) for node in graph if hasattr(node, "retained")]
    try:
        with context.scope(observer=flow):
            found = sweep(started, targets, retain_graph=True, create_graph=False)
    finally:
        for kept, before in retained:
            kept.grad = before
    flow.arrived.update((node, norm(g)) for node, g in found.items())
    return flow, found


def refuse_freed(op: str, outputs: Iterable[Tensor]) -> None:
    for y in outputs:
        node = main_node(y.node)  # type: ignore[arg-type]
        if isinstance(node, Node) and node.saved is None:
            raise GradientError(
                f"{op}: an earlier backward has freed the graph of this result of {node.pullback.primitive.name!r}, "
                f"shape {y.shape}; call {op} before backward, or keep the graph with backward(retain_graph=True)"
            )


def graph_of(roots: Iterable[AnyNode]) -> list[Leaf | Node]:
    """Every leaf and operation that ``roots`` were made from, oldest first."""
    seen: set[Leaf | Node] = set()
    stack = [main_node(node) for node in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(main_node(parent) for parent in getattr(node, "parents", ()))
    return sorted(seen, key=lambda node: -node.order)


def named_tensors(op: str, source: Any) -> dict[str, Tensor]:
    """Name -> tensor of a module, a dict, or an iterable of (name, tensor) pairs or tensors (named by position)."""
    if source is None:
        return {}
    if hasattr(source, "named_parameters"):
        return dict(source.named_parameters())
    if isinstance(source, Tensor):
        return {"0": source}
    entries = source.items() if isinstance(source, Mapping) else source
    found: dict[str, Tensor] = {}
    for i, entry in enumerate(entries):
        name, x = (
            entry if isinstance(entry, tuple) and len(entry) == 2 else (getattr(entry, "name", None) or str(i), entry)
        )
        if not isinstance(x, Tensor):
            raise ArgumentError(
                f"{op}: {name!r} is a {type(x).__name__}, not a tensor; give a module, a dict or a list"
            )
        found[str(name)] = x
    return found

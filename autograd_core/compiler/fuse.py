"""From a graph to the units that a target runs: loop kernels, opaque equations, and views of memory.

Every equation becomes an expression, or stays opaque (``lower``); operations on expressions are grouped into clusters
(``grouping``), each of which becomes one loop kernel (``body``). What is stored is what must be: outputs, operands of
opaque equations, what another cluster reads and could not cheaply compute again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..aval import Aval
from .body import Body, Unfit
from .clusters import COSTS, Cluster, Item, bases, covered, domain, root, split
from .expression import VIEWS, Expressions, Inexpressible, Node
from .grouping import Grouping
from .ir import Equation, Graph, GraphError, Var
from .loops import LoopKernel
from .lower import Trace, constant_node, lower
from .space import Cut, Place, row_major, viewed

OPERATIONS = ("map", "reduce", "join")
_CHEAP, _CHEAP_LOADS = 8, 2  # what is rather computed again than stored and loaded
_HOISTED = 60  # the same for single numbers, which a kernel computes once


class LoopUnit(NamedTuple):
    """A loop kernel with the value of each of its operands. origins: the equations that it computes, or a part of."""

    kernel: LoopKernel
    operands: tuple[Var, ...]
    origins: tuple[Equation, ...] = ()

    @property
    def outputs(self) -> tuple[Var, ...]:
        return tuple(self.operands[i] for i in self.kernel.outputs)

    @property
    def inputs(self) -> tuple[Var, ...]:
        return tuple(v for i, v in enumerate(self.operands) if i not in self.kernel.outputs)


class OpaqueUnit(NamedTuple):
    """An equation that is computed as a whole, and why. Its operands can be ``views`` of the schedule."""

    equation: Equation
    reason: str

    @property
    def inputs(self) -> tuple[Var, ...]:
        return self.equation.inputs

    @property
    def outputs(self) -> tuple[Var, ...]:
        return self.equation.outputs


class View(NamedTuple):
    """A value without memory of its own: element (i, j, ...) is at offset + i * strides[0] + ... of ``base``, which
    has no gaps. In elements."""

    base: Var
    strides: tuple[int, ...]
    offset: int = 0


class Schedule(NamedTuple):
    """``units`` in an order in which they can run, and the values that are views of others' memory.

    Several loop kernels can write one value, each its part of it. layouts: the strides, in elements, of values that do
    not lie in row-major order.
    """

    units: tuple[LoopUnit | OpaqueUnit, ...]
    views: dict[Var, View]
    layouts: Mapping[Var, tuple[int, ...]] = MappingProxyType({})


def schedule(
    graph: Graph,
    *,
    trace: Trace | None = None,
    is_native: Callable[[Equation], bool] = lambda equation: False,
    takes_view: Callable[[Equation, int, View], bool] = lambda equation, operand, view: True,
    halves: bool = False,
) -> Schedule:
    """Fuse a graph.

    trace: how a composed form becomes a graph; without it, none is used. is_native: which equations have kernels of
    their own, and stay whole. takes_view: whether an operand of an opaque equation may be a view; else it is copied.
    halves: whether loop kernels read and write half precision.
    """
    return _Scheduler(graph, trace, is_native, takes_view, halves).run()


class _Scheduler:
    def __init__(self, graph: Graph, trace: Any, is_native: Any, takes_view: Any, halves: bool):
        self.x = Expressions(halves=halves)
        self.graph = graph
        self.nodes: dict[Var, Node] = {}
        self.opaque: list[tuple[Equation, str]] = []
        self.origins: dict[int, Equation] = {}  # node -> the equation that it was first met in
        self._takes_view = takes_view
        self.required: dict[int, Node] = {}
        self.alone: set[int] = set()  # nodes with a kernel of their own
        self.replaced: dict[int, Node] = {}  # views that must be in memory as they are -> their copies
        self.wanted: dict[Var, Node] = {}  # values that others see -> the nodes that hold them
        self.parts: dict[int, tuple[Node, Place]] = {}  # part of a joined array -> that array, and its place there
        self._present: set[int] = set()  # in memory, whatever is stored
        self._sizes: dict[int, int] = {}
        self.equation_of: dict[Item, tuple[Equation, str]] = {}
        self._lower(trace, is_native)
        self._want_outputs()

    # ------------------------------------------------------------------------------------ expressions

    def _lower(self, trace: Any, is_native: Any) -> None:
        for v in self.graph.inputs:
            self.nodes[v] = self.x.input(v)
        for v, array in self.graph.constants.items():
            self.nodes[v] = constant_node(array, self.x) or self.x.input(v)
        made: dict[Var, Equation] = {}
        for e in self.graph.equations:
            made.update((v, e) for v in e.outputs)
            if is_native(e):
                self._keep(e, "a kernel of its own")
                continue
            known = len(self.x)
            try:
                results = lower(e, [self.nodes[v] for v in e.inputs], self.x, trace, made)
            except Inexpressible as reason:
                self._keep(e, str(reason))
                continue
            self.origins.update(dict.fromkeys(range(known, len(self.x)), e))
            for v, node in zip(e.outputs, results, strict=True):
                self.nodes[v] = node

    def _keep(self, e: Equation, reason: str) -> None:
        self.opaque.append((e, reason))
        for i, v in enumerate(e.inputs):
            if v in self.graph.constants:  # an array that is there, whatever expressions take it for
                continue
            node = self.nodes[v]
            base, place = self._placed(node)
            if base.kind in ("constant", "iota") or place is None:
                node = self._copied(node)
            elif node is not base:
                view = View(v, place.strides, place.offset)  # whose base has no Var yet
                if not self._takes_view(e, i, view):
                    node = self._copied(node)
            self._want(v, node)
        for v in e.outputs:
            self.nodes[v] = self.x.input(v)

    def _want_outputs(self) -> None:
        made = {v for e, _ in self.opaque for v in e.outputs}
        for v in self.graph.outputs:
            if v in self.graph.constants:
                continue
            node = self.nodes[v]
            base, place = self._placed(node)
            whole = place is not None and place.offset == 0 and _same_order(place.strides, node.shape)
            whole = whole and base.size == node.size
            foreign = base.kind in ("constant", "iota") or (base.kind == "input" and base.params not in made)
            if node.kind == "input" and node.params is v:
                continue
            self._want(v, self._copied(node) if foreign or not whole else node)

    def _copied(self, node: Node) -> Node:
        copy = self.x.copy(node)
        if node.index in self.origins:
            self.origins.setdefault(copy.index, self.origins[node.index])
        return copy

    def _want(self, v: Var, node: Node) -> None:
        base, _ = self._placed(node)
        before = self.wanted.get(v)
        if before is None or before.kind in VIEWS:  # a copy is good for all who want a value
            self.wanted[v] = node
        if base.kind in OPERATIONS:
            self.required[base.index] = base

    def _placed(self, node: Node) -> tuple[Node, Place | None]:
        """What a node is a view of, and its place there."""
        node = self.replaced.get(node.index, node)
        if node.kind not in VIEWS:
            return node, Place(row_major(node.shape))
        base, place = self._placed(node.args[0])
        return base, None if place is None else viewed(node, place)

    # ------------------------------------------------------------------------------------ clusters

    def run(self) -> Schedule:
        while True:
            items = self._items()
            grouping = Grouping(items, self.required, self.alone, self.replaced)
            clusters = grouping.run()
            stored = self._stored(items, grouping)
            holders = self._holders(stored)
            try:
                units = [self._unit(c, stored, holders) for c in clusters]
            except Unfit as unfit:
                self._store(unfit.node)
                continue
            views = self._views(holders)
            return Schedule(tuple(_in_order([u for u in units if u is not None], views, self.graph)), views)

    def _store(self, node: Node) -> None:
        """Have in memory what could not be computed where it was wanted."""
        if node.kind in VIEWS:
            copy = self._copied(node)
            if node.index in self.replaced:
                raise GraphError(f"{node!r} cannot be stored")
            self.replaced[node.index] = copy
            node = copy
        elif node.index in self.alone:
            raise GraphError(f"{node!r} fits no kernel")
        self.required[node.index] = node
        self.alone.add(node.index)

    def _items(self) -> list[Item]:
        """All live operations and opaque equations, in an order in which they can run."""
        items: list[Item] = []
        of_node: dict[int, Item] = {}
        producer: dict[Any, Item] = {}  # by Var, which is what an input node holds

        def visit(node: Node) -> None:
            pending = [node]
            while pending:
                n = pending[-1]
                if n.index in of_node or n.kind not in OPERATIONS:
                    pending.pop()
                    continue
                sources = [b for _, b in bases(n, self.replaced)]
                missing = [b for b in sources if b.kind in OPERATIONS and b.index not in of_node]
                if missing:
                    pending += missing
                    continue
                pending.pop()
                if n.kind == "join":
                    self._join(n)
                item = of_node[n.index] = Item(None if n.kind == "join" else n, len(items))
                items.append(item)
                for b in sources:
                    link(of_node.get(b.index) or producer.get(b.params), item)

        def link(source: Item | None, item: Item) -> None:
            if source is not None and source not in item.reads:
                item.reads.append(source)
                source.readers.append(item)

        for e, reason in self.opaque:
            sources = []
            for v in e.inputs:
                if v not in self.wanted:
                    continue
                base, _ = self._placed(self.wanted[v])
                visit(base)
                sources.append(of_node.get(base.index) or producer.get(base.params))
            item = Item(None, len(items))
            self.equation_of[item] = e, reason
            items.append(item)
            for source in sources:
                link(source, item)
            producer.update((v, item) for v in e.outputs)
        for node in list(self.required.values()):
            visit(node)
        return items

    def _join(self, node: Node) -> None:
        """Have the parts of an array written to their places in it."""
        strides = row_major(node.shape)
        for part, starts in zip(node.args, node.params, strict=True):
            self.required[part.index] = part
            self.parts[part.index] = node, Place(strides, sum(s * n for s, n in zip(strides, starts, strict=True)))

    # ------------------------------------------------------------------------------------ what is stored

    def _stored(self, items: Sequence[Item], grouping: Grouping) -> set[int]:
        """The nodes that are kept in memory: the others are computed in every cluster that uses them."""
        price: dict[int, tuple[int, frozenset[int]]] = {}
        for item in items:
            if item.node is not None and item.node.kind == "map":
                price[item.node.index] = self._price(item.node, price)
            for _, base in bases(item.node, self.replaced) if item.node is not None else ():
                self._sizes[base.index] = base.size
                if base.kind in ("input", "join"):
                    self._present.add(base.index)
        stored = set(self.required)
        used: dict[int, set[Cluster]] = {}
        for item in reversed(items):
            node = item.node
            if node is None:
                continue
            own = grouping.cluster[item]
            users = used.get(node.index, set())
            if node.index in stored:
                computed = {own}
            elif users - {own} and not self._again(node, price, stored):
                stored.add(node.index)
                computed = {own}
            else:
                computed = users
            for _, base in bases(node, self.replaced):
                used.setdefault(base.index, set()).update(computed)
        return stored

    def _price(self, node: Node, price: dict[int, tuple[int, frozenset[int]]]) -> tuple[int, frozenset[int]]:
        """Operations and loads of computing a value once more, from what is in memory or was better put there."""
        cost, loads = COSTS.get(node.op, 1), frozenset[int]()
        for _, base in bases(node, self.replaced):
            if base.kind in ("constant", "iota"):
                continue
            inner = price.get(base.index)
            if inner is None or base.index in self.required or not self._is_low(base, *inner):
                loads |= {base.index}
            else:
                cost, loads = cost + inner[0], loads | inner[1]
        return cost, loads

    def _is_low(self, node: Node, cost: int, loads: frozenset[int]) -> bool:
        if node.size == 1 or not loads:  # for all points at once, or of positions alone
            return cost <= _HOISTED
        return cost <= _CHEAP and len(loads) <= _CHEAP_LOADS

    def _again(self, node: Node, price: Any, stored: set[int]) -> bool:
        """Whether the clusters that use a value compute it themselves: only if all they need is in memory anyway."""
        if node.kind != "map":
            return False
        cost, loads = price[node.index]
        there = all(i in stored or i in self._present or self._sizes[i] * 8 <= node.size for i in loads)
        return self._is_low(node, cost, loads) and (there or node.size == 1)

    def _holders(self, stored: set[int]) -> dict[int, Var]:
        """The value that stands for the memory of each stored node: of the graph, where it has one."""
        holders: dict[int, Var] = {}
        for v, node in self.wanted.items():
            if node.index in stored and self.nodes.get(v) is not None and v.shape == node.shape:
                holders.setdefault(node.index, v)
        for v, node in self.nodes.items():
            if node.index in stored:
                holders.setdefault(node.index, v)
        return holders

    # ------------------------------------------------------------------------------------ kernels

    def _unit(self, cluster: Cluster, stored: set[int], holders: dict[int, Var]) -> LoopUnit | OpaqueUnit | None:
        if cluster.items[0].node is None:  # an array that is joined is made by its parts
            known = self.equation_of.get(cluster.items[0])
            return None if known is None else OpaqueUnit(*known)
        results = [n for n in cluster.nodes if n.index in stored and n.size]
        if not results:
            return None
        dims = cluster.dims
        while True:
            try:
                return self._kernel(cluster, results, dims, stored, holders)
            except Cut as cut:
                inner = cluster.inner
                if inner is not None:
                    d = cut.dimension
                    inner = frozenset(e + (e > d) for e in inner) | ({d + 1} if d in inner else set())
                dims = split(dims, cut)
                cluster = Cluster(cluster.items, dims, inner)

    def _kernel(
        self,
        cluster: Cluster,
        results: Sequence[Node],
        dims: tuple[int, ...],
        stored: set[int],
        holders: dict[int, Var],
    ) -> LoopUnit:
        own = {n.index for n in cluster.nodes}

        def holder(node: Node) -> Var:
            return holders.setdefault(node.index, Var(Aval(node.shape, node.dtype)))

        def memory(node: Node) -> Var | None:
            node = self.replaced.get(node.index, node)
            if node.kind == "input":
                return node.params
            elsewhere = node.index in stored and node.index not in own
            return holder(node) if node.kind == "join" or elsewhere else None

        inner = cluster.inner or frozenset()
        body = Body(dims, inner, memory)
        for node in results:
            whole, place = self.parts.get(node.index, (node, None))
            var = holder(whole)
            if node.kind == "reduce" and not _is_stage(node, cluster, dims):
                body.accumulate(node, root(domain(node), dims, inner), var)
            else:
                body.store(node, root(node.shape, dims, inner), var, place)
        kernel = body.kernel(free=cluster.inner is None)
        origins = dict.fromkeys(self.origins[i] for i in sorted(body.computed) if i in self.origins)
        return LoopUnit(kernel, tuple(body.operands), tuple(origins))

    def _views(self, holders: dict[int, Var]) -> dict[Var, View]:
        views = {}
        for v, node in self.wanted.items():
            base, place = self._placed(node)
            holder = base.params if base.kind == "input" else holders[base.index]
            if holder is not v and place is not None:
                views[v] = View(holder, place.strides, place.offset)
        return views


def _is_stage(node: Node, cluster: Cluster, dims: tuple[int, ...]) -> bool:
    """Whether a reduction is over the inner points, so that it is known at every outer one."""
    at = root(domain(node), dims, cluster.inner or frozenset())
    return covered(at, node.params) == cluster.inner


def _same_order(strides: Sequence[int], shape: Sequence[int]) -> bool:
    return all(n == 1 or s == t for n, s, t in zip(shape, strides, row_major(tuple(shape)), strict=True))


def _in_order(units: Sequence[Any], views: dict[Var, View], graph: Graph) -> list[Any]:
    """Units sorted so that each comes after those whose results it reads, else as they are given."""
    makers: dict[Var, set[int]] = {}
    for i, u in enumerate(units):
        for v in u.outputs:
            makers.setdefault(v, set()).add(i)
    needs = []
    for i, u in enumerate(units):
        read = [views[v].base if v in views else v for v in u.inputs]
        needs.append({j for v in read for j in makers.get(v, ())} - {i})
    done: set[int] = set()
    order: list[int] = []

    def place(i: int) -> None:
        stack = [i]
        while stack:
            j = stack[-1]
            missing = [k for k in sorted(needs[j]) if k not in done] if j not in done else []
            if missing:
                if len(stack) > len(units):
                    raise GraphError("the units of a schedule need one another")
                stack += missing[:1]
                continue
            stack.pop()
            if j not in done:
                done.add(j)
                order.append(j)

    for i in range(len(units)):
        place(i)
    return [units[i] for i in order]

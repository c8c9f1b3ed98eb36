"""Which values are computed together: the grouping of an expression's operations into loop kernels.

A ``Cluster`` is a set of operations over one space. Its dimensions are the common refinement of its arrays' shapes, so
that (16, 64, 128) and (1024, 128) meet; ``inner`` are those that its reductions reduce. Members are of three kinds:

    values at every point, and reductions over the inner points, which later members may use ("stages");
    values at every outer point (rows): what is computed from such reductions;
    reductions over the outer points, or over all: known at the end, so that no member may use them.

Two clusters become one if one reads what the other computes, or both read the same, if their points correspond, if no
operation outside lies between them, and if the kernel stays small enough.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from .expression import VIEWS, Node
from .space import Coordinates, Cut, Skewed, spread, through

MOST_MEMBERS = 240
MOST_OPERANDS = 24
SMALL = 4096  # points that one thread may as well visit alone, so that what is reduced over all can be used at once

_DIVISIONS = "div sqrt rsqrt reciprocal floor_div mod fmod"
_FUNCTIONS = """exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt
    sigmoid erf pow atan2 hypot"""
COSTS = {  # in operations as cheap as an addition
    **dict.fromkeys(_DIVISIONS.split(), 6),
    **dict.fromkeys(_FUNCTIONS.split(), 20),
}


class Item:
    """What a cluster is made of: an operation on arrays, or an opaque equation, with the items that it reads."""

    __slots__ = ("node", "order", "readers", "reads")

    def __init__(self, node: Node | None, order: int):
        self.node = node
        self.order = order
        self.reads: list[Item] = []
        self.readers: list[Item] = []


class Cluster:
    """Items that one kernel computes. ``inner`` is None while nothing says which dimensions are reduced."""

    __slots__ = ("dims", "first", "inner", "items", "last")

    def __init__(self, items: Sequence[Item], dims: tuple[int, ...], inner: frozenset[int] | None):
        self.items = list(items)
        self.dims = dims
        self.inner = inner
        self.first = min(i.order for i in items)
        self.last = max(i.order for i in items)

    @property
    def nodes(self) -> list[Node]:
        return [i.node for i in self.items if i.node is not None]


def domain(node: Node) -> tuple[int, ...]:
    """The shape of the points that an operation visits."""
    return node.args[0].shape if node.kind == "reduce" else node.shape


def bases(node: Node, replaced: Mapping[int, Node]) -> Iterator[tuple[Node, Node]]:
    """For every argument of an operation the argument, and what it is a view of."""
    for arg in node.args:
        base = arg
        while base.kind in VIEWS and replaced.get(base.index, node) is node:  # a copy reads what it replaces
            base = base.args[0]
        yield arg, replaced.get(base.index, base) if base.kind in VIEWS else base


def outer_of(dims: Sequence[int], inner: Collection[int]) -> list[int]:
    return [d for d in range(len(dims)) if d not in inner]


@lru_cache(maxsize=1 << 12)
def root(shape: tuple[int, ...], dims: tuple[int, ...], inner: frozenset[int] = frozenset()) -> Coordinates:
    """The coordinates, in a kernel, of an array of this shape that it computes: one element a point, or a row."""
    size = math.prod(shape)
    if size == math.prod(dims):
        return spread(shape, range(len(dims)), dims)
    return spread(shape, outer_of(dims, inner) if size != 1 else [], dims)


def covered(at: Coordinates, axes: Iterable[int]) -> frozenset[int]:
    """The dimensions along which the coordinates of these axes change."""
    return frozenset(d for a in axes for d, _ in at[a].terms)


# ------------------------------------------------------------------------------------------- refinement


def refined(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The coarsest dimensions of which both ``a`` and ``b`` are merged neighbours; None if there are none."""
    cuts = sorted({*_cuts(a), *_cuts(b)})
    if any(q % p for p, q in pairwise(cuts)):
        return None
    return tuple(reversed([q // p for p, q in pairwise(cuts)]))


def _cuts(dims: Sequence[int]) -> list[int]:
    cuts = [1]
    for n in reversed(dims):
        cuts.append(cuts[-1] * n)
    return cuts


def split(dims: Sequence[int], cut: Cut) -> tuple[int, ...]:
    d = cut.dimension
    return (*dims[:d], dims[d] // cut.size, cut.size, *dims[d + 1 :])


# ------------------------------------------------------------------------------------------- one cluster


def fitted(items: Sequence[Item], dims: tuple[int, ...], replaced: Mapping[int, Node]) -> Cluster | None:
    """These items as one cluster over ``dims``, cut further where they need it; None if they do not go together."""
    while True:
        try:
            inner = _inner(items, dims)
            if inner == "none":
                return None
            if not _aligned(items, dims, inner, replaced):
                return None
            return Cluster(items, dims, inner)
        except Cut as cut:
            dims = split(dims, cut)
        except Skewed:
            return None


def _inner(items: Sequence[Item], dims: tuple[int, ...]) -> Any:
    """The dimensions that must be inner, None if that is open, "none" if the items contradict one another."""
    every = frozenset(range(len(dims)))
    total = math.prod(dims)
    inside = set(items)
    choices: set[frozenset[int]] | None = None
    rows = set()
    for item in items:
        node = item.node
        if node is None:
            return "none"
        size = math.prod(domain(node))
        if size != total:
            rows.add(size)
        if node.kind != "reduce":
            continue
        users = [r.node for r in item.readers if r in inside and r.node is not None]
        if size != total:  # a sum of rows: over all of them, and for later
            if users or node.size != 1:
                return "none"
            continue
        over = covered(root(domain(node), dims), node.params)
        if users:
            if over == every and total > SMALL:
                return "none"
            if len(dims) - 1 not in over and not any(math.prod(domain(u)) == total for u in users):
                return "none"  # rows far apart in memory, and nothing gained but a kernel less
            allowed = {over}
        elif over == every:
            continue
        else:
            allowed = {over, every - over}
        choices = allowed if choices is None else choices & allowed
    if choices is not None:
        choices = {c for c in choices if all(n == math.prod(dims[d] for d in every - c) for n in rows)}
        if not choices:
            return "none"
        return max(choices, key=lambda c: (len(dims) - 1 in c, sorted(c)))
    return "none" if rows else None


def _aligned(
    items: Sequence[Item], dims: tuple[int, ...], inner: frozenset[int] | None, replaced: Mapping[int, Node]
) -> bool:
    """Whether members find the members that they read at their own points, or can cheaply compute them again."""
    inside = {i.node.index for i in items if i.node is not None}
    for item in items:
        node = item.node
        if node is None:
            return False
        at = root(domain(node), dims, inner or frozenset())
        for arg, base in bases(node, replaced):
            if base.index not in inside:
                continue
            wanted = followed(arg, base, at if arg.shape else (), dims, replaced)
            if wanted != root(base.shape, dims, inner or frozenset()) and not (base.kind == "map" and is_cheap(base)):
                return False
    return True


def followed(arg: Node, base: Node, at: Coordinates, dims: Sequence[int], replaced: Mapping[int, Node]) -> Coordinates:
    """Where ``base`` holds what its view ``arg`` has at ``at``."""
    while arg is not base and replaced.get(arg.index) is not base:
        at = through(arg, at, dims)
        arg = arg.args[0]
    return at


def is_cheap(node: Node) -> bool:
    """Whether a value can be computed from operands and single operations, and not much is lost in doing so twice."""
    return COSTS.get(node.op, 1) < 6 and all(a.kind in ("input", "constant") for a in node.args)


def operand_count(cluster: Cluster, required: Collection[int], replaced: Mapping[int, Node]) -> int:
    """How many arrays a kernel for this cluster reads and writes, at most."""
    inside = {n.index for n in cluster.nodes}
    read, written = set(), 0
    for item in cluster.items:
        node = item.node
        if node is None:
            continue
        sources = [b for _, b in bases(node, replaced) if b.kind not in ("constant", "iota")]
        read |= {b.index for b in sources if b.index not in inside}
        written += node.index in required or any(r.node is None or r.node.index not in inside for r in item.readers)
    return len(read) + written

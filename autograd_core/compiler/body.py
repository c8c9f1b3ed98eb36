"""The body of a loop kernel, from the values that it is to store.

``Body`` walks an expression from its results to its operands. A node is asked for at coordinates: which of its elements
is wanted at each point of the space. What is in memory is loaded; everything else is computed where it is wanted, and
what is wanted at the same coordinates twice is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .expression import INT64, VIEWS, Node
from .ir import Var
from .loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Statement, Store
from .space import Affine, Coordinates, Place, Skewed, element, row_major, spread, through, viewed

_VECTOR = 16


class Unfit(Exception):
    """A value that cannot be computed where it is wanted, and must be in memory: a reduction whose groups are not the
    inner points of the kernel, or elements in an order that no affine function of the point gives."""

    def __init__(self, node: Node):
        self.node = node


class Body:
    """Statements over a space of ``sizes``, of which the dimensions ``inner`` are reduced by every ``Reduce``.

    memory: the Var that holds a node, or None where it is to be computed here.
    """

    def __init__(self, sizes: Sequence[int], inner: frozenset[int], memory: Callable[[Node], Var | None]):
        self.sizes = tuple(sizes)
        self.inner = inner
        self.operands: list[Var] = []
        self.computed: set[int] = set()  # the operations that run here, by index
        self._memory = memory
        self._statements: list[Statement] = []
        self._at: dict[Any, int] = {}
        self._values: dict[tuple[int, Coordinates], int] = {}
        self._places: dict[int, tuple[Var, Place] | None] = {}
        self._accumulations: list[tuple[Node, Coordinates, Var]] = []
        self._outputs: list[int] = []

    # ------------------------------------------------------------------------------------ values

    def value(self, node: Node, at: Coordinates) -> int:
        """The position of the statement that is the node's element at ``at``."""
        key = (node.index, at)
        if key not in self._values:
            self._values[key] = self._computed(node, at)
        return self._values[key]

    def _computed(self, node: Node, at: Coordinates) -> int:
        if node.kind == "constant":
            return self._emit(Constant(node.params, node.dtype))
        place = self.place(node)
        if place is not None:
            return self._emit(Load(self._access(place[0], element(at, place[1])), node.dtype))
        if node.kind in VIEWS:
            try:
                source = through(node, at, self.sizes)
            except Skewed:
                raise Unfit(node.args[0]) from None
            return self.value(node.args[0], source)
        if node.kind == "iota":
            return self._index(node, at[0])
        self.computed.add(node.index)
        if node.kind == "map":
            args = tuple([self.value(a, at if a.shape else ()) for a in node.args])
            return self._emit(Map(node.op, args, node.dtype))
        return self._emit(Reduce(node.op, self.value(node.args[0], self._elements(node, at)), node.dtype))

    def _elements(self, node: Node, at: Coordinates) -> Coordinates:
        """The coordinates of what a reduction reduces, all over the inner points."""
        shape, axes = node.args[0].shape, node.params
        inner = sorted(self.inner)
        lengths = tuple(shape[a] for a in axes)
        if math.prod(lengths) != math.prod(self.sizes[d] for d in inner) or self._varies(at):
            raise Unfit(node)
        reduced = dict(zip(axes, spread(lengths, inner, self.sizes), strict=True))
        kept = iter(at)
        return tuple(reduced[a] if a in reduced else next(kept) for a in range(len(shape)))

    def _varies(self, at: Coordinates) -> bool:
        return any(d in self.inner for c in at for d, _ in c.terms)

    def _index(self, node: Node, at: Affine) -> int:
        start, step = node.params
        offset = start + step * at.offset
        if not at.terms:
            return self._emit(Constant(offset, INT64))
        (d, c), *others = at.terms
        position = self._emit(Index(d, c * step, offset))
        for d, c in others:
            position = self._emit(Map("add", (position, self._emit(Index(d, c * step))), INT64))
        return position

    def place(self, node: Node) -> tuple[Var, Place] | None:
        """Where a node is in memory, if it or what it is a view of is there."""
        if node.index not in self._places:
            var = self._memory(node)
            found = None
            if var is not None:
                found = var, Place(row_major(node.shape))
            elif node.kind in VIEWS:
                source = self.place(node.args[0])
                place = None if source is None else viewed(node, source[1])
                found = None if source is None or place is None else (source[0], place)
            self._places[node.index] = found
        return self._places[node.index]

    def _access(self, var: Var, position: Affine) -> Access:
        strides = dict(position.terms)
        return Access(self._operand(var), tuple(strides.get(d, 0) for d in range(len(self.sizes))), position.offset)

    def _operand(self, var: Var) -> int:
        for i, v in enumerate(self.operands):
            if v is var:
                return i
        self.operands.append(var)
        return len(self.operands) - 1

    def _emit(self, statement: Any) -> int:
        # 1, 1.0 and True are equal, and so are 0.0 and -0.0: constants are told apart by how they are written
        key = (type(statement), repr(statement.value) if isinstance(statement, Constant) else "", statement)
        if key not in self._at:
            self._at[key] = len(self._statements)
            self._statements.append(statement)
        return self._at[key]

    # ------------------------------------------------------------------------------------ results

    def store(self, node: Node, at: Coordinates, var: Var, place: Place | None = None) -> None:
        """Write the node, whose element at each point is the one at ``at``, to its place in ``var``."""
        position = self.value(node, at)
        access = self._access(var, element(at, place or Place(row_major(node.shape))))
        self._outputs.append(access.operand)
        self._statements.append(Store(access, position))

    def accumulate(self, node: Node, at: Coordinates, var: Var) -> None:
        """Reduce over the outer points what the node, a reduction, reduces: its argument's element there is ``at``."""
        self.value(node.args[0], at)
        self.computed.add(node.index)
        self._accumulations.append((node, at, var))

    def finish(self) -> None:
        """Add the accumulations: they come last."""
        for node, at, var in self._accumulations:
            position = self.value(node.args[0], at)
            kept = tuple(c for a, c in enumerate(at) if a not in node.params)
            access = self._access(var, element(kept, Place(row_major(node.shape))))
            over_inner = any(d in self.inner for a in node.params for d, _ in at[a].terms)
            self._outputs.append(access.operand)
            self._statements.append(Accumulate(node.op, position, access, over_inner))
        self._accumulations = []

    def kernel(self, free: bool) -> LoopKernel:
        """The kernel, its dimensions in order and merged; ``free``: nothing says which of them are inner."""
        self.finish()
        statements, sizes, inner = list(self._statements), list(self.sizes), set(self.inner)
        indexed = {s.dimension for s in statements if isinstance(s, Index)}
        strides = [s.access.strides for s in statements if isinstance(s, (Load, Store, Accumulate))]
        groups = [_ordered(range(len(sizes)), sizes, strides)] if free else []
        if not free:
            outer = [d for d in range(len(sizes)) if d not in inner]
            groups = [_ordered(outer, sizes, strides), _ordered(sorted(inner), sizes, strides)]
        merged = [_merged(group, sizes, strides, indexed) for group in groups]
        if free:  # the last dimension is inner; a single one is outer, to be shared among threads
            (runs,) = merged
            merged = [runs[:-1], runs[-1:]] if len(runs) > 1 else [runs, []]
        order = [run for group in merged for run in group]
        position = {d: i for i, run in enumerate(order) for d in run}

        def arranged(access: Access) -> Access:
            return access._replace(strides=tuple(access.strides[run[-1]] for run in order))

        body = []
        for s in statements:
            if isinstance(s, (Load, Store, Accumulate)):
                s = s._replace(access=arranged(s.access))
            elif isinstance(s, Index):
                s = s._replace(dimension=position[s.dimension])
            if isinstance(s, Accumulate) and free:  # dimensions have become inner only now
                s = s._replace(over_inner=not any(s.access.strides[len(merged[0]) :]))
            body.append(s)
        outer_sizes, inner_sizes = (tuple(math.prod(sizes[d] for d in run) for run in group) for group in merged)
        dtypes = tuple(v.dtype for v in self.operands)
        return LoopKernel(outer_sizes, inner_sizes, tuple(body), dtypes, tuple(sorted(set(self._outputs))))


def _ordered(dims: Sequence[int], sizes: Sequence[int], strides: Sequence[tuple[int, ...]]) -> list[int]:
    """Dimensions with the one last along which most accesses are contiguous, over as many elements as vectors have."""
    order = list(dims)
    gain = {d: sum(s[d] == 1 for s in strides) * min(sizes[d], _VECTOR) for d in order}
    best = max(order, key=lambda d: (gain[d], d), default=0)
    if order and gain[best] > 2 * gain[order[-1]]:
        order.remove(best)
        order.append(best)
    return order


def _merged(
    dims: Sequence[int], sizes: Sequence[int], strides: Sequence[tuple[int, ...]], indexed: set[int]
) -> list[list[int]]:
    """Runs of dimensions that can be counted through as one, because every access steps evenly through them."""
    runs: list[list[int]] = []
    for d in dims:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last not in indexed
            and d not in indexed
            and all(s[last] == s[d] * sizes[d] for s in strides)
        ):
            runs[-1].append(d)
        else:
            runs.append([d])
    return runs

"""Where the values of a compiled step lie: whose memory holds them, and where that memory is.

A value that is a view of another has no memory of its own. Every other value has a home: an array of the caller's (an
input), one that the runner hands out (an output), a constant, or a place in the runner's arena.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .fuse import View
from .ir import Graph, Var
from .plan import Unit, plan
from .space import row_major
from .steps import Host, Step, read, written

ARENA = 0  # the table's first entry


class Located(NamedTuple):
    """An operand: where its elements lie, counted in elements from the start of the array that holds it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def contiguous(self) -> bool:
        return all(s == t for n, s, t in zip(self.shape, self.strides, row_major(self.shape), strict=True) if n != 1)


class Operand(NamedTuple):
    """``bytes`` bytes from ``offset`` on, in what entry ``base`` of the table points to."""

    base: int
    offset: int
    bytes: int


class Storage:
    """The table of arrays, which a runner fills, and for every value an entry of it or a place in the first, the arena.

    layouts: strides, in elements, of values that are not row-major. multiple: of which the bytes of all blocks in the
    arena are, and so the places where they begin.
    """

    def __init__(
        self, graph: Graph, views: Mapping[Var, View], layouts: Mapping[Var, tuple[int, ...]], multiple: int = 1
    ):
        self.graph = graph
        self.views = dict(views)
        self._layouts = layouts
        self._multiple = multiple
        self.arena = 0
        self.table: list[tuple[str, Any]] = [("arena", None)]
        self._bases: dict[Var, int] = {}
        self._offsets: dict[Any, int] = {}
        self.scratch: list[int | None] = []
        for i, v in enumerate(graph.inputs):
            self._base(v, "input", i)
        for v, array in graph.constants.items():
            self.constant(v, np.asarray(array, order="C"))

    def constant(self, v: Var, array: np.ndarray) -> None:
        self._base(v, "constant", array)

    def _base(self, v: Var, kind: str, what: Any) -> None:
        if v not in self._bases:
            self._bases[v] = len(self.table)
            self.table.append((kind, what))

    def root(self, v: Var) -> Var:
        return self.views[v].base if v in self.views else v

    def located(self, v: Var) -> Located:
        if v in self.views:
            view = self.views[v]
            return Located(v.shape, np.dtype(v.dtype), tuple(view.strides), view.offset)
        return Located(v.shape, np.dtype(v.dtype), self._layouts.get(v) or row_major(v.shape))

    def find_homes(self, apart: Sequence[Var] = ()) -> None:
        """Give outputs, and the values ``apart``, arrays of their own; the others lie in the arena."""
        for v in self.graph.outputs:
            self._base(self.root(v), "output", self.root(v))
        for v in apart:
            self._base(v, "host", v)

    def place(
        self,
        steps: Sequence[Step],
        workspaces: Sequence[int],
        over: Collection[tuple[Var, Var]] = (),
        before: np.ndarray | None = None,
    ) -> None:
        """Give every value in the arena its place, and every step its workspace of so many bytes.

        over: (result, operand) pairs of steps that may write the one over the other; it is, where the operand is not
        needed any more. before: at [m, n], whether step m has ended when step n begins, where steps may run at the
        same time; in their order otherwise.
        """
        units = [self._unit(step, self._whole(size), over) for step, size in zip(steps, workspaces, strict=True)]
        values = {v for u in units for v in (*u.reads, *u.writes)}
        elsewhere = {v for v in values if v in self._bases}
        sizes: dict[Any, int] = {v: self._whole(byte_count(v)) for v in values if isinstance(v, Var)}
        found = plan(units, sizes, elsewhere=elsewhere, before=before)
        self._offsets, self.arena, self.scratch = found.offsets, found.size, list(found.scratch)

    def _whole(self, size: int) -> int:
        return -(-size // self._multiple) * self._multiple

    def _unit(self, step: Step, workspace: int, over: Collection[tuple[Var, Var]]) -> Unit:
        if isinstance(step, Host):
            return Unit(self._roots(step.equation.inputs), tuple(step.equation.outputs))
        in_place = tuple(pair for pair in step.overwrites if pair in over)
        return Unit(self._roots(read(step)), self._roots(written(step)), workspace, in_place)

    def _roots(self, values: Iterable[Var]) -> tuple[Var, ...]:
        """Whose memory holds these. Without elements there is nothing to hold, and no kernel that writes it."""
        return tuple(v for v in map(self.root, values) if v.aval.size)

    def operand(self, v: Var, *, start: bool) -> Operand:
        """Where ``v`` lies; ``start``: where the array begins that holds it, since kernels of loops know the rest."""
        root = self.root(v)
        offset = 0 if start or v not in self.views else self.views[v].offset * np.dtype(v.dtype).itemsize
        base = self._bases.get(root)
        if base is None:
            return Operand(ARENA, self._offsets.get(root, 0) + offset, byte_count(root) - offset)
        return Operand(base, offset, byte_count(root) - offset)

    def base(self, v: Var) -> int | None:
        return self._bases.get(v)

    def safe_updates(self, updates: Mapping[int, int], steps: Sequence[Step]) -> dict[int, int]:
        """The updates (output -> input) that may be written over what they replace, which nobody reads later."""
        graph = self.graph
        safe = {}
        writers = {v: n for n, s in reversed([*enumerate(steps)]) for v in written(s)}
        readers: dict[Var, list[int]] = {}
        for n, s in enumerate(steps):
            for v in read(s):
                readers.setdefault(self.root(v), []).append(n)
        results = {self.root(v) for v in graph.outputs}
        for k, i in updates.items():
            new, old = graph.outputs[k], graph.inputs[i]
            if new in self.views or new is old or self.base(new) is None:
                continue
            writer = writers.get(new)
            if writer is None:
                continue
            step = steps[writer]
            alone = not isinstance(step, Host) and (new, old) in step.overwrites
            if old not in results and all(n < writer or (n == writer and alone) for n in readers.get(old, ())):
                safe[k] = i
        return safe


def byte_count(v: Var) -> int:
    return v.aval.size * np.dtype(v.dtype).itemsize

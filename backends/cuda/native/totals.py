"""What is added up over all points: each thread's part, each block's, and the whole in a launch of its own.

The order is fixed by the sizes alone, so results are the same bits every time.
"""

from __future__ import annotations

from collections.abc import Sequence

from .c_types import c_type, computed, literal
from .expressions import neutral, operation
from .form import Form, PerPoint, Total
from .lanes import Lanes
from .signature import Head, place
from .source import Launch, Sizes
from .writer import Writer

COLUMNS = 32  # of a block that adds up partial results of columns


def start_value(found: Form, position: int) -> str:
    s, dtype = found.body[position], found.dtype(position)
    return literal(neutral(s.kind, dtype), dtype)


def memory(w: Writer, threads: int) -> None:
    """Shared memory in which a block adds up, for one number of any dtype a thread."""
    w.line(f"__shared__ double memory[{threads}];")


def over_block(found: Form, position: int, threads: int, value: str) -> str:
    s, dtype = found.body[position], found.dtype(position)
    name, kind = operation(s.kind, dtype), c_type(dtype)
    return f"over_block<{name}, {threads}>({value}, ({kind} *)memory, {start_value(found, position)})"


class Totals:
    """The totals of one launch of ``grid`` blocks: stored by its only block, or as partial results, one a block."""

    def __init__(self, head: Head, positions: Sequence[int], grid: int, threads: int):
        self.head, self.form, self.positions = head, head.form, list(positions)
        self.grid, self.threads = grid, threads
        if grid > 1:
            for p in self.positions:
                head.workspace.region(f"partial{p}", self.form.dtype(p), grid)

    @property
    def regions(self) -> list[str]:
        return [f"partial{p}" for p in self.positions] if self.grid > 1 else []

    def declare(self, w: Writer) -> None:
        for p in self.positions:
            w.line(f"{c_type(self.form.dtype(p))} total{p} = {start_value(self.form, p)};")

    def finish(self, w: Writer) -> None:
        """At the end of the entry; ``memory`` must be declared."""
        for p in self.positions:
            w.line(f"total{p} = {over_block(self.form, p, self.threads, f'total{p}')};")
            place_ = f"partial{p}[blockIdx.x]" if self.grid > 1 else _target(self.form, p)
            w.line(f"if (threadIdx.x == 0) {place_} = total{p};")


def _target(found: Form, position: int) -> str:
    access = found.body[position].access
    return f"a{access.operand}[{access.offset}]"


class Finish:
    """The last launch: partial results of totals, a block each, and of columns, of some columns a block."""

    def __init__(self, head: Head, sizes: Sizes):
        self.head, self.form, self.sizes = head, head.form, sizes
        self.totals: list[tuple[int, int]] = []  # position, partial results
        self.columns: list[tuple[int, int]] = []

    def add(self, totals: Totals) -> None:
        if totals.grid > 1:
            self.totals += [(p, totals.grid) for p in totals.positions]

    def emit(self, w: Writer) -> list[Launch]:
        jobs = len(self.totals) + len(self.columns) * -(-self.form.points // COLUMNS)
        if not jobs:
            return []
        threads = self.sizes.threads
        name = f"{self.head.name}_finish"
        regions = [f"partial{p}" for p, _ in (*self.totals, *self.columns)]
        with self.head.entry(w, name, threads, regions=regions):
            memory(w, threads)
            for job, (p, count) in enumerate(self.totals):
                with w.block(f"if (blockIdx.x == {job})"):
                    self._total(w, p, count)
            first = len(self.totals)
            for p, count in self.columns:
                blocks = -(-self.form.points // COLUMNS)
                with w.block(f"if (blockIdx.x >= {first} && blockIdx.x < {first + blocks})"):
                    self._columns(w, p, count, first)
                first += blocks
        return [Launch(name, jobs, threads)]

    def _total(self, w: Writer, p: int, count: int) -> None:
        w.line(f"{c_type(self.form.dtype(p))} total{p} = {start_value(self.form, p)};")
        lanes = Lanes(w, self.form)
        with w.block(f"for (int i = threadIdx.x; i < {count}; i += {self.sizes.threads})"):
            w.line(f"total{p} = {lanes.combined(p, f'total{p}', f'partial{p}[i]')};")
        w.line(f"total{p} = {over_block(self.form, p, self.sizes.threads, f'total{p}')};")
        w.line(f"if (threadIdx.x == 0) {_target(self.form, p)} = total{p};")

    def _columns(self, w: Writer, p: int, count: int, first: int) -> None:
        found, parts = self.form, self.sizes.threads // COLUMNS
        dtype, points = found.dtype(p), found.points
        s = found.body[p]
        assert isinstance(s, PerPoint)
        w.line(f"const int column = (blockIdx.x - {first}) * {COLUMNS} + threadIdx.x % {COLUMNS};")
        w.line(f"{c_type(dtype)} sum = {start_value(found, p)};")
        with (
            w.block(f"if (column < {points})"),
            w.block(f"for (int i = threadIdx.x / {COLUMNS}; i < {count}; i += {parts})"),
        ):
            w.line(
                f"sum = {Lanes(w, found).combined(p, 'sum', f'partial{p}[({self.head.index})i * {points} + column]')};"
            )
        w.line(f"sum = over_warps<{operation(s.kind, dtype)}, {parts}>(sum, ({c_type(dtype)} *)memory);")
        with w.block(f"if (column < {points} && threadIdx.x < {COLUMNS})"):
            inner = range(len(found.outer), len(found.sizes))
            used = frozenset(d for d in inner if s.access.strides[d])
            self.head.coordinates(w, "column", list(inner), used)
            w.line(f"a{s.access.operand}[{place(s.access)}] = sum;")


def totals_of(found: Form, positions: Sequence[int]) -> list[int]:
    return [p for p in positions if isinstance(found.body[p], Total)]


def bytes_of(found: Form, positions: Sequence[int]) -> int:
    return sum(computed(found.dtype(p)).itemsize for p in positions)

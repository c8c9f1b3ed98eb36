"""How a loop kernel becomes loops: which dimensions are shared among threads, walked in turn, and held in vectors.

Every nest has three loops: ``tasks`` (points of some dimensions, times blocks of columns), within one task ``serial``
points, and the columns, which are points along one dimension, in vectors. A statement runs at the level of the
innermost loop that its value changes in. Six shapes:

    points       nothing but elementwise work and totals: all dimensions but the last are tasks
    tiles        the same where some arrays are contiguous along another dimension: these are read a tile at a time
    rows         reductions over the inner points: outer points are tasks, each done by one thread alone
    together     the same where outer points are few and long: all threads share the inner points of each
    across       the same where neighbours in memory are outer points: vectors of these, all inner points serial
    columns      accumulations over the outer points for many inner points: inner points are tasks, outer ones serial
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from autograd_core.compiler.dimensions import merged
from autograd_core.compiler.loops import Accumulate, Load, LoopKernel, Reduce, Store

from ..machine import WORKERS
from .stages import LANE, SERIAL, TASK, levels_of, stages_of, work_of

BLOCK = 2048  # columns of a task, where rows are cut
TASKS = 32  # that there should be, for threads to have about the same number
PAD = 64  # buffers' rows are a multiple of this many elements: whole vectors on any machine
TILE = 32  # rows of a task that reads tiles
NARROW = 16  # columns of a task across rows, where there are few
FEW, LONG = 8, 8192  # outer points below, and inner points from which a row is worth a barrier
WIDE, MANY = 4096, 512  # inner points and columns from which threads share columns, not rows
ACCUMULATORS = 4 << 20  # bytes of accumulators of all threads


class Group(NamedTuple):
    """A loop over all points of some dimensions; with ``blocks``, over blocks of columns within each."""

    dims: tuple[int, ...]
    points: int
    blocks: int = 1


class Plan(NamedTuple):
    """kernel: with dimensions merged; its last one is held in vectors. levels, stages: by statement."""

    kernel: LoopKernel
    shape: str
    sizes: tuple[int, ...]
    tasks: Group
    serial: Group
    block: int
    levels: tuple[int, ...]
    stages: tuple[int, ...]
    kept: frozenset[int]
    work: tuple[tuple[int, ...], ...]  # by stage: the statements to run at each serial point or lane
    threads: int
    fine: int | None = None  # a dimension of a few points that columns run through before the next point of ``along``

    @property
    def along(self) -> int:
        """The dimension of which vectors hold neighbours."""
        return len(self.kernel.outer if self.shape == "across" else self.sizes) - 1

    @property
    def columns(self) -> int:
        return self.sizes[self.along] * self.repeats

    @property
    def repeats(self) -> int:
        return 1 if self.fine is None else self.sizes[self.fine]

    @property
    def extent(self) -> int:
        """What tasks' blocks are parts of: the columns, or for tiles the rows."""
        return self.sizes[self.serial.dims[0]] if self.shape == "tiles" else self.columns

    @property
    def turned(self) -> tuple[int, ...]:
        """The loads that are contiguous along the rows of tiles."""
        if self.shape != "tiles":
            return ()
        dim = self.serial.dims[0]
        return tuple(p for p, s in enumerate(self.kernel.body) if isinstance(s, Load) and _is_turned(s, dim))

    @property
    def shared(self) -> Group:
        """The loop whose points are divided among threads."""
        return self.serial if self.shape == "together" else self.tasks

    @property
    def row(self) -> int:
        """Elements of a buffer that holds a value of all inner points of a task."""
        return self.serial.points * (self.block if self.shape == "across" else padded(self.block))

    def per_point(self, position: int) -> bool:
        """Whether an Accumulate stores one number an inner point."""
        s = self.kernel.body[position]
        return isinstance(s, Accumulate) and not s.over_inner and self.levels[position] == LANE


def plan(kernel: LoopKernel) -> Plan:
    kernel, free = _arranged(kernel)
    shape = "points" if free else _shape(kernel)
    sizes, outer = kernel.outer + kernel.inner, len(kernel.outer)
    along = outer - 1 if shape == "across" else len(sizes) - 1
    width = sizes[along]
    firsts, seconds = ([d for d in dims if d != along] for dims in (range(outer), range(outer, len(sizes))))
    if shape == "columns":
        firsts, seconds = seconds, firsts
    fine = _fine(kernel, shape)
    if fine is not None:
        width *= sizes[fine]
        firsts, seconds = ([d for d in dims if d != fine] for dims in (firsts, seconds))
    rows = _rows_of_tiles(kernel) if free and fine is None else None
    if rows is not None:
        shape, width = "tiles", sizes[rows]
        firsts, seconds = [d for d in firsts if d != rows], [rows]
    levels = levels_of(kernel, firsts, (along, fine), LANE if shape != "across" else TASK)
    block = _block(kernel, shape, width)
    blocks = -(-width // block) if block else 0
    tasks = Group(tuple(firsts), prod(sizes[d] for d in firsts), 1 if shape in ("rows", "together") else blocks)
    serial = Group(tuple(seconds), prod(sizes[d] for d in seconds), blocks if shape == "together" else 1)
    stages = stages_of(kernel, levels if shape == "together" else None)
    planned = Plan(kernel, shape, sizes, tasks, serial, block, levels, stages, frozenset(), (), WORKERS, fine)
    innermost = SERIAL if shape == "across" else LANE
    row = 0 if shape == "together" else planned.row
    kept, work = work_of(kernel, levels, stages, innermost, row, along)
    return planned._replace(kept=kept, work=work, threads=_threads(planned))


def _arranged(kernel: LoopKernel) -> tuple[LoopKernel, bool]:
    """The kernel with dimensions merged, and whether the border between outer and inner means nothing in it."""
    accumulates = [s for s in kernel.body if isinstance(s, Accumulate)]
    reduces = any(isinstance(s, Reduce) for s in kernel.body)
    once_a_row = any(_varies_in_part(s, kernel) for s in kernel.body if isinstance(s, Store))
    if reduces or once_a_row or (kernel.inner and not all(a.over_inner for a in accumulates)):
        return merged(kernel), False
    body = tuple(s._replace(over_inner=True) if isinstance(s, Accumulate) else s for s in kernel.body)
    whole = merged(LoopKernel((), kernel.outer + kernel.inner, body, kernel.operands, kernel.outputs))
    return whole._replace(outer=whole.inner[:-1], inner=whole.inner[-1:]), True


def _varies_in_part(store: Store, kernel: LoopKernel) -> bool:
    """Whether it is for each outer point, or for some points in another way: neither for each nor for all together."""
    strides = [step for step, n in zip(store.access.strides, kernel.outer + kernel.inner, strict=True) if n > 1]
    return any(strides) and not all(strides)


def _shape(kernel: LoopKernel) -> str:
    reduces = any(isinstance(s, Reduce) for s in kernel.body)
    inner = range(len(kernel.outer), len(kernel.outer) + len(kernel.inner))
    per_point = any(isinstance(s, Accumulate) and any(s.access.strides[d] for d in inner) for s in kernel.body)
    points = prod(kernel.inner)
    if not reduces:
        # one result an inner point, and nothing to write for each outer point, which every task would repeat
        full = all(
            all(s.access.strides[d] for d in inner) or (isinstance(s, Accumulate) and s.over_inner)
            for s in kernel.body
            if isinstance(s, Store | Accumulate)
        )
        return "columns" if full and points > WIDE and kernel.inner[-1] >= MANY else "rows"
    if per_point:
        return "rows"
    if prod(kernel.outer) < FEW and points >= LONG:
        steps = [[s.access.strides[d] for d in inner] for s in kernel.body if isinstance(s, Store)]
        return "together" if all(s[-1] or not any(s) for s in steps) else "rows"
    # every vector of outer points would repeat what does not vary along them, and what it reads must not change
    stores = [s.access.strides for s in kernel.body if isinstance(s, Store)]
    if kernel.outer and kernel.outer[-1] >= NARROW // 2 and all(s[inner[0] - 1] or not any(s) for s in stores):
        strides = [s.access.strides for s in kernel.body if isinstance(s, Load | Store)]
        strides = [s for s in strides if any(s[d] for d in inner)]
        neighbours = [sum(s[d] == 1 for s in strides) for d in (inner[0] - 1, inner[-1])]
        if points < NARROW // 2 or neighbours[0] > neighbours[1]:
            return "across"
    return "rows"


def _rows_of_tiles(kernel: LoopKernel) -> int | None:
    """The dimension along which most of the loads are contiguous that are far from it along the last, if any."""
    sizes, strides = kernel.outer + kernel.inner, [s.access.strides for s in kernel.body if isinstance(s, Store)]
    if sizes[-1] < TILE // 4 or not all(all(steps) for steps in strides):
        return None
    found = [sum(isinstance(s, Load) and _is_turned(s, d) for s in kernel.body) for d in range(len(sizes) - 1)]
    best = max(range(len(found)), key=lambda d: found[d], default=None)
    return best if best is not None and found[best] and sizes[best] >= TILE // 4 else None


def _fine(kernel: LoopKernel, shape: str) -> int | None:
    """A dimension of two or four points that is innermost in memory where the last one is next to it."""
    sizes, first = kernel.outer + kernel.inner, 0 if shape == "points" else len(kernel.outer)
    if shape not in ("points", "rows") or any(isinstance(s, Accumulate) and not s.over_inner for s in kernel.body):
        return None
    strides = [s.access.strides for s in kernel.body if isinstance(s, Store)]
    for dim in range(first, len(sizes) - 1):
        if sizes[dim] in (2, 4) and any(steps[dim] == 1 and steps[-1] == sizes[dim] for steps in strides):
            return dim
    return None


def _is_turned(load: Load, rows: int) -> bool:
    return load.access.strides[rows] == 1 and abs(load.access.strides[-1]) > 1


def _block(kernel: LoopKernel, shape: str, width: int) -> int:
    """How many columns a task takes."""
    if shape == "points":
        rows = prod(kernel.outer)
        whole = width <= BLOCK or (width <= 2 * BLOCK and rows >= FEW)
        return width if whole else _part(width, rows)
    if shape == "tiles":
        return TILE
    if shape == "across":
        return PAD if width >= 4 * PAD else NARROW
    return _part(width, 1) if shape in ("columns", "together") else width


def _part(width: int, rows: int) -> int:
    """A block, small enough that threads find tasks of about equal number."""
    return min(width, max(BLOCK // 4, min(2 * BLOCK, padded(width * rows // TASKS))))


def _threads(planned: Plan) -> int:
    """How many can take part: fewer where each has many accumulators in the scratch."""
    body, operands = planned.kernel.body, planned.kernel.operands
    accumulates = [s for p, s in enumerate(body) if isinstance(s, Accumulate) and planned.per_point(p)]
    sizes = [operands[s.access.operand].itemsize for s in accumulates]
    if planned.shape != "rows" or not sizes:
        return WORKERS
    return max(4, min(WORKERS, ACCUMULATORS // max(1, planned.row * sum(sizes))))


def padded(count: int) -> int:
    return -(-count // PAD) * PAD

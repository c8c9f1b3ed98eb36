"""How a loop kernel becomes loops: which dimensions are shared among threads, walked in turn, and held in vectors.

Every nest has three loops: ``tasks`` (points of the first dimensions, times blocks of columns), within one task
``serial`` points, and for each the ``along`` dimension in vectors. A statement runs at the level of the innermost loop
that its value changes in. Four shapes:

    points       nothing but elementwise work and totals: all dimensions but the last are tasks
    rows         reductions over the inner points: outer points are tasks, each done by one thread alone
    together     the same where outer points are few and long: all threads share the inner points of each
    columns      accumulations over the outer points for many inner points: inner points are tasks, outer ones serial
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from autograd_core.compile.loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Store

ONCE, TASK, SERIAL, LANE = range(4)  # levels

BLOCK = 2048  # columns of a task, where rows are cut
PAD = 64  # buffers' rows are a multiple of this many elements: whole vectors on any machine
ROW_BUFFERS = 32 << 10  # bytes of values kept from one stage to the next
WORTH_KEEPING = 6  # operations; what costs less is computed again
LONG = 8192  # inner points that are worth a barrier
WIDE, MANY = 4096, 512  # inner points and columns from which threads share columns, not rows
ACCUMULATORS = 4 << 20  # bytes of accumulators of all threads
THREADS = 32  # that take part where each has scratch of its own

_COSTS = {
    6: "div sqrt rsqrt reciprocal floor_div mod fmod",
    12: """exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt sigmoid
        erf""",
    30: "pow atan2 hypot",
}
_COSTLY = {name: cost for cost, names in _COSTS.items() for name in names.split()}


class Group(NamedTuple):
    """A loop over all points of some dimensions; with ``blocks``, over blocks of columns within each."""

    dims: tuple[int, ...]
    count: int
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

    @property
    def along(self) -> int:
        return len(self.sizes) - 1

    @property
    def columns(self) -> int:
        return self.sizes[-1]

    @property
    def shared(self) -> Group:
        """The loop whose points are divided among threads."""
        return self.serial if self.shape == "together" else self.tasks

    def per_point(self, position: int) -> bool:
        """Whether an Accumulate stores one number an inner point."""
        statement = self.kernel.body[position]
        return isinstance(statement, Accumulate) and not statement.over_inner and self.levels[position] == LANE


def plan(kernel: LoopKernel) -> Plan:
    body = kernel.body
    reduces = any(isinstance(s, Reduce) for s in body)
    accumulates = [s for s in body if isinstance(s, Accumulate)]
    if not reduces and (not kernel.inner or all(a.over_inner for a in accumulates)):
        # the border between outer and inner means nothing here
        body = tuple(s._replace(over_inner=True) if isinstance(s, Accumulate) else s for s in body)
        whole = merged(LoopKernel((), kernel.outer + kernel.inner, body, kernel.operands, kernel.outputs))
        kernel, shape = whole._replace(outer=whole.inner[:-1], inner=whole.inner[-1:]), "points"
    else:
        kernel, shape = merged(kernel), "rows"
    sizes, outer, width = kernel.outer + kernel.inner, len(kernel.outer), kernel.inner[-1]
    outer_points, inner_points = prod(kernel.outer), prod(kernel.inner)
    firsts, seconds = tuple(range(outer)), tuple(range(outer, len(sizes) - 1))
    per_point = any(isinstance(s, Accumulate) and not s.over_inner for s in kernel.body)
    block = width
    if shape == "points":
        block = width if width <= BLOCK or (width <= 2 * BLOCK and outer_points >= 8) else BLOCK
    elif reduces and outer_points < 8 and inner_points >= LONG and not per_point:
        shape, block = "together", min(width, 2 * BLOCK)
    elif not reduces and inner_points > WIDE and width >= MANY and _full(kernel):
        shape, block, firsts, seconds = "columns", min(width, BLOCK), seconds, firsts
    blocks = -(-width // block) if block else 0
    tasks = Group(firsts, prod(sizes[d] for d in firsts), 1 if shape in ("rows", "together") else blocks)
    serial = Group(seconds, prod(sizes[d] for d in seconds), blocks if shape == "together" else 1)
    levels = _levels(kernel, firsts, len(sizes) - 1)
    stages = _stages(kernel)
    kept, work = _work(kernel, levels, stages, 0 if shape == "together" else serial.count * padded(block))
    threads = THREADS
    if shape == "rows" and per_point:
        row = (
            serial.count
            * padded(width)
            * sum(kernel.operands[s.access.operand].itemsize for s in kernel.body if isinstance(s, Accumulate))
        )
        threads = max(4, min(THREADS, ACCUMULATORS // max(1, row)))
    return Plan(kernel, shape, sizes, tasks, serial, block, levels, stages, kept, work, threads)


def padded(count: int) -> int:
    return -(-count // PAD) * PAD


# ------------------------------------------------------------------------------------ dimensions


def merged(kernel: LoopKernel) -> LoopKernel:
    """Without dimensions of one point, and neighbours as one where every access allows it; inner is never empty."""
    outer, inner = _merge(kernel, 0, kernel.outer), _merge(kernel, len(kernel.outer), kernel.inner)
    sizes = kernel.outer + kernel.inner
    dims = [*outer, *inner]
    where = {old[-1]: new for new, old in enumerate(dims)}
    extra = () if inner else (1,)

    def access(a: Access) -> Access:
        return a._replace(strides=tuple(a.strides[old[-1]] for old in dims) + (0,) * len(extra))

    body = []
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            s = s._replace(access=access(s.access))
        elif isinstance(s, Index):
            dropped = s.dimension not in where
            s = Constant(s.start, np.dtype(np.int64)) if dropped else s._replace(dimension=where[s.dimension])
        body.append(s)
    return LoopKernel(
        tuple(prod(sizes[d] for d in old) for old in outer),
        tuple(prod(sizes[d] for d in old) for old in inner) + extra,
        tuple(body),
        kernel.operands,
        kernel.outputs,
    )


def _merge(kernel: LoopKernel, first: int, sizes: Sequence[int]) -> list[list[int]]:
    accesses = [s.access for s in kernel.body if isinstance(s, Load | Store | Accumulate)]
    indexed = {s.dimension for s in kernel.body if isinstance(s, Index)}
    dims: list[list[int]] = []
    for dim in range(first, first + len(sizes)):
        size = sizes[dim - first]
        if size == 1:
            continue
        before = dims[-1][-1] if dims else None
        if (
            before is not None
            and not indexed & {before, dim}
            and all(a.strides[before] == a.strides[dim] * size for a in accesses)
        ):
            dims[-1].append(dim)
        else:
            dims.append([dim])
    return dims


def _full(kernel: LoopKernel) -> bool:
    """Whether every accumulation that is not a total has one result an inner point."""
    inner = range(len(kernel.outer), len(kernel.outer) + len(kernel.inner))
    return all(
        s.over_inner or all(s.access.strides[d] for d in inner) for s in kernel.body if isinstance(s, Accumulate)
    )


# ------------------------------------------------------------------------------------ statements


def _levels(kernel: LoopKernel, tasks: tuple[int, ...], along: int) -> tuple[int, ...]:
    def of(dim: int) -> int:
        return LANE if dim == along else TASK if dim in tasks else SERIAL

    def reached(access: Access) -> int:
        return max((of(d) for d, stride in enumerate(access.strides) if stride), default=ONCE)

    levels: list[int] = []
    for s in kernel.body:
        if isinstance(s, Load):
            levels.append(reached(s.access))
        elif isinstance(s, Index):
            levels.append(of(s.dimension))
        elif isinstance(s, Map):
            levels.append(max((levels[a] for a in s.args), default=ONCE))
        elif isinstance(s, Reduce):
            levels.append(TASK)
        elif isinstance(s, Store):
            levels.append(max(levels[s.arg], reached(s.access)))
        elif isinstance(s, Accumulate):
            levels.append(LANE if s.over_inner else max(TASK, levels[s.arg], reached(s.access)))
        else:
            levels.append(ONCE)
    return tuple(levels)


def _stages(kernel: LoopKernel) -> tuple[int, ...]:
    stages: list[int] = []
    for s in kernel.body:
        if isinstance(s, Map):
            stages.append(max((stages[a] + isinstance(kernel.body[a], Reduce) for a in s.args), default=0))
        elif isinstance(s, Reduce | Store | Accumulate):
            stages.append(stages[s.arg] + isinstance(kernel.body[s.arg], Reduce))
        else:
            stages.append(0)
    read = {s.access.operand for s in kernel.body if isinstance(s, Load)}
    last = max(stages, default=0)
    for position, s in enumerate(kernel.body):
        if isinstance(s, Store) and s.access.operand in read:
            stages[position] = last  # a stage before may read the old values again
    return tuple(stages)


def _work(
    kernel: LoopKernel, levels: tuple[int, ...], stages: tuple[int, ...], row: int
) -> tuple[frozenset[int], tuple[tuple[int, ...], ...]]:
    """What to keep in buffers of ``row`` elements (0: nothing), and what each stage runs within its loops."""
    body, kept, budget = kernel.body, set[int](), ROW_BUFFERS
    work: list[tuple[int, ...]] = []
    for stage in range(max(stages, default=0), -1, -1):
        found: set[int] = set()
        pending = [p for p in kept if stages[p] == stage]
        for position, s in enumerate(body):
            effect = isinstance(s, Reduce) or (isinstance(s, Store | Accumulate) and levels[position] > TASK)
            if effect and stages[position] == stage:
                pending.append(position)
        while pending:
            position = pending.pop()
            if position in found:
                continue
            found.add(position)
            s = body[position]
            bytes_ = row * s.dtype.itemsize if isinstance(s, Load | Map) else 0
            if (
                stages[position] < stage
                and levels[position] == LANE
                and 0 < bytes_ <= budget
                and position not in kept
                and _cost(kernel, position) > WORTH_KEEPING
            ):
                kept.add(position)
                budget -= bytes_
            if position in kept and stages[position] < stage:
                continue
            args = s.args if isinstance(s, Map) else (s.arg,) if isinstance(s, Reduce | Store | Accumulate) else ()
            pending.extend(a for a in args if levels[a] > TASK)
        work.append(tuple(sorted(found)))
    return frozenset(kept), tuple(reversed(work))


def _cost(kernel: LoopKernel, position: int) -> int:
    """Of computing a value from what is in memory, in operations."""
    seen, pending, cost = set(), [position], 0
    while pending:
        at = pending.pop()
        if at in seen:
            continue
        seen.add(at)
        s = kernel.body[at]
        if isinstance(s, Map):
            cost += _COSTLY.get(s.op, 1)
            pending.extend(s.args)
        elif isinstance(s, Load) and s.access.strides[-1] not in (0, 1):
            cost += 16
    return cost


def stage_cost(kernel: LoopKernel, positions: Sequence[int]) -> int:
    """Operations at each lane; a load or store counts as one."""
    return sum(_COSTLY.get(s.op, 1) if isinstance(s, Map) else 1 for s in (kernel.body[p] for p in positions))

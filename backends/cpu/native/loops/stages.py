"""When the statements of a loop kernel run: at which level of the loops, in which stage, and which values are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_core.compiler.loops import Access, Accumulate, Index, Load, LoopKernel, Map, Reduce, Statement, Store

from ..machine import Machine

ONCE, TASK, SERIAL, LANE = range(4)  # levels: known before all tasks, in a task, at a serial point, at a column

ROW_BUFFERS = 64 << 10  # bytes of values kept from one stage to the next
WORTH_KEEPING = 2  # operations; what costs less is computed again (4 or more cost a quarter of layer norm with softmax)
FAR = 16  # operations that loading a vector of elements is worth that are not neighbours
LIGHT = 20  # operations a lane below which a loop takes several vectors at once
VECTORS_AT_ONCE = 4

_COSTS = {
    8: "div sqrt rsqrt reciprocal floor_div mod fmod",
    12: """exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt sigmoid
        erf""",
    30: "pow atan2 hypot",
}
_COSTLY = {name: cost for cost, names in _COSTS.items() for name in names.split()}


def levels_of(kernel: LoopKernel, tasks: Sequence[int], along: Sequence[int | None], columns: int) -> tuple[int, ...]:
    """``columns``: the level of what varies along the dimensions ``along``."""
    innermost = max(columns, SERIAL)

    def of(dim: int) -> int:
        return columns if dim in along else TASK if dim in tasks else SERIAL

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
            levels.append(innermost if s.over_inner else max(TASK, levels[s.arg], reached(s.access)))
        else:
            levels.append(ONCE)
    return tuple(levels)


def stages_of(kernel: LoopKernel, shared: Sequence[int] | None = None) -> tuple[int, ...]:
    """``shared``: the levels, if several threads do a task, and all are to have read before one writes."""
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
        if isinstance(s, Store) and (s.access.operand in read or (shared and shared[position] == TASK)):
            stages[position] = last  # an earlier stage, or another thread in it, may read the old values
    return tuple(stages)


def work_of(
    kernel: LoopKernel, levels: Sequence[int], stages: Sequence[int], innermost: int, row: int, along: int
) -> tuple[frozenset[int], tuple[tuple[int, ...], ...]]:
    """What to keep from one stage to the next, and what each stage runs within its loops.

    Only what changes at the ``innermost`` level is kept, ``row`` elements of it; 0: nothing is.
    """
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
                and levels[position] == innermost
                and 0 < bytes_ <= budget
                and position not in kept
                and _cost(kernel, position, along) > WORTH_KEEPING
            ):
                kept.add(position)
                budget -= bytes_
            if position in kept and stages[position] < stage:
                continue
            args = s.args if isinstance(s, Map) else (s.arg,) if isinstance(s, Reduce | Store | Accumulate) else ()
            pending.extend(a for a in args if levels[a] > TASK)
        work.append(tuple(sorted(found)))
    return frozenset(kept), tuple(reversed(work))


def _cost(kernel: LoopKernel, position: int, along: int) -> int:
    """Of computing a value from what is in memory, in operations; what is costly in itself is kept, and in memory."""
    seen, pending, cost = set[int](), [position], 0
    while pending:
        at = pending.pop()
        own = _own_cost(kernel.body[at], along)
        if at in seen:
            continue
        seen.add(at)
        if at != position and own > WORTH_KEEPING:
            continue
        s = kernel.body[at]
        cost += own
        if isinstance(s, Map):
            pending.extend(s.args)
    return cost


def _own_cost(s: Statement, along: int) -> int:
    if isinstance(s, Map):
        return _COSTLY.get(s.op, 1)
    return FAR if isinstance(s, Load) and s.access.strides[along] not in (0, 1) else 0


def operations(kernel: LoopKernel, positions: Sequence[int]) -> int:
    """At one point; a load or store counts as one."""
    return sum(_COSTLY.get(s.op, 1) if isinstance(s, Map) else 1 for s in (kernel.body[p] for p in positions))


def lanes_held(kernel: LoopKernel, levels: Sequence[int], machine: Machine) -> int:
    """As many as one register holds of the floating-point type; of the largest type where there is none."""
    held = []
    for s, level in zip(kernel.body, levels, strict=True):
        if isinstance(s, Store | Accumulate) and level > TASK:
            held.append(np.dtype(kernel.operands[s.access.operand]))
        elif isinstance(s, Reduce) or (isinstance(s, Load | Map) and level > TASK):
            held.append(np.dtype(s.dtype))
    sizes = [d.itemsize for d in held if d.kind == "f"] or [d.itemsize for d in held]
    return max(1, machine.vector_bytes // max(sizes, default=8))


def at_once(kernel: LoopKernel, work: Sequence[int], lanes: int) -> int:
    """How many vectors one round of a loop takes: several, if there is little to do for each."""
    return VECTORS_AT_ONCE if lanes > 1 and operations(kernel, work) <= LIGHT else 1

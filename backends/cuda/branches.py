"""Which steps of a compiled graph may run at the same time, and on which of a few branches each is to run.

One step comes after another if both touch the same bytes and one of them writes there: what it reads, what is written
over it, places in the arena that are used again, workspace. Whoever needs what there is but once, such as the memory
pool of ordinary kernels, comes after whoever needed it before. All else may run at the same time, and results have the
same bits on any branches.

Branches are filled step by step: of what is ready, that which most work waits for goes to where it begins first (list
scheduling by critical path; Graham 1966, "Bounds for certain multiprocessing anomalies"). How long steps take is
estimated, so whether branches pay is left to ``trials.py``. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_core import context
from autograd_core.compiler.ir import Var
from autograd_core.compiler.steps import Host, Note, read, written
from autograd_core.compiler.storage import ARENA, Storage, byte_count

from .steps import Plan

# Estimates for a large GPU, in seconds, and bytes and operations a second; none has been compared with hardware.
NODE = 2.5e-6  # a small kernel, from the end of the one before to its own
ACROSS = 0.5e-6  # more, if it waits for another branch
BANDWIDTH = 2.5e12
ARITHMETIC = 3e13
CALLED = 4  # kernels of a step that ordinary kernels compute
TRIED = (2, 4)  # branches
SMALLEST = 4  # steps: fewer are one chain
WORTH = 0.98  # of the estimate for one chain: what branches are tried for
SPARE = 64 << 20  # bytes that the arena may have more, so that branches need not wait for places


class Access(NamedTuple):
    """Bytes of memory that a step touches. block: the same number for arrays that share bytes."""

    block: int
    begin: int
    end: int
    writes: bool


def accesses(plan: Plan, arrays: Sequence[Any]) -> list[list[Access]]:
    """Of each step, on these arrays of the storage's table.

    Kernels are told where an array begins that holds a view, so all of that array counts.
    """
    storage, blocks = plan.storage, _blocks(arrays)
    found = []
    for step, scratch in zip(plan.steps, storage.scratch, strict=True):
        touched = []
        for v, writes in _values(step, storage):
            place = storage.operand(v, start=True)
            begin = arrays[place.base].data.ptr + place.offset
            touched.append(Access(blocks[place.base], begin, begin + byte_count(v), writes))
        if scratch is not None:
            begin = arrays[ARENA].data.ptr + scratch
            touched.append(Access(blocks[ARENA], begin, begin + step_workspace(step), True))
        found.append(touched)
    return found


def _values(step: Any, storage: Storage) -> Iterator[tuple[Var, bool]]:
    """What holds the values that a step reads, and those that it writes."""
    for values, writes in ((read(step), False), (written(step), True)):
        for v in dict.fromkeys(map(storage.root, values)):
            if v.aval.size:
                yield v, writes


def _blocks(arrays: Sequence[Any]) -> dict[int, int]:
    """A number for every array, equal for those that share bytes, or share them with others in between."""
    spans = sorted((a.data.ptr, a.data.ptr + a.nbytes, base) for base, a in enumerate(arrays) if _is_there(a))
    blocks: dict[int, int] = {}
    block = end = -1
    for begin, last, base in spans:
        block = block if begin < end else base
        blocks[base], end = block, max(end, last)
    return blocks


def _is_there(array: Any) -> bool:
    return array is not None and array.nbytes > 0


def step_workspace(step: Any) -> int:
    return step.source.workspace if hasattr(step, "source") else step.workspace


def is_ordinary(step: Any) -> bool:
    """Whether the device's ordinary kernels compute it: their memory comes from a pool, by the stream that asks."""
    has_own = any(getattr(step, name, None) is not None for name in ("source", "rendered", "plans", "problem"))
    return type(step) is Host or not has_own


def needs(step: Any) -> tuple[str, ...]:
    """What there is but once: the pool, which gives what one step has let go to the next; all of the GPU at a time, for
    kernels whose blocks wait for one another. Steps of other kinds name theirs in ``needs``.
    """
    return ("pool", "all blocks") if is_ordinary(step) else getattr(step, "needs", ())


def dependencies(touched: Sequence[Collection[Access]], needed: Sequence[Collection[str]]) -> list[frozenset[int]]:
    """The steps that each must come after; what follows from others may be left out.

    touched: by each step, in order. needed: by each, what there is but once.
    """
    seen: dict[int, list[tuple[int, Access]]] = {}
    last: dict[str, int] = {}
    found = []
    for n, (some, names) in enumerate(zip(touched, needed, strict=True)):
        after = {last[name] for name in names if name in last}
        last.update(dict.fromkeys(names, n))
        for a in some:
            others = seen.get(a.block, ())
            after |= {m for m, b in others if (a.writes or b.writes) and a.begin < b.end and b.begin < a.end}
        found.append(frozenset(after))
        for a in some:
            if a.writes:  # whoever comes after this comes after what was here before
                others = seen.get(a.block, [])
                seen[a.block] = [(m, b) for m, b in others if m == n or not a.begin <= b.begin <= b.end <= a.end]
            seen.setdefault(a.block, []).append((n, a))
    return found


# ------------------------------------------------------------------------------------------ branches


class Schedule(NamedTuple):
    """order: all steps, none before one that it must come after. branch: of each. seconds: the estimate of all."""

    order: tuple[int, ...]
    branch: tuple[int, ...]
    seconds: float

    @property
    def branches(self) -> int:
        return max(self.branch, default=0) + 1


def chain(count: int, seconds: float = 0.0) -> Schedule:
    """One step after the other."""
    return Schedule(tuple(range(count)), (0,) * count, seconds)


class Independence(NamedTuple):
    """after: what each step must come after. seconds: that each takes, estimated; busy: those of a GPU that does
    nothing else. kept: the steps that stay on branch 0.
    """

    after: Sequence[Collection[int]]
    seconds: Sequence[float]
    busy: float
    kept: Collection[int]

    def on(self, branches: int) -> Schedule:
        found = scheduled(self.after, self.seconds, branches, self.kept)
        return found._replace(seconds=max(found.seconds, self.busy))

    def worthwhile(self) -> dict[int, Schedule]:
        """By number of branches, what is worth a trial."""
        found: dict[int, Schedule] = {}
        for branches in TRIED if len(self.after) >= SMALLEST else ():
            schedule = self.on(branches)
            if schedule.branches > max(found, default=1) and schedule.seconds < WORTH * sum(self.seconds):
                found[branches] = schedule
        return found


def independence(
    touched: Sequence[Collection[Access]], steps: Sequence[Any], notes: Sequence[Note], math: str
) -> Independence:
    """Of steps that touch these bytes, in that math mode."""
    after = dependencies(touched, [needs(step) for step in steps])
    busy = [
        max(note.bytes / BANDWIDTH, getattr(step, "flops", 0) / ARITHMETIC)
        for step, note in zip(steps, notes, strict=True)
    ]
    seconds = [launches(step, math) * NODE + alone for step, alone in zip(steps, busy, strict=True)]
    return Independence(after, seconds, sum(busy), {n for n, step in enumerate(steps) if is_ordinary(step)})


def launches(step: Any, math: str) -> int:
    """Kernels that a step is, roughly."""
    if is_ordinary(step):
        return CALLED
    if hasattr(step, "rendered"):
        return len(step.rendered(math).launches)
    return len(step.source.launches) if hasattr(step, "source") else 1


def scheduled(
    after: Sequence[Collection[int]], seconds: Sequence[float], branches: int, kept: Collection[int] = ()
) -> Schedule:
    """Steps on at most so many branches. kept: those that stay on branch 0."""
    count = len(after)
    followers: list[list[int]] = [[] for _ in range(count)]
    for n, some in enumerate(after):
        for m in some:
            followers[m].append(n)
    rest = [0.0] * count  # from the beginning of each until all is done
    for n in reversed(range(count)):
        rest[n] = seconds[n] + max((rest[m] for m in followers[n]), default=0.0)
    missing = [len(some) for some in after]
    ready = [n for n in range(count) if not missing[n]]
    free, end, branch = [0.0] * branches, [0.0] * count, [0] * count
    order = []
    while ready:
        n = min(ready, key=lambda n: (-rest[n], n))
        ready.remove(n)
        places = range(1 if n in kept else branches)
        begins = [max([free[b], *(end[m] + ACROSS * (branch[m] != b) for m in after[n])]) for b in places]
        last = branch[max(after[n], key=end.__getitem__)] if after[n] else 0
        branch[n] = min(places, key=lambda b: (begins[b], b != last, b))
        end[n] = free[branch[n]] = begins[branch[n]] + seconds[n]
        order.append(n)
        for m in followers[n]:
            missing[m] -= 1
            if not missing[m]:
                ready.append(m)
    return Schedule(tuple(order), tuple(branch), max(end, default=0.0))


# ------------------------------------------------------------------------------------------ places in the arena


def place(
    storage: Storage,
    steps: Sequence[Any],
    notes: Sequence[Note],
    workspaces: Sequence[int],
    over: Collection[tuple[Var, Var]],
    same: Mapping[Var, Var],
) -> None:
    """Give values their places, such that what branches may compute at the same time shares none.

    A place is used again where the one use ends before the other begins, in the order of the steps and on as many
    branches as are worth a trial. Where that takes too much memory, or nothing is won, the order of the steps decides.
    same: outputs that may be the arrays of inputs. The rest is as for ``Storage.place``.
    """
    storage.place(steps, workspaces, over)
    numbers: dict[Var, int] = {}
    touched = [
        [Access(numbers.setdefault(same.get(v, v), len(numbers)), 0, 1, writes) for v, writes in _values(step, storage)]
        for step in steps
    ]
    of = independence(touched, steps, notes, context.current().math)
    found, least = of.worthwhile(), storage.arena
    if not found:
        return
    before = np.triu(np.ones((len(steps), len(steps)), bool), 1)
    for schedule in found.values():
        before &= ordered(schedule, of.after)
    storage.place(steps, workspaces, over, before)
    if storage.arena > least + SPARE:
        storage.place(steps, workspaces, over)


def ordered(schedule: Schedule, after: Sequence[Collection[int]]) -> np.ndarray:
    """At [m, n], whether step n comes after step m."""
    before = np.zeros((len(after), len(after)), bool)
    last: dict[int, int] = {}
    for n in schedule.order:
        b = schedule.branch[n]
        for m in {*after[n], *([last[b]] if b in last else [])}:
            before[:, n] |= before[:, m]
            before[m, n] = True
        last[b] = n
    return before


# ------------------------------------------------------------------------------------------ what waits for what


class Issue(NamedTuple):
    """A step on its branch. waits: steps of others that it waits for; begins: it is the first of its branch, and waits
    for nothing but the beginning of all.
    """

    step: int
    branch: int
    waits: tuple[int, ...]
    begins: bool


def issued(
    schedule: Schedule, after: Sequence[Collection[int]], steps: Collection[int]
) -> tuple[list[Issue], tuple[int, ...]]:
    """These steps in order, and those that the end of branch 0 waits for. What follows from other waits is left out."""
    place: dict[int, int] = {}  # of a step on its branch, from 1
    known: dict[int, dict[int, int]] = {}  # by step: by branch, the last place that comes before it or is its own
    now: dict[int, dict[int, int]] = {0: {}}  # the same by branch, of what comes next there

    def waited(b: int, wanted: Iterable[int]) -> tuple[int, ...]:
        waits = []
        for m in sorted(wanted, key=lambda m: -sum(known[m].values())):
            if now[b].get(schedule.branch[m], 0) < place[m]:
                waits.append(m)
                now[b] = {k: max(known[m].get(k, 0), now[b].get(k, 0)) for k in {**known[m], **now[b]}}
        return tuple(waits)

    last: dict[int, int] = {}
    found = []
    for n in (n for n in schedule.order if n in steps):
        b = schedule.branch[n]
        now.setdefault(b, {})
        waits = waited(b, [m for m in after[n] if m in place])
        found.append(Issue(n, b, waits, b > 0 and b not in last and not waits))
        place[n] = now[b][b] = place.get(last.get(b, -1), 0) + 1
        known[n], last[b] = dict(now[b]), n
    return found, waited(0, [n for b, n in last.items() if b])

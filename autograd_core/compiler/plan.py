"""Where the values of a compiled step lie: one arena in which values that never live at once share bytes.

``plan(units, sizes)`` is told what runs, in order, what each unit reads and writes, and how many bytes each value has.
A value lives from the first unit that touches it to the last. A view is the storage of its base, and keeps it alive.
Inputs, outputs and constants live elsewhere. Workspace lives as long as its unit runs.

To find the smallest arena is NP-hard. Three greedy orders are tried and the smallest result is taken;
``Plan.peak``, the most bytes that live at once, says how much better any plan could be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .ir import GraphError

ALIGNMENT = 64  # a cache line, and the widest vector

Value = Hashable
Origin = Callable[[Value], tuple[Value, int]]  # whose storage a value is, and at which byte of it it starts


class Unit(NamedTuple):
    """What runs at one time. scratch: bytes of workspace.

    in_place: pairs (output, input) such that the unit may write the output over the input, as an elementwise kernel
    may; of each output the first possible one is used.
    """

    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    scratch: int = 0
    in_place: tuple[tuple[Value, Value], ...] = ()


class Plan(NamedTuple):
    """size: of the arena. offsets: of every value in it, and of views. scratch: each unit's workspace, None for none.

    All in bytes. reused: (output, input) written in place. peak: no arena could be smaller.
    """

    size: int
    offsets: dict[Value, int]
    scratch: tuple[int | None, ...]
    reused: tuple[tuple[Value, Value], ...]
    peak: int


class _Block:
    """Bytes that are needed from unit ``first`` to unit ``last``, both included, by the units ``users``."""

    __slots__ = ("first", "last", "number", "offset", "size", "users")

    def __init__(self, size: int, unit: int):
        self.size, self.first, self.last = -(-size // ALIGNMENT) * ALIGNMENT, unit, unit
        self.users = {unit}
        self.offset = self.number = 0

    def use(self, unit: int) -> None:
        self.last = unit
        self.users.add(unit)


def plan(
    units: Sequence[Unit],
    sizes: Mapping[Value, int],
    *,
    elsewhere: Collection[Value] = (),
    views: Mapping[Value, tuple[Value, int]] | None = None,
    before: np.ndarray | None = None,
) -> Plan:
    """Give every value that units touch, and that does not live elsewhere, its place in one arena.

    views: view -> (what it is a view of, which may be a view itself; the byte in it where it starts). before: at
    [i, j], whether unit i has ended when unit j begins, where some run at the same time; in order of their numbers.
    Raises GraphError for a value that is read before it is written.
    """
    views, elsewhere = views or {}, frozenset(elsewhere)

    def origin(value: Value) -> tuple[Value, int]:
        return _root(value, views, elsewhere)

    storage = _lifetimes(units, sizes, elsewhere, origin)
    reused = _reuse(units, storage, origin)
    workspaces = [_Block(u.scratch, i) if u.scratch else None for i, u in enumerate(units)]
    placed = list({id(b): b for b in storage.values()}.values()) + [b for b in workspaces if b is not None]
    size = _place(placed, before)
    offsets = {value: block.offset for value, block in storage.items()}
    for view in views:
        root, start = origin(view)
        if view not in elsewhere and root in storage:
            offsets[view] = storage[root].offset + start
    scratch = tuple(None if b is None else b.offset for b in workspaces)
    return Plan(size, offsets, scratch, tuple(reused), _peak(placed, len(units)))


def _root(value: Value, views: Mapping[Value, tuple[Value, int]], elsewhere: Collection[Value]) -> tuple[Value, int]:
    start = 0
    while value in views and value not in elsewhere:
        value, step = views[value]
        start += step
    return value, start


def _lifetimes(
    units: Sequence[Unit], sizes: Mapping[Value, int], elsewhere: Collection[Value], origin: Origin
) -> dict[Value, _Block]:
    blocks: dict[Value, _Block] = {}
    for i, unit in enumerate(units):
        for root, _ in map(origin, unit.reads):
            if root in blocks:
                blocks[root].use(i)
            elif root not in elsewhere:
                raise GraphError(f"unit {i} reads {root!r}, which lives in the arena and which nothing wrote before")
        for root, _ in map(origin, unit.writes):
            if root in blocks:
                blocks[root].use(i)
            elif root not in elsewhere:
                blocks[root] = _Block(sizes[root], i)
    return blocks


def _reuse(units: Sequence[Unit], storage: dict[Value, _Block], origin: Origin) -> list[tuple[Value, Value]]:
    """Let outputs take over the storage of inputs of their size that die where they are written."""
    reused = []
    for i, unit in enumerate(units):
        taken: set[Value] = set()
        for output, value in unit.in_place:
            root, start = origin(value)
            mine, theirs = storage.get(output), storage.get(root)
            if output in taken or start or mine is None or theirs is None or mine is theirs:
                continue
            others = {v for v in (*unit.reads, *unit.writes) if v != value}
            if (
                mine.first == i
                and theirs.last == i
                and mine.size == theirs.size
                and not any(storage.get(origin(v)[0]) is theirs for v in others)
            ):
                theirs.last = mine.last
                theirs.users |= mine.users
                storage[output] = theirs
                taken.add(output)
                reused.append((output, value))
    return reused


def _place(blocks: Sequence[_Block], before: np.ndarray | None) -> int:
    """Give the blocks their offsets; the bytes that they take together."""
    clashes = None if before is None else _clashes(blocks, before)
    orders = (
        sorted(blocks, key=lambda b: (-b.size, b.first)),
        sorted(blocks, key=lambda b: (b.first, -b.size)),
        sorted(blocks, key=lambda b: -b.size * (b.last - b.first + 1)),
    )
    size, offsets, order = min(((*_greedy(order, clashes), order) for order in orders), key=lambda found: found[0])
    for block, offset in zip(order, offsets, strict=True):
        block.offset = int(offset)
    return size


def _clashes(blocks: Sequence[_Block], before: np.ndarray) -> np.ndarray:
    """Which blocks may live at the same time: some unit of one need not end before some of the other begins, nor the
    other way around.
    """
    used = np.zeros((len(blocks), len(before)), np.float32)
    for number, block in enumerate(blocks):
        block.number = number
        used[number, sorted(block.users)] = 1
    late = used @ (~before).astype(np.float32) @ used.T > 0
    return late & late.T


def _greedy(order: Sequence[_Block], clashes: np.ndarray | None = None) -> tuple[int, np.ndarray]:
    """One block after the other into the narrowest gap, between those that live at the same time, that it fits in."""
    numbers = [b.number for b in order]
    first, last, sizes = (np.array([getattr(b, name) for b in order], np.int64) for name in ("first", "last", "size"))
    offsets = np.zeros(len(order), np.int64)
    for i in range(len(order)):
        if clashes is None:
            rivals = np.flatnonzero((first[:i] <= last[i]) & (last[:i] >= first[i]))
        else:
            rivals = np.flatnonzero(clashes[numbers[i], numbers[:i]])
        rivals = rivals[np.argsort(offsets[rivals], kind="stable")]
        ends = np.maximum.accumulate(offsets[rivals] + sizes[rivals])
        starts = np.concatenate([[0], ends])
        gaps = offsets[rivals] - starts[:-1]
        fitting = np.flatnonzero(gaps >= sizes[i])
        offsets[i] = starts[fitting[np.argmin(gaps[fitting])]] if len(fitting) else starts[-1]
    return int(np.max(offsets + sizes, initial=0)), offsets


def _peak(blocks: Sequence[_Block], units: int) -> int:
    change = np.zeros(units + 1, np.int64)
    for block in blocks:
        change[block.first] += block.size
        change[block.last + 1] -= block.size
    return int(np.max(np.cumsum(change), initial=0))

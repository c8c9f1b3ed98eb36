"""Captured work of the fake: which pieces come after which, what each touches, and whether that is in order.

A stream that waits for an event of a captured one is captured too, until the one that began comes after all its work.
Work that is not in order runs in an order drawn anew for each launch, and may not touch the same bytes, unless it only
reads them.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .hardware import Memory, Queue


class CUDARuntimeError(RuntimeError):
    """An error of the CUDA runtime, by its name."""

    def __init__(self, name: str, explanation: str = ""):
        super().__init__(f"{name}: {explanation}" if explanation else name)
        self.status = name


class Unordered(AssertionError):
    """A race, which CUDA does not see: no error that code under test may take for one of CUDA's."""


class Access(NamedTuple):
    """Bytes of one allocation, from ``begin`` to ``end`` of it."""

    memory: Any  # a weak reference: work keeps no memory alive
    begin: int
    end: int
    writes: bool


def access(memory: Memory, address: int, size: int, *, writes: bool) -> Access:
    begin = address - memory.address
    return Access(weakref.ref(memory), begin, min(begin + size, memory.size), writes)


class Node:
    """One piece of captured work: what it runs, and the bytes it runs on. after: the pieces that it waits for."""

    def __init__(self, name: str, run: Callable[[], None], accesses: Iterable[Access], after: frozenset[int]):
        self.name, self.run, self.accesses, self.after = name, run, list(accesses), after

    def memories(self) -> list[Memory]:
        found = {id(a.memory): a.memory() for a in self.accesses}
        if any(memory is None for memory in found.values()):
            raise RuntimeError(f"a graph replays {self.name} on memory that was freed since it was captured")
        return list(found.values())


class Capture:
    """What streams are given from ``begin_capture`` on, in the order it was given.

    ends: of each stream, the pieces that its next one comes after. broken: the error that ended it before its end.
    """

    def __init__(self, origin: Queue):
        self.origin = origin
        self.nodes: list[Node] = []
        self.ends: dict[Queue, frozenset[int]] = {origin: frozenset()}
        self.broken = self.over = False
        origin.capture = self

    def add(self, queue: Queue, name: str, run: Callable[[], None], accesses: Iterable[Access]) -> None:
        self.nodes.append(Node(name, run, accesses, self.ends[queue]))
        self.ends[queue] = frozenset([len(self.nodes) - 1])

    def breaks(self, name: str, explanation: str) -> CUDARuntimeError:
        """The error of what CUDA does not take; the capture cannot be ended well after it."""
        self.broken = True
        return CUDARuntimeError(name, explanation)

    def wait(self, queue: Queue, ends: frozenset[int]) -> None:
        """What the stream is given from now on comes after these pieces."""
        if queue is self.origin or queue.capture is self:
            self.ends[queue] |= ends
            return
        queue.capture = self
        self.ends[queue] = ends
        self.add(queue, "fork", _nothing, ())  # must be waited for, whatever comes after it

    def end(self) -> list[Node]:
        """The pieces in order, whose streams are free again."""
        self.over = True
        for queue in self.ends:
            queue.capture = None
        if self.broken:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated", "the capture was ended by an error")
        before = _ancestors(self.nodes)
        ends = self.ends[self.origin]
        joined = set(ends).union(*(_numbers(before[n]) for n in ends))
        if left := [node.name for n, node in enumerate(self.nodes) if n not in joined]:
            raise CUDARuntimeError(
                "cudaErrorStreamCaptureUnjoined", f"the stream that began does not wait for {', '.join(left)}"
            )
        _check_order(self.nodes, before)
        return self.nodes


def _nothing() -> None:
    pass


def _ancestors(nodes: Sequence[Node]) -> list[int]:
    """Of each piece, the bits of those it comes after."""
    found: list[int] = []
    for node in nodes:
        bits = 0
        for n in node.after:
            bits |= found[n] | 1 << n
        found.append(bits)
    return found


def _numbers(bits: int) -> list[int]:
    return [n for n, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"]


def _check_order(nodes: Sequence[Node], before: Sequence[int]) -> None:
    """Unordered for two pieces that touch the same bytes, one of them writing, in no order."""
    if all(bits == (1 << n) - 1 for n, bits in enumerate(before)):
        return
    ordered = np.zeros((len(nodes), len(nodes)), bool)
    for n, bits in enumerate(before):
        ordered[n, [*_numbers(bits), n]] = True
    ordered |= ordered.T
    by_memory: dict[Any, list[tuple[int, Access]]] = {}
    for n, node in enumerate(nodes):
        for a in node.accesses:
            if a.begin < a.end:
                by_memory.setdefault(id(a.memory), []).append((n, a))
    for some in by_memory.values():
        owner, begin, end, writes = (np.array(x) for x in zip(*((n, a[1], a[2], a[3]) for n, a in some), strict=True))
        together = (begin[:, None] < end) & (begin < end[:, None]) & (writes[:, None] | writes)
        wrong = np.argwhere(together & ~ordered[np.ix_(owner, owner)])
        if len(wrong):
            (n, a), (m, b) = (some[i] for i in wrong[0])
            raise Unordered(
                f"{nodes[n].name} (piece {n}) and {nodes[m].name} (piece {m}) of a graph come in no order, and one "
                f"writes bytes {max(a.begin, b.begin)} to {min(a.end, b.end)} of memory that the other uses"
            )


def in_some_order(nodes: Sequence[Node], seed: int) -> list[Node]:
    """An order that the pieces may run in, another one for each seed."""
    draw = random.Random(seed)
    missing = [len(node.after) for node in nodes]
    followers: list[list[int]] = [[] for _ in nodes]
    for n, node in enumerate(nodes):
        for m in node.after:
            followers[m].append(n)
    ready = [n for n, count in enumerate(missing) if not count]
    order = []
    while ready:
        n = ready.pop(draw.randrange(len(ready)))
        order.append(nodes[n])
        for m in followers[n]:
            missing[m] -= 1
            if not missing[m]:
                ready.append(m)
    return order


def longest(nodes: Sequence[Node]) -> int:
    """Pieces of work that must come one after the other."""
    found: list[int] = []
    for node in nodes:
        found.append((node.run is not _nothing) + max((found[n] for n in node.after), default=0))
    return max(found, default=0)

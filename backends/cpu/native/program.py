"""Many kernels as one native call: ``assemble(calls) -> Program``, ``program.run(table)``.

What a program works on is given by a table of pointers: parameters, data, an arena for what lives between. Every
operand of a call is a place in one of them. All threads of the team walk through the same calls; they wait for each
other only where a call depends on an earlier one that others may still be at.

Little work is not shared out: a program of less than ALONE_BELOW microseconds runs on the caller's thread, and a call
of less than SERIAL_BELOW on thread 0 of the team, so that chains of such calls need no waiting.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from autograd_core.compiler.storage import Operand

from . import runtime as rt
from .engine import KernelSpec, linked
from .machine import MOST_THREADS, Machine, host
from .team import TEAM

ALONE_BELOW = 40.0  # microseconds on one thread, by ``estimate``: what waking a sleeping worker costs, and some
SERIAL_BELOW = 0.5  # about two barriers
FLOPS_PER_MICROSECOND = 30e3  # a third of what one core's vector units do
BYTES_PER_MICROSECOND = 20e3


class Call(NamedTuple):
    """One kernel on its operands. writes: the positions of those it writes; scratch: its workspace."""

    spec: KernelSpec
    operands: tuple[Operand, ...]
    writes: tuple[int, ...]
    scratch: Operand | None = None


def estimate(call: Call) -> float:
    """Microseconds on one thread: arithmetic or memory, whichever takes longer, as the kernel declares them."""
    moved = call.spec.bytes or sum(o.bytes for o in call.operands)
    return max(call.spec.flops / FLOPS_PER_MICROSECOND, moved / BYTES_PER_MICROSECOND)


class Program:
    """What ``assemble`` makes. It may be run from several Python threads at once, with different tables.

    calls: what it runs. barriers: for each call, whether the team waits before it; ``serial``: whether thread 0 alone
    runs it. microseconds: the estimate for one thread. threads: the most that it uses; None: as many as the team has.
    """

    def __init__(
        self, calls: Sequence[Call], addresses: Sequence[int], code: Any, barriers: Sequence[bool], threads: int | None
    ):
        self.calls = tuple(calls)
        self.barriers = tuple(barriers)
        self.serial = tuple(is_serial(c) for c in calls)
        self.microseconds = sum(map(estimate, calls))
        self.threads = 1 if is_short(calls) else threads
        self._addresses = tuple(addresses)
        self._code = code  # the addresses are good for as long as it lives
        self._record = self._written()
        self._address = ctypes.addressof(self._record)
        self._version = -1
        self._native = rt.runtime()
        # for so short a time, to give up the interpreter's lock costs more than to keep it
        self._run = self._native.run_short if is_short(calls) else self._native.run

    def _written(self) -> ctypes.Array[ctypes.c_int64]:
        words = [0, 1, len(self.calls), max((len(c.operands) for c in self.calls), default=0)]
        for call, address, waits, serial in zip(self.calls, self._addresses, self.barriers, self.serial):
            flags = rt.BARRIER * waits | rt.SERIAL * serial | rt.MAY_FAIL * call.spec.may_fail
            scratch = call.scratch or Operand(0, 0, 0)
            words += [address, flags, len(call.operands), scratch.base, scratch.offset]
            for operand in call.operands:
                words += [operand.base, operand.offset]
        return (ctypes.c_int64 * len(words))(*words)

    @property
    def size(self) -> int:
        """How many threads the last run used."""
        return self._record[rt.SIZE]

    @property
    def code(self) -> Any:
        """The machine code of its kernels (``engine.Code``)."""
        return self._code

    def run(self, table: Any) -> int:
        """Run all calls; 0, or the error code that a kernel stored, after which no further call has run.

        table: the pointers, an array of ctypes (``pointers``) or the address of one, which costs less.
        """
        if self._version != TEAM.version:
            self._join()
        return self._run(self._address, table)

    def profile(self, table: Any) -> list[float]:
        """Run all calls and return the seconds that each took; 0 from the one on that fails."""
        self._join()
        stamps = (ctypes.c_int64 * (len(self.calls) + 1))()
        self._native.profile(self._address, table, ctypes.addressof(stamps))
        seconds = rt.seconds_per_tick()
        return [max(0, after - before) * seconds for before, after in pairwise(stamps)]

    def function(self, call: int) -> int:
        """The address of a call's machine code."""
        return self._addresses[call]

    def _join(self) -> None:
        """Note where the team is, and how many of it to use."""
        self._version = TEAM.version
        size = TEAM.size if self.threads is None else min(self.threads, TEAM.size)
        if size > 1:
            size = TEAM.start(size)
        self._record[rt.SIZE] = size
        self._record[rt.CONTROL] = TEAM.control


def pointers(addresses: Sequence[int]) -> ctypes.Array:
    """A table for ``Program.run``: entries may be assigned; ``ctypes.addressof(table)`` is its address."""
    return (ctypes.c_int64 * max(1, len(addresses)))(*addresses)


def assemble(
    calls: Sequence[Call],
    machine: Machine | None = None,
    *,
    threads: int | None = None,
    aliases: Mapping[int, int] | None = None,
) -> Program:
    """One program of these calls, in this order. Kernels with equal keys are compiled once.

    threads: the most that it may use; None: as many as the team has. Workspaces must do for so many. aliases: base ->
    another base that may point to the same array (a parameter and its updated value, say). That other bases do not
    overlap is the caller's promise.
    """
    short = is_short(calls)
    for call in calls:
        _check(call, 1 if short or is_serial(call) else MOST_THREADS if threads is None else threads)
    code, addresses = linked([call.spec for call in calls], machine or host())
    return Program(calls, addresses, code, barriers(calls, aliases), threads)


def _check(call: Call, threads: int) -> None:
    spec = call.spec
    count = spec.operands + spec.listed
    if len(call.operands) != count:
        raise ValueError(f"{spec.name} takes {count} operands, got {len(call.operands)}")
    if not all(0 <= w < count for w in call.writes):
        raise ValueError(f"{spec.name} has {count} operands, and is said to write {call.writes}")
    needed = spec.workspace(threads)
    if needed and (call.scratch is None or call.scratch.bytes < needed):
        raise ValueError(f"{spec.name} needs {needed} bytes of scratch, got {call.scratch}")


# ------------------------------------------------------------------------------------ who waits for whom


def is_short(calls: Sequence[Call]) -> bool:
    """Whether one thread is done with them before another would be awake."""
    return sum(map(estimate, calls)) < ALONE_BELOW


def is_serial(call: Call) -> bool:
    """Whether sharing the call out costs more than it gives."""
    return estimate(call) < SERIAL_BELOW


_Touched = dict[tuple[int, bool], list[Operand]]  # what calls touched, by base and whether thread 0 alone did


def barriers(calls: Sequence[Call], aliases: Mapping[int, int] | None = None) -> list[bool]:
    """For each call, whether threads must wait before it. aliases: as in ``assemble``.

    They must if, since they last waited, a call wrote what this one reads or writes, or read what this one writes,
    unless thread 0 alone did both. Workspace is read and written.
    """
    needed = []
    reads: _Touched = {}
    writes: _Touched = {}
    for call in calls:
        serial = is_serial(call)
        operands = [o._replace(base=_first(o.base, aliases or {})) for o in call.operands]
        written = set(call.writes)
        own_writes = [o for i, o in enumerate(operands) if i in written]
        if call.scratch is not None:
            own_writes.append(call.scratch)
        own_reads = [o for i, o in enumerate(operands) if i not in written]
        waits = _meets([*own_reads, *own_writes], writes, serial) or _meets(own_writes, reads, serial)
        if waits:
            reads, writes = {}, {}
        needed.append(waits)
        for touched, own in ((reads, own_reads), (writes, own_writes)):
            for o in own:
                touched.setdefault((o.base, serial), []).append(o)
        if call.spec.may_fail:  # the threads wait after it
            reads, writes = {}, {}
    return needed


def _first(base: int, aliases: Mapping[int, int]) -> int:
    while base in aliases:
        base = aliases[base]
    return base


def _meets(operands: Sequence[Operand], earlier: _Touched, serial: bool) -> bool:
    return any(
        o.offset < e.offset + e.bytes and e.offset < o.offset + o.bytes
        for o in operands
        for others in ((False,) if serial else (False, True))
        for e in earlier.get((o.base, others), ())
    )

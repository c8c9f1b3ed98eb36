"""A machine that runs PTX: registers are arrays over the threads of many blocks, in lockstep as far as they agree.

Threads that differ have program counters of their own: those that are furthest back go first, so that they meet again.
A block waits at its barriers for all its threads; threads that look whether others have arrived (ld.acquire) let those
go first. What no kernel of ours has used so far is an error with the instruction's text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import ptx_warps
from ptx_access import Accesses, Array, Step, Where
from ptx_arithmetic import CARRY, TYPES, operation
from ptx_memory import AccessError, Global
from ptx_parser import Function, Immediate, Instruction, Module, Symbol, Vector

READY, WAITING, DONE, LOOKING = range(4)
PATIENCE = 4  # rounds in which all that is left is to look again
_ENDS = ("bra", "ret", "exit", "call", "bar")
_IGNORED = ("membar", "fence")  # blocks and threads see all writes at once here


class MachineError(Exception):
    """What a kernel does that hardware would not, or not surely, do as it is meant."""


@dataclass
class Block:
    """Instructions that are executed one after the other. end: what the last one is, with where it may go."""

    steps: list[Step]
    texts: list[Instruction]
    end: str = ""
    guard: tuple[Array, bool] | None = None
    target: int = 0
    callee: str = ""
    function: str | None = None  # in which it is, if that is called
    looks: bool = False  # for what other threads write meanwhile


class Machine:
    """One entry of a module for so many blocks of so many threads, run to its end.

    arguments: numbers, addresses among them. shared: bytes beside what the entry declares. together: whether blocks may
    wait for each other; else no block may meet another at one place of global memory. only: how many blocks are run, if
    not all.
    """

    def __init__(
        self,
        module: Module,
        entry: str,
        memory: Global,
        arguments: Sequence[int],
        *,
        grid: int,
        block: int,
        shared: int = 0,
        together: bool = False,
        at_once: int = 2048,
        only: int | None = None,
    ):
        f = module.functions[entry]
        if block % 32:
            raise MachineError(f"{block} threads are no whole warps")
        tables = _placed(module, memory)
        named = dict(zip((p.name for p in f.parameters), arguments, strict=True))
        most = grid if together else max(1, at_once // block)
        self.count: Counter[str] = Counter()  # instructions that warps have executed, by opcode
        self.inner: Counter[str] = Counter()  # those of basic blocks that multiply on tensor cores
        memory.begin()
        last = min(grid, only or grid)
        for first in range(0, last, most):
            blocks = min(most, last - first)
            given = module, f, tables, first, blocks, block, grid, shared
            run = _Run(*given, memory=memory, arguments=named, together=together)
            with np.errstate(all="ignore"):
                run.go()
            run.add_to(self.count, self.inner)


def _placed(module: Module, memory: Global) -> dict[str, int]:
    """Addresses of a module's own variables in global memory."""
    found = {}
    for v in module.variables:
        if v.space in ("global", "const"):
            kind = np.dtype(f"u{int(v.type[1:]) // 8}")
            values = np.zeros(v.size // kind.itemsize, kind)
            values[: len(v.values)] = [n % (1 << 8 * kind.itemsize) for n in v.values]
            found[v.name] = memory.add(values)
    return found


class _Run(Accesses):
    """Blocks that run at once, to their end."""

    def __init__(self, *given: Any, **options: Any):
        super().__init__(*given, **options)
        self._functions: dict[str, int] = {}
        self._callers: dict[str, Array] = {}  # where each thread goes on after a function
        self._returned: dict[int, list[Step]] = {}  # what is done with a call's results, by the block that follows
        self.program: list[Block] = []
        self._compiled(self.entry)
        self.visits = np.zeros(len(self.program), np.int64)  # by warps
        self.state = np.full(self.threads, READY, np.int8)
        self.at = np.zeros(self.threads, np.int64)

    # ------------------------------------------------------------------------------------------ instructions

    def _compiled(self, f: Function) -> int:
        """Where the function's blocks begin."""
        if f.name in self._functions:
            return self._functions[f.name]
        begin = self._functions[f.name] = len(self.program)
        if not f.is_entry:
            self._callers[f.name] = np.zeros(self.threads, np.int64)
        starts = {0, *f.labels.values()}
        for n, i in enumerate(f.instructions):
            if i.opcode.split(".")[0] in _ENDS:
                starts.add(n + 1)
        order = sorted(s for s in starts if s < len(f.instructions))
        number = {s: begin + k for k, s in enumerate(order)}
        blocks = [Block([], [], function=None if f.is_entry else f.name) for _ in order]
        self.program += blocks
        callees = []
        for k, start in enumerate(order):
            stop = order[k + 1] if k + 1 < len(order) else len(f.instructions)
            block = blocks[k]
            for i in f.instructions[start:stop]:
                block.texts.append(i)
                if i.opcode.split(".")[0] in _ENDS:
                    self._end(f, block, i, number)
                    callees += [block.callee] if block.callee else []
                else:
                    block.looks |= ".acquire" in i.opcode or ".volatile" in i.opcode
                    block.steps.append(self._step(f, i))
        for name in callees:
            self._compiled(self.module.functions[name])
        return begin

    def _end(self, f: Function, block: Block, i: Instruction, number: dict[int, int]) -> None:
        kind = i.opcode.split(".")[0]
        block.end = kind
        if i.guard is not None:
            block.guard = self._view(f, i.guard[0], "?"), i.guard[1]
        if kind == "bra":
            (target,) = i.operands
            assert isinstance(target, Symbol)
            block.target = number[f.labels[target.name]]
        elif kind == "call":
            returned, name, given = i.operands if len(i.operands) == 3 else (Vector(()), *i.operands)
            assert isinstance(name, Symbol)
            assert isinstance(returned, Vector)
            assert isinstance(given, Vector)
            callee = self.module.functions[name.name]
            block.callee = callee.name
            for actual, formal in zip(given.parts, callee.parameters, strict=True):
                block.steps.append(self._moved((f.name, actual.name), (callee.name, formal.name), formal.size))
            for actual, formal in zip(returned.parts, callee.returned, strict=True):
                step = self._moved((callee.name, formal.name), (f.name, actual.name), formal.size)
                self._returned.setdefault(self.program.index(block) + 1, []).append(step)
        elif (kind == "bar" and (i.opcode not in ("bar.sync", "barrier.sync") or i.operands != (Immediate("0"),))) or (
            i.guard is not None and kind not in ("ret", "exit")
        ):
            raise NotImplementedError(i.text)

    def _step(self, f: Function, i: Instruction) -> Step:
        try:
            step = self._unguarded(f, i)
        except (NotImplementedError, KeyError, ValueError, AssertionError) as error:
            raise NotImplementedError(f"{i.text}: {error}") from error
        if i.guard is None:
            return step
        predicate, negated = self._view(f, i.guard[0], "?"), i.guard[1]

        def guarded(where: Where) -> None:
            chosen = ~predicate if negated else predicate
            step(chosen.copy() if where is True else where & chosen)

        return guarded

    def _unguarded(self, f: Function, i: Instruction) -> Step:
        base, *rest = i.opcode.split(".")
        if base in _IGNORED:
            return lambda where: None
        if base in ("ld", "st"):
            return self._access(f, i, base, rest)
        if base == "mov":
            return self._move(f, i, TYPES[rest[0]])
        if base == "cvta" and rest == ["to", "global", "u64"]:
            return self._move(f, i, "u8")
        made = {"atom": self._atomic, "red": self._atomic, "shfl": self._shuffle, "mma": self._multiply}
        made |= {"cp": self._copy, "griddepcontrol": self._dependency}
        if base in made:
            return made[base](f, i, rest)
        return self._arithmetic(f, i)

    def _arithmetic(self, f: Function, i: Instruction) -> Step:
        found = operation(i.opcode)
        given = list(i.operands)
        results = [self._carry if kind == CARRY else self._result(f, given.pop(0), kind) for kind in found.results]
        values = [self._carry if kind == CARRY else self._value(f, given.pop(0), kind) for kind in found.operands]
        assert not given, "more operands than it takes"
        if found.in_place and results[0].dtype == np.dtype(found.results[0]):
            function = partial(found.function, *values, out=results[0])
            return lambda where: function(where=where)
        function = found.function
        if len(results) == 1:
            return lambda where: np.copyto(results[0], function(*values), where=where)

        def several(where: Where) -> None:
            for place, value in zip(results, function(*values), strict=True):
                np.copyto(place, value, where=where)

        return several

    def _move(self, f: Function, i: Instruction, kind: str) -> Step:
        to, source = i.operands
        if isinstance(to, Vector):
            word = self._value(f, source, kind)
            part = f"u{np.dtype(kind).itemsize // len(to.parts)}"
            places = [None if isinstance(p, Symbol) else self._result(f, p, part) for p in to.parts]

            def unpacked(where: Where) -> None:
                parts = np.broadcast_to(word, self.threads).copy().view(part).reshape(self.threads, -1)
                for k, place in enumerate(places):
                    if place is not None:
                        np.copyto(place, parts[:, k], where=where)

            return unpacked
        result = self._result(f, to, kind)
        if isinstance(source, Vector):
            part = f"u{np.dtype(kind).itemsize // len(source.parts)}"
            values = [self._value(f, p, part) for p in source.parts]

            def packed(where: Where) -> None:
                whole = np.stack([np.broadcast_to(v, self.threads) for v in values], axis=1)
                np.copyto(result, whole.view(kind)[:, 0], where=where)

            return packed
        value = self._value(f, source, kind)
        return lambda where: np.copyto(result, value, where=where)

    # ------------------------------------------------------------------------------------------------- warps

    def whole_warps(self, where: Where, mask: Any = 0xFFFFFFFF, exited: bool = True) -> Array | bool:
        """Warps in which all lanes take part that have to; an error where only some are here."""
        if where is True:
            return True
        lanes = where.reshape(-1, 32)
        asked = (np.broadcast_to(mask, self.threads).reshape(-1, 32)[:, :1].astype(np.int64) >> np.arange(32)) & 1 == 1
        gone = (self.state == DONE).reshape(-1, 32) if exited else np.zeros_like(lanes)
        some = lanes.any(axis=1)
        if (some[:, None] & asked & ~lanes & ~gone).any() or (lanes & ~asked).any():
            raise MachineError("lanes of a warp are asked for that do something else")
        return some

    def _shuffle(self, f: Function, i: Instruction, rest: list[str]) -> Step:
        assert rest[0] == "sync"
        assert rest[2] == "b32"
        mode = rest[1]
        to, a, b, c, members = i.operands
        result, *flag = to.parts if isinstance(to, Vector) else (to,)
        place = self._result(f, result, "u4")
        in_range = self._result(f, flag[0], "?") if flag else None
        values = [self._value(f, o, "u4") for o in (a, b, c, members)]

        def exchanged(where: Where) -> None:
            self.whole_warps(where, values[3])
            given, by, clamp, _ = (np.broadcast_to(v, self.threads).reshape(-1, 32) for v in values)
            found, is_there = ptx_warps.shuffled(mode, given, by, clamp)
            np.copyto(place, found.reshape(-1), where=where)
            if in_range is not None:
                np.copyto(in_range, is_there.reshape(-1), where=where)

        return exchanged

    def _multiply(self, f: Function, i: Instruction, rest: list[str]) -> Step:
        assert rest[:2] == ["sync", "aligned"]
        shape = ".".join(rest[2:])
        vectors = [o.parts for o in i.operands if isinstance(o, Vector)]
        assert len(vectors) == 4
        results = [self._result(f, o, "f4") for o in vectors[0]]
        kinds = ("u4", "u4", "f4")
        given = [[self._value(f, o, kind) for o in v] for v, kind in zip(vectors[1:], kinds, strict=True)]

        def multiplied(where: Where) -> None:
            some = self.whole_warps(where, exited=False)
            rows = slice(None) if some is True else np.flatnonzero(some)
            a, b, c = ([np.broadcast_to(v, self.threads).reshape(-1, 32)[rows] for v in part] for part in given)
            for place, values in zip(results, ptx_warps.multiplied(shape, a, b, c), strict=True):
                place.reshape(-1, 32)[rows] = values

        return multiplied

    # ------------------------------------------------------------------------------------------------ running

    def go(self) -> None:
        """Until all threads have ended."""
        rounds = changes = 0
        while True:
            ready = self.state == READY
            if not ready.any():
                if (self.state == DONE).all():
                    return
                looking = self.state == LOOKING
                if not looking.any():
                    raise MachineError("threads wait at different places")
                rounds = rounds + 1 if changes == self._changes else 0
                changes = self._changes
                if rounds > PATIENCE:
                    raise MachineError("blocks wait for others that never arrive")
                self.state[looking] = READY
                continue
            number = int(self.at[ready].min())
            where = ready & (self.at == number)
            self._execute(number, True if where.all() else where)

    def _execute(self, number: int, where: Where) -> None:
        """One basic block by these threads; while all go on together, those that follow."""
        while True:
            block = self.program[number]
            self.visits[number] += self.threads // 32 if where is True else where.reshape(-1, 32).any(axis=1).sum()
            for step in self._returned.get(number, ()):
                step(where)
            for n, step in enumerate(block.steps):
                try:
                    step(where)
                except (AccessError, MachineError) as error:
                    raise MachineError(f"{error}: {block.texts[min(n, len(block.texts) - 1)].text}") from error
            chosen = slice(None) if where is True else where
            follows = self._left(block, number, where, chosen)
            if follows is None or block.looks:
                if follows is not None:
                    self.at[chosen] = follows
                if block.looks:
                    here = self.state == READY if where is True else where & (self.state == READY)
                    self.state[here] = LOOKING
                return
            if where is not True:
                self.at[where] = follows
                return
            number = follows

    def _left(self, block: Block, number: int, where: Where, chosen: Any) -> int | None:
        """Where all of these threads go on; None where they differ, wait or have ended, which is noted."""
        if not block.end:
            return number + 1
        taken: Any = where
        if block.guard is not None:
            predicate, negated = block.guard
            taken = (~predicate if negated else predicate.copy()) if where is True else where & (predicate != negated)
            if not taken.any():
                return number + 1
            if (taken == where).all():
                taken = where
        some = slice(None) if taken is True else taken
        if taken is not where:
            self.at[chosen] = number + 1
        if block.end == "bra":
            if taken is where:
                return block.target
            self.at[some] = block.target
        elif block.end == "call":
            self._callers[block.callee][some] = number + 1
            return self._functions[block.callee]
        elif block.end == "bar":
            self.at[some] = number + 1
            self.state[some] = WAITING
            self._arrived()
        elif block.function is not None:  # the end of one that was called
            self.at[some] = self._callers[block.function][some]
        else:
            self.state[some] = DONE
            self._arrived()
        return None

    def _arrived(self) -> None:
        """Blocks all of whose threads wait go on."""
        state, at = (x.reshape(self.blocks, -1) for x in (self.state, self.at))
        waits, lives = state == WAITING, state != DONE
        released = (waits == lives).all(axis=1) & waits.any(axis=1)
        if released.any():
            first = np.where(waits, at, at.max() + 1).min(axis=1, keepdims=True)
            if (waits & released[:, None] & (at != first)).any():
                raise MachineError("threads of a block wait at different barriers")
            free = (waits & released[:, None]).reshape(-1)
            self.state[free] = READY
            self.shared.era[np.repeat(released, self.block)] += 1

    def add_to(self, count: Counter[str], inner: Counter[str]) -> None:
        """Instructions that warps have executed, by opcode."""
        for block, visits in zip(self.program, self.visits.tolist(), strict=True):
            multiplies = any(i.opcode.startswith("mma") for i in block.texts)
            for i in block.texts if visits else ():
                count[i.opcode] += visits
                if multiplies:
                    inner[i.opcode] += visits

"""When the statements of a row run: in which stage, and which values a thread keeps from one stage to the next."""

from __future__ import annotations

from typing import NamedTuple

from autograd_core.compiler.loops import Constant, Index, Load, Map, Reduce, Store

from .c_types import computed
from .form import Form, PerPoint, Total, live

REGISTER = 4  # bytes
FEW = 2  # operations that are rather done again


class Stages(NamedTuple):
    """of: the stage of each statement. work: of each stage, what runs at every point of the row; kept: values that a
    later stage takes over from the one that makes them."""

    of: tuple[int, ...]
    work: tuple[tuple[int, ...], ...]
    kept: frozenset[int]

    def outside(self, found: Form, stage: int) -> list[int]:
        """What runs once a row in the stage, before its points."""
        needed = live(found)
        return [p for p in needed if self.of[p] == stage and not found.inside(p)]


def stages(found: Form, room: int) -> Stages:
    """room: how many bytes of each point a thread may keep from one stage to the next."""
    of, wanted = _stages(found), live(found)
    last = max(of, default=0)
    kept: set[int] = set()
    free = [room] * last  # between each stage and the next
    work: list[tuple[int, ...]] = []
    for stage in range(last, -1, -1):
        pending = [p for p in kept if of[p] == stage]
        pending += [p for p in wanted if of[p] == stage and _acts(found.body[p]) and found.inside(p)]
        needed: set[int] = set()
        while pending:
            p = pending.pop()
            if p in needed:
                continue
            needed.add(p)
            s, size = found.body[p], max(REGISTER, computed(found.dtype(p)).itemsize)
            if of[p] < stage and p not in kept and _is_kept(found, p) and size <= min(free[of[p] : stage]):
                kept.add(p)
                for between in range(of[p], stage):
                    free[between] -= size
            if of[p] < stage and p in kept:
                continue
            args = s.args if isinstance(s, Map) else () if isinstance(s, Load | Constant | Index) else (s.arg,)
            pending += [a for a in args if found.inside(a) and not isinstance(found.body[a], Reduce)]
        work.append(tuple(sorted(needed)))
    return Stages(of, tuple(reversed(work)), frozenset(kept))


def _is_kept(found: Form, position: int) -> bool:
    """Whether a value is worth a register: what is loaded is, and what takes more than a few operations."""
    pending, operations = [position], 0
    while pending:
        s = found.body[pending.pop()]
        if isinstance(s, Load):
            return True
        if isinstance(s, Map):
            operations += 1
            pending += [a for a in s.args if found.inside(a)]
    return operations > FEW


def _acts(s: object) -> bool:
    return isinstance(s, Reduce | Store | Total | PerPoint)


def _stages(found: Form) -> tuple[int, ...]:
    of: list[int] = []
    for s in found.body:
        args = s.args if isinstance(s, Map) else (s.arg,) if _acts(s) else ()
        of.append(max((of[a] + isinstance(found.body[a], Reduce) for a in args), default=0))
    read = {s.access.operand for s in found.body if isinstance(s, Load)}
    last = max(of, default=0)
    # what is written in place is written when nothing reads the old values any more
    return tuple(last if isinstance(s, Store) and s.access.operand in read else n for s, n in zip(found.body, of))

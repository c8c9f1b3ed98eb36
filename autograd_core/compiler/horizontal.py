"""Horizontal fusion: independent elementwise kernels of one form become one kernel over the arrays of all of them.

An optimizer updates each parameter by a loop kernel of its own. They differ in nothing but arrays and lengths, wait for
nothing of one another, and nobody waits for them. ``joined_across`` makes one unit of such kernels: one piece of code,
which is told where its segments lie and how long they are, so threads can share all elements evenly.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from .epilogue import FusedUnit
from .fuse import LoopUnit, OpaqueUnit, View
from .ir import Equation, Var
from .loops import Access, Constant, Load, LoopKernel, Map, Statement, Store

MOST_OPERANDS = 1024  # of one unit: their addresses are put together before every run


class Segment(NamedTuple):
    """What the kernel does with these arrays: element i of each is at ``offsets`` + i, or there for all i."""

    length: int
    operands: tuple[Var, ...]
    offsets: tuple[int, ...]


class SegmentedUnit(NamedTuple):
    """Loop kernels of one form. ``kernel`` is that form, of length 1: operands are contiguous, or single numbers."""

    kernel: LoopKernel
    segments: tuple[Segment, ...]
    origins: tuple[Equation, ...] = ()

    @property
    def wholes(self) -> tuple[bool, ...]:
        """Which operands are arrays as long as their segment, not single numbers."""
        steps = {s.access.operand: s.access.strides[0] for s in self.kernel.body if isinstance(s, Load | Store)}
        return tuple(bool(steps.get(i)) for i in range(len(self.kernel.operands)))

    @property
    def inputs(self) -> tuple[Var, ...]:
        return tuple(v for s in self.segments for i, v in enumerate(s.operands) if i not in self.kernel.outputs)

    @property
    def outputs(self) -> tuple[Var, ...]:
        return tuple(s.operands[i] for s in self.segments for i in self.kernel.outputs)


AnyUnit = LoopUnit | OpaqueUnit | FusedUnit | SegmentedUnit


def joined_across(
    units: Sequence[LoopUnit | OpaqueUnit | FusedUnit],
    views: Mapping[Var, View],
    replaced: Mapping[Var, Var],
) -> tuple[AnyUnit, ...]:
    """The units, those of one form that may run together as one.

    Only what nobody waits for is joined: kernels whose results are read by such kernels alone, or after the step. What
    others wait for stays where its operands have just been made, and lie in a cache.

    replaced: new value -> old value in whose memory it may be written: who reads the old one still comes before.
    """
    forms = [_form(u) if isinstance(u, LoopUnit) else None for u in units]
    needs = _needs(units, views)
    _keep_last(forms, needs)
    _read_before(units, views, replaced, needs)
    by_form: dict[Hashable, list[int]] = {}
    for i, form in enumerate(forms):
        if form is not None:
            by_form.setdefault(form[0], []).append(i)
    group = list(range(len(units)))  # unit -> the first of those that it runs with
    for members in (some for some in by_form.values() if len(some) > 1):
        for together in _independent(members, group, needs):
            for i in together:
                group[i] = together[0]
    return _ordered(units, forms, group, needs)


# --------------------------------------------------------------------------------------------------- form


def flattened(kernel: LoopKernel) -> tuple[LoopKernel, int, tuple[int, ...]] | None:
    """The kernel over one dimension of length 1, its length, and at which element each operand starts.

    None if it is not elementwise over contiguous arrays and single numbers, each reached in one way.
    """
    sizes = kernel.outer + kernel.inner
    length = prod(sizes)
    if length < 2:  # single numbers and arrays of one element cannot be told apart
        return None
    reached: dict[int, Access] = {}
    body: list[Statement] = []
    for s in kernel.body:
        if isinstance(s, Load | Store):
            step = _step(s.access.strides, sizes)
            if step is None or (isinstance(s, Store) and not step):
                return None
            if reached.setdefault(s.access.operand, s.access) != s.access:
                return None
            body.append(s._replace(access=Access(s.access.operand, (step,))))
        elif isinstance(s, Map | Constant):
            body.append(s)
        else:
            return None
    offsets = tuple(reached[i].offset if i in reached else 0 for i in range(len(kernel.operands)))
    return LoopKernel((), (1,), tuple(body), kernel.operands, kernel.outputs), length, offsets


def _step(strides: Sequence[int], sizes: Sequence[int]) -> int | None:
    """How far apart neighbours are, all points counted in row-major order; None if they are not evenly."""
    kept = [(stride, n) for stride, n in zip(strides, sizes, strict=True) if n != 1]
    if all(stride == 0 for stride, _ in kept):
        return 0
    expected = 1
    for stride, n in reversed(kept):
        if stride != expected:
            return None
        expected *= n
    return 1


def _form(unit: LoopUnit) -> tuple[Hashable, LoopKernel, Segment] | None:
    found = flattened(unit.kernel)
    if found is None:
        return None
    kernel, length, offsets = found
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0: constants are told apart by how they are written
    body = tuple((s, repr(s.value)) if isinstance(s, Constant) else s for s in kernel.body)
    return (body, kernel.operands, kernel.outputs), kernel, Segment(length, unit.operands, offsets)


# --------------------------------------------------------------------------------------------------- order


def _needs(units: Sequence[Any], views: Mapping[Var, View]) -> list[set[int]]:
    """For each unit those whose results it reads."""
    makers: dict[Var, set[int]] = {}
    for i, u in enumerate(units):
        for v in u.outputs:
            makers.setdefault(_root(v, views), set()).add(i)
    return [{j for v in u.inputs for j in makers.get(_root(v, views), ())} - {i} for i, u in enumerate(units)]


def _root(v: Var, views: Mapping[Var, View]) -> Var:
    return views[v].base if v in views else v


def _read_before(
    units: Sequence[Any], views: Mapping[Var, View], replaced: Mapping[Var, Var], needs: Sequence[set[int]]
) -> None:
    """Have a unit that may write over an old value wait for those before it that read the old value."""
    overwritten = {_root(old, views): _root(new, views) for new, old in replaced.items()}
    readers: dict[Var, list[int]] = {}  # by the new value
    for i, u in enumerate(units):
        for v in {overwritten[r] for r in (_root(v, views) for v in u.inputs) if r in overwritten}:
            readers.setdefault(v, []).append(i)
    for i, u in enumerate(units):
        for v in u.outputs:
            needs[i].update(j for j in readers.get(_root(v, views), ()) if j < i)


def _keep_last(forms: list[Any], needs: Sequence[set[int]]) -> None:
    """Forget the forms of units that others wait for which are not of a form themselves."""
    for i in reversed(range(len(forms))):
        if forms[i] is None:
            for j in needs[i]:
                forms[j] = None


def _independent(members: Sequence[int], group: Sequence[int], needs: Sequence[set[int]]) -> list[list[int]]:
    """Parts of the members, none of which waits for another of its part, also not by way of the groups that there are.

    The depth of a unit is how many members lie on a way to it, itself included. It never falls along a way, and rises
    at each member: members of equal depth can be one unit and no circle closes.
    """
    chosen = set(members)
    depth: dict[int, int] = {}
    whole: dict[int, list[int]] = {}
    for i, first in enumerate(group):
        whole.setdefault(first, []).append(i)
    for start in range(len(group)):
        stack = [group[start]]
        while stack:
            first = stack[-1]
            before = {group[j] for i in whole[first] for j in needs[i]} - {first}
            missing = [j for j in before if j not in depth]
            if first not in depth and missing:
                stack += missing
                continue
            stack.pop()
            if first not in depth:
                depth[first] = max((depth[j] for j in before), default=0) + (first in chosen)
    parts: dict[int, list[int]] = {}
    for i in members:
        parts.setdefault(depth[i], []).append(i)
    return list(parts.values())


def _ordered(
    units: Sequence[Any], forms: Sequence[Any], group: Sequence[int], needs: Sequence[set[int]]
) -> tuple[AnyUnit, ...]:
    """Each group where its last member was, unless somebody waits for it; everything else as it stood."""
    whole: dict[int, list[int]] = {}
    for i, first in enumerate(group):
        whole.setdefault(first, []).append(i)
    done: set[int] = set()
    order: list[AnyUnit] = []
    for i, own in enumerate(group):
        stack = [own] if i == whole[own][-1] else []
        while stack:
            first = stack[-1]
            missing = {group[j] for k in whole[first] for j in needs[k]} - done - {first}
            if first not in done and missing:
                stack.append(min(missing))
                continue
            stack.pop()
            if first not in done:
                done.add(first)
                order += _made([units[k] for k in whole[first]], [forms[k] for k in whole[first]])
    return tuple(order)


def _made(units: Sequence[Any], forms: Sequence[Any]) -> list[AnyUnit]:
    """One unit of these, or several if they are very many."""
    if len(units) == 1:
        return list(units)
    most = max(2, MOST_OPERANDS // len(units[0].operands))
    made: list[AnyUnit] = []
    for start in range(0, len(units), most):
        some = slice(start, start + most)
        origins = dict.fromkeys(e for u in units[some] for e in u.origins)
        made.append(SegmentedUnit(forms[0][1], tuple(segment for *_, segment in forms[some]), tuple(origins)))
    return made

"""Loop kernels as CUDA renders them: rows of an outer space, each with its inner points; what stands in neither.

Accumulations lose their two meanings here. A ``Total`` is one number; a kernel that accumulates only for each inner
point is turned round, so that it reduces; what is left is ``PerPoint``, beside reductions over the inner points.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from autograd_core.compiler.dimensions import merged
from autograd_core.compiler.loops import Access, Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Store


class Total(NamedTuple):
    """kind of a value over all points, stored once; over only those at the start of the dimensions ``first``."""

    kind: str
    arg: int
    access: Access
    first: tuple[int, ...]


class PerPoint(NamedTuple):
    """kind of a value over all outer points, one number an inner point."""

    kind: str
    arg: int
    access: Access


class Form(NamedTuple):
    """outer, inner: sizes. varies: of each statement, the dimensions along which its value or place changes."""

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    body: tuple[Any, ...]
    operands: tuple[np.dtype, ...]
    outputs: tuple[int, ...]
    varies: tuple[frozenset[int], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.outer + self.inner

    @property
    def rows(self) -> int:
        return prod(self.outer)

    @property
    def points(self) -> int:
        """Of a row."""
        return prod(self.inner)

    @property
    def reduces(self) -> bool:
        return any(isinstance(s, Reduce) for s in self.body)

    def inside(self, position: int) -> bool:
        """Whether it changes from point to point of a row, or happens at each of them."""
        s = self.body[position]
        if isinstance(s, Total):
            inner = range(len(self.outer), len(self.sizes))
            return not all(d in s.first for d in inner if self.sizes[d] != 1)
        return isinstance(s, Reduce | PerPoint) or any(d >= len(self.outer) for d in self.varies[position])

    def dtype(self, position: int) -> np.dtype:
        """Of the value of a statement; of what it adds up."""
        s = self.body[position]
        if isinstance(s, Index):
            return np.dtype(np.int64)
        if isinstance(s, Total | PerPoint | Store):
            return np.dtype(self.operands[s.access.operand])
        return np.dtype(s.dtype)

    def first_points(self, position: int) -> tuple[int, ...]:
        """The dimensions at whose first point alone a Store writes, or a Total counts: it changes along no other."""
        s = self.body[position]
        if isinstance(s, Total):
            return s.first
        reached = len(self.sizes if self.inside(position) else self.outer)
        return tuple(d for d, step in enumerate(s.access.strides[:reached]) if not step and self.sizes[d] > 1)


def form(kernel: LoopKernel) -> Form:
    kernel = merged(kernel)
    _check(kernel)
    reduces = any(isinstance(s, Reduce) for s in kernel.body)
    inner = range(len(kernel.outer), len(kernel.outer) + len(kernel.inner))
    varies = _varies(kernel.body, len(kernel.outer))
    body: list[Any] = []
    for s in kernel.body:
        if not isinstance(s, Accumulate):
            body.append(s)
        elif s.over_inner or not any(s.access.strides[d] for d in inner):
            once = () if s.over_inner else tuple(d for d in inner if (*kernel.outer, *kernel.inner)[d] > 1)
            if not set(once).isdisjoint(varies[s.arg]):
                raise ValueError(f"{s} has one place for values that change along the inner points")
            body.append(Total(s.kind, s.arg, s.access, once))
        else:
            body.append(PerPoint(s.kind, s.arg, s.access))
    per_point = any(isinstance(s, PerPoint) for s in body)
    found = _made(kernel.outer, kernel.inner, body, kernel)
    if per_point and not reduces:
        return _turned(found)
    if reduces:
        return found
    whole = merged(LoopKernel((), (*kernel.outer, *kernel.inner), kernel.body, kernel.operands, kernel.outputs))
    if any(isinstance(s, Total) and s.first for s in body):
        return _made((), (*kernel.outer, *kernel.inner), body, kernel)
    body = [Total(s.kind, s.arg, s.access, ()) if isinstance(s, Accumulate) else s for s in whole.body]
    return _made((), whole.inner, body, kernel)


def _made(outer: Sequence[int], inner: Sequence[int], body: Sequence[Any], kernel: Any) -> Form:
    return Form(tuple(outer), tuple(inner), tuple(body), kernel.operands, kernel.outputs, _varies(body, len(outer)))


def with_inner(found: Form, inner: Sequence[int], body: Sequence[Any]) -> Form:
    """The form over other inner points."""
    return _made(found.outer, inner, body, found)


def _varies(body: Sequence[Any], outer: int) -> tuple[frozenset[int], ...]:
    found: list[frozenset[int]] = []
    for s in body:
        dims: frozenset[int] = frozenset()
        if isinstance(s, Index):
            dims = frozenset([s.dimension])
        elif isinstance(s, Map):
            dims = frozenset().union(*(found[a] for a in s.args))
        elif isinstance(s, Reduce):
            dims = frozenset(d for d in found[s.arg] if d < outer)
        elif not isinstance(s, Constant):
            dims = frozenset(d for d, step in enumerate(s.access.strides) if step)
            dims |= frozenset() if isinstance(s, Load) else found[s.arg]
        found.append(dims)
    return tuple(found)


def _turned(found: Form) -> Form:
    """The kernel with inner and outer exchanged: what was accumulated for each inner point is reduced in its row."""
    outer, inner = len(found.outer), len(found.inner)
    order = [*range(outer, outer + inner), *range(outer)]
    body: list[Any] = []
    ends: list[Any] = []
    moved: dict[int, int] = {}
    for position, s in enumerate(found.body):
        if hasattr(s, "access"):
            s = s._replace(access=s.access._replace(strides=tuple(s.access.strides[d] for d in order)))
        if isinstance(s, Index):
            s = s._replace(dimension=order.index(s.dimension))
        if isinstance(s, Total):
            s = s._replace(first=tuple(sorted(order.index(d) for d in s.first)))
        if isinstance(s, Map):
            s = s._replace(args=tuple(moved[a] for a in s.args))
        elif hasattr(s, "arg"):
            s = s._replace(arg=moved[s.arg])
        moved[position] = len(body)
        if isinstance(s, PerPoint):
            dtype = np.dtype(found.operands[s.access.operand])
            body += [Map("cast", (s.arg,), dtype), Reduce(s.kind, len(body), dtype)]
            ends.append(Store(s.access, len(body) - 1))
        else:
            body.append(s)
    return _made(found.inner, found.outer, body + ends, found)


def _check(kernel: LoopKernel) -> None:
    """What is written in place is written where it is read, at every point: other threads may be anywhere."""
    sizes = kernel.outer + kernel.inner
    reads: dict[int, set[Access]] = {}
    for s in kernel.body:
        if isinstance(s, Load):
            reads.setdefault(s.access.operand, set()).add(s.access)
    for s in kernel.body:
        if not isinstance(s, Store | Accumulate) or s.access.operand not in reads:
            continue
        everywhere = all(step or n == 1 for step, n in zip(s.access.strides, sizes, strict=True))
        if isinstance(s, Accumulate) or reads[s.access.operand] != {s.access} or not everywhere:
            raise ValueError(f"operand {s.access.operand} is read elsewhere than it is written: {s}")


def shared(kernel: LoopKernel) -> frozenset[tuple[int, int]]:
    """(written, read) operands that may be one array: each element is read, once, where it is written."""
    if any(isinstance(s, Reduce) or (isinstance(s, Accumulate) and not s.over_inner) for s in kernel.body):
        return frozenset()
    sizes = kernel.outer + kernel.inner
    places: dict[tuple[int, bool], set[Access]] = {}
    for s in kernel.body:
        if isinstance(s, Load | Store):
            places.setdefault((s.access.operand, isinstance(s, Store)), set()).add(s.access._replace(operand=0))
    return frozenset(
        (w, r)
        for (w, writes), written in places.items()
        for (r, is_written), read in places.items()
        if writes and not is_written and len(written) == 1 and read == written
        for access in written
        if all(step or n == 1 for step, n in zip(access.strides, sizes, strict=True))
        and kernel.operands[w].itemsize == kernel.operands[r].itemsize
    )


def live(found: Form) -> list[int]:
    """The statements that something stored depends on."""
    needed: set[int] = set()
    for position in reversed(range(len(found.body))):
        s = found.body[position]
        if isinstance(s, Store | Total | PerPoint):
            needed |= {position, s.arg}
        elif position in needed:
            needed |= set(s.args) if isinstance(s, Map) else {s.arg} if isinstance(s, Reduce) else set()
    return sorted(needed)

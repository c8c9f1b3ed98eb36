"""Elementwise work on a product, done where the product is made.

A matrix product or convolution whose result is only read by one elementwise loop kernel (bias, activation, the slope of
one) need not store it: what the kernel does can follow in registers. ``with_epilogues`` finds such pairs in a schedule
and makes one unit of each. Sums over the points, which a kernel for products cannot take on, become a loop kernel of
their own, which reads what the epilogue stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from .clusters import refined
from .fuse import LoopUnit, OpaqueUnit, Schedule
from .ir import Equation, Graph, Var
from .loops import Access, Accumulate, Index, Load, LoopKernel, Reduce, Statement, Store


class FusedUnit(NamedTuple):
    """An equation and what is done with its only result: ``kernel``, whose operand number ``product`` it is.

    The kernel's points are the elements of the result in row-major order, over the sizes that were asked for. The
    result itself is not in memory: the kernel loads it once a point, where it is made.
    """

    equation: Equation
    kernel: LoopKernel
    operands: tuple[Var, ...]
    product: int
    origins: tuple[Equation, ...] = ()

    @property
    def inputs(self) -> tuple[Var, ...]:
        others = [v for i, v in enumerate(self.operands) if i != self.product and i not in self.kernel.outputs]
        return (*self.equation.inputs, *others)

    @property
    def outputs(self) -> tuple[Var, ...]:
        return tuple(self.operands[i] for i in self.kernel.outputs)


def with_epilogues(
    plan: Schedule,
    graph: Graph,
    sizes_of: Callable[[Equation], Sequence[int] | None],
    accepts: Callable[[FusedUnit, LoopUnit | None], bool] = lambda unit, sums: True,
) -> tuple[LoopUnit | OpaqueUnit | FusedUnit, ...]:
    """The units of a schedule, products joined with their epilogues.

    sizes_of: for an equation that takes an epilogue the sizes that its kernel is to have, such as (rows, columns); None
    for others. accepts: whether to make this one unit, followed by this one of sums if there are any.
    """
    readers = _readers(plan, graph)
    maker = {v: i for i, u in enumerate(plan.units) for v in u.outputs if isinstance(u, OpaqueUnit)}
    units: list[list[LoopUnit | OpaqueUnit | FusedUnit]] = [[u] for u in plan.units]
    for i, unit in enumerate(plan.units):
        if not isinstance(unit, LoopUnit):
            continue
        # of several products that it reads, the one made last
        for product in sorted((v for v in unit.inputs if v in maker), key=lambda v: -maker[v]):
            opaque = plan.units[maker[product]]
            if not isinstance(opaque, OpaqueUnit) or len(opaque.outputs) > 1 or readers[product] != {i}:
                continue
            sizes = sizes_of(opaque.equation)
            joined = None if sizes is None else _joined(opaque, unit, product, tuple(sizes))
            if joined is not None and accepts(*joined):
                units[maker[product]], units[i] = [], [u for u in joined if u is not None]
                break
    return tuple(u for run in units for u in run)


def _readers(plan: Schedule, graph: Graph) -> dict[Var, set[int]]:
    """The units that read each value's memory; -1 stands for whoever takes the outputs."""
    found: dict[Var, set[int]] = {}

    def read(v: Var, by: int) -> None:
        found.setdefault(plan.views[v].base if v in plan.views else v, set()).add(by)

    for i, unit in enumerate(plan.units):
        for v in unit.inputs:
            read(v, i)
    for v in graph.outputs:
        read(v, -1)
    return found


def _joined(
    opaque: OpaqueUnit, unit: LoopUnit, product: Var, sizes: tuple[int, ...]
) -> tuple[FusedUnit, LoopUnit | None] | None:
    parts = _without_sums(unit.kernel)
    if parts is None:
        return None
    elementwise, sums = parts
    position = unit.operands.index(product)
    kernel = over_elements(elementwise, position, sizes)
    if kernel is None:
        return None
    kernel, used = used_operands(kernel)
    operands = tuple(unit.operands[i] for i in used)
    fused = FusedUnit(opaque.equation, kernel, operands, used.index(position), unit.origins)
    if sums is None:
        return fused, None
    rest, used = used_operands(sums)
    return fused, LoopUnit(rest, tuple(unit.operands[i] for i in used), unit.origins)


def _without_sums(kernel: LoopKernel) -> tuple[LoopKernel, LoopKernel | None] | None:
    """The kernel without its accumulations, and these in one of their own; None if they need what is not stored."""
    if any(isinstance(s, Reduce) for s in kernel.body):
        return None
    sums = [s for s in kernel.body if isinstance(s, Accumulate)]
    if not sums:
        return kernel, None
    stored = {s.arg: s.access for s in kernel.body if isinstance(s, Store)}
    body: list[Statement] = []
    for s in sums:
        if s.arg not in stored:
            return None
        access = stored[s.arg]
        body.append(Load(access, kernel.operands[access.operand]))
        body.append(s._replace(arg=len(body) - 1))
    written = {s.access.operand for s in sums}
    kept = tuple(s for s in kernel.body if not isinstance(s, Accumulate))  # they come last: positions stay
    outputs = tuple(i for i in kernel.outputs if i not in written)
    return kernel._replace(body=kept, outputs=outputs), kernel._replace(
        body=tuple(body), outputs=tuple(sorted(written))
    )


def used_operands(kernel: LoopKernel) -> tuple[LoopKernel, list[int]]:
    """The kernel with the operands alone that it touches, and which of the old ones they are."""
    touched = {s.access.operand for s in kernel.body if isinstance(s, Load | Store | Accumulate)}
    used = sorted(touched)
    place = {old: new for new, old in enumerate(used)}

    def moved(s: Statement) -> Statement:
        if isinstance(s, Load | Store | Accumulate):
            return s._replace(access=s.access._replace(operand=place[s.access.operand]))
        return s

    body = tuple(moved(s) for s in kernel.body)
    outputs = tuple(place[i] for i in kernel.outputs)
    return kernel._replace(body=body, operands=tuple(kernel.operands[i] for i in used), outputs=outputs), used


def over_elements(kernel: LoopKernel, operand: int, sizes: tuple[int, ...]) -> LoopKernel | None:
    """An elementwise kernel whose points are the elements of an operand in row-major order, over ``sizes``.

    None if it does not visit each element of the operand once, or if some access does not step evenly over ``sizes``.
    """
    dims = kernel.outer + kernel.inner
    loads = {s.access for s in kernel.body if isinstance(s, Load) and s.access.operand == operand}
    if len(loads) != 1:
        return None
    (access,) = loads
    order = sorted((d for d in range(len(dims)) if dims[d] != 1), key=lambda d: -access.strides[d])
    lengths = tuple(dims[d] for d in order)
    in_order = all(access.strides[d] == prod(lengths[i + 1 :]) for i, d in enumerate(order))
    if access.offset or not in_order or prod(lengths) != prod(sizes):
        return None
    fine = refined(lengths, [n for n in sizes if n != 1])
    if fine is None:
        return None
    body: list[Statement] = []
    for s in kernel.body:
        new: Statement | None = s
        if isinstance(s, Load | Store | Accumulate):
            moved = _over(s.access, order, lengths, fine, sizes)
            new = None if moved is None else s._replace(access=moved)
        elif isinstance(s, Index):
            new = _index_over(s, order, lengths, sizes)
        if new is None:
            return None
        body.append(new)
    return kernel._replace(outer=tuple(sizes[:-1]), inner=tuple(sizes[-1:]), body=tuple(body))


def _over(
    access: Access, order: Sequence[int], lengths: Sequence[int], fine: Sequence[int], sizes: Sequence[int]
) -> Access | None:
    """An access over other dimensions of the same points; None if it does not step evenly over them."""
    runs = _runs(lengths, fine)
    strides = [0] * len(fine)
    for d, run in zip(order, runs, strict=True):
        step = access.strides[d]
        for f in reversed(run):
            strides[f] = step
            step *= fine[f]
    result = []
    coarse = iter(_runs([n for n in sizes if n != 1], fine))
    for n in sizes:
        run = next(coarse) if n != 1 else []
        if any(strides[a] != strides[b] * fine[b] for a, b in pairwise(run)):
            return None
        result.append(strides[run[-1]] if run else 0)
    return access._replace(strides=tuple(result))


def _runs(lengths: Sequence[int], fine: Sequence[int]) -> list[list[int]]:
    """For each length the finer dimensions that make it."""
    runs, f = [], 0
    for n in lengths:
        run: list[int] = []
        while prod(fine[i] for i in run) < n:
            run.append(f)
            f += 1
        runs.append(run)
    return runs


def _index_over(s: Index, order: Sequence[int], lengths: Sequence[int], sizes: Sequence[int]) -> Index | None:
    """The same coordinate among other dimensions, if one of them is the same."""
    if s.dimension not in order:
        return None
    i = order.index(s.dimension)
    below = prod(lengths[i + 1 :])
    for d, n in enumerate(sizes):
        if n == lengths[i] and prod(sizes[d + 1 :]) == below:
            return s._replace(dimension=d)
    return None

"""Which way images lie in memory between kernels: plane after plane, or the channels of each pixel together.

Convolutions sum over the channels of neighbouring pixels, and turn around what does not have them together. So an image
that convolutions make or read, and that nobody outside sees, lies channels last: ``with_layouts`` chooses for which
images that saves more than it costs, and rewrites the accesses of loop kernels and the strides of views accordingly.
Inputs, outputs and constants of the graph lie as they are written down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from .fuse import LoopUnit, OpaqueUnit, Schedule, View
from .ir import Equation, Graph, GraphError, Var
from .loops import Access, Accumulate, Index, Load, LoopKernel, Map, Reduce, Statement, Store
from .space import Affine, Coordinates, Cut, Place, Skewed, coordinates, element, row_major

COPIED = 2  # a copy reads and writes
VISITED = 1.5  # times turning around: what it takes to read an element from memory that would have been in a cache
NEAR = 8192  # points of some channels that fit into a second-level cache
NARROW = 16  # neighbours that fill a vector


class Images(NamedTuple):
    """Which operands and results of an equation are images (N, C, ...) that its kernel takes either way.

    turns: it turns around those that lie plane after plane, and gains if they do not. Otherwise all of them are to lie
    the same way. others: inputs that are as good at any strides. apart: outputs that may lie either way if the rest has
    channels last.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    turns: bool
    others: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()


ImagesOf = Callable[[Equation], Images | None]


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an image (N, C, ...) in which the channels of a pixel are neighbours."""
    n, channels, *size = shape
    strides = row_major((n, *size, channels))
    return (strides[0], 1, *strides[1:-1])


def with_layouts(plan: Schedule, graph: Graph, images_of: ImagesOf) -> Schedule:
    """The same schedule with images laid out where it pays; ``Schedule.layouts`` says how."""
    pinned = {*graph.inputs, *graph.constants, *(_base(v, plan.views) for v in graph.outputs)}
    while True:
        try:
            chosen = _Choice(plan, pinned, images_of).chosen()
            return check_layouts(_Rewriting(plan, chosen).run(), graph) if chosen else plan
        except _Unfit as unfit:
            pinned |= unfit.values


def check_layouts(plan: Schedule, graph: Graph) -> Schedule:
    """The schedule, if each of its layouts is an order of the axes, and of no value that is seen from outside."""
    seen = {*graph.inputs, *graph.constants, *(_base(v, plan.views) for v in graph.outputs)}
    for v, strides in plan.layouts.items():
        order = sorted(range(len(v.shape)), key=lambda d: -strides[d])
        if [strides[d] for d in order] != list(row_major([v.shape[d] for d in order])):
            raise GraphError(f"strides {strides} are no layout of {v!r}")
        if v in seen or v in plan.views:
            raise GraphError(f"{v!r} lies as it is written down, and has a layout: {strides}")
    return plan


class _Unfit(Exception):
    """Values whose accesses cannot be rewritten."""

    def __init__(self, values: Iterable[Var]):
        self.values = set(values)


def _base(v: Var, views: Mapping[Var, View]) -> Var:
    return views[v].base if v in views else v


def _is_image(v: Var) -> bool:
    """Whether the two layouts differ."""
    return len(v.shape) > 2 and v.shape[1] > 1 and prod(v.shape[2:]) > 1 and v.shape[0] > 0


# ---------------------------------------------------------------------------------------------- the choice


class _Choice:
    """Values that go through the same loop kernel lie alike; what they gain together decides."""

    def __init__(self, plan: Schedule, pinned: set[Var], images_of: ImagesOf):
        self.plan, self.pinned, self._images_of = plan, pinned, images_of
        self._turned: list[Var] = []  # whoever reads or writes it turns it around unless its channels are last
        self._leader: dict[Var, Var] = {}
        self._apart: list[tuple[Var, Var]] = []  # what may lie channels last if another value does
        known = set(pinned)
        loops: list[list[Var]] = []
        alike: list[list[Var | None]] = []
        for unit in plan.units:
            if isinstance(unit, LoopUnit):
                loops.append([v for v in unit.operands if _is_image(v)])
                continue
            images = images_of(unit.equation)
            if images is None:
                known.update(unit.outputs)
                continue
            operands, apart = self._images(unit.equation, images), [unit.outputs[i] for i in images.apart]
            known.update(v for v in unit.outputs if v not in operands and v not in apart)
            if images.turns:
                self._turned += [v for v in operands if v is not None]
            else:
                alike.append(operands)
                known.update(apart if None in operands else ())
                self._apart += [(v, leader) for v in apart for leader in operands if leader is not None]
        while more := {v for g in alike if None in g or not known.isdisjoint(g) for v in g} - known - {None}:
            known.update(v for v in more if v is not None)
        self.pinned = known
        groups: list[Sequence[Var | None]] = [*loops, *alike]
        for group in groups:
            free = [v for v in group if v is not None and v not in known]
            for a, b in pairwise(free):
                first, second = self._root(a), self._root(b)
                if first is not second:
                    self._leader[first] = second

    def _images(self, e: Equation, images: Images) -> list[Var | None]:
        """The values whose memory holds the equation's images; None for a part of one."""
        values = [e.inputs[i] for i in images.inputs] + [e.outputs[i] for i in images.outputs]
        found: list[Var | None] = []
        for v in values:
            if not _is_image(v):  # either way is the same
                continue
            view = self.plan.views.get(v)
            base = v if view is None else view.base
            whole = view is None or (base.shape == v.shape and view[1:] == (row_major(v.shape), 0))
            found.append(base if whole and _is_image(base) else None)
        return found

    def _root(self, v: Var) -> Var:
        while v in self._leader:
            v = self._leader[v]
        return v

    def chosen(self) -> set[Var]:
        """The values that are to lie channels last."""
        gains: dict[Var, int] = {}

        def gain(v: Var, elements: int) -> None:
            gains[self._root(v)] = gains.get(self._root(v), 0) + elements

        copied = self._copied()
        for v in self._turned:
            if v not in self.pinned:
                gain(v, v.aval.size)
        for unit in self.plan.units:
            if isinstance(unit, LoopUnit):
                images = [v for v in unit.operands if _is_image(v)]
                free = [v for v in images if v not in self.pinned]
                if free:  # what lies otherwise is turned around in the loop
                    gain(free[0], -sum(v.aval.size for v in images if v in self.pinned))
                if free and prod(unit.kernel.inner) > NEAR:  # a channel's pixels stay in no cache between visits
                    loaded = {unit.operands[s.access.operand] for s in unit.kernel.body if isinstance(s, Load)}
                    again = (visits(unit.kernel) - 1) * sum(v.aval.size for v in free if v in loaded)
                    gain(free[0], -int(VISITED * again))
            else:
                for v in self._read_as_written(unit.equation) - copied:
                    gain(v, -COPIED * v.aval.size)
        for v in copied:
            gain(v, -COPIED * v.aval.size)
        made = {v for unit in self.plan.units for v in unit.outputs}
        found = {v for v in made if _is_image(v) and v not in self.pinned and gains.get(self._root(v), 0) > 0}
        alone = {v for v, leader in self._apart if v in found and leader not in found}
        if alone:
            raise _Unfit(alone)
        return found

    def _read_as_written(self, e: Equation) -> set[Var]:
        """What an equation's kernel may want plane after plane."""
        images = self._images_of(e)
        taken = () if images is None else images.inputs + images.others
        others = {_base(v, self.plan.views) for i, v in enumerate(e.inputs) if i not in taken}
        return {v for v in others if _is_image(v) and v not in self.pinned}

    def _copied(self) -> set[Var]:
        """What must be there plane after plane as well."""
        return {
            view.base
            for v, view in self.plan.views.items()
            if _is_image(view.base)
            and view.base not in self.pinned
            and _view(v, view, channels_last(view.base.shape)) is None
        }


def visits(kernel: LoopKernel) -> int:
    """How often all inner points are visited: anew where what they add up to must be known."""
    stages: list[int] = []
    visited = {0}
    for s in kernel.body:
        args = s.args if isinstance(s, Map) else (s.arg,) if isinstance(s, Store | Accumulate | Reduce) else ()
        stages.append(max((stages[a] + isinstance(kernel.body[a], Reduce) for a in args), default=0))
        if isinstance(s, Reduce) or (isinstance(s, Store) and any(s.access.strides[len(kernel.outer) :])):
            visited.add(stages[-1])
    return len(visited)


# ---------------------------------------------------------------------------------------------- rewriting


class _Rewriting:
    def __init__(self, plan: Schedule, chosen: set[Var]):
        self.plan = plan
        self.layouts = {v: channels_last(v.shape) for v in chosen}

    def run(self) -> Schedule:
        views, copied = self._views()
        writers = {v: i for i, unit in enumerate(self.plan.units) for v in unit.outputs}
        after: dict[int, list[LoopUnit]] = {}
        for v, copy in copied.items():
            after.setdefault(writers[v], []).append(_copy(v, self.layouts[v], copy))
        units: list[LoopUnit | OpaqueUnit] = []
        for i, unit in enumerate(self.plan.units):
            units.append(self._loop(unit) if isinstance(unit, LoopUnit) else unit)
            units += after.get(i, ())
        return Schedule(tuple(units), views, self.layouts)

    def _loop(self, unit: LoopUnit) -> LoopUnit:
        changed = {i: v for i, v in enumerate(unit.operands) if v in self.layouts}
        if not changed:
            return unit
        kernel = relaid(unit.kernel, {i: (v.shape, self.layouts[v]) for i, v in changed.items()})
        if kernel is None or _is_narrow(kernel, changed):
            raise _Unfit(changed.values())
        return unit._replace(kernel=kernel)

    def _views(self) -> tuple[dict[Var, View], dict[Var, Var]]:
        """The views in the new memory, and for the values that some of them need plane after plane their copies."""
        views: dict[Var, View] = {}
        copied: dict[Var, Var] = {}
        for v, view in self.plan.views.items():
            base = view.base
            if base in self.layouts:
                moved = _view(v, view, self.layouts[base])
                if moved is None:
                    copied.setdefault(base, Var(base.aval))
                    moved = view._replace(base=copied[base])
                view = moved
            views[v] = view
        return views, copied


def _view(v: Var, view: View, strides: Sequence[int]) -> View | None:
    """The view of a base that lies at these strides; None if no strides say it."""
    if not v.aval.size:
        return view
    try:
        at = _moved(Access(0, view.strides, view.offset), view.base.shape, strides, v.shape)
    except (Cut, Skewed):
        return None
    return View(view.base, at.strides, at.offset)


def _copy(v: Var, strides: tuple[int, ...], copy: Var) -> LoopUnit:
    n, channels, *size = v.shape
    pixels = prod(size)
    load = Load(Access(0, (strides[0], 1, channels)), v.dtype)
    store = Store(Access(1, row_major((n, channels, pixels))), 0)
    return LoopUnit(LoopKernel((n, channels), (pixels,), (load, store), (v.dtype, v.dtype), (1,)), (v, copy))


Layouts = Mapping[int, tuple[Sequence[int], Sequence[int]]]  # by operand: its shape, its strides


def relaid(kernel: LoopKernel, layouts: Layouts) -> LoopKernel | None:
    """The kernel for operands that lie otherwise.

    Dimensions are cut where axes meet in them, and ordered as these operands lie. None if an access does not step
    evenly.
    """
    sizes, border, body = [*kernel.outer, *kernel.inner], len(kernel.outer), list(kernel.body)
    while True:
        try:
            moved = [_statement(s, layouts, sizes) for s in body]
            break
        except Cut as cut:
            d = cut.dimension
            if any(isinstance(s, Index) and s.dimension == d for s in body):
                return None
            body = [_cut(s, d, cut.size) for s in body]
            sizes[d : d + 1] = [sizes[d] // cut.size, cut.size]
            border += d < border
        except Skewed:
            return None
    return _ordered(
        kernel._replace(outer=tuple(sizes[:border]), inner=tuple(sizes[border:]), body=tuple(moved)), layouts
    )


def _statement(
    s: Statement, layouts: Mapping[int, tuple[Sequence[int], Sequence[int]]], sizes: Sequence[int]
) -> Statement:
    if not isinstance(s, Load | Store | Accumulate) or s.access.operand not in layouts:
        return s
    return s._replace(access=_moved(s.access, *layouts[s.access.operand], sizes))


def _moved(access: Access, shape: Sequence[int], strides: Sequence[int], sizes: Sequence[int]) -> Access:
    """An access over points of ``sizes`` to an array of ``shape``, when that lies at ``strides``."""
    steps = [(d, step) for d, step in enumerate(access.strides) if step and sizes[d] > 1]
    at: Coordinates = coordinates(Affine(access.offset, tuple(steps)), tuple(shape), sizes)
    place = element(at, Place(tuple(strides)))
    terms = dict(place.terms)
    return access._replace(strides=tuple(terms.get(d, 0) for d in range(len(sizes))), offset=place.offset)


def _cut(s: Statement, dimension: int, size: int) -> Statement:
    """The statement over dimensions of which one has become two, the inner one of ``size``."""
    if isinstance(s, Load | Store | Accumulate):
        steps = s.access.strides
        both = (steps[dimension] * size, steps[dimension])
        return s._replace(access=s.access._replace(strides=(*steps[:dimension], *both, *steps[dimension + 1 :])))
    if isinstance(s, Index) and s.dimension > dimension:
        return s._replace(dimension=s.dimension + 1)
    return s


def _ordered(kernel: LoopKernel, layouts: Iterable[int]) -> LoopKernel:
    """Dimensions in the order of the operands that were laid out."""
    sizes, border = kernel.outer + kernel.inner, len(kernel.outer)
    accesses = [s.access for s in _accessing(kernel)]
    steps = [max((abs(a.strides[d]) for a in accesses if a.operand in layouts), default=0) for d in range(len(sizes))]

    def sort(dims: Iterable[int]) -> list[int]:
        return sorted(dims, key=lambda d: (steps[d] > 0, -steps[d]))

    if _is_free(kernel):
        order = sort(range(len(sizes)))
        border = max(len(order) - 1, 1)
    else:
        order = sort(range(border)) + sort(range(border, len(sizes)))
    place = {d: i for i, d in enumerate(order)}
    body: list[Statement] = []
    for s in kernel.body:
        if isinstance(s, Load | Store | Accumulate):
            s = s._replace(access=s.access._replace(strides=tuple(s.access.strides[d] for d in order)))
        elif isinstance(s, Index):
            s = s._replace(dimension=place[s.dimension])
        body.append(s)
    lengths = tuple(sizes[d] for d in order)
    return kernel._replace(outer=lengths[:border], inner=lengths[border:], body=tuple(body))


def _is_narrow(kernel: LoopKernel, changed: Collection[int]) -> bool:
    """Whether it reduces runs of a few neighbours, such as the channels of a group, of the operands laid out anew."""
    if not any(isinstance(s, Reduce) for s in kernel.body) or prod(kernel.inner) < NARROW:
        return False
    inner = list(enumerate(kernel.inner, len(kernel.outer)))
    accesses = [s.access for s in _accessing(kernel) if s.access.operand in changed]
    return any(1 < n < NARROW and access.strides[d] == 1 for access in accesses for d, n in inner)


def _accessing(kernel: LoopKernel) -> Iterator[Load | Store | Accumulate]:
    return (s for s in kernel.body if isinstance(s, Load | Store | Accumulate))


def _is_free(kernel: LoopKernel) -> bool:
    """Whether it means nothing which dimensions are inner."""
    sizes = kernel.outer + kernel.inner
    for s in kernel.body:
        if isinstance(s, Reduce) or (isinstance(s, Accumulate) and not s.over_inner):
            return False
        if isinstance(s, Store):
            steps = [step for step, n in zip(s.access.strides, sizes, strict=True) if n > 1]
            if any(steps) and not all(steps):
                return False
    return True

"""Statements at some neighbouring points, one a lane: what is contiguous is read and written as one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack

from autograd_core.compiler.loops import Constant, Index, Load, Map, Store

from .c_types import c_type, literal, memory_type
from .expressions import cast, expression, operation
from .form import Form, PerPoint, Total
from .signature import place
from .writer import Writer

MOST = 8  # lanes


def width_of(found: Form, vector: int, misaligned: Collection[int]) -> int:
    """How many neighbours along the last dimension a thread takes: as many as one load of ``vector`` bytes holds.

    All that is contiguous must then lie on boundaries of so many elements.
    """
    last = len(found.sizes) - 1
    accesses = [s.access for s in found.body if isinstance(s, Load | Store) and s.access.strides[last] == 1]
    accesses = [a for a in accesses if a.operand not in misaligned]
    if not accesses or not found.inner or found.sizes[last] < 2:
        return 1
    size = max(found.operands[a.operand].itemsize for a in accesses)
    width = min(MOST, max(1, vector // size))
    while width > 1:
        # points of a row are counted through all inner dimensions: a pack may not reach from one run into the next
        whole = not found.reduces or len(found.inner) == 1 or found.sizes[last] % width == 0
        if whole and width <= found.sizes[last] and all(_fits(found, a, width) for a in accesses):
            break
        width //= 2
    return width


def _fits(found: Form, access: object, width: int) -> bool:
    steps = [s for s, n in zip(access.strides[:-1], found.sizes[:-1], strict=True) if n > 1]  # type: ignore[attr-defined]
    return not any(s % width for s in (access.offset, *steps))  # type: ignore[attr-defined]


class Lanes:
    """Writes statements at ``width`` points from the coordinates on: ``v`` counts them.

    extent: how many points there are along the last dimension, if the code does not know it.
    """

    def __init__(
        self, w: Writer, found: Form, width: int = 1, misaligned: Collection[int] = (), *, extent: str | None = None
    ):
        self.w, self.form, self.width = w, found, width
        self.last = len(found.sizes) - 1
        self.misaligned = misaligned
        self.tail = width > 1 and (extent is not None or found.sizes[self.last] % width != 0)
        self.extent = extent or (found.sizes[self.last] if found.sizes else 1)

    def packed(self, position: int) -> bool:
        s = self.form.body[position]
        return (
            self.width > 1
            and isinstance(s, Load | Store)
            and s.access.strides[self.last] == 1
            and s.access.operand not in self.misaligned
        )

    def alignment(self) -> tuple[int, ...]:
        """Of each operand's pointer, in bytes."""
        found = [dtype.itemsize for dtype in self.form.operands]
        for position, s in enumerate(self.form.body):
            if self.packed(position):
                found[s.access.operand] = self.width * self.form.operands[s.access.operand].itemsize
        return tuple(found)

    def run(
        self,
        work: Sequence[int],
        *,
        kept: Collection[int] = (),
        made: Collection[int] = (),
        reduced: Callable[[int, str], None] | None = None,
        tiles: Collection[int] = (),
    ) -> None:
        """kept: values to be taken from arrays, made: values to be put there. reduced: writes what takes up a value.

        tiles: loads and stores of tiles in shared memory, at [x][y].
        """
        w, body = self.w, self.form.body
        count = ", count" if self.tail else ""
        if self.tail:
            w.line(f"const int count = {self.extent} - c{self.last};")
        packs = [p for p in work if self.packed(p) and p not in kept and p not in tiles]
        for p in packs:
            s = body[p]
            dtype = memory_type(self.form.operands[s.access.operand])
            if isinstance(s, Load):
                where = f"a{s.access.operand} + {place(s.access)}"
                w.line(f"const Pack<{dtype}, {self.width}> p{p} = load<{self.width}>({where}{count});")
            else:
                w.line(f"Pack<{dtype}, {self.width}> p{p};")
        with ExitStack() as inside:
            if self.width > 1:
                inside.enter_context(w.loop("v", self.width, unroll=self.width))
            if self.tail:
                inside.enter_context(w.block("if (v < count)"))
            for p in work:
                if p in kept:
                    self._value(p, f"kept{p}[k]" + self._lane())
                elif p in packs and isinstance(body[p], Load):
                    self._value(p, f"p{p}.at[v]")
                elif p in packs:
                    w.line(f"p{p}.at[v] = {self.argument(p)};")
                elif p in tiles and isinstance(body[p], Load):
                    self._value(p, f"tile{p}[x][y]")
                elif p in tiles:
                    w.line(f"tile{p}[x][y] = {self.argument(p)};")
                elif isinstance(body[p], Store):
                    self.store(p)
                elif isinstance(body[p], Load | Constant | Index | Map):
                    self.value(p)
                else:
                    assert reduced is not None
                    self._take_up(p, reduced)
                if p in made:
                    w.line(f"kept{p}[k]{self._lane()} = x{p};")
        for p in packs:
            if isinstance(body[p], Store):
                w.line(f"store<{self.width}>(a{body[p].access.operand} + {place(body[p].access)}, p{p}{count});")

    def _lane(self) -> str:
        return "[v]" if self.width > 1 else "[0]"

    def _value(self, position: int, code: str) -> None:
        self.w.line(f"const {c_type(self.form.dtype(position))} x{position} = {code};")

    def value(self, position: int) -> None:
        """Define the value of a Load, Constant, Index or Map."""
        s, lane = self.form.body[position], "v" if self.width > 1 else ""
        if isinstance(s, Load):
            code = f"a{s.access.operand}[{place(s.access, self.last, lane)}]"
        elif isinstance(s, Constant):
            code = literal(s.value, s.dtype)
        elif isinstance(s, Index):
            along = f"(c{s.dimension} + v)" if lane and s.dimension == self.last else f"c{s.dimension}"
            code = f"{s.step}ll * {along} + {s.start}ll" if (s.step, s.start) != (1, 0) else along
        else:
            code = expression(s.op, [f"x{a}" for a in s.args], [self.form.dtype(a) for a in s.args], s.dtype)
        self._value(position, code)

    def argument(self, position: int) -> str:
        """What a Store, Total or reduction takes, as the dtype that it has."""
        arg = self.form.body[position].arg
        return cast(f"x{arg}", self.form.dtype(arg), self.form.dtype(position))

    def store(self, position: int, *conditions: str) -> None:
        s = self.form.body[position]
        with self.w.block(self._if(position, *conditions)):
            lane = "v" if self.width > 1 else ""
            self.w.line(f"a{s.access.operand}[{place(s.access, self.last, lane)}] = {self.argument(position)};")

    def _if(self, position: int, *conditions: str) -> str:
        lane = self.width > 1
        firsts = [
            f"c{d} + v == 0" if lane and d == self.last else f"c{d} == 0" for d in self.form.first_points(position)
        ]
        told = " && ".join([*filter(None, conditions), *firsts])
        return f"if ({told})" if told else ""

    def _take_up(self, position: int, reduced: Callable[[int, str], None]) -> None:
        s = self.form.body[position]
        with self.w.block(self._if(position) if isinstance(s, Total) else ""):
            reduced(position, self.argument(position))

    def combined(self, position: int, so_far: str, more: str) -> str:
        s = self.form.body[position]
        assert isinstance(s, Total | PerPoint) or hasattr(s, "kind")
        return f"{operation(s.kind, self.form.dtype(position))}::of({so_far}, {more})"

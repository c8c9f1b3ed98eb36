"""Which results a value had a part in, also where no graph was recorded: the arrays themselves are followed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import context
from ..ops.casting import detach_p
from ..primitive import Primitive
from ..tensor import Tensor
from .origins import Call, Origin, record_origins

KEPT = 3  # more reasons than this help nobody


class Cut(NamedTuple):
    """Where a value lost its history.

    reason: "no_grad", "detach", "no derivative" (of ``op``), or "unseen": somewhere before ``op`` used it.
    """

    reason: str
    op: str
    origin: Origin


class follow(record_origins):
    """Watches what becomes of the value of ``x``; ``cuts(y)`` then says what separated ``y`` from it.

    Holds on to every result that ``x`` had a part in, so that no other takes its place in memory.
    """

    def __init__(self, x: Tensor):
        super().__init__()
        self._held: list[Any] = []
        self._cuts: dict[tuple[int, bool], tuple[Cut, ...]] = {}
        self._note(x, ())

    def cuts(self, y: Tensor) -> tuple[Cut, ...] | None:
        """What cut the ways from ``x`` to ``y``: empty where one is whole, None where there is no way."""
        return self._cuts.get((id(_array(y)), y.node is not None))

    def ran(self, primitive: Primitive, inputs: Sequence[Any], output: Any) -> None:
        super().ran(primitive, inputs, output)
        ways = [way for x in inputs if isinstance(x, Tensor) for way in self._ways(x)]
        if not ways:
            return
        origin = Call(sys._getframe(1)).origin(primitive.name, self.paths)
        connected = () in ways
        found = [cut for way in ways for cut in way or ()] + [Cut("unseen", primitive.name, origin)] * (None in ways)
        for y in output if type(output) is tuple else (output,):
            if connected and y.node is not None:
                self._note(y, ())
            elif connected:
                self._note(y, (Cut(_reason(primitive), primitive.name, origin),))
            else:
                self._note(y, tuple(dict.fromkeys(found))[:KEPT])

    def _ways(self, x: Tensor) -> list[tuple[Cut, ...] | None]:
        """How ``x`` comes from the value that is followed: nothing, its cuts, or None for a history lost unseen."""
        key = id(_array(x))
        if (key, x.node is not None) in self._cuts:
            return [self._cuts[key, x.node is not None]]
        return [None] if (key, True) in self._cuts else []

    def _note(self, y: Tensor, cuts: tuple[Cut, ...]) -> None:
        array = _array(y)
        self._held.append(array)
        self._cuts[id(array), y.node is not None] = cuts


def _array(x: Any) -> Any:
    while x.level:
        x = x.inner
    return x.data


def _reason(primitive: Primitive) -> str:
    if primitive is detach_p:
        return "detach"
    return "no_grad" if primitive.differentiable and not context.is_grad_enabled() else "no derivative"

"""Graphs that outlive their step: losses added up with their history, states carried on undetached."""

from __future__ import annotations

import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ..primitive import Primitive
from .origins import Origin, origin_of, record_origins, recorded


class GraphWatch(record_origins):
    """Warns, once, when operations recorded several steps ago are still alive: memory that grows with every step.

    The usual causes are ``total += loss`` (write ``total += loss.item()``, or ``loss.detach()``) and a state carried
    into the next step with its history. Call ``step()`` at the end of every iteration; the warning names the operations
    that stay, and the lines that called them. Nothing outside the block is watched, and off it costs nothing.

    steps: how many steps an operation may live.

    >>> import autograd_core as ag
    >>> w, total = ag.tensor([1.0], requires_grad=True), 0.0
    >>> with ag.GraphWatch(steps=3) as watch:
    ...     for _ in range(10):
    ...         loss = (w * w).sum()
    ...         total += loss.item()
    ...         watch.step()
    >>> watch.alive
    2
    """

    def __init__(self, steps: int = 3):
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ArgumentError(f"GraphWatch: steps must be an int of at least 1, got {steps!r}")
        self.steps = steps
        self._recorded: list[weakref.WeakSet[Origin]] = [weakref.WeakSet()]  # by step, the newest last
        self._warned = False

    def _recreate_cm(self) -> GraphWatch:
        return type(self)(self.steps)

    @property
    def alive(self) -> int:
        """How many of the operations recorded in this block are still part of a graph."""
        return sum(map(len, self._recorded))

    def ran(self, primitive: Primitive, inputs: Sequence[Any], output: Any) -> None:
        super().ran(primitive, inputs, output)
        node = recorded(output)
        origin = None if node is None else origin_of(node)
        if origin is not None:
            self._recorded[-1].add(origin)

    def step(self) -> None:
        """The end of one iteration."""
        old = [origins for origins in self._recorded[: -self.steps] if origins]
        self._recorded = [*old, *self._recorded[-self.steps :], weakref.WeakSet()]
        if old and len(old) > 1 and not self._warned:
            self._warned = True
            warnings.warn(self._text(old), stacklevel=2)

    def _text(self, old: Sequence[weakref.WeakSet[Origin]]) -> str:
        calls = Counter(f"{origin.op} ({origin.place})" for origins in old for origin in list(origins))
        most = "; ".join(f"{n} of {call}" for call, n in sorted(calls.items(), key=lambda c: (-c[1], c[0]))[:3])
        return (
            f"GraphWatch: {sum(calls.values())} operations recorded more than {self.steps} steps ago are still alive: "
            f"{most}. Something keeps results with their history. To add up losses write total += loss.item() (or "
            "loss.detach()); detach() a state before it goes into the next step"
        )

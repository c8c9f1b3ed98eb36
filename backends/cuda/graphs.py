"""CUDA graphs of a compiled step: captured on one stream, or on several that begin and end together.

A stream is part of a capture from where it waits for an event of it. Work of different streams is in no order in the
graph but for such waits, and the first stream has to wait for all others before the end. Not yet run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from autograd_core.compiler.ir import Var

from . import trials
from .branches import Independence, Issue, accesses, chain, independence, issued
from .steps import Plan, Steps
from .trials import CHAIN, Variant

log = logging.getLogger("autograd_core.compile")


class Piece(NamedTuple):
    """Steps that are one CUDA graph; without one, a step that is enqueued by itself."""

    steps: range
    graph: Any = None


class NotCaptured(Exception):
    """What CUDA, CuPy or a library says of steps that it refuses; ``step`` is the first of them."""

    def __init__(self, step: int | None, reason: str):
        super().__init__(reason)
        self.step = step


class Graphs:
    """The graphs of one plan. refused: why steps cannot be captured, by number. spans: steps of the pieces that were
    chained last, and whether they are a graph.

    Used where the device's stream is current.
    """

    def __init__(self, cupy: Any, queue: Any, steps: Steps, plan: Plan, name: str):
        self._cupy, self._queue, self._steps, self._plan, self._name = cupy, queue, steps, plan, name
        self.refused: dict[int, str] = {}
        self.spans: list[tuple[range, bool]] = []

    def chained(self, arrays: Sequence[Any], tables: Mapping[int, Any]) -> list[Piece]:
        """One step after the other: as few graphs as there can be, with the steps between them that refuse."""
        pieces: list[Piece] = []
        known, begin, count = set(self.refused), 0, len(self._steps)
        order = chain(count)
        while begin < count:
            end = min((n for n in self.refused if n >= begin), default=count)
            if end == begin:
                pieces.append(Piece(range(begin, begin + 1)))
                begin += 1
                continue
            steps = range(begin, end)
            try:
                pieces.append(Piece(steps, self._captured(*issued(order, [()] * count, steps), arrays, tables)))
                begin = end
            except NotCaptured as error:  # once more, up to the step that has refused
                self.refused |= dict.fromkeys(steps if error.step is None else [error.step], str(error))
        if new := self.refused.keys() - known:
            told = self.told(sorted(new))
            log.warning("%s: enqueued by itself, since a CUDA graph cannot have it: %s", self._name, told)
        self.spans = [(piece.steps, piece.graph is not None) for piece in pieces]
        return pieces

    def variants(self, arrays: Sequence[Any], math: str) -> list[Variant]:
        """Those that are worth a trial: branches, and each with kernels that are launched early, where these are tried
        and there are some that can be.
        """
        found = [CHAIN, *(Variant(branches=n) for n in self._independence(arrays, math).worthwhile())]
        if trials.TRIES_EARLY and len(self._steps) > 1 and self._steps.programmatic is not None:
            found += [v._replace(programmatic=1) for v in found]
        return found

    def captured_as(self, variant: Variant, arrays: Sequence[Any], tables: Mapping[int, Any], math: str) -> list[Piece]:
        """The same pieces as chained before. NotCaptured if one of them cannot be."""
        found = self._independence(arrays, math)
        schedule, after = found.on(variant.branches), found.after
        if variant.branches == 1:
            schedule, after = chain(len(self._steps)), [()] * len(self._steps)
        early = bool(variant.programmatic)
        return [
            Piece(steps, self._captured(*issued(schedule, after, steps), arrays, tables, early) if is_graph else None)
            for steps, is_graph in self.spans
        ]

    def _independence(self, arrays: Sequence[Any], math: str) -> Independence:
        plan = self._plan
        return independence(accesses(plan, arrays), plan.steps, plan.notes, math)

    def _captured(
        self,
        issues: Sequence[Issue],
        ends: Collection[int],
        arrays: Sequence[Any],
        tables: Mapping[int, Any],
        early: bool = False,
    ) -> Any:
        event = self._cupy.cuda.Event
        awaited = {n for issue in issues for n in issue.waits} | set(ends)
        operands: dict[Var, Any] = {}
        refused: tuple[int | None, str] | None = None  # a traceback would hold arrays, which are counted
        with self._queue.captured(1 + max(issue.branch for issue in issues)) as streams:
            streams[0].begin_capture()
            try:
                begin = streams[0].record(event(disable_timing=True)) if len(streams) > 1 else None
                done: dict[int, Any] = {}
                for issue in issues:
                    stream = streams[issue.branch]
                    for e in [begin] if issue.begins else [done[n] for n in issue.waits]:
                        stream.wait_event(e)
                    with self._queue.along(stream):
                        self._steps.enqueue(arrays, tables, [issue.step], operands, programmatic=early)
                    if issue.step in awaited:
                        done[issue.step] = stream.record(event(disable_timing=True))
                for n in ends:
                    streams[0].wait_event(done[n])
            except Exception as error:  # if it was not the capture, it comes again when the step runs for good
                refused = (self._steps.at, str(error))
            try:
                graph = streams[0].end_capture()
            except RuntimeError as error:  # CUDA ends what was refused with an error of its own
                refused = refused or (None, str(error))
        if refused is not None:
            raise NotCaptured(*refused)
        graph.upload(self._queue.stream)
        return graph

    def told(self, steps: Collection[int]) -> str:
        names = self._steps.names
        return "; ".join(dict.fromkeys(f"{names[n]} ({self.refused[n]})" for n in steps))

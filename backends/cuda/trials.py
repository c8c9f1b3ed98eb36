"""Which way to capture a compiled step is fastest: its first replays take turns, and the device keeps the time.

No estimate of ours has been compared with hardware, and results have the same bits whichever way, so what would be run
anyway is measured: events before and after each of ``CALLS`` calls of every variant, looked at in later calls if they
are done by then. The host waits for nothing, and nothing is allocated on the device. The fastest by median stays, the
other graphs are dropped. All bindings of a function share one decision in each math mode. Not yet run on hardware.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from typing import Any, NamedTuple

from autograd_core.errors import ArgumentError

log = logging.getLogger("autograd_core.compile")
CALLS = 5  # of each variant that are measured
VARIABLE = "AUTOGRAD_CORE_CUDA_GRAPHS"


class Variant(NamedTuple):
    """How a step is captured. branches: how many kernels may run at the same time, at most. programmatic: whether
    kernels may begin before those before them have ended (``programmatic.py``).
    """

    branches: int = 1
    programmatic: int = 0

    def __str__(self) -> str:
        cut = f"{self.branches} branches" if self.branches > 1 else "one chain"
        return f"{cut}, launched early" if self.programmatic else cut


CHAIN = Variant()
# Whether kernels that begin early are tried where nobody asks for them: not before hardware has shown (``benchmarks
# losses``) that what they read by way of the caches for constants is what the kernel before them has written.
TRIES_EARLY = False
UNMEASURED = nullcontext()


def pinned() -> Variant | None:
    """The variant that the environment asks for, for measurements that are to be repeated; None to try them.

    ArgumentError for a value that is none: write a number to each name, ``branches=2,programmatic=1``.
    """
    told = os.environ.get(VARIABLE, "")
    if not told:
        return None
    pairs = [part.partition("=")[::2] for part in told.split(",")]
    if any(number not in _numbers(name) for name, number in pairs):
        known = ",".join(f"{name}={value}" for name, value in Variant(branches=2)._asdict().items())
        raise ArgumentError(f"{VARIABLE}: {told!r} names no way to capture a step; write {known!r}, or nothing")
    return Variant(**{name: int(number) for name, number in pairs})


def _numbers(name: str) -> Sequence[str]:
    """That a field of a variant may have."""
    most = {"branches": (1, 64), "programmatic": (0, 1)}.get(name)
    return [] if most is None else [str(n) for n in range(most[0], most[1] + 1)]


class Trial:
    """Variants, and how long calls of each took, in seconds. chosen: None as long as they are tried.

    event: makes one; elapsed: milliseconds between two that are done.
    """

    def __init__(
        self,
        name: str,
        variants: Sequence[Variant],
        event: Callable[[], Any],
        elapsed: Callable[[Any, Any], float],
    ):
        self._name, self._event, self._elapsed = name, event, elapsed
        self.times: dict[Variant, list[float]] = {v: [] for v in variants}
        self._begun = dict.fromkeys(variants, 0)
        self._measured: deque[tuple[Variant, Any, Any]] = deque()
        self._spare: list[Any] = []
        self.chosen: Variant | None = None
        self._decide()

    @property
    def variants(self) -> list[Variant]:
        """Those that a binding needs graphs of."""
        return [*self.times] if self.chosen is None else [self.chosen]

    def drop(self, variant: Variant, reason: str) -> None:
        """It cannot be captured."""
        log.info("%s: not captured as %s: %s", self._name, variant, reason)
        del self.times[variant], self._begun[variant]
        self._measured = deque(m for m in self._measured if m[0] != variant)
        if not self.times:
            self.times[CHAIN], self._begun[CHAIN] = [], 0
        self.chosen = None
        self._decide()

    def turn(self) -> Variant:
        """Whose turn it is. Measurements that are done by now are taken down."""
        while self._measured and self._measured[0][2].done:
            variant, begin, end = self._measured.popleft()
            self.times[variant].append(1e-3 * self._elapsed(begin, end))
            self._spare += begin, end
            self._decide()
        return self.chosen or min(self._begun, key=self._begun.__getitem__)

    def _decide(self) -> None:
        if len(self.times) == 1:
            self.chosen = next(iter(self.times))
        elif all(len(some) >= CALLS for some in self.times.values()):
            self.chosen = min(self.medians, key=self.medians.__getitem__)
            self._measured.clear()
            self._spare.clear()
            log.info("%s: captured as %s", self._name, self)

    def measured(self, variant: Variant, stream: Any) -> AbstractContextManager[None]:
        """A call of the variant that is enqueued inside."""
        is_over = self.chosen is not None or self._begun[variant] >= CALLS
        return UNMEASURED if is_over else self._between_events(variant, stream)

    @contextmanager
    def _between_events(self, variant: Variant, stream: Any) -> Iterator[None]:
        begin, end = (self._spare.pop() if self._spare else self._event() for _ in range(2))
        stream.record(begin)
        yield
        stream.record(end)
        self._begun[variant] += 1
        self._measured.append((variant, begin, end))

    @property
    def medians(self) -> Mapping[Variant, float]:
        """Seconds, of those that have been measured."""
        return {v: median(some) for v, some in self.times.items() if some}

    def __str__(self) -> str:
        if len(self.times) == 1:
            return str(self.chosen)
        told = [f"{v} {1e6 * self.medians[v]:.1f} us" if v in self.medians else str(v) for v in self.times]
        if self.chosen is None:
            done, all_ = sum(map(len, self.times.values())), CALLS * len(self.times)
            return f"{', '.join(told)} take turns, {done} of {all_} calls are measured"
        first = told.pop([*self.times].index(self.chosen))
        return f"{first} (medians of {CALLS} calls; {', '.join(told)})"

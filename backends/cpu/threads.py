"""Work shared between threads: kernels that release the GIL, run on parts of a range by whoever is free.

Not by Numba's own parallel regions: their threads wait by spinning, and on a machine that does other work too (the
BLAS under NumPy spins as well) each region then takes as long as the scheduler likes. Here nobody spins, parts are
taken one by one, and a thread that gets no core delays nothing: the caller does all parts itself if it must. It costs
no compilation, and tens of microseconds a region, mostly until a sleeping core runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from numba import config

SHARED_FROM = 150  # microseconds of work for which another thread is woken

_waiting: SimpleQueue[_Region] = SimpleQueue()
_helpers: list[Thread] = []
_starting = Lock()


def threads() -> int:
    """How many threads share work: as many as there are cores to run on, or NUMBA_NUM_THREADS."""
    return config.NUMBA_NUM_THREADS


def shared(run: Callable[..., Any], jobs: int, microseconds: float, *arguments: Any) -> None:
    """``run(first, last, *arguments)`` for all of 0 to ``jobs``: in one call, or in several at once.

    microseconds: roughly what it takes on one thread. ``run`` is compiled with nogil. A result must not depend on
    where parts begin: then it does not depend on the number of threads.
    """
    helpers = threads() - 1
    if microseconds < SHARED_FROM or jobs < 2 or not helpers:
        run(0, jobs, *arguments)
        return
    if len(_helpers) < helpers:
        _start(helpers)
    # twice as many parts as threads: whoever is done early takes another
    region = _Region(run, min(2 * (helpers + 1), jobs), jobs, arguments)
    for _ in range(min(helpers, region.parts - 1)):
        _waiting.put(region)
    region.work()
    region.finished.acquire()
    if region.error is not None:
        raise region.error


class _Region:
    """One range being worked on. Counters are advanced by a single bytecode each, so they need no lock."""

    __slots__ = ("arguments", "done", "error", "finished", "jobs", "parts", "run", "taken")

    def __init__(self, run: Callable[..., Any], parts: int, jobs: int, arguments: tuple[Any, ...]):
        self.run, self.parts, self.jobs, self.arguments = run, parts, jobs, arguments
        self.taken, self.done = count(), count(1)
        self.finished = Lock()
        self.finished.acquire()
        self.error: BaseException | None = None

    def work(self) -> None:
        """Run parts until none is left."""
        for part in self.taken:
            if part >= self.parts:
                return
            try:
                self.run(part * self.jobs // self.parts, (part + 1) * self.jobs // self.parts, *self.arguments)
            except BaseException as error:
                self.error = error
            if next(self.done) == self.parts:
                self.finished.release()


def _start(helpers: int) -> None:
    with _starting:
        while len(_helpers) < helpers:
            helper = Thread(target=_help, name="autograd_core kernels", daemon=True)
            helper.start()
            _helpers.append(helper)


def _help() -> None:
    while True:
        _waiting.get().work()  # kept in no variable: an idle thread must not keep arrays alive


def _forget() -> None:
    """A forked child has none of its parent's threads."""
    global _waiting, _starting
    _helpers.clear()
    _waiting, _starting = SimpleQueue(), Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

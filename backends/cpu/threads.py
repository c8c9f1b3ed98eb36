"""Numba's threads: how many, and one parallel region at a time."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from numba import get_num_threads

# Some of Numba's threading layers end the process when two Python threads enter a parallel region at once.
_REGION = Lock()


SERIAL_WORK = 500_000  # multiply-adds that take about as long as it takes to wake the threads


def shared(serial: Callable[..., Any], parallel: Callable[..., Any], jobs: int, work: int, *arguments: Any) -> None:
    """Run jobs 0 to ``jobs``: as ``serial(0, jobs, ...)`` if there is little ``work``, else in a part for every thread.

    A result must not depend on where parts begin: then it does not depend on the number of threads.
    """
    parts = min(get_num_threads(), jobs) if work > SERIAL_WORK else 1
    if parts < 2:
        serial(0, jobs, *arguments)
        return
    with _REGION:
        parallel(parts, jobs, *arguments)

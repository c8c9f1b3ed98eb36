"""How many threads compiled programs use on the CPU."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ArgumentError


def get_num_threads() -> int:
    """How many threads a compiled program may use on the CPU; 1 where there is no llvmlite to compile it with.

    As many as there are cores to run on, or as NUMBA_NUM_THREADS or OMP_NUM_THREADS say, until ``set_num_threads``.
    """
    team = _team()
    return 1 if team is None else team.threads()


def set_num_threads(count: int) -> None:
    """Compiled programs use at most ``count`` threads on the CPU from their next run on. Raises ArgumentError.

    >>> from autograd_core.backends import cpu
    >>> before = cpu.get_num_threads()
    >>> cpu.set_num_threads(1)
    >>> cpu.get_num_threads()
    1
    >>> cpu.set_num_threads(before)
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_threads: count must be an int of at least 1, got {count!r}")
    team = _team()
    if team is not None:
        try:
            team.set_threads(count)
        except ValueError as error:  # beyond what a team can have
            raise ArgumentError(str(error)) from None


def _team() -> Any:
    try:
        from .native import team  # it needs llvmlite, which a program that compiles nothing can do without
    except ImportError:
        return None
    return team

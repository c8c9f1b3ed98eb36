"""What CuPy takes from the device and from its pools, counted through its memory hooks."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Allocations:
    """Counts in this thread while it is entered.

    taken: times that a pool was asked for memory. reserved: bytes that pools have asked the device for, every program's
    own pool included; ``reservations``: how often.
    """

    def __init__(self) -> None:
        self.taken = self.reservations = self.reserved = 0
        self._hook = _hook(self)

    def __enter__(self) -> Allocations:
        self._hook.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hook.__exit__(*exception)


def _hook(counts: Allocations) -> Any:
    base: Any = import_module("cupy").cuda.MemoryHook

    class Hook(base):
        name = f"{__name__}.{id(counts)}"  # CuPy refuses two of one name

        def alloc_preprocess(self, *, device_id: int, mem_size: int) -> None:
            counts.reservations += 1
            counts.reserved += mem_size

        def malloc_preprocess(self, *, device_id: int, size: int, mem_size: int) -> None:
            counts.taken += 1

    return Hook()

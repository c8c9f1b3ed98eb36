"""Rendered CUDA C as functions of one device, each code compiled once. Not yet run on hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .native import OPTIONS, Launch, Source

DECLARED = 48 << 10  # bytes of shared memory that a block may have without being asked for more


class Launcher:
    """Enqueues the launches of a ``Source`` on the current stream. Used where its device is current.

    A code is compiled when it is first launched: before that, a launch cannot be captured.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._functions: dict[str, list[tuple[Any, Launch]]] = {}

    def __call__(self, source: Source, arguments: Sequence[Any]) -> None:
        """arguments: the operands' arrays, then a workspace, which may be there without being asked for."""
        arguments = tuple(arguments[: len(source.alignment) + bool(source.workspace)])
        unit = source.unit
        found = self._functions.get(unit)
        if found is None:
            found = self._functions[unit] = self._loaded(source)
        for function, launch in found:
            function((launch.grid,), (launch.block,), arguments, shared_mem=launch.shared)

    def _loaded(self, source: Source) -> list[tuple[Any, Launch]]:
        module = self._cupy.RawModule(code=source.unit, options=OPTIONS)
        found = [(module.get_function(launch.entry), launch) for launch in source.launches]
        for function, launch in found:
            if launch.shared > DECLARED:
                function.max_dynamic_shared_size_bytes = launch.shared
        return found

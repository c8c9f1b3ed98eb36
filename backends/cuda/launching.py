"""Rendered CUDA C as functions of one device, each code compiled once. Not yet run on hardware."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .native import OPTIONS, Source
from .programmatic import Programmatic

DECLARED = 48 << 10  # bytes of shared memory that a block may have without being asked for more


class Launcher:
    """Enqueues the launches of a ``Source`` on the current stream. Used where its device is current.

    A code is compiled when it is first launched, or asked for: before that, a launch cannot be captured.
    """

    def __init__(self, cupy: Any):
        self._cupy = cupy
        self._functions: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}

    def __call__(self, source: Source, arguments: Sequence[Any], programmatic: Programmatic | None = None) -> None:
        """arguments: the operands' arrays, then a workspace, which may be there without being asked for.

        programmatic: launches kernels so that they may begin before those before them have ended.
        """
        arguments = tuple(arguments[: len(source.alignment) + bool(source.workspace)])
        functions = self.compiled(source)
        for launch in source.launches:
            function = functions[launch.entry]
            if programmatic is None:
                function((launch.grid,), (launch.block,), arguments, shared_mem=launch.shared)
            else:
                stream = self._cupy.cuda.get_current_stream().ptr
                programmatic.launch(function, launch, arguments, stream)

    def compiled(self, source: Source) -> dict[str, Any]:
        """The kernels by name; those of one text are the same, however they are launched."""
        found = self._functions.setdefault((source.text, source.files), {})
        missing = [launch for launch in source.launches if launch.entry not in found]
        if missing:
            module = self._cupy.RawModule(code=source.unit, options=OPTIONS)
            for launch in missing:
                found[launch.entry] = function = module.get_function(launch.entry)
                if launch.shared > DECLARED:
                    function.max_dynamic_shared_size_bytes = launch.shared
        return found

    def __len__(self) -> int:
        """How many codes have been compiled."""
        return len(self._functions)

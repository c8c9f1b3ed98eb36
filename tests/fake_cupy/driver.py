"""libcuda of the fake: launches with attributes, and what a capture's next piece of work comes after.

Called by ctypes as the library is. Structures are read from memory at the places that cuda.h gives their members, so
one that is laid out otherwise is refused, or says nonsense. What an error told is in ``refusals``: C has but a number.
"""

from __future__ import annotations

import re
import struct
from ctypes import CFUNCTYPE, Array, addressof, c_char, c_int, c_int32, c_size_t, c_uint64, c_void_p
from typing import Any

from .captures import Capture
from .hardware import machine

WAIT = re.compile(r"\{\s*after_predecessors\(\);")
INVALID_VALUE = 1  # CUresult
KERNEL, OTHER = 0, 1  # CUgraphNodeType
SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
CONFIG, ATTRIBUTE = 56, 72  # bytes of CUlaunchConfig, CUlaunchAttribute
NO_KERNELS = ("copy to device", "copy between devices", "setitem", "fill", "fork")  # pieces of the fake's captures


class Refused(Exception):
    """A call that CUDA does not take."""


class Driver:
    """early: the kernels that may begin before the one before them has ended. missing: functions that it lacks."""

    def __init__(self, version: int = 13000, missing: tuple[str, ...] = ()):
        self.early: list[str] = []
        self.refusals: list[str] = []
        self._version = version
        self._answers: list[Array] = []  # what callers were given pointers to
        for name, count in (("cuDriverGetVersion", 1), ("cuLaunchKernelEx", 4), ("cuGraphNodeGetType", 2)):
            self._define(name, count, missing)
        self._define("cuStreamGetCaptureInfo_v3", 7, missing)

    def _define(self, name: str, count: int, missing: tuple[str, ...]) -> None:
        if name not in missing:
            setattr(self, name, CFUNCTYPE(c_int, *[c_void_p] * count)(self._safely(getattr(self, f"_{name}"))))

    def _safely(self, function: Any) -> Any:
        def called(*arguments: int | None) -> int:
            try:
                function(*arguments)
            except Exception as error:  # an exception does not pass through C
                self.refusals.append(str(error))
                return INVALID_VALUE
            return 0

        return called

    # ------------------------------------------------------------------------------------ the functions

    def _cuDriverGetVersion(self, version: int) -> None:
        c_int32.from_address(version).value = self._version

    def _cuGraphNodeGetType(self, node: int, kind: int) -> None:
        c_int32.from_address(kind).value = OTHER if self._nodes[node] in NO_KERNELS else KERNEL

    def _cuStreamGetCaptureInfo_v3(
        self, stream: int, status: int, number: Any, graph: Any, nodes: int, edges: int, count: int
    ) -> None:
        capture, queue = _capture(stream)
        c_int32.from_address(status).value = int(capture is not None)
        if capture is None:
            return
        ends = sorted(capture.ends[queue])
        self._nodes = {n + 1: capture.nodes[n].name for n in ends}
        self._answers = [(c_uint64 * max(len(ends), 1))(*(n + 1 for n in ends)), (c_uint64 * max(len(ends), 1))()]
        for where, answer in zip((nodes, edges), self._answers, strict=True):
            c_uint64.from_address(where).value = addressof(answer)
        c_size_t.from_address(count).value = len(ends)

    def _cuLaunchKernelEx(self, config: int, function: int, places: int, extra: int | None) -> None:
        raw = bytes((c_char * CONFIG).from_address(config))
        *sizes, shared, _, stream, attributes, count = struct.unpack("<6I I I QQ I", raw[:52])
        if count != 1 or sizes[1:3] + sizes[4:6] != [1] * 4 or not 0 < sizes[3] <= 1024 or not sizes[0]:
            raise Refused(f"cuLaunchKernelEx: no CUlaunchConfig of one attribute: {sizes}, {count}")
        kind, allowed = struct.unpack("<i4xi", bytes((c_char * 12).from_address(attributes)))
        if kind != SERIALIZATION or allowed != 1 or any((c_char * ATTRIBUTE).from_address(attributes)[12:]):
            raise Refused(f"cuLaunchKernelEx: attribute {kind} with value {allowed}")
        if stream != machine.local.streams[machine.local.device].ptr:
            raise Refused("cuLaunchKernelEx: not on the current stream")
        kernel = machine.kernels[function]
        body = kernel.code[kernel.code.index(f"{kernel.name}(") :]
        if not WAIT.match(body, body.index("{")):
            raise Refused(f"{kernel.name} may begin before the one before it has ended, and does not wait for it")
        if kernel.settings.get("enable_cooperative_groups"):
            raise Refused(f"{kernel.name}: blocks that wait for one another")
        declared = body[: body.index(")")].count(",") + 1
        addresses = [c_uint64.from_address(c_uint64.from_address(places + 8 * i).value).value for i in range(declared)]
        kernel((sizes[0],), (sizes[3],), tuple(machine.arrays[a] for a in addresses), shared_mem=shared)
        self.early.append(kernel.name)


def _capture(stream: int) -> tuple[Capture | None, Any]:
    current = machine.local.streams.get(machine.local.device)
    if current is None or current.ptr != stream:
        raise Refused("cuStreamGetCaptureInfo: not the current stream")
    return current.queue.capture, current.queue

"""cupy.cuda of the fake: devices, streams, events, graphs, the pools, raw kernels."""

from __future__ import annotations

import ctypes
import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import launches
from .captures import Access, Capture, CUDARuntimeError, Node, access, in_some_order, longest
from .hardware import Memory, Queue, machine

_POINTERS = itertools.count(0x10)
BYTES = {"bool": 1, "char": 1, "short": 2, "int": 4, "float": 4, "long": 8, "double": 8, "Half": 2, "Brain": 2}


class Device:
    """A device; entered, the current one."""

    def __init__(self, device: int | None = None):
        self.id = machine.local.device if device is None else int(device)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        setDevice(self.id)

    def __enter__(self) -> Device:
        machine.local.entered.append(machine.local.device)
        setDevice(self.id)
        return self

    def __exit__(self, *exc: object) -> None:
        machine.local.device = machine.local.entered.pop()

    def synchronize(self) -> None:
        for queue in machine.queues:
            if queue.device_id == self.id:
                machine.synchronize(queue, "Device.synchronize")

    @property
    def compute_capability(self) -> str:
        return "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        with self:
            return memGetInfo()


class Stream:
    """Work in order; entered, the current stream of its device."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None):
        self.device_id = -1 if null else machine.local.device
        self.ptr = 0 if null else next(_POINTERS)
        self._queue = None if null else machine.new_queue(self.device_id, non_blocking=non_blocking)

    def queue_of(self, device_id: int) -> Queue:
        return machine.legacy[device_id] if self._queue is None else self._queue

    @property
    def queue(self) -> Queue:
        return self.queue_of(machine.local.device)

    @property
    def is_non_blocking(self) -> bool:
        return self.queue.non_blocking

    def _current_device(self) -> int:
        here = machine.local.device
        if self.device_id not in (-1, here):
            raise RuntimeError(f"This stream was created on device {self.device_id}, the current device is {here}")
        return here

    def __enter__(self) -> Stream:
        here = self._current_device()
        machine.local.entered.append((here, machine.local.streams.get(here)))
        machine.local.streams[here] = self
        return self

    def __exit__(self, *exc: object) -> None:
        here, before = machine.local.entered.pop()
        machine.local.streams[here] = before

    def use(self) -> Stream:
        machine.local.streams[self._current_device()] = self
        return self

    @property
    def done(self) -> bool:
        if self.queue.capture is not None:
            raise self.queue.capture.breaks(
                "cudaErrorStreamCaptureUnsupported", "operation not permitted (Stream.done)"
            )
        return self.queue.finished == self.queue.launched

    def synchronize(self) -> None:
        machine.synchronize(self.queue, "Stream.synchronize")

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        queue, capture = self.queue, self.queue.capture
        if event.captured is not None:
            theirs, ends = event.captured
            if theirs.over:
                raise CUDARuntimeError("cudaErrorCapturedEvent", "the event was recorded in a capture that has ended")
            if self._queue is None:
                raise theirs.breaks("cudaErrorStreamCaptureImplicit", "the null stream cannot be captured")
            if capture is not None and capture is not theirs:
                capture.breaks("", "")
                raise theirs.breaks("cudaErrorStreamCaptureMerge", "two captures would become one")
            theirs.wait(queue, ends)
        elif event.point is not None:
            if capture is not None:
                raise capture.breaks("cudaErrorStreamCaptureIsolation", "captured work cannot wait for other work")
            queue.wait(*event.point)

    def begin_capture(self, mode: int | None = None) -> None:
        if self._queue is None:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._queue.capture is not None:
            raise self._queue.capture.breaks("cudaErrorIllegalState", "this stream is captured already")
        Capture(self._queue)

    def end_capture(self) -> Graph:
        capture = self.queue.capture
        if capture is None:
            raise CUDARuntimeError("cudaErrorIllegalState", "this stream is not captured")
        if capture.origin is not self.queue:
            raise capture.breaks("cudaErrorStreamCaptureUnmatched", "the capture began on another stream")
        graph = object.__new__(Graph)
        graph._nodes = capture.end()
        graph._length = longest(graph._nodes)
        return graph

    def is_capturing(self) -> bool:
        return self.queue.capture is not None


Stream.null = Stream(null=True)


def get_current_stream(device_id: int | None = None) -> Stream:
    return machine.local.streams.get(machine.local.device if device_id is None else device_id) or Stream.null


class Event:
    """A point in a stream's work."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.point: tuple[Queue, int] | None = None
        self.captured: tuple[Capture, frozenset[int]] | None = None
        self.is_timed = not disable_timing

    def record(self, stream: Stream | None = None) -> None:
        queue = machine.queue if stream is None else stream.queue
        if queue.capture is None:
            self.point, self.captured = (queue, queue.launched), None
        else:
            self.point, self.captured = None, (queue.capture, queue.capture.ends[queue])

    def _looked_at(self) -> None:
        if self.captured is not None:
            self.captured[0].breaks("", "")
            raise CUDARuntimeError("cudaErrorCapturedEvent", "the event was recorded in a capture")

    @property
    def done(self) -> bool:
        self._looked_at()
        return self.point is None or self.point[0].finished >= self.point[1]

    def synchronize(self) -> None:
        self._looked_at()
        if self.point is not None:
            machine.synchronize(self.point[0], "Event.synchronize")


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """A microsecond, in milliseconds, for each piece of work between two events that the host has waited for; pieces of
    a graph that may run at the same time do so.
    """
    for event in (start_event, end_event):
        if not event.is_timed:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle", "an event that keeps no time")
        if not event.done or event.point is None:
            raise CUDARuntimeError("cudaErrorNotReady", "device not ready")
    assert start_event.point is not None
    assert end_event.point is not None
    return (end_event.point[1] - start_event.point[1]) * 1e-3


class Graph:
    """Captured work, run again on the same memory, each time in another order that the capture allows."""

    _nodes: list[Node]
    _length: int

    def __init__(self, *args: Any, **kwargs: Any):
        raise NotImplementedError("a graph is made by capturing a stream")

    def launch(self, stream: Stream | None = None) -> None:
        queue = machine.queue if stream is None else stream.queue
        machine.launches["graph"] += 1
        machine.work[queue] += 1
        queue.launched += max(1, self._length)
        for node in in_some_order(self._nodes, seed=queue.launched):
            memories = node.memories()
            node.run()
            for memory in memories:
                memory.touch(queue, writing=True, what=node.name)

    def upload(self, stream: Stream | None = None) -> None:
        pass


# ---------------------------------------------------------------------------------------- memory


class MemoryPointer:
    """Where an array begins."""

    def __init__(self, mem: Memory, offset: int = 0):
        self.mem = mem
        self.offset = offset

    def __add__(self, other: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.offset + other)

    @property
    def device_id(self) -> int:
        return self.mem.device_id

    @property
    def ptr(self) -> int:
        return self.mem.address + self.offset

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Stream | None = None) -> None:
        if stream is not None:
            raise NotImplementedError("the fake copies on the current stream")
        machine.launch(
            "memcpy",
            lambda: ctypes.memmove(self.ptr, src.ptr, size),
            others=[access(src.mem, src.ptr, size, writes=False), access(self.mem, self.ptr, size, writes=True)],
        )


class MemoryHook:
    """Entered, it is told in this thread of what pools are asked for, and of what they ask the device for."""

    name = "MemoryHook"

    def __enter__(self) -> MemoryHook:
        if self.name in machine.local.hooks:
            raise KeyError(f"memory hook {self.name} already exists")
        machine.local.hooks[self.name] = self
        return self

    def __exit__(self, *exc: object) -> None:
        del machine.local.hooks[self.name]

    def alloc_preprocess(self, **kwargs: int) -> None:
        """device_id, mem_size."""

    def malloc_preprocess(self, **kwargs: int) -> None:
        """device_id, size, mem_size."""


class MemoryPool:
    """The default pool: by device, with a limit. What another one has given, it keeps as long as it is there."""

    def __init__(self, allocator: Any = None):
        self._given: list[Memory] = []

    def malloc(self, size: int) -> MemoryPointer:
        found = MemoryPointer(machine.allocate(size))
        if self is not DEFAULT_POOL:
            self._given.append(found.mem)
        return found

    def used_bytes(self) -> int:
        return machine.used[machine.local.device]

    def free_bytes(self) -> int:
        return machine.cached[machine.local.device]

    def total_bytes(self) -> int:
        return self.used_bytes() + self.free_bytes()

    def free_all_blocks(self, stream: Stream | None = None) -> None:
        machine.cached[machine.local.device] = 0

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        bytes_of = machine.device_memory * (fraction or 0) if size is None else size
        machine.limits[machine.local.device] = int(bytes_of)

    def get_limit(self) -> int:
        return machine.limits.get(machine.local.device, 0)


DEFAULT_POOL = MemoryPool()


def alloc(size: int) -> MemoryPointer:
    """Memory from the current allocator."""
    return (machine.local.allocator or DEFAULT_POOL.malloc)(size)


@contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Memory comes from there inside, in this thread."""
    before, machine.local.allocator = machine.local.allocator, allocator
    try:
        yield
    finally:
        machine.local.allocator = before


_PINNED: list[tuple[int, int]] = []


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """A host array in memory that a device copies from and to without the host's help."""
    machine.pinned_allocations += 1
    return np.empty(shape, dtype, order)


# ---------------------------------------------------------------------------------------- cupy.cuda.runtime


def getDeviceCount() -> int:
    if not machine.device_count:
        raise CUDARuntimeError("cudaErrorNoDevice", "no CUDA-capable device is detected")
    return machine.device_count


def getDevice() -> int:
    return machine.local.device


def setDevice(device: int) -> None:
    if not 0 <= device < machine.device_count:
        raise CUDARuntimeError("cudaErrorInvalidDevice", "invalid device ordinal")
    machine.local.device = device


def memGetInfo() -> tuple[int, int]:
    here = machine.local.device
    return machine.device_memory - machine.used[here] - machine.cached[here], machine.device_memory


def deviceSynchronize() -> None:
    Device().synchronize()


def driverGetVersion() -> int:
    return 13000


def runtimeGetVersion() -> int:
    return 13000


def getDeviceProperties(device: int) -> dict[str, Any]:
    return {
        "name": b"Fake GPU",
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 4,
        "sharedMemPerBlockOptin": 227 << 10,
        "totalGlobalMem": machine.device_memory,
    }


# ---------------------------------------------------------------------------------------- raw kernels


def occupancyMaxActiveBlocksPerMultiprocessor(func: int, blockSize: int, dynamicSMemSize: int) -> int:
    """As shared memory and threads allow; registers are not known."""
    assert func in machine.kernels
    return min((227 << 10) // (dynamicSMemSize + 1024), 2048 // blockSize)


class Function(NamedTuple):
    """A kernel, to the driver."""

    ptr: int


class RawKernel:
    """A kernel from source: a launch is counted, and does what ``machine.bodies`` has under its name, or what
    ``machine.host_code`` makes of its code.
    """

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), **settings: Any):
        self.code, self.name, self.options, self.settings = code, name, options, settings
        self._function: Function | None = None

    @property
    def kernel(self) -> Function:
        """The driver's function."""
        if self._function is None:
            self._function = Function(next(_POINTERS))
            machine.kernels[self._function.ptr] = self
        return self._function

    def __call__(self, grid: tuple, block: tuple, args: tuple, **settings: Any) -> None:
        launches.check(self, grid, block, args, settings.get("shared_mem", 0))
        arrays = [a for a in args if hasattr(a, "_host")]
        for a in args:
            if not hasattr(a, "_host") and not isinstance(a, (int, float, complex, np.generic)):
                raise TypeError(f"Unsupported type {type(a)}")
        if self.settings.get("enable_cooperative_groups"):
            here = getDeviceProperties(machine.local.device)["multiProcessorCount"]
            most = here * occupancyMaxActiveBlocksPerMultiprocessor(self.kernel.ptr, block[0], settings["shared_mem"])
            if grid[0] > most:
                warnings.warn(f"The grid size will be reduced from {grid[0]} to {most}", stacklevel=2)
                grid = (most,)
        body = machine.bodies.get(self.name)
        if body is None and machine.host_code is not None:
            body = machine.host_code(self, settings)
        if body is None:
            raise NotImplementedError(f"the fake does not run CUDA C: put what {self.name!r} does into machine.bodies")
        hosts = [a._host if hasattr(a, "_host") else a for a in args]
        reads = [a for a, only in zip(args, self.read_only(len(args)), strict=True) if only and hasattr(a, "_host")]
        writes = [a for a in arrays if not any(a is other for other in reads)]
        others = self.listed(reads[0]._host) if "*const segment = " in self.code and not writes else ()
        machine.launch(self.name, lambda: body(tuple(grid), tuple(block), hosts), reads, writes, others)

    def read_only(self, count: int) -> list[bool]:
        """Which arguments the code promises not to write."""
        found = re.search(rf"\b{self.name}\s*\(([^)]*)\)", self.code)
        declared = found[1].split(",") if found else []
        return [p.strip().startswith("const ") for p in declared] if len(declared) == count else [False] * count

    def listed(self, table: np.ndarray) -> list[Access]:
        """What a kernel over segments touches, by the table in memory that is its argument."""
        declared = re.findall(r"^\s*(const )?([\w ]*\w) \*const a(\d+) = ", self.code, re.MULTILINE)
        count = int(table[0])
        rows = table[2:].reshape(count, -1)
        found = []
        for const, kind, i in declared:
            is_one = re.search(rf"\ba{i}( \+ |\[)c0", self.code) is None
            for row in rows:
                size = BYTES[kind.split()[-1]] * (1 if is_one else int(row[1]))
                found.append(machine.access(int(row[2 + int(i)]), size, writes=not const))
        return found


class Module:
    """Kernels from PTX."""

    def load(self, cubin: bytes) -> None:
        if not isinstance(cubin, bytes):
            raise TypeError(f"Argument 'cubin' has incorrect type (expected bytes, got {type(cubin).__name__})")
        self.code = cubin.decode()

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self.code, name)


class RawModule:
    """Kernels from one source or cubin."""

    def __init__(
        self, *, code: str | None = None, path: str | None = None, options: tuple[str, ...] = (), **settings: Any
    ):
        if (code is None) == (path is None):
            raise TypeError("exactly one of `code` and `path` must be given")
        self.code, self.file_path, self.options, self.settings = code, path, options, settings

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self.code or "", name, self.options, **self.settings)

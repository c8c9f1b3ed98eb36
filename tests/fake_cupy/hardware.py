"""The machine that the fake pretends to be: devices, streams that run in order, memory, and counts of what was asked.

Work is done at once, on the host, yet what an asynchronous device would get wrong is refused: memory touched by one
stream while another, not waited for, has still to write it; arrays of a device that is not the current one; memory
used by a graph after it was freed. Of graphs captures.py has the rest. Uninitialized memory holds no numbers that a
result could hide behind.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .captures import Access, Capture, access

GRANULE = 512


class OutOfMemoryError(MemoryError):
    """The pool's limit, or the device's memory, does not hold another allocation."""

    def __init__(self, size: int, total: int, limit: int = 0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited}).")


class Queue:
    """A stream's work in order: how much was launched, how much the host waited for, what of others it waits for."""

    def __init__(self, device_id: int, *, non_blocking: bool = False, legacy: bool = False):
        self.device_id = device_id
        self.non_blocking = non_blocking
        self.legacy = legacy
        self.launched = 0
        self.finished = 0
        self.seen: dict[Queue, int] = {}
        self.capture: Capture | None = None
        self.deferred: list[Callable[[], None]] = []

    def follows(self, other: Queue, ticket: int) -> bool:
        """Whether work queued here from now on comes after that work of ``other``."""
        if other is self or other.finished >= ticket or self.seen.get(other, 0) >= ticket:
            return True
        return (other.legacy and not self.non_blocking) or (self.legacy and not other.non_blocking)

    def wait(self, other: Queue, ticket: int) -> None:
        for queue, seen in (*other.seen.items(), (other, ticket)):
            self.seen[queue] = max(seen, self.seen.get(queue, 0))

    def finish(self) -> None:
        self.finished = self.launched
        for queue, seen in self.seen.items():
            queue.finished = max(queue.finished, seen)
        for copy in self.deferred:
            copy()
        self.deferred.clear()


class Memory:
    """One allocation on a device; returns to its pool when nothing refers to it any more.

    buffer: the host's memory that stands for it, at a multiple of GRANULE; address: where that is, for stand-ins of C
    libraries.
    """

    def __init__(self, machine: Machine, device_id: int, nbytes: int, queue: Queue):
        self.device_id = device_id
        self.size = nbytes
        self.queue = queue
        whole = np.empty(nbytes + GRANULE, np.uint8)
        begin = -whole.ctypes.data % GRANULE
        self.buffer = whole[begin : begin + nbytes]
        self.address: int = self.buffer.ctypes.data
        self.written: tuple[Queue, int] | None = None
        self.read: dict[Queue, int] = {}
        weakref.finalize(self, _freed, machine.used, machine.cached, device_id, nbytes).atexit = False

    def touch(self, queue: Queue, *, writing: bool, what: str) -> None:
        """``queue`` is about to read or write; RuntimeError if it does not wait for others that still work on it."""
        pending = [] if self.written is None else [self.written]
        if writing:
            pending += self.read.items()
        for other, ticket in pending:
            if not queue.follows(other, ticket):
                raise RuntimeError(
                    f"{what}: memory used on {_named(queue)} while work on {_named(other)} that nobody waited for "
                    "still uses it"
                )
        if writing:
            self.written, self.read = (queue, queue.launched), {}
        else:
            self.read[queue] = queue.launched


def _freed(used: Counter[int], cached: Counter[int], device_id: int, size: int) -> None:
    used[device_id] -= size
    cached[device_id] += size


def _named(queue: Queue) -> str:
    kind = "the null stream" if queue.legacy else "a non-blocking stream" if queue.non_blocking else "a stream"
    return f"{kind} of device {queue.device_id}"


class Local(threading.local):
    """What is current in a thread."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}
        self.allocator: Callable[[int], Any] | None = None  # the default pool's, if there is none
        self.hooks: dict[str, Any] = {}  # that are told of allocations
        self.entered: list[Any] = []  # what was current before each device and stream that was entered


class Machine:
    """Two devices, and what was asked of them since ``reset``.

    launches: by name; work: the streams that it went to; copies: "to device", "to host", "between devices";
    synchronizations: by what made the host wait; bodies: what a raw kernel of that name does, as
    ``body(grid, block, arrays_and_scalars)``; host_code: makes that of a raw kernel and the settings of its launch;
    kernels: by the driver's pointer; arrays: by address, the last made of each.
    """

    host_code: Callable[[Any, dict[str, Any]], Callable[..., None]] | None = None

    def __init__(self) -> None:
        self.local = Local()
        self.bodies: dict[str, Callable[..., None]] = {}
        self.reset()

    def reset(self, *, devices: int = 2, memory: int = 2**32) -> None:
        self.device_count = devices
        self.device_memory = memory
        self.limits: dict[int, int] = {}
        self.used: Counter[int] = Counter()
        self.cached: Counter[int] = Counter()
        self.queues: list[Queue] = []
        self.memories: weakref.WeakSet[Memory] = weakref.WeakSet()
        self.legacy = {i: self.new_queue(i, legacy=True) for i in range(devices)}
        self.local.device = 0
        self.local.streams = {}
        self.linalg_errors = "ignore"
        self.bodies.clear()
        self.kernels: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.arrays: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.host_code = None
        self.forget()

    def forget(self) -> None:
        """Count from here on."""
        self.launches: Counter[str] = Counter()
        self.work: Counter[Queue] = Counter()
        self.copies: Counter[str] = Counter()
        self.synchronizations: Counter[str] = Counter()
        self.allocations = 0
        self.pinned_allocations = 0

    # -------------------------------------------------------------------------------- what is current

    def new_queue(self, device_id: int, **kind: bool) -> Queue:
        queue = Queue(device_id, **kind)
        self.queues.append(queue)
        return queue

    @property
    def queue(self) -> Queue:
        """The current stream's queue on the current device."""
        stream = self.local.streams.get(self.local.device)
        return self.legacy[self.local.device] if stream is None else stream.queue_of(self.local.device)

    # -------------------------------------------------------------------------------- memory

    def allocate(self, nbytes: int) -> Memory:
        device = self.local.device
        size = -(-nbytes // GRANULE) * GRANULE
        limit = self.limits.get(device, 0)
        if self.used[device] + size > min(limit or self.device_memory, self.device_memory):
            raise OutOfMemoryError(size, self.used[device] + self.cached[device], limit)
        for hook in self.local.hooks.values():
            hook.malloc_preprocess(device_id=device, size=nbytes, mem_size=size)
            if self.cached[device] < size:
                hook.alloc_preprocess(device_id=device, mem_size=size)
        self.used[device] += size
        self.cached[device] = max(0, self.cached[device] - size)
        self.allocations += 1
        made = Memory(self, device, size, self.queue)
        self.memories.add(made)
        return made

    # -------------------------------------------------------------------------------- work

    def launch(
        self,
        name: str,
        run: Callable[[], None],
        reads: Iterable[Any] = (),
        writes: Iterable[Any] = (),
        others: Iterable[Access] = (),
    ) -> None:
        """Queue work on the current stream; ``reads`` and ``writes`` are arrays of the fake, ``others`` what it touches
        besides.
        """
        queue, reads, writes = self.queue, list(reads), list(writes)
        for array in (*reads, *writes):
            self.check_here(array)
        self.launches[name] += 1
        self.work[queue] += 1
        if queue.capture is not None:
            touched = [
                _spanned(a, writes=writes_it) for writes_it, some in ((False, reads), (True, writes)) for a in some
            ]
            queue.capture.add(queue, name, run, [*touched, *others])
            return
        queue.launched += 1
        for array in reads:
            array.data.mem.touch(queue, writing=False, what=name)
        for array in writes:
            array.data.mem.touch(queue, writing=True, what=name)
        for other in others:
            other.memory().touch(queue, writing=other.writes, what=name)
        run()

    def access(self, address: int, size: int, *, writes: bool) -> Access:
        """Of what lies at an address."""
        found = (m for m in list(self.memories) if m.address <= address < m.address + m.size)
        return access(next(found), address, size, writes=writes)

    def check_here(self, array: Any) -> None:
        if array.data.device_id != self.local.device:
            raise ValueError(
                f"The device where the array resides ({array.data.device_id}) is different from the current device "
                f"({self.local.device}). Peer access is unavailable between these devices."
            )

    def refuse_capture(self, what: str) -> None:
        """Calls that CuPy, or CUDA, does not take while the current stream is captured."""
        if self.queue.capture is not None:
            raise NotImplementedError(f"{what} is not supported while a stream is captured")

    def synchronize(self, queue: Queue, what: str) -> None:
        """The host waits for ``queue``."""
        if queue.capture is not None:
            raise queue.capture.breaks("cudaErrorStreamCaptureUnsupported", f"operation not permitted ({what})")
        self.synchronizations[what] += 1
        queue.finish()


def _spanned(array: Any, *, writes: bool) -> Access:
    """All bytes from the first of its elements to the last."""
    first, end = byte_bounds(array._host)
    return access(array.data.mem, first, end - first if array._host.size else 0, writes=writes)


def poison(array: np.ndarray) -> None:
    """What lies in memory that nobody has written."""
    if array.dtype.kind in "fc" or array.dtype.name == "bfloat16":
        array.fill(np.nan)
    elif array.dtype.kind in "iu":
        array.fill(np.iinfo(array.dtype).max - 1)
    else:
        array.reshape(-1).view(np.uint8).fill(1)


machine = Machine()

"""The team of threads that runs native programs: workers that wait in machine code, without the interpreter's lock.

A worker waits at its mailbox, one cache line of the team's control block. It spins there for a while after each job,
so that the next one starts at once, then sleeps until the thread that posts a job wakes it. The thread that calls is
thread 0 of the job. One job at a time has the team; whoever finds it taken runs alone. So does everybody before the
first worker is started and after the interpreter began to end, and a forked child starts a team of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from threading import Lock, Thread
from time import perf_counter_ns

from .emit import CACHE_LINE
from .machine import MOST_THREADS, default_threads
from .runtime import MAILBOXES, Runtime, runtime

SPIN_MICROSECONDS = 70  # of an idle worker before it sleeps


class Team:
    """Threads that run a job at once.

    size: how many a job may have, its caller among them. version: changes whenever a job that was prepared for this
    team must be prepared anew. control: the address of the control block, once ``start`` has been called.
    """

    def __init__(self) -> None:
        self.size = default_threads()
        self.version = 0
        self._forget()

    def _forget(self) -> None:
        """As at first: a forked child has none of its parent's threads, and the block says what they were doing."""
        self.version += 1
        self.control = 0
        self._block: ctypes.Array | None = None
        self._workers: list[Thread] = []
        self._locks: list[int] = []
        self._starting = Lock()
        self._closed = False

    def resize(self, size: int) -> None:
        """Jobs from now on may have ``size`` threads."""
        if not isinstance(size, int) or not 1 <= size <= MOST_THREADS:
            raise ValueError(f"set_threads: a team has 1 to {MOST_THREADS} threads, got {size!r}")
        self.size = size
        self.version += 1

    def start(self, size: int) -> int:
        """Have workers for jobs of ``size`` threads; how many threads a job can have: fewer where none can be had."""
        with self._starting:
            if self._closed:
                return 1
            native = runtime()
            if self._block is None:
                self._block = ctypes.create_string_buffer(MAILBOXES + (MOST_THREADS + 1) * CACHE_LINE)
                # never freed: a worker may look at it while the interpreter takes its objects down
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._block))
                address = ctypes.addressof(self._block)
                self.control = address + -address % CACHE_LINE
            while len(self._workers) + 1 < size:
                try:
                    self._workers.append(self._worker(native, len(self._workers) + 1))
                except RuntimeError:  # the system has no more threads for us
                    break
            return min(size, len(self._workers) + 1)

    def _worker(self, native: Runtime, index: int) -> Thread:
        if len(self._locks) < index:
            lock = _allocate_lock()
            if not lock:
                raise RuntimeError("no lock can be allocated")
            _acquire_lock(lock, 1)  # whoever wakes the worker releases it
            self._locks.append(lock)
        lock_at = self.control + MAILBOXES + index * CACHE_LINE + 8
        ctypes.c_void_p.from_address(lock_at).value = self._locks[index - 1]
        thread = Thread(
            target=native.worker,
            args=(self.control, index, _spins(native)),
            name=f"autograd_core native {index}",
            daemon=True,
        )
        thread.start()
        return thread

    def close(self) -> None:
        """End the workers, which must not be in machine code when the interpreter takes it away."""
        with self._starting:
            self._closed = True
            self.version += 1
            if not self._workers:
                return
            native = runtime()
            for _ in range(1000):
                if native.claim(self.control):
                    break
                native.spin(1000)
            else:
                return  # a thread that outlives the interpreter's end still runs a job
            for index in range(1, len(self._workers) + 1):
                native.dismiss(self.control, index)
            for worker in self._workers:
                worker.join(1.0)
            self._workers.clear()


def threads() -> int:
    """How many threads a native program may use."""
    return TEAM.size


def set_threads(count: int) -> None:
    """Native programs use at most ``count`` threads from their next run on."""
    TEAM.resize(count)


_spins_known = 0


def _spins(native: Runtime) -> int:
    """How many pauses last SPIN_MICROSECONDS here: processors differ by a factor of ten."""
    global _spins_known
    if not _spins_known:
        rounds, fastest = 500, 1 << 62
        for _ in range(5):
            start = perf_counter_ns()
            native.spin(rounds)
            fastest = min(fastest, perf_counter_ns() - start)
        _spins_known = max(100, rounds * SPIN_MICROSECONDS * 1000 // max(fastest, 1))
    return _spins_known


_allocate_lock = ctypes.pythonapi.PyThread_allocate_lock
_allocate_lock.argtypes, _allocate_lock.restype = [], ctypes.c_void_p
_acquire_lock = ctypes.pythonapi.PyThread_acquire_lock
_acquire_lock.argtypes, _acquire_lock.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int

TEAM = Team()
atexit.register(TEAM.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TEAM._forget)

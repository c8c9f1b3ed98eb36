"""One device and the one stream that all of our work on it goes to.

The stream does not wait for CUDA's null stream, on which other code's CuPy calls run unless it says otherwise: where
an array comes from other code, ``after_current`` puts the work in order, on the device, without making the host wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any


class Queue:
    """A device with its stream; entered, both are current in this thread, and what CuPy is asked for runs there.

    waits: how often the host has waited for this stream.
    """

    def __init__(self, cupy: Any, index: int):
        self.index = index
        self.device = cupy.cuda.Device(index)
        self.waits = 0
        self._cuda = cupy.cuda
        self._captured = local()
        self._spare: deque[Any] = deque()  # streams for captures, each of which finds what pools keep for it
        with self.device:
            self._stream = cupy.cuda.Stream(non_blocking=True)

    @property
    def stream(self) -> Any:
        """Where this thread's work goes."""
        return getattr(self._captured, "stream", None) or self._stream

    @contextmanager
    def captured(self, branches: int = 1) -> Iterator[list[Any]]:
        """So many other streams, to be captured together; this thread's work goes to the first inside, and to others in
        ``along``. That of other threads goes on meanwhile.
        """
        with self.device:
            streams = [self._beside() for _ in range(branches)]
            streams[0].wait_event(self._stream.record())
        self._captured.stream = streams[0]
        try:
            with self:
                yield streams
        finally:
            self._captured.stream = None
            with self.device:
                self._stream.wait_event(streams[0].record())
            self._spare.extendleft(reversed(streams))  # the first is the first again

    def _beside(self) -> Any:
        try:
            return self._spare.popleft()
        except IndexError:
            return self._cuda.Stream(non_blocking=True)

    @contextmanager
    def along(self, stream: Any) -> Iterator[None]:
        """This thread's work goes to that stream of a capture inside."""
        before, self._captured.stream = self._captured.stream, stream
        try:
            with stream:
                yield
        finally:
            self._captured.stream = before

    def __enter__(self) -> Queue:
        self.device.__enter__()
        self.stream.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.__exit__(*exc)
        self.device.__exit__(*exc)

    def wait(self) -> None:
        """The host waits until all work here is done."""
        self.waits += 1
        self.stream.synchronize()

    def after(self, other: Queue) -> None:
        """Work from now on comes after what ``other`` has been given."""
        with other.device:
            done = other.stream.record()
        with self.device:
            self.stream.wait_event(done)

    def after_current(self) -> None:
        """Work from now on comes after what the stream that is current in this thread has been given."""
        with self.device:
            current = self._cuda.get_current_stream()
            if current != self.stream:
                self.stream.wait_event(current.record())

"""Captures of the fake CuPy: what CUDA says of streams that join, of events, and of what pieces of a graph touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fake_cupy
import pytest
from cuda_tools import fake_devices
from fake_cupy.captures import Unordered


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


def test_captures_fork_and_join(machine: fake_cupy.Machine) -> None:
    import cupy

    cuda = cupy.cuda
    main, side, other = (cuda.Stream(non_blocking=True) for _ in range(3))
    with main:
        x, y = cupy.ones(4), cupy.ones(4)
        main.begin_capture()
        x += 1
        forked = main.record(cuda.Event(disable_timing=True))
        side.wait_event(forked)
        assert side.is_capturing()
        with side:
            y += x
        with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureUnmatched"):
            side.end_capture()
        with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
            main.end_capture()
        assert not side.is_capturing()
        with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorCapturedEvent"):
            other.wait_event(forked)

        for joins in (False, True):
            main.begin_capture()
            x += 1
            side.wait_event(main.record())
            with side:
                y += x
                joined = side.record()
            if joins:
                main.wait_event(joined)
                graph = main.end_capture()
            else:
                with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureUnjoined"):
                    main.end_capture()
        for _ in range(2):
            graph.launch()
        assert x.get().tolist() == [3.0] * 4
        assert y.get().tolist() == [6.0] * 4


def test_what_a_capture_cannot_have_ends_it(machine: fake_cupy.Machine) -> None:
    import cupy

    cuda = cupy.cuda
    main, side = (cuda.Stream(non_blocking=True) for _ in range(2))
    outside = side.record()

    def refuse(call: Callable[[], Any], name: str) -> None:
        with pytest.raises(cuda.runtime.CUDARuntimeError, match=name):
            call()
        with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
            main.end_capture()

    main.begin_capture()
    refuse(lambda: main.wait_event(outside), "cudaErrorStreamCaptureIsolation")
    main.begin_capture()
    event = main.record()
    refuse(lambda: event.done, "cudaErrorCapturedEvent")
    main.begin_capture()
    refuse(main.synchronize, "cudaErrorStreamCaptureUnsupported")
    main.begin_capture()
    side.begin_capture()
    refuse(lambda: side.wait_event(main.record()), "cudaErrorStreamCaptureMerge")
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        side.end_capture()


def test_pieces_in_no_order_touch_no_bytes_that_one_of_them_writes(machine: fake_cupy.Machine) -> None:
    import cupy

    cuda = cupy.cuda
    main, side = (cuda.Stream(non_blocking=True) for _ in range(2))
    with main:
        whole = cupy.ones(8, "float32")
    begins = [(0, 4), (4, 8), (3, 7)]
    for mine, theirs in ((0, 1), (0, 2)):
        with main:
            main.begin_capture()
            side.wait_event(main.record())
            with side:
                whole[slice(*begins[theirs])].fill(2)
            whole[slice(*begins[mine])].fill(3)
            main.wait_event(side.record())
            if theirs == 1:
                graph = main.end_capture()
                graph.launch()
            else:
                with pytest.raises(Unordered, match="bytes 12 to 16"):
                    main.end_capture()
    with main:
        assert whole.get().tolist() == [3.0] * 4 + [2.0] * 4

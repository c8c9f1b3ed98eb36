"""Compiled steps on a GPU, counted: waits of the host, allocations, and whether the host got ahead of the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.backend import Device

from .allocations import Allocations

CALLS = 10
EXTENT, TIMES = 8192, 5  # products of float32 that keep a GPU busy while the host makes these calls


def counted(step: Callable[[], Any], whole: Any, device: Device, *, quick: bool) -> dict[str, Any]:
    """Of ``CALLS`` calls of a step that is captured; ``whole``: what ``ag.compile`` made.

    waits: of the host, by the backend's own count. host_ahead: whether the calls had returned before work was done that
    the device was given first: had anything made the host wait, counted or not, it would have been. allocations,
    reservations: what pools were asked for, and what they asked the device for.
    """
    backend: Any = device.backend
    ahead = _busy(device, quick)
    before = backend.waits(device)
    with Allocations() as allocations:
        for _ in range(CALLS):
            step()
    figures = {
        "calls": CALLS,
        "waits": backend.waits(device) - before,
        "host_ahead": not ahead.done,
        "allocations": allocations.taken,
        "reservations": allocations.reservations,
    }
    device.synchronize()
    report = whole.report()
    return figures | {
        "how": list(report.remarks),
        "kernels": sum(row.native for row in report),
        "kernel_calls": [row.name for row in report if not row.native],
        "math": report.math,
    }


def _busy(device: Device, quick: bool) -> Any:
    """An event at the end of work that takes the device a tenth of a second."""
    extent = 64 if quick else EXTENT
    a = ag.tensor(np.ones((extent, extent), np.float32), device=device)
    with ag.no_grad():
        b = a @ a
        device.synchronize()
        for _ in range(TIMES):
            b = a @ b
        b = b + 1
    backend: Any = device.backend
    queue = backend.queue(device.index)
    with queue:
        return queue.stream.record()

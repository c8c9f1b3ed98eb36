"""Questions to CUDA devices that other devices are not asked: ``ag.cuda.synchronize()``, ``ag.cuda.memory_stats()``.

Importing this needs no CUDA. Where there is none, ``is_available`` and ``device_count`` say so, and the others raise
BackendUnavailableError with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from . import context
from .backend import Device, get_device, load_backend
from .errors import ArgumentError, DeviceError

__all__ = [
    "MemoryStats",
    "convolutions_by",
    "device_count",
    "get_convolutions_by",
    "is_available",
    "memory_stats",
    "synchronize",
    "waits",
]

NAME = __name__.rpartition(".")[2]  # the backend that this is the face of


class MemoryStats(NamedTuple):
    """Bytes of one device's memory.

    in_use: held by arrays. reserved: taken from the device by the memory pool, in use or kept to be used again. limit:
    what the pool may reserve, 0 for no limit. free, total: of the device, for all programs that use it.
    """

    in_use: int
    reserved: int
    limit: int
    free: int
    total: int


def is_available() -> bool:
    """Whether CUDA can be used here; if not, ``ag.devices()`` says why."""
    return bool(load_backend(NAME).availability())


def device_count() -> int:
    """How many CUDA devices can be used: 0 where CUDA cannot."""
    backend = load_backend(NAME)
    return backend.device_count() if backend.availability() else 0


def synchronize(device: Any = None) -> None:
    """Wait until ``device`` (a name, an index, a Device; by default the first) has done all that it was given."""
    _device("synchronize", device).synchronize()


def memory_stats(device: Any = None) -> MemoryStats:
    """How much of the memory of ``device`` (by default the first) is in use."""
    found = _device("memory_stats", device)
    backend: Any = found.backend
    return backend.memory_stats(found)


def waits(device: Any = None) -> int:
    """How often the host has waited for ``device`` so far: for values that it read or checked, or in ``synchronize``.

    A training loop that is as fast as the device can be waits only where it prints.
    """
    found = _device("waits", device)
    backend: Any = found.backend
    return backend.waits(found)


@contextmanager
def convolutions_by(library: str) -> Iterator[None]:
    """Choose who computes convolutions on CUDA devices.

    library: ``"auto"``, the default: cuDNN where its front end is installed, else kernels of our own; ``"cudnn"``:
    cuDNN, BackendUnavailableError from the first convolution if it cannot be used, with what is missing; ``"own"``.
    What cuDNN refuses, our kernels compute. Other devices are not concerned. Compiled functions are compiled for each
    choice that they are called in. ArgumentError for anything else.

    >>> import autograd_core as ag
    >>> with ag.cuda.convolutions_by("own"):
    ...     ag.cuda.get_convolutions_by()
    'own'
    """
    if library not in context.CONVOLUTIONS:
        raise ArgumentError(f"convolutions_by: {library!r} is none of {', '.join(map(repr, context.CONVOLUTIONS))}")
    with context.scope(convolutions=library):
        yield


def get_convolutions_by() -> str:
    """Who computes convolutions on CUDA devices: ``"auto"``, ``"cudnn"`` or ``"own"`` (``convolutions_by``)."""
    return context.current().convolutions


def _device(op: str, device: Any) -> Device:
    if device is None or (isinstance(device, int) and not isinstance(device, bool)):
        device = f"{NAME}:{device or 0}"
    found = get_device(device)
    if found.backend.name != NAME:
        raise DeviceError(f"{op}: {str(found)!r} is no {NAME} device; write '{NAME}' or '{NAME}:1'")
    return found

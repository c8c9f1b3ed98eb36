"""Arrays in memory that several processes see at once."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import NamedTuple

import numpy as np

from autograd_core.errors import ArgumentError, OutOfMemoryError

PREFIX = "autograd_"  # of the names of blocks; the number of the process that owns one comes next
ALIGNMENT = 64  # bytes: no two arrays in one line of a cache


class Place(NamedTuple):
    """Where an array lies in a block of shared memory."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int


class Block(NamedTuple):
    """What another process needs to find the arrays: the name of the memory, and where each of them lies."""

    memory: str
    places: dict[str, Place]


class _Memory(SharedMemory):
    """Shared memory that lets go of its mapping when the last array of it is gone, if somebody still holds one."""

    def close(self) -> None:
        with contextlib.suppress(BufferError):
            super().close()


class SharedArrays:
    """Copies of arrays in one block of shared memory, by name; leaving the ``with`` frees it.

    Who makes it owns the memory and frees it; ``SharedArrays.attached`` in another process only lets go of it.

    >>> with SharedArrays({"w": np.ones(3)}) as shared:
    ...     with SharedArrays.attached(shared.block) as same:
    ...         same["w"][1] = 5.0
    ...     print(shared["w"])
    [1. 5. 1.]
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        places, size = {}, 0
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise ArgumentError(f"shared memory: {name!r} has dtype {array.dtype}; give an array of numbers")
            places[name] = Place(array.shape, array.dtype, size)
            size += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
        _check_free(size)
        name = f"{PREFIX}{os.getpid()}_{secrets.token_hex(4)}"
        self._hold(_Memory(name, create=True, size=max(size, 1)), places, owner=True)
        try:
            for name, array in arrays.items():
                self[name][...] = array
        except BaseException:
            self.close()
            raise

    @classmethod
    def attached(cls, block: Block) -> SharedArrays:
        """The arrays of another process."""
        self = cls.__new__(cls)
        self._hold(_Memory(block.memory), block.places, owner=False)
        return self

    def _hold(self, memory: _Memory, places: dict[str, Place], *, owner: bool) -> None:
        self._memory, self._owner = memory, owner
        self.block = Block(memory.name, places)
        # frombuffer holds on to the memory, so that it cannot go while an array of it is there
        whole = np.frombuffer(memoryview(memory.buf or b""), np.uint8)
        self.arrays = {name: _view(whole, place) for name, place in places.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __enter__(self) -> SharedArrays:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the memory; its owner frees it too. Arrays that somebody still holds stay readable."""
        self.arrays = {}
        if self._owner:
            self._owner = False
            self._memory.unlink()
        self._memory.close()


def _view(whole: np.ndarray, place: Place) -> np.ndarray:
    size = math.prod(place.shape) * place.dtype.itemsize
    return whole[place.offset : place.offset + size].view(place.dtype).reshape(place.shape)


def _check_free(size: int, folder: str = "/dev/shm") -> None:
    """Where shared memory is a file system, one that is too small ends the process at the first write."""
    if os.path.isdir(folder) and size > (free := shutil.disk_usage(folder).free):
        raise OutOfMemoryError(
            f"shared memory: {size / 2**20:.0f} MiB are asked for, {folder} has {free / 2**20:.0f} MiB left; give less "
            "data, or make it larger (docker run --shm-size)"
        )

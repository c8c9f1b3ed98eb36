"""Memory as PTX sees it: global arrays of exact extents, a block's shared memory, copies that go on meanwhile.

An access beside an array, or one that is not aligned to its width, is an error, as on hardware. So is what hardware
leaves undefined: two warps of a block that meet at one place of shared memory with no barrier between them, two blocks
of a launch at one place of global memory, and ld.global.nc of what the launch has written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
BASE = 0x7F40_0000_0000  # of global addresses, none of which fits into 32 bits
HOME = 256  # bytes where threads look that do not take part
GAP = 512  # bytes between arrays, at least
NONSENSE = 0xFF  # what shared memory holds before it is written: NaN as floats


class AccessError(Exception):
    """An access that hardware refuses or leaves undefined."""


class Global:
    """Arrays at addresses; what they hold in the end is read by ``array``."""

    def __init__(self) -> None:
        self.bytes = np.zeros(HOME, np.uint8)
        self.valid = np.ones(HOME, bool)
        self.writer = np.zeros(0, np.int32)  # of each byte: the block that wrote it in this launch, or -1

    def add(self, array: Array, shift: int = 0) -> int:
        """The address of a copy: a multiple of 256, and ``shift`` bytes."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        start = len(self.bytes) + shift
        length = -(-(data.size + shift + GAP) // 256) * 256
        self.bytes = np.concatenate([self.bytes, np.full(length, NONSENSE, np.uint8)])
        self.valid = np.concatenate([self.valid, np.zeros(length, bool)])
        self.bytes[start : start + data.size] = data
        self.valid[start : start + data.size] = True
        return BASE + start

    def array(self, address: int, like: Array) -> Array:
        start = address - BASE
        return self.bytes[start : start + like.nbytes].copy().view(like.dtype).reshape(like.shape)

    def begin(self) -> None:
        """A launch."""
        self.writer = np.full(len(self.bytes), -1, np.int32)

    def places(self, address: Array, width: int, where: Array | bool) -> Array:
        """Of the bytes, checked; ``HOME`` bytes' first for threads that do not take part."""
        found = address.astype(np.int64) - BASE
        if where is not True:
            found = np.where(where, found, 0)
        _aligned(found, width)
        if (found < 0).any() or (found > len(self.bytes) - width).any():
            raise AccessError("an address in no array")
        if not (self.valid[found] & self.valid[found + (width - 1)]).all():
            raise AccessError("an address beside the arrays")
        return found


class Blocks:
    """Shared memory of blocks that run together, with who met whom at each of its words since the last barrier."""

    def __init__(self, blocks: int, threads: int, size: int):
        self.size, self.threads = size, threads
        room = -(-max(size, 16) // 16) * 16
        self.room = room
        self.bytes = np.full(blocks * room + 16, NONSENSE, np.uint8)
        self.start = np.repeat(np.arange(blocks) * room, threads)
        self.warp = np.arange(blocks * threads) // 32
        self.era = np.zeros(blocks * threads, np.int64)  # barriers that a thread has passed
        words = len(self.bytes) // 4
        self.written, self.read = (np.full(words, -1, np.int64) for _ in range(2))  # the era, and which warp
        self.writer, self.reader = (np.full(words, -1, np.int64) for _ in range(2))

    def places(self, address: Array, width: int, where: Array | bool) -> Array:
        found = address.astype(np.int64)
        if where is not True:
            found = np.where(where, found, 0)
        _aligned(found, width)
        outside = (found < 0) | (found + width > self.size)
        if outside.any() and (outside if where is True else outside & where).any():
            raise AccessError(f"an address beside the {self.size} bytes of shared memory")
        found = np.broadcast_to(found, self.start.shape)
        return np.where(outside, len(self.bytes) - 16, found + self.start) if outside.any() else found + self.start

    def noted(self, places: Array, width: int, where: Array | bool, is_write: bool) -> None:
        """An error if another warp was at one of these places since the last barrier, and either writes."""
        at, warp, era = (x if where is True else x[where] for x in (places, self.warp, self.era))
        for word in range(-(-width // 4)):
            w = (at >> 2) + word
            met = (self.written[w] == era) & (self.writer[w] != warp)
            if is_write:
                met |= (self.read[w] == era) & (self.reader[w] != warp)
            if width < 4:
                continue  # neighbours in a word are no meeting
            if met.any():
                raise AccessError("warps of a block meet in shared memory without a barrier between them")
            if is_write:
                self.written[w], self.writer[w] = era, warp
                if (self.writer[w] != warp).any():
                    raise AccessError("warps of a block write to one place of shared memory at once")
            else:
                several = (self.read[w] == era) & (self.reader[w] != warp)
                self.reader[w] = np.where(several, -2, warp)
                again = self.reader[w] != np.where(several, -2, warp)  # several warps read it just now
                self.reader[w[again]] = -2
                self.read[w] = era


class Copies:
    """cp.async: nothing is there before its thread has waited for it (PTX ISA, "cp.async").

    Until then the destination holds nonsense, since the copy may be made at any time.
    """

    def __init__(self, memory: Global, blocks: Blocks, threads: int):
        self._memory, self._blocks = memory, blocks
        self._groups = np.zeros(threads, np.int64)  # that each thread has committed
        self._begun: list[tuple[Array, Array, Array, Array, Array, int]] = []

    def begin(self, to: Array, source: Array, sizes: Array, width: int, where: Array | bool) -> None:
        """to: checked places in shared memory; source: checked places of the bytes that are copied, if any."""
        threads = np.arange(len(self._groups)) if where is True else np.flatnonzero(where)
        to, source, sizes = (np.broadcast_to(x, self._groups.shape)[threads] for x in (to, source, sizes))
        for i in range(width):
            self._blocks.bytes[to + i] = NONSENSE
        self._begun.append((threads, to, source, sizes, self._groups[threads], width))

    def commit(self, where: Array | bool) -> None:
        self._groups[where if where is not True else slice(None)] += 1

    def wait(self, pending: int, where: Array | bool) -> None:
        """All groups of these threads but the last ``pending`` ones."""
        kept = []
        for threads, to, source, sizes, groups, width in self._begun:
            due = groups < self._groups[threads] - pending
            if where is not True:
                due &= where[threads]
            for i in range(width):
                taken = np.where(i < sizes[due], self._memory.bytes[source[due] + np.minimum(i, sizes[due])], 0)
                self._blocks.bytes[to[due] + i] = taken
            if not due.all():
                kept.append((*(x[~due] for x in (threads, to, source, sizes, groups)), width))
        self._begun = kept


def load(data: Array, places: Array, kind: str, index: int) -> Array:
    """Element ``index`` of the vectors at these places."""
    size = np.dtype(kind).itemsize
    return np.take(data[: len(data) // size * size].view(kind), places // size + index)


def store(data: Array, places: Array, values: Array, index: int) -> None:
    size = values.dtype.itemsize
    data[: len(data) // size * size].view(values.dtype)[places // size + index] = values


def _aligned(places: Array, width: int) -> None:
    if (places & (width - 1)).any():
        raise AccessError(f"an address that is no multiple of {width}")


def laid_out(sizes: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """Where variables of these (size, align) lie one after the other, and where they end."""
    found, end = [], 0
    for size, align in sizes:
        end = -(-end // align) * align
        found.append(end)
        end += size
    return found, end

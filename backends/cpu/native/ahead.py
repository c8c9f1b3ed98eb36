"""Memory that is wanted soon, asked for while there is arithmetic to do: a few cache lines at a time.

A processor's own guesses end with a page or a stretch, and a copy waits for memory. Addresses past the end of an array
are asked for in vain, and do no harm: nothing is read.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from .emit import CACHE_LINE, I8, I32, POINTER, VOID, Kernel, element, i64, intrinsic, local, loop, rounded_up

UNROLLED = 8  # lines asked for one after another
# the cache that is asked to hold it; the first belongs to the arithmetic, if there is much
FIRST_LEVEL, SECOND_LEVEL = 3, 2


class Stretches(NamedTuple):
    """``number`` stretches of ``size`` bytes each, ``step`` bytes from one to the next."""

    number: int
    size: int
    step: int


def rows_of_image(
    layout: str, channels: int, height: int, width: int, itemsize: int, *, rows: int, images: int = 1
) -> Stretches:
    """So many rows of an image, or all of some images: what lies together is one stretch."""
    pixels = rows * width * itemsize
    if layout == "NHWC" or rows == height:
        return Stretches(1, images * channels * pixels, 0)
    return Stretches(channels, pixels, height * width * itemsize)


class Ahead:
    """Some stretches in ``calls`` parts: each ``step`` asks for the next part. written: it is wanted to be written."""

    def __init__(
        self, builder: Kernel, wanted: Stretches, calls: int, *, written: bool = False, level: int = SECOND_LEVEL
    ):
        self.b, self.written, self.level = builder, written, level
        calls = max(1, calls)
        if wanted.number == 1:
            size = rounded_up(-(-wanted.size // calls), CACHE_LINE)
            wanted = Stretches(calls, size, size)
        self.wanted, self.times = wanted, -(-wanted.number // calls)
        self.next = local(builder, POINTER)

    def start(self, address: ir.Value) -> None:
        """Where the first stretch begins."""
        self.b.store(address, self.next)

    def step(self) -> None:
        b, lines = self.b, -(-self.wanted.size // CACHE_LINE)
        if not lines:
            return
        with loop(b, 0, self.times):
            address = b.load(self.next, typ=POINTER)
            if lines <= UNROLLED:
                for line in range(lines):
                    self._ask(element(b, address, line * CACHE_LINE, I8))
            else:
                with loop(b, 0, lines) as line:
                    self._ask(element(b, address, b.mul(line, i64(CACHE_LINE)), I8))
            b.store(element(b, address, self.wanted.step, I8), self.next)

    def _ask(self, address: ir.Value) -> None:
        how = (int(self.written), self.level, 1)
        intrinsic(self.b, "llvm.prefetch.p0", VOID, [address, *(ir.Constant(I32, value) for value in how)])

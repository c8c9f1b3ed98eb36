"""What rendering gives: the text of a kernel, and how it is launched."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

# What NVRTC is told beside the architecture: no fast-math, so functions are exact to their stated error and NaN stays.
OPTIONS = ("--std=c++17",)
ORDER, WAIT = "predecessors", "after_predecessors();"  # the file that every entry calls, and what each begins with
LOOPS = ("arithmetic", "half", "blocks", "philox")  # files of functions that loop kernels call


class Sizes(NamedTuple):
    """How work is cut. The defaults suit large GPUs; tests use small ones, to see every cut on small arrays."""

    threads: int = 256  # of a block
    row_threads: int = 1024  # most that share a row
    blocks: int = 4096  # most of a launch; with more to do, each takes several turns
    partial: int = 512  # most blocks that leave partial results
    workspace: int = 16 << 20  # bytes of partial results that are arrays
    kept: int = 128  # bytes of a row that a thread keeps from one stage to the next
    few: int = 64  # groups of rows below which long ones are split among blocks
    long: int = 4096  # elements from which a row counts as long
    vector: int = 16  # bytes of a load


class Launch(NamedTuple):
    """One kernel of the text: ``grid`` blocks of ``block`` threads. shared: bytes of shared memory beside what the text
    declares.
    """

    entry: str
    grid: int
    block: int
    shared: int = 0


class Source(NamedTuple):
    """CUDA C, for NVRTC without any header, and the launches that run it one after the other.

    Every entry takes the same arguments: a pointer for each operand, to the first element of its array, then one to the
    workspace if it has any bytes. alignment: what each operand's pointer must be a multiple of, in bytes; for one
    that is not, render again with that operand among ``misaligned``. shared: (written, read) operands that may be one
    array. ``workspace`` bytes hold anything before and after, aligned to 256. files: of functions that it calls.
    Every entry begins with ``WAIT``, before it touches memory.
    """

    text: str
    launches: tuple[Launch, ...]
    alignment: tuple[int, ...]
    workspace: int = 0
    shared: frozenset[tuple[int, int]] = frozenset()
    files: tuple[str, ...] = LOOPS

    @property
    def unit(self) -> str:
        """The text with the functions that it calls: what a compiler is given."""
        return with_functions(self.text, self.files)


@cache
def functions(name: str) -> str:
    """Device functions that generated text calls, a file each."""
    return (Path(__file__).parent / f"{name}.cuh").read_text()


def with_functions(text: str, files: tuple[str, ...] = LOOPS) -> str:
    return "\n".join([*(functions(name) for name in (ORDER, *files)), text])

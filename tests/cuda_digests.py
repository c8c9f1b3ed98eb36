"""In place of CUDA C: kernels that write what their names and all bits that they read determine, and nothing else.

The numbers are of no use, but who runs before his turn, or reads what somebody else has written over, is seen in all
that comes after. Nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np


def body(kernel: Any, settings: dict[str, Any]) -> Callable[[tuple, tuple, list[Any]], None]:
    """What ``machine.host_code`` is to be."""

    def run(grid: tuple, block: tuple, arguments: list[Any]) -> None:
        only = kernel.read_only(len(arguments))
        reads = [a for a, is_read in zip(arguments, only, strict=True) if is_read and isinstance(a, np.ndarray)]
        writes = [a for a, is_read in zip(arguments, only, strict=True) if not is_read and isinstance(a, np.ndarray)]
        if not writes:  # a table of them
            listed = kernel.listed(reads[0])
            reads, writes = ([_bytes(a) for a in listed if a.writes == wanted] for wanted in (False, True))
        digest = crc32(kernel.name.encode())
        for a in reads:
            digest = crc32(np.ascontiguousarray(a).view(np.uint8), digest)
        for n, a in enumerate(writes):
            a[...] = _drawn(crc32(b"%d" % n, digest), a)

    return run


def _bytes(access: Any) -> np.ndarray:
    found = access.memory().buffer[access.begin : access.end]
    return found.view(bool) if len(found) % 4 else found.view(np.float32)


def _drawn(digest: int, like: np.ndarray) -> np.ndarray:
    """Between 1/2 and 3/2 for floats, truth values; whole numbers are 0, which is an index of anything."""
    if like.dtype.kind in "iu":
        return np.zeros_like(like)
    bits = (np.arange(like.size, dtype=np.uint32) + np.uint32(digest)) * np.uint32(2654435761)
    if like.dtype.kind == "b":
        return (bits >> 31).astype(like.dtype).reshape(like.shape)
    return ((bits >> 9) * np.float32(2**-23) + np.float32(0.5)).astype(like.dtype).reshape(like.shape)

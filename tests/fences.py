"""Arrays that end, or start, where the memory does: a byte too far is a fault."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np


def fenced(array: np.ndarray, *, end: bool = True) -> np.ndarray:
    """A copy that ends (or starts) at a page that may not be touched; just a copy where that cannot be had."""
    if not sys.platform.startswith("linux"):
        return array.copy()
    page = mmap.PAGESIZE
    pages = -(-max(array.nbytes, 1) // page)
    memory = mmap.mmap(-1, (pages + 2) * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for fence in (0, pages + 1):
        if protect(ctypes.c_void_p(base + fence * page), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = page + (pages * page - array.nbytes if end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy

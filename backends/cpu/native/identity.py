"""What names a kernel's machine code on disk: a hash of all that determines it.

A kernel that this package writes is named by its ``key`` and by the sources that write it, so that nothing of its code
is made when it is known. A kernel written elsewhere, or with a key that has no spelling of its own (it holds a
function, say), is named by its text in LLVM's language.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from autograd_core.compiler import ir
from autograd_core.ops import LOADED, philox

from .machine import Machine


def of_key(key: Hashable, emit: Callable[..., Any], platform: str) -> str | None:
    """The name of the code that ``emit`` writes for this key; None where only the text can say."""
    if not _written_here(emit):
        return None
    sources = _sources()
    if sources is None:
        return None
    try:
        spelt = spelling(key)
    except TypeError:
        return None
    return _digest("key", sources, spelt, platform)


def of_text(text: str, platform: str) -> str:
    """The name of this text's code."""
    return _digest("text", text, platform)


@cache
def platform(machine: Machine, pipeline: str) -> str:
    """What else determines the code: LLVM, what it generates for, and how it is told to."""
    return spelling((tuple(machine), llvmlite.__version__, llvm.llvm_version_info, llvm.get_process_triple(), pipeline))


def spelling(key: Any) -> str:
    """A text that differs for keys that differ, in any process; unlike ==, it tells 1 from True and 0.0 from -0.0.

    TypeError for what has no such text.
    """
    kind = type(key)
    if key is None or kind in (bool, int, str, bytes, float, complex):
        return f"{kind.__name__}:{key!r}"
    if isinstance(key, tuple | list):
        return f"{kind.__qualname__}({','.join(map(spelling, key))})"
    if isinstance(key, dict):
        return f"{kind.__qualname__}({','.join(spelling(item) for item in key.items())})"
    if isinstance(key, frozenset | set):
        return f"{kind.__qualname__}({','.join(sorted(map(spelling, key)))})"
    if isinstance(key, np.dtype):
        return f"dtype:{key.str}:{key.name}"
    if isinstance(key, np.generic):
        return f"{spelling(key.dtype)}:{key.tobytes().hex()}"
    if isinstance(key, Enum):
        return f"{kind.__qualname__}.{key.name}"
    if isinstance(key, type) and key.__module__ in ("builtins", "numpy"):
        return f"type:{key.__qualname__}"
    raise TypeError(f"{kind.__name__} has no spelling")


def _written_here(emit: Any) -> bool:
    while isinstance(emit, partial):
        emit = emit.func
    module = getattr(emit, "__module__", None) or type(emit).__module__
    return module == __package__ or module.startswith(f"{__package__}.")


@cache
def _sources() -> str | None:
    """A hash of the sources of this package, the core's compiler, and the operations, whose constants and tables
    kernels have in their code."""
    return _hash_of([Path(module).parent for module in (__file__, ir.__file__, philox.__file__)])


def _hash_of(folders: Sequence[Path]) -> str | None:
    """Of the sources in these folders; None if one is not there, or has changed since it was loaded."""
    found = sha256()
    for folder in folders:
        paths = sorted(folder.rglob("*.py"))
        if not paths:  # no sources: a frozen application
            return None
        for path in paths:
            try:
                status = path.stat()
                content = path.read_bytes()
            except OSError:
                return None
            if max(status.st_mtime, status.st_ctime) > LOADED:
                return None
            found.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _digest(*parts: str) -> str:
    return sha256("\0".join(f"{len(p)} {p}" for p in parts).encode()).hexdigest()

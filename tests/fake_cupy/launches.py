"""What CUDA and CuPy ask of a launch, read off its declaration: what they refuse, or take for something else."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np

DECLARED, OPTIN = 48 << 10, 227 << 10  # bytes of shared memory of a block: unasked, and at most
MOST_THREADS, MOST_BLOCKS = 1024, 2**31 - 1
POINTED = {
    "float": "float32",
    "double": "float64",
    "Half": "float16",
    "Brain": "bfloat16",
    "int": "int32",
    "unsigned": "uint32",
    "long long": "int64",
    "bool": "bool",
}
VALUES = {"long long": 8, "unsigned long long": 8, "int": 4, "unsigned": 4, "float": 4, "double": 8}


class Entry(NamedTuple):
    """parameters: the type of each. bound: the most threads of a block."""

    parameters: tuple[str, ...]
    bound: int


@cache
def entry(code: str, name: str) -> Entry | None:
    """None where the text is not CUDA C, or makes its entries by macros."""
    bounds = r"(?:__launch_bounds__\((\d+)[^)]*\))?"
    found = re.search(rf'extern "C" __global__ void\s+{bounds}\s*{name}\s*\(([^)]*)\)', code)
    if found is None:
        return None
    declared = [re.sub(r"\b(const|__restrict__)\b", " ", p) for p in found[2].split(",")]
    kinds = tuple(" ".join(re.sub(r"\w+\s*$", "", p).split()) for p in declared)
    return Entry(kinds, int(found[1] or MOST_THREADS))


def check(kernel: Any, grid: tuple, block: tuple, args: tuple, shared: int) -> None:
    """ValueError for a launch that a GPU refuses, TypeError for arguments that it would take for something else."""
    if not 0 < block[0] <= MOST_THREADS or not 0 < grid[0] <= MOST_BLOCKS or len(grid) > 1 or len(block) > 1:
        raise ValueError(f"{kernel.name}: no launch of {grid} blocks of {block} threads")
    if shared > min(getattr(kernel, "max_dynamic_shared_size_bytes", DECLARED), OPTIN):
        raise ValueError(f"{kernel.name}: CUDA_ERROR_INVALID_VALUE, {shared} bytes of shared memory were not asked for")
    known = entry(kernel.code, kernel.name)
    if known is None:
        return
    if block[0] > known.bound:
        raise ValueError(f"{kernel.name}: {block[0]} threads, compiled for {known.bound}")
    if len(args) != len(known.parameters):
        raise TypeError(f"{kernel.name}: {len(args)} arguments for {known.parameters}")
    for argument, kind in zip(args, known.parameters, strict=True):
        _check_argument(kernel.name, argument, kind)


def _check_argument(name: str, argument: Any, kind: str) -> None:
    """CuPy passes Python's numbers as 8 bytes (int64, float64), NumPy's as they are, and arrays as pointers."""
    if hasattr(argument, "_host"):
        wanted = POINTED.get(kind.rstrip("* "))
        if not kind.endswith("*") or (wanted is not None and argument.dtype.name not in (wanted, "uint8")):
            raise TypeError(f"{name}: an array of {argument.dtype} for {kind!r}")
    elif kind.endswith("*"):
        if type(argument) is not int or argument:
            raise TypeError(f"{name}: {argument!r} for {kind!r}; null is 0")
    elif kind in VALUES and isinstance(argument, (int, float, np.generic)):
        number = np.asarray(argument)
        if number.dtype.itemsize != VALUES[kind] or (number.dtype.kind == "f") is not (kind in ("float", "double")):
            raise TypeError(f"{name}: {number.dtype} for {kind!r}")

"""CUDA C run on the host: compiled with the host's C++ compiler, each CUDA thread a fiber (cuda_host.h).

This proves what a kernel computes, its barriers and its bounds. It proves nothing of a GPU.
"""

from __future__ import annotations

import atexit
import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fences import fenced

from autograd_core.backends.cuda.native.source import LOOPS, Source, with_functions

HEADER = Path(__file__).parent / "cuda_host.h"
ERRORS = {1: "threads wait at different places", 2: "a shuffle without all lanes", 3: "a block of a wrong size"}
ORDERS = (0, 1, 5)  # in which threads and blocks take turns: up, down, mixed
FLAGS = ["-std=c++17", "-O0", "-fPIC", "-shared", "-w", "-ffp-contract=off", "-fno-strict-aliasing"]
CHECKED = ["-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"]  # a pack that lies askew ends the process


@cache
def compiler() -> str | None:
    """A C++ compiler that takes the shim."""
    for name in ("g++", "clang++", "c++"):
        path = shutil.which(name)
        if path is not None and _compiles(path):
            return path
    return None


def _compiles(path: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.cpp"
        source.write_text(f'#include "{HEADER}"\n')
        command = [path, *FLAGS, *CHECKED, str(source), "-o", f"{folder}/try.so"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def needs_compiler() -> None:
    """Skip a module's tests where there is none."""
    if compiler() is None:
        pytest.skip("CUDA C runs on the host with a C++ compiler (g++, clang++ or c++), and none was found that works")


@cache
def begun_with(header: Path, *flags: str) -> list[str]:
    """Options for a compilation with these flags: the header as the compiler read it once, which takes half of the time
    of a small kernel. None where the compiler keeps no headers; one that does not fit is read anew.
    """
    folder = Path(tempfile.mkdtemp(prefix="autograd_core_header_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    first = folder / "first.h"
    first.write_text(f'#include "{header}"\n')
    command = [str(compiler()), *flags, "-x", "c++-header", str(first), "-o", f"{first}.gch"]
    done = subprocess.run(command, capture_output=True, check=False)
    return ["-include", str(first)] if done.returncode == 0 else []


class Library:
    """Compiled text, by the entries' names."""

    def __init__(self, text: str, entries: Sequence[str], files: tuple[str, ...] = LOOPS):
        path = compiler()
        assert path is not None
        whole = "\n".join([f'#include "{HEADER}"', with_functions(text, files), *(f"ENTRY({e})" for e in entries)])
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "kernels.cpp").write_text(whole)
            flags = [*FLAGS, *CHECKED]
            command = [path, *flags, *begun_with(HEADER, *flags), "kernels.cpp", "-o", "kernels.so"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise AssertionError(f"{done.stderr[:3000]}\n{text[:6000]}")
            self._library = ctypes.CDLL(f"{folder}/kernels.so")

    def run(self, source: Source, arrays: Sequence[np.ndarray], *, order: int = 0) -> None:
        """All launches, on arrays that may be written, and a workspace that holds anything."""
        workspace = fenced(np.full(source.workspace, 0xA5, np.uint8), end=False)
        places = [a.ctypes.data for a in arrays] + [workspace.ctypes.data] * bool(source.workspace)
        for launch in source.launches:
            function = getattr(self._library, f"launch_{launch.entry}")
            self._library.use_shared(launch.shared)
            code = function((ctypes.c_void_p * len(places))(*places), launch.grid, launch.block, order)
            if code:
                raise AssertionError(f"{launch.entry}: {ERRORS[code]}\n{source.text}")


@dataclass
class Batch:
    """Kernels that are compiled together, with the arrays that each runs on, and whether these end at a fence."""

    jobs: list[tuple[Source, list[np.ndarray], bool]] = field(default_factory=list)

    def add(self, source: Source, arrays: Sequence[np.ndarray], *, end: bool = False) -> None:
        self.jobs.append((source, list(arrays), end))

    def run(self, orders: Sequence[int] = ORDERS) -> list[list[list[np.ndarray]]]:
        """Of each job, the arrays after it ran on copies of them, in each order."""
        texts = dict.fromkeys(source.text for source, *_ in self.jobs)
        entries = dict.fromkeys(launch.entry for source, *_ in self.jobs for launch in source.launches)
        library = Library("\n".join(texts), list(entries), self.jobs[0][0].files)
        found: list[list[list[np.ndarray]]] = []
        for source, arrays, end in self.jobs:
            found.append([])
            for order in orders:
                copies = [fenced(a, end=end) for a in arrays]
                library.run(source, copies, order=order)
                found[-1].append(copies)
        return found

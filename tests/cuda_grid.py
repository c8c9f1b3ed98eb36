"""CUDA C whose blocks wait for one another, run on the host: all threads of all blocks are fibers (cuda_grid.h)."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cuda_host
import numpy as np
from cuda_code import FLAGS, GRID

from autograd_core.backends.cuda.native.recurrent import Persistent


def compiled(launches: Sequence[Persistent]) -> ctypes.CDLL:
    """The launches' entries as functions of the host; skips the test where there is no C++ compiler."""
    cuda_host.needs_compiler()
    functions = launches[0].unit.removesuffix(launches[0].text)
    entries = [f"ENTRY_TOGETHER({launch.entry})" for launch in launches]
    text = "\n".join([f'#include "{GRID}"', functions, *(launch.text for launch in launches), *entries])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernels.cpp").write_text(text)
        begun = cuda_host.begun_with(GRID, *FLAGS)
        command = [str(cuda_host.compiler()), *FLAGS, *begun, "kernels.cpp", "-o", "kernels.so"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        return ctypes.CDLL(f"{folder}/kernels.so")


def run(library: ctypes.CDLL, launch: Persistent, arguments: Sequence[np.ndarray | None], order: int = 0) -> None:
    """One launch on these arrays, in the order of its arguments; None is a null pointer."""
    pointers = [None if a is None else a.ctypes.data for a in arguments]
    places = (ctypes.c_void_p * len(pointers))(*pointers)
    code = getattr(library, f"launch_{launch.entry}")(places, launch.grid, launch.block, launch.shared, order)
    assert code == 0, "threads wait at different places, or for blocks that never arrive"

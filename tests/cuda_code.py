"""Raw kernels of the fake CuPy, run: their CUDA C compiled for the host (cuda_host.h, cuda_grid.h), each code once."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cuda_host
import numpy as np

GRID = Path(__file__).parent / "cuda_grid.h"
KEPT = "FAKE_GPU_KERNELS"  # a folder where processes that test together keep what one of them has compiled
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-ffp-contract=off", "-fno-strict-aliasing"]


def body(kernel: Any, settings: dict[str, Any]) -> Callable[[tuple, tuple, list[Any]], None]:
    """What ``machine.host_code`` is to be: of a raw kernel and the settings of its launch, what the launch does.

    The blocks of a cooperative launch run at once, since they may wait for one another.
    """
    together = kernel.settings.get("enable_cooperative_groups", False)
    library = _compiled(kernel.code, kernel.name, together)
    function = getattr(library, f"launch_{kernel.name}")
    bytes_ = settings.get("shared_mem", 0)
    shared = (bytes_,) if together else ()

    def run(grid: tuple, block: tuple, arguments: list[Any]) -> None:
        places = [a.ctypes.data if isinstance(a, np.ndarray) else a or None for a in arguments]
        if not together:
            library.use_shared(bytes_)
        code = function((ctypes.c_void_p * len(places))(*places), grid[0], block[0], *shared, 0)
        assert code == 0, f"{kernel.name}: threads wait at different places, or for blocks that never arrive"

    return run


@cache
def _compiled(code: str, name: str, together: bool) -> Any:
    cuda_host.needs_compiler()
    header, entry = (GRID, "ENTRY_TOGETHER") if together else (cuda_host.HEADER, "ENTRY")
    text = f'#include "{header}"\n{code}\n{entry}({name})\n'
    kept = os.environ.get(KEPT)
    library = Path(kept) / f"{hashlib.sha256(text.encode()).hexdigest()}.so" if kept else None
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        if library is None or not library.exists():
            made = Path(folder) / "kernels.so"
            (Path(folder) / "kernels.cpp").write_text(text)
            begun = cuda_host.begun_with(header, *FLAGS)
            command = [str(cuda_host.compiler()), *FLAGS, *begun, "kernels.cpp", "-o", "kernels.so"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:4000]
            library = made if library is None else made.rename(library)
        return ctypes.CDLL(str(library))

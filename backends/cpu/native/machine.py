"""The machine that code is generated for: its instructions, how wide its vectors are, how many cores it has."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np

MOST_THREADS = 256  # of a team
WORKERS = 32  # of them that take part in a kernel in which each has a workspace of its own


class Machine(NamedTuple):
    """cpu, features: as LLVM names them. vector_bytes: of one register; ``registers``: how many there are."""

    cpu: str
    features: str
    vector_bytes: int
    registers: int

    def lanes(self, dtype: np.dtype | str) -> int:
        """How many elements one register holds; 1 where code is to be scalar."""
        return max(1, self.vector_bytes // np.dtype(dtype).itemsize)


@cache
def host() -> Machine:
    """What this machine offers: AVX-512, AVX2, or 16-byte vectors (SSE2, NEON)."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    known = llvm.get_host_cpu_features()
    features = known.flatten()
    cpu = llvm.get_host_cpu_name()
    if all(known.get(f) for f in ("avx512f", "avx512vl", "avx512dq", "avx512bw")):
        # LLVM prefers 32-byte vectors on most processors, and would split ours
        return Machine(cpu, features + ",-prefer-256-bit", 64, 32)
    if known.get("avx2") and known.get("fma"):
        return Machine(cpu, features, 32, 16)
    return Machine(cpu, features, 16, 32 if "aarch64" in llvm.get_process_triple() else 16)


def limited(level: str) -> Machine:
    """The host with fewer features, for tests: ``"avx2"`` or ``"scalar"``; ``"host"`` is the host itself."""
    machine = host()
    if level == "host":
        return machine
    if level == "avx2":
        without = [f for f in machine.features.split(",") if not f.startswith(("+avx512", "+avx10"))]
        return Machine("x86-64-v3" if machine.vector_bytes >= 32 else machine.cpu, ",".join(without), 32, 16)
    if level == "scalar":
        return Machine(machine.cpu, machine.features, 1, 16)
    raise ValueError(f"limited: level is 'host', 'avx2' or 'scalar', got {level!r}")


def default_threads() -> int:
    """NUMBA_NUM_THREADS or OMP_NUM_THREADS if set, which the other kernels obey too, else the cores to run on."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return min(int(value), MOST_THREADS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_THREADS)

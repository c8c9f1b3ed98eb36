"""What this machine can do at best, measured once: multiply-adds in registers, and a copy of memory."""

from __future__ import annotations

import ctypes
from functools import cache
from time import perf_counter

import numpy as np
from llvmlite import ir

from autograd_core.compiler.report import Peak

from .emit import I1, I8, VOID, Kernel, element, fma, i64, intrinsic, load, local, loop, splat, store, type_of, vector
from .engine import KernelSpec
from .machine import MOST_THREADS, Machine, host
from .program import Call, Operand, Program, assemble, pointers

CHAINS = 12  # more than the latency of an instruction times how many start in a cycle, and few enough for 16 registers
ROUNDS = 50_000
COPIED = 64 << 20  # bytes: no cache that is measured with it holds both arrays
LONGEST = 0.03  # seconds for each of the three measurements


@cache
def peak(threads: int) -> Peak:
    """The peak of so many threads, measured in a fraction of a second when it is first asked for."""
    flops = {dtype: _arithmetic(dtype, threads) for dtype in ("float32", "float64")}
    return Peak(threads, flops, _bandwidth(threads))


def _arithmetic(dtype: str, threads: int) -> float:
    results = np.zeros(MOST_THREADS * 64, np.uint8)
    factors = np.array([1.0, 0.0], dtype)
    spec = multiply_adds(dtype)
    program = assemble([_call(spec, factors, results)], threads=threads)
    return spec.flops * threads / _fastest(program, factors, results)


def _bandwidth(threads: int) -> float:
    source, target = np.ones(COPIED, np.uint8), np.ones(COPIED, np.uint8)
    program = assemble([_call(copy(COPIED), source, target)], threads=threads)
    return 2 * COPIED / _fastest(program, source, target)


def _call(spec: KernelSpec, source: np.ndarray, target: np.ndarray) -> Call:
    return Call(spec, (Operand(0, 0, source.nbytes), Operand(1, 0, target.nbytes)), (1,))


def _fastest(program: Program, *arrays: np.ndarray) -> float:
    """Seconds of the fastest of many runs: nothing but the machine's limit makes that one slower."""
    table = pointers([a.ctypes.data for a in arrays])
    address = ctypes.addressof(table)
    fastest, end = float("inf"), perf_counter() + LONGEST
    program.run(address)
    while True:
        start = perf_counter()
        program.run(address)
        now = perf_counter()
        fastest = min(fastest, now - start)
        if now > end:
            return fastest


def multiply_adds(dtype: str) -> KernelSpec:
    """Each thread: chains of multiply-adds in registers. Operands: two factors; where each thread leaves its sum.

    The factors are read from memory, so that the compiler knows nothing about them. flops: those of one thread.
    """
    lanes = host().lanes(dtype)

    def emit(builder: Kernel, machine: Machine) -> None:
        scalar = type_of(dtype)
        kind = vector(scalar, lanes)
        a, b = (splat(builder, load(builder, element(builder, builder.operands[0], i, scalar), scalar), lanes)
                for i in range(2))  # fmt: skip
        chains = [local(builder, kind, a) for _ in range(CHAINS)]
        with loop(builder, 0, ROUNDS):
            for chain in chains:
                builder.store(fma(builder, builder.load(chain, typ=kind), a, b), chain)
        total = b
        for chain in chains:
            total = builder.fadd(total, builder.load(chain, typ=kind))
        store(builder, total, element(builder, builder.operands[1], builder.mul(builder.index, i64(64)), I8))

    return KernelSpec(f"multiply_adds_{dtype}", ("peak", dtype, lanes), 2, emit, flops=2 * CHAINS * ROUNDS * lanes)


def copy(size: int) -> KernelSpec:
    """Each thread copies its share of ``size`` bytes by the C library, which knows how to go past the caches."""

    def emit(builder: Kernel, machine: Machine) -> None:
        first, last = builder.share(size, 4096)
        source, target = (element(builder, p, first, I8) for p in builder.operands)
        count = builder.sub(last, first)
        intrinsic(builder, "llvm.memcpy.p0.p0.i64", VOID, [target, source, count, ir.Constant(I1, 0)])

    return KernelSpec("copy", ("copy", size), 2, emit, bytes=2 * size)

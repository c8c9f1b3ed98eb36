"""Native programs: many kernels as one call, by one thread or a team that waits only where it must."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native programs are machine code made by llvmlite")


from autograd_core.backends.cpu.native import emit, team
from autograd_core.backends.cpu.native.engine import KernelSpec
from autograd_core.backends.cpu.native.program import Call, Operand, assemble, pointers

LARGE = 10**9  # bytes said to be moved: work for a whole team


def axpy(n: int, factor: float, moved: int = LARGE) -> KernelSpec:
    """y = factor * x + 1 over n float64, shared out among the threads."""

    def emit_axpy(b, machine):
        first, last = b.share(n)
        with emit.loop(b, first, last) as i:
            x = emit.load(b, emit.element(b, b.operands[0], i, emit.F64), emit.F64)
            y = b.fadd(b.fmul(x, emit.constant(emit.F64, factor)), emit.constant(emit.F64, 1.0))
            emit.store(b, y, emit.element(b, b.operands[1], i, emit.F64))

    return KernelSpec("axpy", ("axpy", n, factor), 2, emit_axpy, bytes=moved)


def reverse(n: int, moved: int = LARGE) -> KernelSpec:
    """y = x backwards: what one thread reads, another wrote."""

    def emit_reverse(b, machine):
        first, last = b.share(n)
        with emit.loop(b, first, last) as i:
            x = emit.load(b, emit.element(b, b.operands[0], b.sub(emit.i64(n - 1), i), emit.F64), emit.F64)
            emit.store(b, x, emit.element(b, b.operands[1], i, emit.F64))

    return KernelSpec("reverse", ("reverse", n), 2, emit_reverse, bytes=moved)


def fails_if_negative(n: int, moved: int = LARGE) -> KernelSpec:
    """Stores the code 7 if an element is negative."""

    def emit_check(b, machine):
        shared = b.load(emit.element(b, b.team, 2, emit.I64), typ=emit.POINTER)
        first, last = b.share(n)
        with emit.loop(b, first, last) as i:
            x = emit.load(b, emit.element(b, b.operands[0], i, emit.F64), emit.F64)
            with b.if_then(b.fcmp_ordered("<", x, emit.constant(emit.F64, 0.0))):
                b.atomic_rmw("xchg", emit.element(b, shared, emit.ERROR, emit.I8), emit.i64(7), "monotonic")

    return KernelSpec("check", ("check", n), 1, emit_check, bytes=moved, may_fail=True)


def places(n: int, count: int) -> list[Operand]:
    return [Operand(0, 8 * n * i, 8 * n) for i in range(count)]


@pytest.fixture
def threads():
    before = team.threads()
    yield team.set_threads
    team.set_threads(before)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_calls_run_in_order_on_any_number_of_threads(threads, count):
    threads(count)
    n = 1000
    p = places(n, 4)
    program = assemble(
        [
            Call(axpy(n, 2.0), (p[0], p[1]), (1,)),
            Call(reverse(n), (p[1], p[2]), (1,)),
            Call(axpy(n, 2.0), (p[2], p[2]), (1,)),
            Call(reverse(n), (p[2], p[3]), (1,)),
        ]
    )
    memory = np.zeros((4, n))
    table = pointers([memory.ctypes.data])
    for _ in range(300):
        memory[0] = np.random.default_rng(0).normal(size=n)
        assert program.run(table) == 0
        np.testing.assert_allclose(memory[3], 2.0 * (2.0 * memory[0] + 1.0) + 1.0)

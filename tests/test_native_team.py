"""The thread team: right results with more threads than cores, from many callers, after a fork, and at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native programs are machine code made by llvmlite")

from autograd_core.backends.cpu.native import emit, machine, team
from autograd_core.backends.cpu.native.engine import KernelSpec
from autograd_core.backends.cpu.native.program import Call, Operand, Program, assemble, pointers


@pytest.fixture
def threads():
    before = team.threads()
    yield team.set_threads
    team.set_threads(before)


def shift(n: int) -> KernelSpec:
    """y[i] = x[i - 1] + 1, cyclic: the first element of each thread's share was written by another."""

    def emit_shift(b, machine):
        first, last = b.share(n)
        with emit.loop(b, first, last) as i:
            source = b.srem(b.add(i, emit.i64(n - 1)), emit.i64(n))
            x = emit.load(b, emit.element(b, b.operands[0], source, emit.I64), emit.I64)
            emit.store(b, b.add(x, emit.i64(1)), emit.element(b, b.operands[1], i, emit.I64))

    return KernelSpec("shift", ("shift", n), 2, emit_shift, bytes=10**9)


def turning(n: int, calls: int, size: int | None = None) -> Program:
    """``calls`` shifts to and fro between the table's two arrays: the data turn by that many places and grow by it."""
    ends = Operand(0, 0, 8 * n), Operand(1, 0, 8 * n)
    return assemble([Call(shift(n), (ends[i % 2], ends[1 - i % 2]), (1,)) for i in range(calls)], threads=size)


def check(program: Program, n: int, calls: int, runs: int) -> None:
    """calls: even, so that each run begins where the one before ended."""
    x, y = np.arange(n), np.zeros(n, np.int64)
    table = pointers([x.ctypes.data, y.ctypes.data])
    for _ in range(runs):
        assert program.run(table) == 0
    np.testing.assert_array_equal(x, np.roll(np.arange(n), runs * calls) + runs * calls)


@pytest.mark.parametrize(("size", "runs"), [(2, 3000), (3, 300), (4, 300), (9, 30)])
def test_thousands_of_waits_with_more_threads_than_cores(threads, size, runs):
    threads(size)
    check(turning(37, 4), 37, 4, runs)


def test_workers_that_fell_asleep_are_woken(threads):
    threads(3)
    program = turning(16, 2)
    x, y = np.zeros(16, np.int64), np.zeros(16, np.int64)
    table = pointers([x.ctypes.data, y.ctypes.data])
    for i in range(40):
        program.run(table)
        assert (x == 2 * (i + 1)).all()
        time.sleep(0.002 * (i % 2))


def test_the_size_may_change_between_runs(threads):
    program = turning(16, 2)
    x, y = np.zeros(16, np.int64), np.zeros(16, np.int64)
    table = pointers([x.ctypes.data, y.ctypes.data])
    for i, size in enumerate([2, 4, 1, 3, 4, 2, 1, 4] * 5):
        threads(size)
        program.run(table)
        assert (x == 2 * (i + 1)).all()


def test_each_job_has_the_threads_it_asks_for(threads):
    def emit_count(b, machine):
        emit.store(b, b.size, emit.element(b, b.operands[0], b.index, emit.I64))

    spec = KernelSpec("count", "count", 1, emit_count, bytes=10**9)
    seen = np.zeros(8, np.int64)
    table = pointers([seen.ctypes.data])
    for size, wanted, given in [(4, None, 4), (4, 2, 2), (1, None, 1), (2, 8, 2)]:
        threads(size)
        seen[:] = 0
        assemble([Call(spec, (Operand(0, 0, 64),), (0,))], threads=wanted).run(table)
        assert seen.tolist() == [given] * given + [0] * (8 - given)


@pytest.mark.parametrize("size", [0, -1, 10_000, 2.0, "2"])
def test_a_size_that_makes_no_sense_is_refused(size):
    before = team.threads()
    with pytest.raises(ValueError, match="a team has 1 to 256 threads"):
        team.set_threads(size)
    assert team.threads() == before


def test_python_threads_may_run_programs_at_once(threads):
    threads(2)
    program = turning(29, 4)
    faults = []

    def work():
        try:
            check(program, 29, 4, 300)
        except BaseException as fault:
            faults.append(fault)

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not faults
    assert not any(caller.is_alive() for caller in callers)


def test_a_kernel_may_wait_within(threads):
    """Sums of four threads' parts, gathered by every thread after a barrier."""
    n = 100

    def emit_total(b, machine):
        first, last = b.share(n)
        part = emit.element(b, b.scratch, b.index, emit.I64)
        emit.store(b, emit.i64(0), part)
        with emit.loop(b, first, last) as i:
            x = emit.load(b, emit.element(b, b.operands[0], i, emit.I64), emit.I64)
            emit.store(b, b.add(emit.load(b, part, emit.I64), x), part)
        b.barrier()
        total = emit.local(b, emit.I64, emit.i64(0))
        with emit.loop(b, 0, b.size) as t:
            other = emit.load(b, emit.element(b, b.scratch, t, emit.I64), emit.I64)
            b.store(b.add(b.load(total, typ=emit.I64), other), total)
        emit.store(b, b.load(total, typ=emit.I64), emit.element(b, b.operands[1], b.index, emit.I64))

    threads(4)
    spec = KernelSpec("total", ("total", n), 2, emit_total, scratch=64, bytes=10**9)
    x, totals, scratch = np.arange(n), np.zeros(4, np.int64), np.zeros(8, np.int64)
    calls = [Call(spec, (Operand(0, 0, 8 * n), Operand(1, 0, 32)), (1,), Operand(2, 0, 64))] * 3
    program = assemble(calls)
    table = pointers([a.ctypes.data for a in (x, totals, scratch)])
    for _ in range(200):
        x += 1
        assert program.run(table) == 0
        assert (totals == x.sum()).all()


def test_the_number_of_threads_is_that_of_the_other_kernels(monkeypatch):
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert machine.default_threads() == cores
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.default_threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert machine.default_threads() == 5
    monkeypatch.setenv("NUMBA_NUM_THREADS", "many")
    assert machine.default_threads() == 3


# ------------------------------------------------------------------------------------ processes of their own


def run_python(code: str) -> str:
    """What a process of its own prints; it fails if it takes half a minute or ends by a signal."""
    prelude = "from test_native_team import *\n"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", prelude + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_team_of_its_own():
    printed = run_python("""
        team.set_threads(2)
        program = turning(16, 2)
        check(program, 16, 2, 10)
        for _ in range(3):
            child = os.fork()
            if not child:
                check(program, 16, 2, 200)
                os._exit(0 if len(team.TEAM._workers) == 1 else 1)
            check(program, 16, 2, 200)
            assert os.waitpid(child, 0)[1] == 0
        print("done")
    """)
    assert printed == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_runs_a_program_leaves_the_child_able_to_run():
    printed = run_python("""
        team.set_threads(2)
        program = turning(16, 2)
        check(program, 16, 2, 10)
        stop = threading.Event()

        def work():
            while not stop.is_set():
                check(program, 16, 2, 10)

        busy = threading.Thread(target=work)
        busy.start()
        for _ in range(10):
            child = os.fork()
            if not child:
                check(program, 16, 2, 20)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        busy.join()
        print("done")
    """)
    assert printed == "done"


def test_the_interpreter_ends_while_workers_wait_and_programs_run_to_the_last():
    printed = run_python("""
        import atexit

        def last_words():
            check(program, 16, 2, 10)
            print("done", program._record[1])

        atexit.register(last_words)  # runs after what was registered later, and here after the team is closed
        team.set_threads(3)
        program = turning(16, 2)
        check(program, 16, 2, 10)
        atexit.unregister(team.TEAM.close)
        atexit.register(team.TEAM.close)
    """)
    assert printed == "done 1"


def test_the_interpreter_ends_while_a_daemon_thread_runs_programs():
    printed = run_python("""
        team.set_threads(2)
        program = turning(16, 2)
        check(program, 16, 2, 10)

        def work():
            while True:
                check(program, 16, 2, 100)

        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.1)
        print("done")
    """)
    assert printed == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_comes_between_programs_and_leaves_the_team_usable():
    printed = run_python("""
        import signal

        team.set_threads(2)
        program = turning(16, 2)
        x, y = np.zeros(16, np.int64), np.zeros(16, np.int64)
        table = pointers([x.ctypes.data, y.ctypes.data])
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            try:
                while True:
                    program.run(table)
            except KeyboardInterrupt:
                pass
        assert (x == x[0]).all()
        check(program, 16, 2, 100)
        print("done")
    """)
    assert printed == "done"

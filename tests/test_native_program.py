"""Native programs: many kernels as one call, by one thread or a team that waits only where it must."""

from __future__ import annotations

import ctypes
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="native programs are machine code made by llvmlite")


from autograd_core.backends.cpu.native import emit, engine, team
from autograd_core.backends.cpu.native.engine import KernelSpec
from autograd_core.backends.cpu.native.program import Call, Operand, assemble, barriers, pointers

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


@pytest.mark.parametrize("moved", [8, LARGE])
def test_a_failure_stops_the_program_before_the_next_call(threads, moved):
    threads(2)
    n = 64
    p = places(n, 3)
    program = assemble(
        [
            Call(axpy(n, 1.0, moved), (p[0], p[1]), (1,)),
            Call(fails_if_negative(n, moved), (p[1],), ()),
            Call(axpy(n, 1.0, moved), (p[0], p[2]), (1,)),
        ]
    )
    memory = np.zeros((3, n))
    table = pointers([memory.ctypes.data])
    for _ in range(100):
        memory[0, n // 2], memory[2] = -5.0, 0.0
        assert program.run(table) == 7
        assert memory[1, 0] == 1.0
        assert not memory[2].any()
        memory[0, n // 2] = 0.0
        assert program.run(table) == 0  # the code of the last run is forgotten
        assert memory[2].all()


def test_tables_may_change_between_runs():
    n = 16
    program = assemble([Call(axpy(n, 3.0, 8), (Operand(0, 0, 8 * n), Operand(1, 8 * n, 8 * n)), (1,))])
    x, first, second = np.ones(n), np.zeros(2 * n), np.zeros(2 * n)
    table = pointers([x.ctypes.data, first.ctypes.data])
    program.run(table)
    table[1] = second.ctypes.data
    x[:] = 2.0
    program.run(table)
    assert first.tolist() == [0.0] * n + [4.0] * n
    assert second.tolist() == [0.0] * n + [7.0] * n


def test_a_program_of_no_calls_runs():
    assert assemble([]).run(pointers([])) == 0
    assert assemble([]).profile(pointers([])) == []


def test_kernels_of_equal_keys_are_one_code_but_1_and_1_point_0_are_two():
    def constant(value):
        def emit_constant(b, machine):
            stored = emit.constant(emit.F64, 2.0 if isinstance(value, float) else 1.0)
            emit.store(b, stored, b.operands[0])

        return KernelSpec("constant", ("constant", value), 1, emit_constant)

    p = places(1, 3)
    program = assemble([Call(constant(v), (place,), (0,)) for v, place in zip((1, 1.0, 1), p)])
    memory = np.zeros(3)
    assert program.run(pointers([memory.ctypes.data])) == 0
    assert memory.tolist() == [1.0, 2.0, 1.0]
    addresses = {program.function(i) for i in range(3)}
    assert len(addresses) == 2


def test_where_waiting_threads_give_way_by_another_name_it_is_known_before_code_is_loaded(monkeypatch):
    give_way = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    library = SimpleNamespace(kernel32=SimpleNamespace(SwitchToThread=give_way))
    named = {}
    monkeypatch.setattr(engine, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(engine.ctypes, "windll", library, raising=False)
    monkeypatch.setattr(engine.llvm, "add_symbol", named.__setitem__)
    engine._name_system_calls.cache_clear()
    engine.Code([])
    engine._name_system_calls.cache_clear()
    assert named == {"sched_yield": engine.address_of(give_way)}


def test_little_work_runs_alone_and_little_calls_run_on_one_thread():
    n = 64
    p = places(n, 2)
    small, large = Call(axpy(n, 1.0, 8), p, (1,)), Call(axpy(n, 1.0), p, (1,))
    assert assemble([small, small]).threads == 1
    assert assemble([small, large]).threads is None
    assert assemble([small, large]).serial == (True, False)
    assert assemble([large], threads=2).threads == 2


def test_profile_says_what_each_call_took(threads):
    threads(2)
    n = 200_000
    p = places(n, 3)
    program = assemble([Call(axpy(n, 1.0), p[:2], (1,)), Call(axpy(1, 1.0), p[1:], (1,))])
    memory = np.zeros((3, n))
    start = time.perf_counter()
    seconds = program.profile(pointers([memory.ctypes.data]))
    elapsed = time.perf_counter() - start
    assert len(seconds) == 2
    assert all(s > 0.0 for s in seconds)
    assert sum(seconds) < elapsed
    assert memory[2, 0] == 2.0


def test_profile_of_a_failing_program_ends_with_zeros():
    p = places(4, 2)
    program = assemble([Call(fails_if_negative(4), p[:1], ()), Call(axpy(4, 1.0), p, (1,))])
    memory = np.full((2, 4), -1.0)
    assert program.profile(pointers([memory.ctypes.data])) == [0.0, 0.0]


def test_what_does_not_fit_the_kernel_is_refused():
    p = places(4, 3)
    with pytest.raises(ValueError, match="axpy takes 2 operands, got 3"):
        assemble([Call(axpy(4, 1.0), p, (1,))])
    with pytest.raises(ValueError, match="said to write"):
        assemble([Call(axpy(4, 1.0), p[:2], (2,))])
    with pytest.raises(ValueError, match="needs 100 bytes of scratch"):
        assemble([Call(axpy(4, 1.0)._replace(scratch=100), p[:2], (1,))])


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans()), max_size=25),
    st.integers(2, 4),
)
@settings(max_examples=40)
def test_any_program_computes_what_its_calls_compute_one_by_one(steps, count):
    """(from, to, which kernel, whether it counts as little work) over five buffers."""
    n = 40
    p = places(n, 5)
    steps = [s for s in steps if s[0] != s[1]]
    kinds = {
        (turned, small): (reverse if turned else partial(axpy, factor=0.5))(n, moved=8 if small else LARGE)
        for turned in (False, True)
        for small in (False, True)
    }
    program = assemble([Call(kinds[turned, small], (p[a], p[b]), (1,)) for a, b, turned, small in steps])
    start = np.random.default_rng(0).normal(size=(5, n))
    expected, memory = start.copy(), start.copy()
    for a, b, turned, _ in steps:
        expected[b] = expected[a, ::-1] if turned else 0.5 * expected[a] + 1.0
    table = pointers([memory.ctypes.data])
    before = team.threads()
    team.set_threads(count)
    try:
        for _ in range(10):
            memory[:] = start
            program.run(table)
            np.testing.assert_allclose(memory, expected)
    finally:
        team.set_threads(before)


# ------------------------------------------------------------------------------------ who waits for whom


def planned(*accesses, serial=(), may_fail=(), scratch=()):
    """barriers() of calls given by what they read and write: ``("ab", "c")``, 8 bytes each."""
    calls = []
    for i, (reads, writes) in enumerate(accesses):
        operands = tuple(Operand(0, 8 * ord(letter), 8) for letter in reads + writes)
        spec = KernelSpec(
            "k", i, len(operands), lambda b, m: None, 0, 0, 8 if i in serial else LARGE, may_fail=i in may_fail
        )
        written = tuple(range(len(reads), len(operands)))
        calls.append(Call(spec, operands, written, Operand(1, 0, 64) if i in scratch else None))
    return barriers(calls)


def test_independent_calls_do_not_wait():
    assert planned(("a", "b"), ("a", "c"), ("x", "y")) == [False, False, False]


@pytest.mark.parametrize(
    "second", [("b", "z"), ("x", "a"), ("x", "b")], ids=["read after write", "write after read", "write after write"]
)
def test_dependent_calls_wait(second):
    assert planned(("a", "b"), second) == [False, True]


def test_one_wait_serves_all_calls_before_it():
    assert planned(("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"), ("d", "f")) == [False, False, True, False, True]


def test_calls_that_share_workspace_wait():
    assert planned(("a", "b"), ("c", "d"), ("e", "f"), scratch=(0, 2)) == [False, False, True]


def test_thread_0_does_not_wait_for_itself():
    assert planned(("a", "b"), ("b", "c"), ("c", "d"), serial=(0, 1)) == [False, False, True]
    assert planned(("a", "b"), ("b", "c"), ("c", "d"), serial=(1, 2)) == [False, True, False]


def test_a_call_that_may_fail_is_waited_for_anyway():
    assert planned(("a", "b"), ("b", "c"), may_fail=(0,)) == [False, False]


def test_ranges_that_overlap_by_a_byte_are_dependent():
    spec = KernelSpec("k", 0, 2, lambda b, m: None, bytes=LARGE)

    def waits(offset, base=0):
        return barriers(
            [
                Call(spec, (Operand(1, 0, 8), Operand(0, 64, 64)), (1,)),
                Call(spec, (Operand(base, offset, 64), Operand(2, 0, 8)), (1,)),
            ]
        )[1]

    assert [waits(o) for o in (0, 1, 64, 127, 128)] == [False, True, True, True, False]
    assert not waits(64, base=3)


def test_bases_that_may_be_one_array_are_dependent():
    """A product reads the parameter (base 0); the update writes its new value (base 1), over the old one."""
    spec = KernelSpec("k", 0, 2, lambda b, m: None, bytes=LARGE)
    calls = [
        Call(spec, (Operand(0, 0, 64), Operand(2, 0, 64)), (1,)),
        Call(spec, (Operand(3, 0, 64), Operand(1, 0, 64)), (1,)),
    ]
    assert barriers(calls) == [False, False]
    assert barriers(calls, {1: 0}) == [False, True]
    assert barriers(calls, {0: 4, 4: 1}) == [False, True]

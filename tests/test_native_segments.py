"""Loop kernels over segments beside a loop kernel for each of them: the same bits, wherever segments begin and end."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest
from native_loops import BOOL, F4, F8, I4, fenced, one_code

from autograd_core.backends.cpu.native import engine, machine
from autograd_core.backends.cpu.native.loops.kernel import loop_kernel
from autograd_core.backends.cpu.native.loops.segments import SHARE, lengths_of, segmented_kernel
from autograd_core.backends.cpu.native.program import Call, Operand, assemble, pointers
from autograd_core.compiler.horizontal import flattened
from autograd_core.compiler.loops import Access, Constant, Load, LoopKernel, Map, Store

LEVELS = ("host", "avx2", "scalar")
LENGTHS = (1, 0, 7, SHARE, 3, SHARE + 1, 1000, 0, 2 * SHARE - 1, 33)


class Written:
    """A kernel over ``n`` points, written statement by statement: ``x = w.load(0, F4)``, ``w.store(1, x)``."""

    def __init__(self, n: int):
        self.n, self.body = n, []

    def _add(self, statement: object) -> int:
        self.body.append(statement)
        return len(self.body) - 1

    def load(self, operand: int, dtype: np.dtype, step: int = 1) -> int:
        return self._add(Load(Access(operand, (step,)), dtype))

    def number(self, value: float, dtype: np.dtype) -> int:
        return self._add(Constant(value, dtype))

    def map(self, op: str, *args: int, dtype: np.dtype) -> int:
        return self._add(Map(op, args, dtype))

    def store(self, operand: int, value: int) -> None:
        self._add(Store(Access(operand, (1,)), value))

    def kernel(self, operands: Sequence[np.dtype], outputs: Sequence[int]) -> LoopKernel:
        return LoopKernel((self.n,), (), tuple(self.body), tuple(operands), tuple(outputs))


def adam(n: int, dtype: np.dtype) -> LoopKernel:
    """Parameter, gradient and the running mean of squares; a step count of each segment's own, in float32."""
    w = Written(n)
    parameter, gradient, square = (w.load(i, dtype) for i in range(3))
    decayed = w.map("mul", square, w.number(0.9, dtype), dtype=dtype)
    squared = w.map("mul", gradient, gradient, dtype=dtype)
    square = w.map("add", decayed, w.map("mul", squared, w.number(0.1, dtype), dtype=dtype), dtype=dtype)
    w.store(4, square)
    count = w.map("cast", w.load(3, F4, 0), dtype=F8)
    scale = w.map("sub", w.number(1.0, F8), w.map("pow", w.number(0.9, F8), count, dtype=F8), dtype=F8)
    step = w.map("div", gradient, w.map("sqrt", square, dtype=dtype), dtype=dtype)
    step = w.map("mul", step, w.map("cast", scale, dtype=dtype), dtype=dtype)
    w.store(5, w.map("sub", parameter, step, dtype=dtype))
    return w.kernel([dtype, dtype, dtype, F4, dtype, dtype], [4, 5])


def functions(n: int, dtype: np.dtype) -> LoopKernel:
    w = Written(n)
    x = w.load(0, dtype)
    for op in ("exp", "tanh", "log1p", "sin"):
        x = w.map(op, w.map("abs", x, dtype=dtype), dtype=dtype)
    w.store(1, x)
    return w.kernel([dtype, dtype], [1])


def filled(n: int, dtype: np.dtype) -> LoopKernel:
    w = Written(n)
    w.store(0, w.number(3.0, dtype))
    return w.kernel([dtype], [0])


def mixed(n: int, dtype: np.dtype) -> LoopKernel:
    """float32, int32 and bool with ``dtype``, and a number that all segments share."""
    w = Written(n)
    x, i, yes = w.load(0, F4), w.load(1, I4), w.load(2, BOOL)
    y = w.map("mul", w.map("cast", x, dtype=dtype), w.load(3, dtype, 0), dtype=dtype)
    y = w.map("select", yes, y, w.map("cast", i, dtype=dtype), dtype=dtype)
    w.store(4, y)
    w.store(5, w.map("lt", y, w.number(0.0, dtype), dtype=BOOL))
    return w.kernel([F4, I4, BOOL, dtype, dtype, BOOL], [4, 5])


FORMS = {f.__name__: f for f in (adam, functions, filled, mixed)}


LONGEST = max(LENGTHS)


def arrays_for(kernel: LoopKernel, rng: np.random.Generator) -> list[np.ndarray]:
    """Of random numbers, for the longest segment; results too."""
    steps = {s.access.operand: s.access.strides[0] for s in kernel.body if isinstance(s, Load | Store)}
    arrays = []
    for i, dtype in enumerate(kernel.operands):
        values = np.abs(rng.standard_normal(LONGEST if steps[i] else 1)) * 4 + 1
        arrays.append(values.astype(dtype) if dtype != BOOL else values > 3)
    return arrays


def cut(arrays: Sequence[np.ndarray], n: int) -> list[np.ndarray]:
    """The first elements; single numbers stay."""
    return [fenced(a if len(a) == 1 else a[:n]) for a in arrays]


@pytest.mark.parametrize("dtype", [F4, F8], ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("level", LEVELS)
def test_each_segment_has_the_bits_of_a_kernel_of_its_own(form: str, level: str, dtype: np.dtype) -> None:
    rng, target = np.random.default_rng(len(form)), machine.limited(level)
    kernel, _, _ = flattened(FORMS[form](2, dtype))
    arrays = [arrays_for(kernel, rng) for _ in LENGTHS]
    found = {threads: [cut(some, n) for some, n in zip(arrays, LENGTHS, strict=True)] for threads in (1, 2, 5)}
    spec = segmented_kernel(kernel, LENGTHS, "segments")
    with one_code():
        for threads, segments in found.items():
            operands = [lengths_of(LENGTHS), *(a for some in segments for a in some)]
            assert engine.call(spec, operands, threads=threads, machine=target) == 0
        for some in arrays:
            assert engine.call(loop_kernel(FORMS[form](LONGEST, dtype), "kernel"), some, machine=target) == 0
    for segments in found.values():
        for some, expected, n in zip(segments, arrays, LENGTHS, strict=True):
            for i, (a, b) in enumerate(zip(some, expected, strict=True)):
                np.testing.assert_array_equal(a, b if len(b) == 1 else b[:n], err_msg=f"operand {i}, {n} elements")


def test_in_place() -> None:
    rng = np.random.default_rng(0)
    kernel, _, _ = flattened(adam(2, F4))
    arrays = [arrays_for(kernel, rng) for _ in LENGTHS]
    spec = segmented_kernel(kernel, LENGTHS, "segments")
    for threads in (1, 2):
        found = [cut(some, n) for some, n in zip(arrays, LENGTHS, strict=True)]
        beside = [cut(some, n) for some, n in zip(arrays, LENGTHS, strict=True)]
        with one_code():
            assert engine.call(spec, [lengths_of(LENGTHS), *(a for some in beside for a in some)]) == 0
            operands = [a for p, g, s, count, *_ in found for a in (p, g, s, count, s, p)]
            assert engine.call(spec, [lengths_of(LENGTHS), *operands], threads=threads) == 0
        for (parameter, _, square, *_), (*_, new_square, new_parameter) in zip(found, beside, strict=True):
            np.testing.assert_array_equal(parameter, new_parameter)
            np.testing.assert_array_equal(square, new_square)


def test_threads_share_all_elements_evenly() -> None:
    """What one thread of four does, told by what it leaves undone: within one share of a quarter."""
    kernel, _, _ = flattened(filled(2, F4))
    lengths = (1000, 64, 5000, 1, 640)
    code = engine.Code([engine.compiled(engine.build([segmented_kernel(kernel, lengths, "segments")]))])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(code.address("segments"))
    found = []
    for thread in range(4):
        arrays = [np.zeros(n, F4) for n in lengths]
        told, shared = lengths_of(lengths), np.zeros(64, np.int64)
        team = np.array([thread, 4, shared.ctypes.data], np.int64)
        addresses = np.array([a.ctypes.data for a in arrays], np.int64)
        function(told.ctypes.data, addresses.ctypes.data, 0, team.ctypes.data)
        found.append([int(np.count_nonzero(a)) for a in arrays])
    np.testing.assert_array_equal(np.sum(found, 0), lengths)
    quarter = sum(-(-n // SHARE) for n in lengths) * SHARE / 4
    assert all(abs(sum(part) - quarter) <= 2 * SHARE for part in found)


def test_one_code_for_any_lengths_and_any_number_of_segments() -> None:
    kernel, _, _ = flattened(filled(2, F4))
    calls, table = [], []
    for lengths in ((5, 100), (64,), (1, 2, 3, 4)):
        arrays = [lengths_of(lengths), *(np.zeros(n, F4) for n in lengths)]
        operands = tuple(Operand(len(table) + i, 0, a.nbytes) for i, a in enumerate(arrays))
        table += arrays
        writes = tuple(range(1, len(arrays)))
        calls.append(Call(segmented_kernel(kernel, lengths, "segments"), operands, writes))
    program = assemble(calls, threads=1)
    assert program.code.objects == 1
    assert program.run(pointers([a.ctypes.data for a in table])) == 0
    assert all((a == 3).all() for a in table if a.dtype == F4)


def test_what_it_says_of_its_work() -> None:
    kernel, _, _ = flattened(mixed(2, F8))
    spec = segmented_kernel(kernel, (10, 20), "segments")
    assert spec.bytes == 30 * (4 + 4 + 1 + 8 + 1) + 2 * 8
    assert spec.flops == 30 * 5
    assert spec.listed == 12

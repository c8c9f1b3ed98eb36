"""Elementwise loop kernels in machine code against their slow evaluation: any strides, sizes, dtypes, threads."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="loop kernels are machine code made by llvmlite")

from loop_examples import masked
from native_loops import BOOL, F4, F8, I4, I8, at, check

from autograd_core.backends.cpu.native.loops.plan import plan
from autograd_core.compiler.loops import Accumulate, Constant, Index, Load, LoopKernel, Map, Reduce, Store

LEVELS = ("host", "avx2", "scalar")
R = np.random.default_rng(4)


def random(*shape: int, dtype: np.dtype = F4) -> np.ndarray:
    return R.standard_normal(shape).astype(dtype)


def add(n: int, dtype: np.dtype = F4) -> LoopKernel:
    body = (Load(at(0, 1), dtype), Load(at(1, 1), dtype), Map("add", (0, 1), dtype), Store(at(2, 1), 2))
    return LoopKernel((), (n,), body, (dtype,) * 3, (2,))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 16, 31, 64, 67, 1009])
def test_sums_of_vectors_of_any_length(n: int, level: str) -> None:
    for end in (True, False):
        check(add(n), [random(n), random(n), random(n)], level=level, end=end)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [4999, 20011])
def test_long_vectors_are_cut_into_blocks_for_threads(n: int, threads: int) -> None:
    check(add(n, F8), [random(n, dtype=F8) for _ in range(3)], threads=threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_every_dtype(dtype: str, level: str) -> None:
    kind = np.dtype(dtype)
    arrays = [R.integers(0, 50, 85).astype(kind) for _ in range(3)]
    check(add(85, kind), arrays, level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("columns", [1, 3, 10, 16, 30, 100])
def test_rows_with_a_bias_and_a_factor_for_each_row(columns: int, level: str) -> None:
    rows = 11
    body = (
        Load(at(0, columns, 1), F4),
        Load(at(1, 0, 1), F4),
        Load(at(2, 1, 0), F4),
        Map("add", (0, 1), F4),
        Map("mul", (3, 2), F4),
        Store(at(3, columns, 1), 4),
    )
    kernel = LoopKernel((rows,), (columns,), body, (F4,) * 4, (3,))
    arrays = [random(rows, columns), random(columns), random(rows), random(rows, columns)]
    for threads in (1, 3):
        check(kernel, arrays, threads=threads, level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("stride", [-1, -3, 2, 3, 4, 5])
def test_strided_operands_are_read_and_written_where_they_lie(stride: int, level: str) -> None:
    n = 53
    offset = 0 if stride > 0 else (n - 1) * -stride
    size = (n - 1) * abs(stride) + 1
    for read, write in ((stride, 1), (1, stride), (stride, stride)):
        accesses = [at(o, step, offset=offset if step == stride else 0) for o, step in enumerate((read, write))]
        body = (Load(accesses[0], F4), Map("neg", (0,), F4), Store(accesses[1], 1))
        kernel = LoopKernel((), (n,), body, (F4, F4), (1,))
        sizes = [size if step == stride else n for step in (read, write)]
        for end in (True, False):
            check(kernel, [random(sizes[0]), random(sizes[1])], level=level, end=end)


@pytest.mark.parametrize("level", LEVELS)
def test_a_transposed_copy(level: str) -> None:
    body = (Load(at(0, 1, 37), F4), Store(at(1, 50, 1), 0))
    check(LoopKernel((37, 50), (), body, (F4, F4), (1,)), [random(50, 37), random(37, 50)], level=level, threads=2)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(64, 64), (9, 100), (33, 17), (70, 8)])
def test_tiles_are_turned(shape: tuple[int, int], level: str) -> None:
    rows, columns = shape
    for dtype in (F4, F8, BOOL):
        body = (
            Load(at(0, columns * rows, 1, rows), dtype),
            Load(at(1, 0, 0, 1), F4),
            Load(at(2, 0, columns, -1, offset=columns - 1), F4),
            Map("cast", (0,), F4),
            Map("mul", (3, 1), F4),
            Map("add", (4, 2), F4),
            Store(at(3, columns * rows, columns, 1), 5),
            Accumulate("max", 5, at(4, 0, 0, 0), True),
        )
        kernel = LoopKernel((3,), (rows, columns), body, (dtype, F4, F4, F4, F4), (3, 4))
        arrays = [random(3, columns, rows).astype(dtype), random(columns), random(rows, columns)]
        arrays += [random(3, rows, columns), random(1)]
        for threads, end in ((1, True), (3, False)):
            check(kernel, arrays, level=level, threads=threads, end=end)


@pytest.mark.parametrize("level", LEVELS)
def test_masks_indices_and_numbers_of_several_sizes(level: str) -> None:
    check(*masked(9, 43, R), level=level, threads=2)


def test_no_dimension_at_all_is_one_point() -> None:
    body = (Load(at(0), F4), Constant(1, F4), Map("add", (0, 1), F4), Store(at(0), 2))
    check(LoopKernel((), (), body, (F4,), (0,)), [random(1)], threads=3)


def test_values_are_updated_in_place() -> None:
    body = (Load(at(0, 1), F4), Load(at(1, 1), F4), Map("sub", (0, 1), F4), Store(at(0, 1), 2))
    check(LoopKernel((), (301,), body, (F4, F4), (0,)), [random(301), random(301)], threads=2)


def test_a_value_of_each_outer_point_is_written_once_there() -> None:
    body = (
        Load(at(0, 1, 0), F4),
        Map("neg", (0,), F4),
        Store(at(1, 1, 0), 1),
        Load(at(2, 20, 1), F4),
        Map("add", (1, 3), F4),
        Store(at(3, 20, 1), 4),
    )
    kernel = LoopKernel((15,), (20,), body, (F4,) * 4, (1, 3))
    check(kernel, [random(15), random(15), random(15, 20), random(15, 20)], threads=2)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_rows_share_is_read_before_it_is_overwritten(threads: int) -> None:
    for inner, gap in (((5000,), 0), ((40, 50), 1)):
        steps = (1,) if len(inner) == 1 else (inner[1] + gap, 1)
        row = steps[0] * inner[0]
        none = [0] * len(inner)
        body = (
            Load(at(0, 1, *none), F4),
            Load(at(1, 0, *none), F4),
            Load(at(2, row, *steps), F4),
            Map("add", (0, 1), F4),
            Map("add", (2, 3), F4),
            Map("add", (1, 1), F4),
            Store(at(0, 1, *none), 3),
            Store(at(1, 0, *none), 5),
            Store(at(3, row, *steps), 4),
        )
        kernel = LoopKernel((3,), inner, body, (F4,) * 4, (0, 1, 3))
        check(kernel, [random(3), random(1), random(3, row), random(3, row)], threads=threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("width", [6, 12, 34])
def test_windows_of_short_rows(width: int, level: str) -> None:
    for step in (2, 3):
        loads = [
            Load(at(0, step * width * step, step, offset=dy * step * width + dx), F4)
            for dy in range(step)
            for dx in range(step)
        ]
        body = [*loads]
        last = 0
        for position in range(1, len(loads)):
            body.append(Map("max", (last, position), F4))
            last = len(body) - 1
        body.append(Store(at(1, width, 1), last))
        kernel = LoopKernel((5,), (width,), tuple(body), (F4, F4), (1,))
        x = random(5 * step, width * step)
        for end in (True, False):
            check(kernel, [x, random(5, width)], level=level, end=end)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("columns", [3, 8, 12, 21])
@pytest.mark.parametrize("fine", [2, 4])
def test_results_side_by_side_in_memory(fine: int, columns: int, level: str) -> None:
    """Every element of a small array is written to ``fine`` neighbours in two rows, where an index says so."""
    rows, wide = 5, fine * columns
    dtype = F8 if columns == 8 else F4
    body = (
        Load(at(0, columns, 0, 0, 1), dtype),
        Load(at(1, columns, 0, 0, 1), I4),
        Index(2, 1),
        Index(1, fine),
        Map("add", (2, 3), I8),
        Map("cast", (4,), I4),
        Map("eq", (1, 5), BOOL),
        Constant(0, dtype),
        Map("select", (6, 0, 7), dtype),
        Load(at(2, 2 * wide, wide, 1, fine), dtype),
        Map("add", (8, 9), dtype),
        Index(3),
        Map("cast", (11,), dtype),
        Map("add", (10, 12), dtype),
        Load(at(3, 0, 0, columns, 1), dtype),
        Map("add", (13, 14), dtype),
        Store(at(4, 2 * wide, wide, 1, fine), 15),
    )
    arrays = [random(rows, columns, dtype=dtype), R.integers(0, 2 * fine, (rows, columns)).astype(I4)]
    arrays += [random(rows, 2, wide, dtype=dtype), random(fine, columns, dtype=dtype)]
    arrays += [random(rows, 2, wide, dtype=dtype), random(rows, dtype=dtype)]
    operands = tuple(a.dtype for a in arrays)
    kernel = LoopKernel((rows, 2, fine), (columns,), body, operands, (4,))
    sums = (*body, Reduce("sum", 10, dtype), Store(at(5, 1, 0, 0, 0), 17))
    reduced = LoopKernel((rows,), (2, fine, columns), sums, operands, (4, 5))
    for k in (kernel, reduced):
        assert plan(k).fine is not None
        for threads, end in ((1, True), (3, False)):
            check(k, arrays, level=level, threads=threads, end=end, rtol=1e-5, atol=1e-4)  # sums of 168

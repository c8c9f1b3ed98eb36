"""Reductions of loop kernels: over rows, over columns, over everything, in stages; by one thread and by several."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="loop kernels are machine code made by llvmlite")

from loop_examples import batch_statistics, softmax
from native_loops import BOOL, F4, F8, I8, at, check, run

from autograd_core.backends.cpu.native.loops.plan import plan
from autograd_core.compiler.loops import Accumulate, Constant, Load, LoopKernel, Map, Reduce, Store

LEVELS = ("host", "avx2", "scalar")
KINDS = ("sum", "prod", "max", "min", "any", "all")
R = np.random.default_rng(5)


def sample(kind: str, *shape: int, dtype: np.dtype = F4) -> np.ndarray:
    if dtype == BOOL:
        return R.random(shape) < (0.05 if kind == "any" else 0.95)
    if dtype.kind == "i":
        return R.integers(-3, 4, shape).astype(dtype)
    return (1 + R.standard_normal(shape) / 20 if kind == "prod" else R.standard_normal(shape)).astype(dtype)


def dtypes(kind: str) -> tuple[np.dtype, ...]:
    return (BOOL,) if kind in ("any", "all") else (F4, F8, I8)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind: str, level: str) -> None:
    for dtype in dtypes(kind):
        for columns in (0, 1, 10, 33, 200) if dtype in (F4, BOOL) else (33,):
            if not columns and kind in ("max", "min"):
                continue
            body = (Load(at(0, columns, 1), dtype), Reduce(kind, 0, dtype), Store(at(1, 1, 0), 1))
            kernel = LoopKernel((13,), (columns,), body, (dtype, dtype), (1,))
            check(kernel, [sample(kind, 13, columns, dtype=dtype), np.zeros(13, dtype)], threads=2, level=level)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_totals_by_accumulation(kind: str, threads: int) -> None:
    for dtype in dtypes(kind):
        for shape in ((1, 9000), (300, 7)):
            body = (Load(at(0, shape[1], 1), dtype), Accumulate(kind, 0, at(1, 0, 0), True))
            kernel = LoopKernel(shape[:1], shape[1:], body, (dtype, dtype), (1,))
            check(kernel, [sample(kind, *shape, dtype=dtype), np.zeros(1, dtype)], threads=threads, rtol=2e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_one_long_row_is_shared_among_threads(kind: str, threads: int) -> None:
    for dtype in dtypes(kind):
        body = (
            Load(at(0, 20011, 1), dtype),
            Reduce(kind, 0, dtype),
            Map("max" if dtype != BOOL else "and", (0, 1), dtype),
            Reduce(kind, 2, dtype),
            Store(at(1, 1, 0), 1),
            Store(at(2, 20011, 1), 2),
            Store(at(3, 1, 0), 3),
        )
        kernel = LoopKernel((3,), (20011,), body, (dtype,) * 4, (1, 2, 3))
        arrays = [sample("max", 3, 20011, dtype=dtype) if kind == "prod" else sample(kind, 3, 20011, dtype=dtype)]
        arrays += [np.zeros(3, dtype), np.zeros((3, 20011), dtype), np.zeros(3, dtype)]
        if kind == "prod":
            arrays[0] = np.sign(arrays[0]).astype(dtype)
        check(kernel, arrays, threads=threads, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("inner", [(5,), (70,), (6, 35), (40, 3), (5000,), (3, 2000)])
def test_columns(inner: tuple[int, ...], level: str) -> None:
    strides = (inner[1], 1) if len(inner) == 2 else (1,)
    size = int(np.prod(inner))
    for kind in ("sum", "max", "any"):
        for dtype in dtypes(kind)[:1]:
            # the result is laid out with a gap, so that inner dimensions do not merge
            access = at(1, 0, strides[0] + 1, 1) if len(inner) == 2 else at(1, 0, 1)
            body = (Load(at(0, size, *strides), dtype), Accumulate(kind, 0, access, False))
            kernel = LoopKernel((17,), inner, body, (dtype, dtype), (1,))
            out = np.zeros((inner[0] * (inner[1] + 1) - 1) if len(inner) == 2 else inner, dtype)
            for threads in (1, 3):
                check(kernel, [sample(kind, 17, *inner, dtype=dtype), out], threads=threads, level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("columns", [1, 10, 16, 77, 9001])
def test_softmax(columns: int, level: str) -> None:
    check(softmax(9, columns), [sample("sum", 9, columns), np.zeros((9, columns), F4)], threads=2, level=level)


def test_softmax_in_place_reads_before_it_writes() -> None:
    kernel = softmax(9, 50)
    body = (*kernel.body[:-1], Store(at(0, 50, 1), 5))
    check(kernel._replace(body=body, operands=(F4,), outputs=(0,)), [sample("sum", 9, 50)], threads=2)


@pytest.mark.parametrize("level", LEVELS)
def test_batch_statistics_over_two_inner_dimensions(level: str) -> None:
    n, channels, area = 4, 5, 37
    arrays = [sample("sum", n, channels, area), sample("sum", channels), np.zeros((n, channels, area), F4)]
    arrays += [np.zeros(channels, F4), np.zeros(channels, F4)]
    check(batch_statistics(n, channels, area), arrays, threads=2, level=level, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_rows_columns_and_totals_of_one_pass(level: str) -> None:
    rows, columns = 21, 45
    body = (
        Load(at(0, columns, 1), F4),
        Reduce("sum", 0, F4),
        Map("sub", (0, 1), F4),
        Accumulate("sum", 2, at(1, 0, 1), False),
        Accumulate("max", 2, at(2, 0, 0), True),
        Map("mul", (1, 1), F4),
        Accumulate("sum", 5, at(3, 0, 0), False),
    )
    kernel = LoopKernel((rows,), (columns,), body, (F4,) * 4, (1, 2, 3))
    arrays = [sample("sum", rows, columns), np.zeros(columns, F4), np.zeros(1, F4), np.zeros(1, F4)]
    for threads in (1, 2, 3):
        check(kernel, arrays, threads=threads, level=level, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", ["max", "min"])
@pytest.mark.parametrize("level", LEVELS)
def test_one_nan_makes_a_maximum_nan(kind: str, level: str) -> None:
    x = sample("max", 40, 41)
    for row in range(40):
        x[row, row] = np.nan
    body = (Load(at(0, 41, 1), F4), Reduce(kind, 0, F4), Store(at(1, 1, 0), 1))
    kernel = LoopKernel((40,), (41,), body, (F4, F4), (1,))
    check(kernel, [x, np.zeros(40, F4)], level=level)


def test_long_sums_in_single_precision_are_accurate() -> None:
    x = R.random(1_000_003).astype(F4)
    body = (Load(at(0, 1), F4), Accumulate("sum", 0, at(1, 0), True))
    kernel = LoopKernel((x.size,), (), body, (F4, F4), (1,))
    total = run(kernel, [x, np.zeros(1, F4)], threads=2)[1]
    assert abs(total[0] / x.sum(dtype=F8) - 1) < 5e-7


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [8, 16, 37, 300])
def test_reductions_across_rows_that_are_neighbours_in_memory(channels: int, level: str) -> None:
    n = 70
    body = (
        Load(at(0, 1, channels), F4),
        Reduce("sum", 0, F4),
        Constant(1 / n, F4),
        Map("mul", (1, 2), F4),
        Map("sub", (0, 3), F4),
        Map("exp", (4,), F4),
        Reduce("max", 5, F4),
        Map("div", (5, 6), F4),
        Load(at(1, 1, 0), F4),
        Map("mul", (7, 8), F4),
        Store(at(2, 1, channels), 9),
        Store(at(3, 1, 0), 6),
        Accumulate("sum", 9, at(4, 0, 0), True),
        Accumulate("max", 6, at(5, 0, 0), False),
    )
    kernel = LoopKernel((channels,), (n,), body, (F4,) * 6, (2, 3, 4, 5))
    assert plan(kernel).shape == "across"
    arrays = [sample("sum", n, channels), sample("sum", channels), np.zeros((n, channels), F4)]
    arrays += [np.zeros(channels, F4), np.zeros(1, F4), np.zeros(1, F4)]
    for threads in (1, 3):
        check(kernel, arrays, threads=threads, level=level, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_sums_with_infinities_and_nan(level: str) -> None:
    x = np.ones((6, 200), F4)
    x[1, 3] = np.inf
    x[2, 3], x[2, 199] = np.inf, -np.inf
    x[3, 150] = -np.inf
    x[4, 0] = np.nan
    x[5, 100:] = np.finfo(F4).max
    out = np.zeros(6, F4)
    rows = (Load(at(0, 200, 1), F4), Reduce("sum", 0, F4), Store(at(1, 1, 0), 1))
    across = (Load(at(0, 1, 6), F4), Reduce("sum", 0, F4), Store(at(1, 1, 0), 1))
    check(LoopKernel((6,), (200,), rows, (F4, F4), (1,)), [x, out], level=level)
    wide = np.tile(x, (2, 1))
    turned = (Load(at(0, 1, 12), F4), *across[1:])
    check(LoopKernel((12,), (200,), turned, (F4, F4), (1,)), [wide.T.copy(), np.zeros(12, F4)], level=level)
    for row in x:  # in one sum of many: of blocks, each with its own
        tall = np.ones((40, 200), F4)
        tall[7] = row
        total = (Load(at(0, 200, 1), F4), Accumulate("sum", 0, at(1, 0, 0), True))
        kernel = LoopKernel((40,), (200,), total, (F4, F4), (1,))
        check(kernel, [tall, np.zeros(1, F4)], level=level, threads=2)


def test_results_do_not_depend_on_which_thread_comes_first() -> None:
    body = (
        Load(at(0, 500, 1), F4),
        Reduce("sum", 0, F4),
        Map("mul", (0, 1), F4),
        Accumulate("sum", 2, at(1, 0, 1), False),
        Accumulate("sum", 2, at(2, 0, 0), True),
    )
    kernel = LoopKernel((97,), (500,), body, (F4,) * 3, (1, 2))
    arrays = [sample("sum", 97, 500), np.zeros(500, F4), np.zeros(1, F4)]
    first = run(kernel, arrays, threads=3)
    for _ in range(10):
        again = run(kernel, arrays, threads=3)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_what_reductions_share_is_read_before_it_is_overwritten(threads: int) -> None:
    for outer, inner, strides in ((3, (40, 50), (2000, 1, 40)), (2, (20011,), (20011, 1)), (40, (50,), (1, 40))):
        shape, short = (outer, *inner), (1, *[0] * len(inner))
        body = (
            Load(at(0, *short), F4),
            Load(at(1, *[0] * len(shape)), F4),
            Load(at(2, *strides), F4),
            Map("mul", (0, 1), F4),
            Map("sub", (2, 3), F4),
            Reduce("max", 4, F4),
            Map("add", (5, 4), F4),
            Map("add", (0, 3), F4),
            Map("add", (1, 1), F4),
            Store(at(0, *short), 7),
            Store(at(1, *[0] * len(shape)), 8),
            Store(at(2, *strides), 6),
        )
        kernel = LoopKernel((outer,), inner, body, (F4,) * 3, (0, 1, 2))
        check(kernel, [sample("max", shape[0]), sample("max", 1), sample("max", *shape)], threads=threads)

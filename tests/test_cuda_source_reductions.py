"""Reductions of loop kernels as CUDA C on the host: rows of every length, columns, totals, stages, NaN and ties."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_host import Batch, needs_compiler
from cuda_loops import SMALL, TINY, Checks, check
from loop_examples import batch_statistics, softmax

from autograd_core.aval import as_dtype
from autograd_core.backends.cuda.native import Sizes, loop_kernel
from autograd_core.backends.cuda.native.form import form
from autograd_core.backends.cuda.native.row_plan import plan
from autograd_core.compiler.loops import Access, Accumulate, Load, LoopKernel, Map, Reduce, Store

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))
KINDS = ("sum", "prod", "max", "min", "any", "all")
R = np.random.default_rng(5)


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_compiler()


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def sample(kind: str, *shape: int, dtype: np.dtype = F4) -> np.ndarray:
    if dtype == BOOL:
        return R.random(shape) < (0.05 if kind == "any" else 0.95)
    if dtype.kind == "i":
        return R.integers(-3, 4, shape).astype(dtype)
    return (1 + R.standard_normal(shape) / 20 if kind == "prod" else R.standard_normal(shape)).astype(dtype)


def dtypes(kind: str) -> tuple[np.dtype, ...]:
    return (BOOL,) if kind in ("any", "all") else (F4, F8, I8)


def team(kernel: LoopKernel, sizes: Sizes = SMALL) -> tuple[str, int, int]:
    """Who does a row: the kind of team, of how many lanes, and in how many parts."""
    found = plan(form(kernel), sizes, ())
    return found.team.kind, found.team.lanes, found.splits


@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind: str) -> None:
    checks, teams = Checks(), set()
    for dtype in dtypes(kind):
        for columns in (0, 1, 2, 10, 33, 200, 1300) if dtype in (F4, BOOL) else (33,):
            if not columns and kind in ("max", "min"):
                continue
            body = (Load(at(0, columns, 1), dtype), Reduce(kind, 0, dtype), Store(at(1, 1, 0), 1))
            kernel = LoopKernel((13,), (columns,), body, (dtype, dtype), (1,))
            checks.add(kernel, [sample(kind, 13, columns, dtype=dtype), np.zeros(13, dtype)], rtol=1e-5, atol=1e-4)
            teams.add(team(kernel)[:2])
    checks.run()
    assert {("warp", 32), ("block", 128)} <= teams
    assert len({lanes for name, lanes in teams if name == "warp"}) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_that_are_rows(kind: str) -> None:
    checks = Checks()
    for dtype in dtypes(kind)[:1]:
        for rows, points in ((5, 1), (33, 2), (40, 9), (100, 70)):
            body = (Load(at(0, 1, rows), dtype), Reduce(kind, 0, dtype), Store(at(1, 1, 0), 1))
            kernel = LoopKernel((rows,), (points,), body, (dtype, dtype), (1,))
            assert points < 2 or team(kernel)[0] == "across"
            checks.add(kernel, [sample(kind, points, rows, dtype=dtype), np.zeros(rows, dtype)], rtol=1e-5)
    checks.run()


@pytest.mark.parametrize("kind", ["sum", "max", "any"])
def test_few_long_rows_are_split(kind: str) -> None:
    checks = Checks(TINY)
    dtype = dtypes(kind)[0]
    for shape, strides in (((3, 20011), (20011, 1)), ((1, 5000), (5000, 1)), ((40, 700), (1, 40))):
        both = "max" if dtype != BOOL else "and"
        body = (
            Load(at(0, *strides), dtype),
            Reduce(kind, 0, dtype),
            Map(both, (0, 1), dtype),
            Reduce(kind, 2, dtype),
            Store(at(1, 1, 0), 1),
            Store(at(2, *strides), 2),
            Store(at(3, 1, 0), 3),
            Accumulate("max" if dtype != BOOL else "any", 2, at(4, 0, 0), True),
            Accumulate("sum" if dtype != BOOL else "all", 3, at(5, 0, 0), False),
            Accumulate("sum" if dtype != BOOL else "all", 1, at(6, 0, 0), False),
        )
        kernel = LoopKernel(shape[:1], shape[1:], body, (dtype,) * 7, (1, 2, 3, 4, 5, 6))
        assert team(kernel, TINY)[2] > 1
        arrays = [sample(kind, shape[0] * shape[1], dtype=dtype), np.zeros(shape[0], dtype)]
        arrays += [np.zeros(shape[0] * shape[1], dtype), np.zeros(shape[0], dtype)]
        sources = checks.add(kernel, [*arrays, *(np.zeros(1, dtype) for _ in range(3))], rtol=1e-4, atol=2e-3)
        assert len(sources[0].launches) == 4  # a launch for each stage, and the last for totals
    checks.run((0, 5))


def test_softmax() -> None:
    checks = Checks()
    for rows, columns in ((9, 1), (300, 10), (9, 16), (33, 77), (5, 1000), (2, 9001)):
        checks.add(softmax(rows, columns), [sample("sum", rows, columns), np.zeros((rows, columns), F4)])
        checks.add(softmax(rows, columns, place=0), [sample("sum", rows, columns)])
    checks.run()


def test_what_is_written_in_place_is_read_by_all_stages_before() -> None:
    body = (
        Load(at(0, 70, 1), F4),
        Map("neg", (0,), F4),
        Store(at(0, 70, 1), 1),
        Reduce("sum", 0, F4),
        Map("sub", (0, 3), F4),
        Store(at(1, 70, 1), 4),
    )
    kernel = LoopKernel((9,), (70,), body, (F4, F4), (0, 1))
    for sizes in (SMALL, SMALL._replace(kept=0)):
        check(kernel, [sample("sum", 9, 70), sample("sum", 9, 70)], sizes=sizes)


def test_a_row_is_read_once_where_threads_can_keep_it() -> None:
    # threads of full-sized blocks: 8 packs of 4 numbers, and as many exponentials, are 256 bytes a thread
    for columns, loads in ((100, 1), (512, 1), (4096, 1), (65536, 3)):
        assert loop_kernel(softmax(4096, columns), "softmax").text.count("load<4>") == loads
    assert "kept0[4][4]" in loop_kernel(softmax(4096, 512), "softmax").text


def test_ties_infinities_and_nan() -> None:
    checks = Checks()
    x = np.repeat(np.array([[1.0, np.inf, -np.inf, np.nan, -0.0]], F4), 7, axis=0).reshape(-1)
    rows = np.stack([np.roll(x, i) for i in range(9)] + [np.full(35, -np.inf, F4), np.zeros(35, F4)]).astype(F4)
    for kind in ("max", "min", "sum", "prod"):
        for layout in ((35, 1), (1, 11)):
            body = (Load(at(0, *layout), F4), Reduce(kind, 0, F4), Store(at(1, 1, 0), 1))
            body += (Map("eq", (0, 1), BOOL), Store(at(2, *layout), 3))
            kernel = LoopKernel((11,), (35,), body, (F4, F4, BOOL), (1, 2))
            given = rows if layout[1] == 1 else rows.T
            checks.add(kernel, [np.array(given, order="C"), np.zeros(11, F4), np.zeros(rows.size, BOOL)])
    checks.run()


def test_batch_statistics_over_two_inner_dimensions() -> None:
    checks = Checks()
    for n, channels, area in ((4, 5, 37), (2, 3, 64), (3, 2, 600)):
        arrays = [sample("sum", n, channels, area), sample("sum", channels), np.zeros((n, channels, area), F4)]
        arrays += [np.zeros(channels, F4), np.zeros(channels, F4)]
        checks.add(batch_statistics(n, channels, area), arrays, rtol=1e-5, atol=1e-5)
    checks.run()


@pytest.mark.parametrize("sizes", [SMALL, TINY, SMALL._replace(kept=8)], ids=["kept", "split", "in memory"])
def test_rows_columns_and_totals_of_one_pass(sizes: Sizes) -> None:
    checks = Checks(sizes)
    for rows, columns in ((21, 45), (50, 8), (7, 1300), (1, 5), (0, 5)):
        body = (
            Load(at(0, columns, 1), F4),
            Reduce("sum", 0, F4),
            Map("mul", (0, 1), F4),
            Store(at(1, columns, 1), 2),
            Store(at(2, 1, 0), 1),
            Accumulate("sum", 2, at(3, 0, 1), False),
            Accumulate("max", 0, at(4, 0, 1), False),
            Accumulate("sum", 0, at(5, 0, 0), True),
            Accumulate("min", 1, at(6, 0, 0), False),
        )
        kernel = LoopKernel((rows,), (columns,), body, (F4,) * 7, (1, 2, 3, 4, 5, 6))
        shapes = ((rows, columns), (rows, columns), (rows,), (columns,), (columns,), (1,), (1,))
        if rows:
            checks.add(kernel, [sample("sum", *s) for s in shapes], rtol=2e-4, atol=2e-3)
        else:
            body = tuple(s for s in body if not isinstance(s, Accumulate) or s.kind == "sum")
            checks.add(kernel._replace(body=body, outputs=(1, 2, 3, 5)), [sample("sum", *s) for s in shapes])
    checks.run()


def test_columns() -> None:
    checks = Checks()
    for inner in ((5,), (70,), (6, 35), (40, 3), (3, 200)):
        strides = (inner[1], 1) if len(inner) == 2 else (1,)
        size = int(np.prod(inner))
        for kind in ("sum", "max"):
            # the result is laid out with a gap, so that inner dimensions do not merge
            access = at(1, 0, strides[0] + 1, 1) if len(inner) == 2 else at(1, 0, 1)
            body = (Load(at(0, size, *strides), F4), Accumulate(kind, 0, access, False))
            kernel = LoopKernel((17,), inner, body, (F4, F4), (1,))
            assert team(kernel)[0] == "across"
            out = np.zeros((inner[0] * (inner[1] + 1) - 1) if len(inner) == 2 else inner, F4)
            checks.add(kernel, [sample(kind, 17, *inner), out])
    checks.run()


def test_long_columns_are_split_and_elementwise_work_goes_along() -> None:
    rows, columns = 3000, 21
    body = (
        Load(at(0, columns, 1), F4),
        Load(at(1, 1, 0), F4),
        Map("mul", (0, 1), F4),
        Store(at(2, columns, 1), 2),
        Accumulate("sum", 2, at(3, 0, 1), False),
        Accumulate("sum", 2, at(4, 0, 0), True),
        Accumulate("sum", 1, at(5, 0, 0), False),
    )
    kernel = LoopKernel((rows,), (columns,), body, (F4,) * 6, (2, 3, 4, 5))
    assert team(kernel, SMALL)[2] > 1
    arrays = [sample("sum", rows, columns), sample("sum", rows), np.zeros((rows, columns), F4)]
    arrays += [np.zeros(columns, F4), np.zeros(1, F4), np.zeros(1, F4)]
    check(kernel, arrays, rtol=1e-4, atol=2e-3)


def test_sums_of_whole_numbers_wrap_around() -> None:
    checks = Checks()
    for name in ("i1", "u1", "i2", "i4", "u4", "i8", "u8"):
        dtype = np.dtype(name)
        bounds = np.iinfo(dtype)
        for kind in ("sum", "prod"):
            body = (Load(at(0, 50, 1), dtype), Reduce(kind, 0, dtype), Store(at(1, 1, 0), 1))
            kernel = LoopKernel((3,), (50,), body, (dtype, dtype), (1,))
            given = R.integers(bounds.min, bounds.max, (3, 50), dtype, endpoint=True)
            checks.add(kernel, [given, np.zeros(3, dtype)])
    checks.run()


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_are_added_up_as_floats(name: str) -> None:
    half, batch, wanted = as_dtype(name), Batch(), []
    for rows, columns, sizes in ((9, 200, SMALL), (40, 32, SMALL), (2, 3000, TINY)):
        body = (
            Load(at(0, columns, 1), half),
            Reduce("sum", 0, half),
            Map("div", (0, 1), half),
            Store(at(1, columns, 1), 2),
            Store(at(2, 1, 0), 1),
            Accumulate("sum", 0, at(3, 0, 1), False),
            Accumulate("max", 0, at(4, 0, 0), True),
        )
        kernel = LoopKernel((rows,), (columns,), body, (half,) * 5, (1, 2, 3, 4))
        x = (1 + R.random((rows, columns))).astype(half)
        sums = x.astype(F4).sum(axis=1).astype(half)
        quotients = (x.astype(F4) / sums.astype(F4)[:, None]).astype(half)
        wanted.append([x, quotients, sums, x.astype(F4).sum(axis=0).astype(half), x.max().reshape(1)])
        source = loop_kernel(kernel, f"halves{rows}", sizes=sizes)
        assert source.alignment[0] == 16
        batch.add(source, [x, *[np.zeros_like(a) for a in wanted[-1][1:]]])
    precision = 2**-10 if name == "float16" else 2**-7  # a sum may round to the other neighbour
    for runs, expected in zip(batch.run(), wanted, strict=True):
        for arrays in runs:
            for a, b in zip(arrays, expected, strict=True):
                np.testing.assert_allclose(a.astype(F8), b.astype(F8), rtol=precision)


def test_partial_results_that_are_arrays_take_no_more_than_their_room() -> None:
    def workspace(columns: int) -> int:
        body = (Load(at(0, columns, 1), F4), Reduce("sum", 0, F4), Store(at(1, 1, 0), 1))
        body += (Accumulate("sum", 0, at(2, 0, 1), False),)
        return loop_kernel(LoopKernel((4096,), (columns,), body, (F4,) * 3, (1, 2)), "sums").workspace

    assert workspace(1000) == 512 * 1000 * 4
    assert workspace(50000) <= Sizes().workspace
    assert workspace(10**7) == 4 * 10**7  # one row there must be


def test_a_total_has_no_place_for_values_that_change_along_rows() -> None:
    body = (Load(at(0, 8, 1), F4), Accumulate("sum", 0, at(1, 0, 0), False))
    with pytest.raises(ValueError, match="has one place for values that change along the inner points"):
        loop_kernel(LoopKernel((5,), (8,), body, (F4, F4), (1,)), "total")

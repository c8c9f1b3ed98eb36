"""Elementwise loop kernels as CUDA C on the host: any strides, sizes and dtypes, aligned or not, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_host import needs_compiler
from cuda_loops import SMALL, Checks, check
from loop_examples import masked

from autograd_core.backends.cuda.native import Sizes, loop_kernel
from autograd_core.compiler.loops import (
    Access,
    Accumulate,
    Constant,
    Load,
    LoopKernel,
    Map,
    Reduce,
    Store,
)

F4, F8, I4, I8, BOOL = (np.dtype(name) for name in ("f4", "f8", "i4", "i8", "?"))
R = np.random.default_rng(4)


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_compiler()


def at(operand: int, *strides: int, offset: int = 0) -> Access:
    return Access(operand, strides, offset)


def random(*shape: int, dtype: Any = F4) -> np.ndarray:
    return R.standard_normal(shape).astype(dtype)


def add(n: int, dtype: np.dtype = F4, offset: int = 0) -> LoopKernel:
    body = (Load(at(0, 1), dtype), Load(at(1, 1, offset=offset), dtype), Map("add", (0, 1), dtype), Store(at(2, 1), 2))
    return LoopKernel((), (n,), body, (dtype,) * 3, (2,))


def test_sums_of_vectors_of_any_length_and_dtype() -> None:
    checks = Checks()
    for n in (0, 1, 2, 3, 4, 5, 7, 16, 255, 256, 257, 1009):  # one block takes 256 floats at once, and there are three
        checks.add(add(n), [random(n), random(n), random(n)])
    for name in ("f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"):
        checks.add(add(133, np.dtype(name)), [R.integers(0, 50, 133).astype(name) for _ in range(3)])
    checks.run()


def test_what_starts_between_two_packs_is_read_element_by_element() -> None:
    checks = Checks()
    for offset in (1, 2, 4):
        source, _ = checks.add(add(133, offset=offset), [random(133), random(133 + offset), random(133)])
        assert ("load<4>" in source.text) == (offset == 4)
        assert ("load<2>" in source.text) == (offset == 2)
    checks.run()


def test_an_operand_that_may_lie_anywhere_costs_the_others_nothing() -> None:
    source = loop_kernel(add(1000), "add", misaligned={1})
    assert source.alignment == (16, 4, 16)
    assert "load<4>(a0 + c0)" in source.text
    assert "a1[c0 + v]" in source.text
    assert loop_kernel(add(1000), "add", misaligned={0, 1, 2}).alignment == (4, 4, 4)


def test_rows_with_a_bias_and_a_factor_for_each_row() -> None:
    checks = Checks()
    for rows, columns in ((11, 1), (11, 3), (11, 16), (300, 10), (3, 100)):
        body = (
            Load(at(0, columns, 1), F4),
            Load(at(1, 0, 1), F4),
            Load(at(2, 1, 0), F4),
            Map("add", (0, 1), F4),
            Map("mul", (3, 2), F4),
            Store(at(3, columns, 1), 4),
        )
        kernel = LoopKernel((rows,), (columns,), body, (F4,) * 4, (3,))
        checks.add(kernel, [random(rows, columns), random(columns), random(rows), random(rows, columns)])
    checks.run()


def test_strided_operands_are_read_and_written_where_they_lie() -> None:
    checks = Checks()
    for stride in (-1, -3, 0, 2, 3, 5):
        n = 53
        offset = 0 if stride >= 0 else (n - 1) * -stride
        size = (n - 1) * abs(stride) + 1
        for read, write in ((stride, 1), *([(1, stride), (stride, stride)] if stride else [])):
            accesses = [at(o, s, offset=offset if s == stride else 0) for o, s in enumerate((read, write))]
            body = (Load(accesses[0], F4), Map("neg", (0,), F4), Store(accesses[1], 1))
            sizes = [size if s == stride else n for s in (read, write)]
            checks.add(LoopKernel((), (n,), body, (F4, F4), (1,)), [random(s) for s in sizes])
    checks.run()


def test_rows_that_end_within_a_pack() -> None:
    checks = Checks()
    body = (Load(at(0, 8, 1), F4), Map("neg", (0,), F4), Store(at(1, 8, 1), 1))
    source, _ = checks.add(LoopKernel((), (5, 6), body, (F4, F4), (1,)), [random(40), random(40)])
    assert "load<4>" in source.text  # two of the second pack of a row are not there
    body = (Load(at(0, 24, 8, 1), F4), Reduce("sum", 0, F4), Map("sub", (0, 1), F4), Store(at(1, 24, 8, 1), 2))
    source, _ = checks.add(LoopKernel((4,), (3, 6), body, (F4, F4), (1,)), [random(96), random(96)])
    assert "load<2>" in source.text
    checks.run()


@pytest.mark.parametrize("dtype", [F4, F8, BOOL], ids=str)
def test_tiles_are_turned(dtype: np.dtype) -> None:
    checks = Checks()
    for rows, columns in ((37, 50), (64, 64), (9, 100), (33, 8)):
        area = rows * columns
        body = (
            Load(at(0, area, 1, rows), dtype),
            Load(at(1, 0, 0, 1), F4),
            Load(at(2, 0, columns, -1, offset=columns - 1), F4),
            Map("cast", (0,), F4),
            Map("mul", (3, 1), F4),
            Map("add", (4, 2), F4),
            Store(at(3, area, columns, 1), 5),
            Accumulate("max", 5, at(4, 0, 0, 0), True),
        )
        kernel = LoopKernel((3,), (rows, columns), body, (dtype, F4, F4, F4, F4), (3, 4))
        arrays = [random(3, columns, rows).astype(dtype), random(columns), random(rows, columns)]
        source, _ = checks.add(kernel, [*arrays, random(3, rows, columns), random(1)])
        assert "tile0" in source.text
    checks.run()


def test_results_are_turned_too_and_in_place() -> None:
    checks = Checks()
    to = (Load(at(0, 50, 1), F4), Load(at(1, 0, 1), F4), Map("mul", (0, 1), F4), Store(at(2, 1, 37), 2))
    source, _ = checks.add(LoopKernel((37,), (50,), to, (F4,) * 3, (2,)), [random(37, 50), random(50), random(50, 37)])
    assert "tile3" in source.text
    body = (Load(at(0, 1, 37), F4), Load(at(1, 50, 1), F4), Map("mul", (0, 1), F4), Store(at(0, 1, 37), 2))
    body += (Store(at(2, 50, 1), 1),)
    kernel = LoopKernel((37,), (50,), body, (F4,) * 3, (0, 2))
    source, _ = checks.add(kernel, [random(50, 37), random(37, 50), random(37, 50)])
    assert "tile0" in source.text
    assert "tile3" in source.text
    checks.run()


def test_masks_indices_and_numbers_of_several_sizes() -> None:
    check(*masked(9, 43, R))


def test_no_dimension_at_all_is_one_point() -> None:
    body = (Load(at(0), F4), Constant(1, F4), Map("add", (0, 1), F4), Store(at(0), 2))
    check(LoopKernel((), (), body, (F4,), (0,)), [random(1)])


def test_values_are_updated_in_place() -> None:
    body = (Load(at(0, 1), F4), Load(at(1, 1), F4), Map("sub", (0, 1), F4), Store(at(0, 1), 2))
    check(LoopKernel((), (301,), body, (F4, F4), (0,)), [random(301), random(301)])


def test_a_result_may_take_the_place_of_an_operand_that_it_is_made_of() -> None:
    checks = Checks()
    source, _ = checks.add(add(301), [random(301), random(301), random(301)])
    assert source.shared == {(2, 0), (2, 1)}
    assert "const float *a0, const float *a1, float *a2" in source.text  # no promise that they are apart
    checks.run()
    body = (Load(at(0, 1), F4), Load(at(0, -1, offset=9), F4), Map("sub", (0, 1), F4), Store(at(1, 1), 2))
    apart = loop_kernel(LoopKernel((), (10,), body, (F4, F4), (1,)), "apart")
    assert not apart.shared
    assert "const float *__restrict__ a0, float *__restrict__ a1" in apart.text


@pytest.mark.parametrize("read", [at(0, 2), at(0, 1, offset=1), at(0, 0)], ids=["stride", "offset", "one for all"])
def test_what_others_may_still_have_to_read_is_not_overwritten(read: Access) -> None:
    body = (Load(read, F4), Store(at(0, 1), 0))
    with pytest.raises(ValueError, match=r"operand 0 is read elsewhere than it is written: Store"):
        loop_kernel(LoopKernel((), (8,), body, (F4,), (0,)), "moved")


def test_one_number_made_of_all_points_is_not_updated_where_they_read_it() -> None:
    body = (Load(at(0, 0), F4), Load(at(1, 1), F4), Map("add", (0, 1), F4), Accumulate("sum", 2, at(0, 0), True))
    with pytest.raises(ValueError, match="operand 0 is read elsewhere"):
        loop_kernel(LoopKernel((), (8,), body, (F4, F4), (0,)), "counted")


def test_what_changes_along_some_dimensions_is_written_once_for_each_of_their_points() -> None:
    body = (
        Load(at(0, 40, 1), F4),
        Load(at(1, 1, 0), F4),
        Map("mul", (0, 1), F4),
        Store(at(2, 40, 1), 2),
        Map("neg", (1,), F4),
        Store(at(3, 1, 0), 4),
        Constant(7, F4),
        Store(at(4, 0, 0), 6),
    )
    kernel = LoopKernel((5,), (40,), body, (F4,) * 5, (2, 3, 4))
    check(kernel, [random(5, 40), random(5), random(5, 40), random(5), random(1)])


def test_what_is_costly_and_the_same_everywhere_is_computed_by_one_thread() -> None:
    body = (
        Load(at(0, 1), F4),
        Load(at(1, 0), F4),
        Map("exp", (1,), F4),
        Constant(2, F4),
        Map("mul", (2, 3), F4),
        Map("mul", (0, 4), F4),
        Store(at(2, 1), 5),
        Store(at(3, 0), 2),
    )
    checks = Checks()
    kernel = LoopKernel((), (1000,), body, (F4,) * 4, (2, 3))
    source, _ = checks.add(kernel, [random(1000), random(1), random(1000), random(1)])
    assert source.text.count("expf") == 1
    assert "once4" in source.text
    assert source.text.index("if (threadIdx.x == 0)") < source.text.index("expf") < source.text.index("once4 = x4")
    checks.run()


def test_positions_beyond_32_bits() -> None:
    step = 2**31
    body = (Load(at(0, step, 1), F4), Store(at(1, 4, 1), 0))
    source = loop_kernel(LoopKernel((3,), (4,), body, (F4, F4), (1,)), "far")
    assert "const long long c0" in source.text
    assert "const int c0" in loop_kernel(add(1000), "near").text


@pytest.mark.parametrize("n", [0, 1, 5, 1000])
def test_more_work_than_blocks_and_none_at_all(n: int) -> None:
    source = loop_kernel(add(n), "add", sizes=SMALL)
    assert sum(launch.grid for launch in source.launches) == (0 if not n else 1 if n <= 256 else 3)
    assert Sizes().blocks == 4096


def test_totals_are_there_without_a_point_and_with_nan() -> None:
    checks = Checks()
    for n in (0, 1, 5, 300, 9000):
        x = random(n)
        for kind in ("sum", "max", "min", "prod")[: 4 if n else 1]:
            for value in (None, np.nan, np.inf):
                y = (1 + x / 100).astype(F4) if kind == "prod" else x.copy()
                if n and value is not None:
                    y[n // 2] = value
                body = (Load(at(0, 1), F4), Accumulate(kind, 0, at(1, 0), True))
                checks.add(LoopKernel((), (n,), body, (F4, F4), (1,)), [y, random(1)], rtol=1e-4, atol=1e-3)
    checks.run((0, 1))


def test_reduction_statements_only_reduce() -> None:
    body = (Load(at(0, 8, 1), F4), Reduce("sum", 0, F4), Store(at(1, 1, 0), 1))
    assert "over_lanes<Sum" in loop_kernel(LoopKernel((5,), (8,), body, (F4, F4), (1,)), "rows").text

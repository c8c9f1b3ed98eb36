"""The definition of loop kernels: what their evaluation in NumPy computes, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.loops import (
    SCALAR_OPS,
    Access,
    Accumulate,
    Constant,
    Index,
    Load,
    LoopKernel,
    Map,
    Reduce,
    Store,
)
from autograd_core.compiler.scalars import FUNCTIONS, compute

F32, I64, BOOL = (np.dtype(name) for name in ("float32", "int64", "bool"))
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_every_scalar_operation_has_a_meaning() -> None:
    assert set(FUNCTIONS) == set(SCALAR_OPS)


@pytest.mark.parametrize(
    ("op", "args", "expected"), [("floor_div", (-7, 2), -4), ("mod", (-7, 3), 2), ("shr", (-8, 1), -4)]
)
def test_integers_round_down(op: str, args: tuple[int, ...], expected: int) -> None:
    assert compute(op, [np.int64(a) for a in args], I64) == expected


@pytest.mark.parametrize("op", ["max", "min"])
def test_extrema_of_nan(op: str) -> None:
    assert np.isnan(compute(op, [np.float32(1), np.float32(np.nan)], F32))


def test_stages_follow_reductions() -> None:
    total = np.zeros(2, np.float32)
    y = np.zeros((2, 3), np.float32)
    body = (
        Load(Access(0, (3, 1)), F32),
        Reduce("sum", 0, F32),
        Map("div", (0, 1), F32),
        Store(Access(1, (3, 1)), 2),
        Store(Access(2, (1, 0)), 1),
    )
    evaluate(LoopKernel((2,), (3,), body, (F32, F32, F32), (1, 2)), [X, y, total])
    np.testing.assert_array_equal(total, [3, 12])
    np.testing.assert_allclose(y, X / X.sum(axis=1, keepdims=True))


def test_accumulations_over_outer_points_and_over_all() -> None:
    columns, total = np.zeros(3, np.float32), np.zeros((), np.float32)
    body = (
        Load(Access(0, (3, 1)), F32),
        Accumulate("sum", 0, Access(1, (0, 1)), False),
        Accumulate("max", 0, Access(2, (0, 0)), True),
    )
    evaluate(LoopKernel((2,), (3,), body, (F32, F32, F32), (1, 2)), [X, columns, total])
    np.testing.assert_array_equal(columns, X.sum(axis=0))
    assert total == 5


def test_a_row_counts_once() -> None:
    total = np.zeros((), np.float32)
    body = (
        Load(Access(0, (3, 1)), F32),
        Reduce("max", 0, F32),
        Accumulate("sum", 1, Access(1, (0, 0)), False),
    )
    evaluate(LoopKernel((2,), (3,), body, (F32, F32), (1,)), [X, total])
    assert total == 2 + 5


def test_positions_strides_and_offsets() -> None:
    y = np.zeros((3, 2), np.float32)
    body = (
        Index(0, step=10, start=1),
        Map("cast", (0,), F32),
        Load(Access(0, (-3, 1), offset=3), F32),
        Map("add", (1, 2), F32),
        Store(Access(1, (1, 2)), 3),
    )
    evaluate(LoopKernel((2,), (3,), body, (F32, F32), (1,)), [X, y])
    np.testing.assert_array_equal(y.T, np.add(X[::-1], [[1], [11]]))


def test_no_loops_at_all() -> None:
    y = np.zeros((), bool)
    evaluate(LoopKernel((), (), (Constant(True, BOOL), Store(Access(0, ()), 0)), (BOOL,), (0,)), [y])
    assert y


def test_places_outside_an_operand_are_refused() -> None:
    kernel = LoopKernel((2,), (3,), (Load(Access(0, (3, 1), offset=1), F32),), (F32,), ())
    with pytest.raises(IndexError, match="leaves its operand of 6"):
        evaluate(kernel, [X])


def test_operands_are_contiguous_and_of_their_dtype() -> None:
    kernel = LoopKernel((2,), (), (Load(Access(0, (1,)), F32),), (F32,), ())
    for wrong in (X.T, X.astype(np.float64)):
        with pytest.raises(ValueError, match="contiguous"):
            evaluate(kernel, [wrong])

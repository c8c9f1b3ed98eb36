"""Epilogues: elementwise work on a product is found, and computes what it did on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compile_tools import captured, run, trace

import autograd_core as ag
from autograd_core.compiler.epilogue import FusedUnit, over_elements, with_epilogues
from autograd_core.compiler.fuse import LoopUnit, Schedule, schedule
from autograd_core.compiler.ir import Equation
from autograd_core.compiler.loops import Accumulate
from autograd_core.compiler.simplify import simplify
from autograd_core.ops import activation, convolution, softmax

R = np.random.default_rng(0)


def f32(*shape: int) -> np.ndarray:
    return R.standard_normal(shape).astype(np.float32)


def rows_and_columns(e: Equation) -> tuple[int, ...] | None:
    if e.primitive.name not in ("matmul", "linear"):
        return None
    shape = e.outputs[0].shape
    return (int(np.prod(shape[:-1])), shape[-1])


def units(f: Any, *arrays: np.ndarray, sizes: Any = rows_and_columns) -> list[Any]:
    """The units with epilogues, whose results are checked."""
    found = captured(f, *arrays)
    graph = simplify(found.graph)
    plan = schedule(graph, trace=trace)
    joined = with_epilogues(plan, graph, sizes)
    for y, expected in zip(run(graph, Schedule(joined, plan.views), found.arrays), found.expected, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    return list(joined)


def test_bias_and_activation() -> None:
    (unit,) = units(lambda x, w, b: activation.gelu(x @ w + b), f32(6, 4), f32(4, 5), f32(5))
    assert isinstance(unit, FusedUnit)
    assert unit.kernel.outer == (6,)
    assert unit.kernel.inner == (5,)


def test_activation_alone_over_rows_and_columns() -> None:
    (unit,) = units(lambda x, w: activation.relu(x @ w), f32(6, 4), f32(4, 5))
    assert (unit.kernel.outer, unit.kernel.inner) == ((6,), (5,))


def test_three_axes_are_rows_and_columns() -> None:
    def f(x: Any, w: Any, b: Any, r: Any) -> Any:
        return activation.relu((x.reshape((6, 4)) @ w + b).reshape((2, 3, 5)) + r)

    (unit,) = units(f, f32(2, 3, 4), f32(4, 5), f32(5), f32(2, 3, 5))
    assert (unit.kernel.outer, unit.kernel.inner) == ((6,), (5,))


def test_what_varies_in_another_way_stays_outside() -> None:
    found = units(lambda x, w, r: (x @ w).reshape((2, 3, 5)) + r, f32(6, 4), f32(4, 5), f32(3, 5))
    assert [type(u).__name__ for u in found] == ["OpaqueUnit", "LoopUnit"]


def test_two_readers() -> None:
    found = units(lambda x, w, v: (activation.relu(x @ w), (x @ w) @ v), f32(6, 4), f32(4, 5), f32(5, 3))
    assert sum(isinstance(u, FusedUnit) for u in found) == 0


def test_a_product_that_is_handed_out() -> None:
    def f(x: Any, w: Any) -> Any:
        y = x @ w
        return y, activation.relu(y)

    assert not any(isinstance(u, FusedUnit) for u in units(f, f32(6, 4), f32(4, 5)))


def test_a_sum_of_products_ends_in_the_last() -> None:
    found = units(lambda x, w, y, v: x @ w + y @ v, f32(6, 4), f32(4, 5), f32(6, 3), f32(3, 5))
    assert [type(u).__name__ for u in found] == ["OpaqueUnit", "FusedUnit"]


def test_slopes_are_stored_and_then_summed() -> None:
    def f(g: Any, w: Any, y: Any) -> Any:
        slope = ag.where(y > 0, g @ w, 0.0)
        return slope, slope.sum(axis=0)

    fused, sums = units(f, f32(6, 4), f32(4, 5), f32(6, 5))
    assert isinstance(fused, FusedUnit)
    assert isinstance(sums, LoopUnit)
    assert not any(isinstance(s, Accumulate) for s in fused.kernel.body)
    assert len(sums.operands) == 2


def test_sums_of_what_is_not_stored_stay() -> None:
    found = units(lambda x, w: ag.square(x @ w).sum(axis=0), f32(6, 4), f32(4, 5))
    assert [type(u).__name__ for u in found] == ["OpaqueUnit", "LoopUnit"]


def test_rows_that_are_reduced_stay() -> None:
    found = units(lambda x, w: softmax.softmax(x @ w), f32(6, 4), f32(4, 5))
    assert [type(u).__name__ for u in found] == ["OpaqueUnit", "LoopUnit"]


@pytest.mark.parametrize("sizes", [(2, 3, 20), (6, 20), (6, 4, 5), (120,)])
def test_channels_of_a_convolution(sizes: tuple[int, ...]) -> None:
    def f(x: Any, w: Any, scale: Any) -> Any:
        return activation.relu(convolution.conv2d(x, w) * scale.reshape((3, 1, 1)))

    def sizes_of(e: Equation) -> Any:
        return sizes if e.primitive.name == "convolution" else None

    found = units(f, f32(2, 2, 5, 6), f32(3, 2, 2, 2), f32(3), sizes=sizes_of)
    fused = [u for u in found if isinstance(u, FusedUnit)]
    assert len(fused) == (sizes == (2, 3, 20))


def test_positions() -> None:
    def f(x: Any, w: Any) -> Any:
        return ag.tril(x @ w)

    (unit,) = units(f, f32(5, 4), f32(4, 6))
    assert isinstance(unit, FusedUnit)
    assert over_elements(unit.kernel, unit.product, (30,)) is None

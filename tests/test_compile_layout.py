"""Images between kernels: where they lie channels last, and that everybody who touches them knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compile_tools import captured, run, trace
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core import nn
from autograd_core.compiler.epilogue import FusedUnit, with_epilogues
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.fuse import LoopUnit, Schedule, schedule
from autograd_core.compiler.ir import Equation, Graph, GraphError
from autograd_core.compiler.layout import Images, channels_last, check_layouts, relaid, visits, with_layouts
from autograd_core.compiler.loops import Access, Index, Load, LoopKernel, Map, Store
from autograd_core.compiler.simplify import simplify
from autograd_core.compiler.space import row_major

R = np.random.default_rng(0)
F = nn.functional
CONVOLUTIONS = {
    "convolution": Images((0,), (0,), True),
    "convolution_bias": Images((0,), (0,), True),
    "convolution_input": Images((0,), (0,), True),
    "convolution_weight": Images((0, 1), (), True),
    "max_pool": Images((0,), (1,), False, apart=(0,)),
    "pool_scatter": Images((1,), (0,), False, (0,)),
}


def f32(*shape: int) -> np.ndarray:
    return R.standard_normal(shape).astype(np.float32)


def images_of(e: Equation) -> Images | None:
    return CONVOLUTIONS.get(e.primitive.name)


def laid_out(f: Any, *arrays: np.ndarray) -> tuple[Graph, Schedule]:
    """The schedule of a function with layouts, which computes what the function does, with and without epilogues."""
    found = captured(f, *arrays)
    graph = simplify(found.graph)
    plan = schedule(graph, trace=trace, is_native=lambda e: e.primitive.name in {*CONVOLUTIONS, "linear", "matmul"})
    plan = with_layouts(plan, graph, images_of)
    joined = with_epilogues(
        plan, graph, lambda e: (e.outputs[0].aval.size,) if "convolution" in e.primitive.name else None
    )
    for units in (plan.units, joined):
        results = run(graph, plan._replace(units=units), found.arrays)
        for y, expected in zip(results, found.expected, strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    return graph, plan._replace(units=joined)


def gradients(f: Any) -> Any:
    def both(*tensors: Any) -> Any:
        loss, pull = ag.vjp(f, *tensors)
        return loss, *pull(ag.ones_like(loss))

    return both


W1, W2 = f32(6, 3, 3, 3), f32(5, 6, 3, 3)


def two_convolutions(x: Any, w1: Any, w2: Any) -> Any:
    return F.conv2d(F.relu(F.conv2d(x, w1, padding=1)), w2)


def test_between_two_convolutions_channels_come_last() -> None:
    graph, plan = laid_out(two_convolutions, f32(2, 3, 6, 7), W1, W2)
    assert {v.shape for v in plan.layouts} == {(2, 6, 6, 7)}
    assert set(plan.layouts.values()) == {(6 * 6 * 7, 1, 6 * 7, 6)}
    assert any(isinstance(u, FusedUnit) for u in plan.units)
    assert not any(v in plan.layouts for v in (*graph.inputs, *graph.outputs))


def test_and_so_do_gradients() -> None:
    _, plan = laid_out(gradients(lambda *a: ag.square(two_convolutions(*a)).sum()), f32(2, 3, 6, 7), W1, W2)
    assert {v.shape for v in plan.layouts} == {(2, 6, 6, 7), (2, 5, 4, 5)}


def test_elementwise_work_with_broadcasts_reductions_and_slices() -> None:
    def f(x: Any, w1: Any, w2: Any, scale: Any) -> Any:
        y = F.conv2d(x, w1, padding=1)
        mean = y.mean(axis=(0, 2, 3), keepdims=True)
        y = F.relu((y - mean) * scale.reshape((1, 6, 1, 1)) + scale.mean())
        return F.conv2d(y[:, :, 1:, ::-1] + 0.5, w2).sum(axis=(2, 3))

    _, plan = laid_out(gradients(lambda *a: ag.square(f(*a)).sum()), f32(2, 3, 6, 7), W1, W2, f32(6))
    assert plan.layouts


def test_one_axis() -> None:
    def f(x: Any, w: Any, v: Any) -> Any:
        return F.conv1d(F.relu(F.conv1d(x, w)), v)

    _, plan = laid_out(f, f32(2, 3, 9), f32(4, 3, 2), f32(5, 4, 2))
    assert set(plan.layouts.values()) == {(32, 1, 4)}


def pooled(x: Any, w1: Any, w2: Any) -> Any:
    return F.max_pool2d(F.relu(F.conv2d(F.relu(F.conv2d(x, w1)), w2)), 2)


def copies(plan: Schedule) -> int:
    return sum(isinstance(u, LoopUnit) and [type(s) for s in u.kernel.body] == [Load, Store] for u in plan.units)


def test_of_a_pooling_the_maxima_lie_as_they_are_wanted() -> None:
    def f(x: Any, w1: Any, w2: Any, d: Any) -> Any:
        return ag.square(pooled(x, w1, w2).reshape((2, -1)) @ d).sum()

    _, plan = laid_out(gradients(f), f32(2, 3, 10, 12), W1, W2, f32(60, 4))
    assert {v.shape for v in plan.layouts} >= {(2, 6, 8, 10), (2, 5, 6, 8), (2, 5, 3, 4)}
    assert not any(v.shape == (2, 5, 3, 4) and v.dtype == np.float32 for v in plan.layouts)  # the places alone
    assert not copies(plan)
    _, plan = laid_out(lambda x, w1, w2, w: F.conv2d(pooled(x, w1, w2), w), f32(2, 3, 10, 12), W1, W2, f32(4, 5, 2, 2))
    assert {v.dtype.name for v in plan.layouts if v.shape == (2, 5, 3, 4)} == {"float32", "int32"}
    _, plan = laid_out(lambda x, w: F.conv2d(F.max_pool2d(x, 2), w), f32(2, 5, 6, 8), f32(4, 5, 2, 2))
    assert not plan.layouts


def test_a_pooling_over_everything() -> None:
    def f(x: Any, w1: Any, w2: Any) -> Any:
        return F.max_pool2d(F.relu(two_convolutions(x, w1, w2)), (4, 5)).reshape((2, 5))

    _, plan = laid_out(gradients(lambda *a: ag.square(f(*a)).sum()), f32(2, 3, 6, 7), W1, W2)
    assert {v.shape for v in plan.layouts} == {(2, 6, 6, 7), (2, 5, 4, 5)}


def test_a_pooling_of_a_part_lies_as_it_is_written_down() -> None:
    def f(x: Any, w1: Any, w2: Any) -> Any:
        return F.conv2d(F.max_pool2d(F.relu(F.conv2d(x, w1))[:, :, 1:], 2), w2)

    _, plan = laid_out(f, f32(2, 3, 12, 12), W1, W2)
    assert not any(v.shape == (2, 6, 4, 5) for v in plan.layouts)


def test_what_is_flattened_as_well_is_copied() -> None:
    def f(x: Any, w1: Any, w2: Any, w3: Any, d: Any) -> Any:
        y = F.relu(F.conv2d(x, w1, padding=1))
        return F.conv2d(y, w2), F.conv2d(y, w3), y.reshape((2, -1)) @ d

    _, plan = laid_out(f, f32(2, 3, 6, 7), W1, W2, W2, f32(252, 4))
    assert {v.shape for v in plan.layouts} == {(2, 6, 6, 7)}
    assert copies(plan) == 1


def test_what_gains_nothing_stays() -> None:
    def one(x: Any, w: Any, other: Any) -> Any:
        """What the loop reads as it came in would have to be turned around for what the convolution makes."""
        return F.relu(F.conv2d(x, w, padding=1) + other).sum()

    _, plan = laid_out(one, f32(2, 3, 6, 7), W1, f32(2, 6, 6, 7))
    assert not plan.layouts
    _, plan = laid_out(lambda x: F.relu(x).sum(axis=1), f32(2, 3, 6, 7))
    assert not plan.layouts
    _, plan = laid_out(lambda x, w: F.conv2d(x, w).reshape((2, -1)), f32(2, 3, 6, 7), W1)
    assert not plan.layouts


def test_groups_of_few_channels_stay_together() -> None:
    def f(x: Any, w1: Any, w2: Any) -> Any:
        y = F.conv2d(x, w1, padding=1).reshape((2, 2, 3, 42))
        y = y / y.mean(axis=(2, 3), keepdims=True)
        return F.conv2d(y.reshape((2, 6, 6, 7)), w2)

    _, plan = laid_out(f, f32(2, 3, 6, 7), W1, W2)
    assert not plan.layouts


@pytest.mark.parametrize("size", [6, 110])
def test_images_that_leave_the_cache_between_visits_stay(size: int) -> None:
    """All statistics of one channel, at once: what is read again is in a cache if its plane follows the last."""

    def f(x: Any, w: Any, v: Any) -> Any:
        y = F.conv2d(x, w, padding=1)
        y = y - y.mean(axis=(0, 2, 3), keepdims=True)
        y = y / ag.sqrt((y * y).mean(axis=(0, 2, 3), keepdims=True))
        return F.conv2d(y / ag.exp(y).mean(axis=(0, 2, 3), keepdims=True), v)

    _, plan = laid_out(f, f32(1, 2, size, size), f32(6, 2, 3, 3), f32(2, 6, 1, 1))
    assert bool(plan.layouts) == (size == 6)
    loop = next(u for u in plan.units if isinstance(u, LoopUnit))
    assert visits(loop.kernel) == 4


def test_outputs_lie_as_they_are_written_down() -> None:
    def f(x: Any, w1: Any, w2: Any) -> Any:
        y = F.relu(F.conv2d(x, w1, padding=1))
        return y.reshape((2, 6, 42)), F.conv2d(y, w2)

    _, plan = laid_out(f, f32(2, 3, 6, 7), W1, W2)
    assert not plan.layouts


def test_a_layout_is_an_order_of_axes_of_what_nobody_sees() -> None:
    graph, plan = laid_out(two_convolutions, f32(2, 3, 6, 7), W1, W2)
    v = next(iter(plan.layouts))
    with pytest.raises(GraphError, match="no layout"):
        check_layouts(plan._replace(layouts={v: (252, 1, 42, 7)}), graph)
    with pytest.raises(GraphError, match="as it is written down"):
        check_layouts(plan._replace(layouts={graph.inputs[0]: channels_last(graph.inputs[0].shape)}), graph)


# ------------------------------------------------------------------------------------------- kernels


def test_positions_that_are_counted_are_not_cut() -> None:
    load = Load(Access(0, (1,)), np.dtype(np.int64))
    body = (load, Index(0), Map("add", (0, 1), np.dtype(np.int64)), Store(Access(1, (1,)), 2))
    kernel = LoopKernel((24,), (), body, (np.dtype(np.int64),) * 2, (1,))
    assert relaid(kernel, {0: ((2, 3, 4), channels_last((2, 3, 4)))}) is None


@given(st.data())
def test_a_kernel_for_other_layouts_computes_the_same(data: Any) -> None:
    """A sum of operands, some of which lie channels last, over dimensions that are merged or not."""
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=3, max_size=4), label="shape"))
    size = int(np.prod(shape))
    merged = data.draw(st.integers(0, len(shape) - 1), label="dimensions that are one")
    dims = (int(np.prod(shape[: merged + 1])), *shape[merged + 1 :])
    border = data.draw(st.integers(1, len(dims)), label="outer")
    last = data.draw(st.sets(st.integers(0, 2)), label="channels last")
    f64 = np.dtype(np.float64)
    loads = tuple(Load(Access(i, row_major(dims)), f64) for i in (0, 1))
    body = (*loads, Map("sub", (0, 1), f64), Store(Access(2, row_major(dims)), 2))
    kernel = LoopKernel(dims[:border], dims[border:], body, (f64,) * 3, (2,))
    strides = channels_last(shape)
    new = relaid(kernel, dict.fromkeys(last, (shape, strides)))
    assert new is not None

    def memory(i: int, values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, 1, -1).copy() if i in last else values.copy()

    a, b = (np.random.default_rng(i).standard_normal(shape) for i in (0, 1))
    arrays = [memory(0, a), memory(1, b), np.full(size, 77.0)]
    evaluate(new, arrays)
    np.testing.assert_array_equal(arrays[2], memory(2, a - b).reshape(-1))

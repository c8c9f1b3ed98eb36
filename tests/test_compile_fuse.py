"""Fusion: whole formulas become few kernels, which compute what the equations did."""

from __future__ import annotations

import numpy as np
import pytest
from compile_tools import captured, graph_of, run, trace

import autograd_core as ag
from autograd_core.compiler.fuse import LoopUnit, schedule
from autograd_core.compiler.loops import Accumulate, Load, Reduce
from autograd_core.compiler.simplify import simplify
from autograd_core.ops import activation, cross_entropy, normalization, optimizer_updates, pooling, softmax
from autograd_core.primitive import bind

R = np.random.default_rng(0)


def f32(*shape):
    return R.standard_normal(shape).astype(np.float32)


def fused(f, *arrays, tolerance=1e-5):
    """The units that ``f`` becomes, whose results are checked against ``f``."""
    found = captured(f, *arrays)
    graph = simplify(found.graph)
    plan = schedule(graph, trace=trace)
    for y, expected in zip(run(graph, plan, found.arrays), found.expected, strict=True):
        scale = np.abs(expected).max() if expected.size else 1
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * (scale + 1e-30))
    return plan.units


def kinds(unit):
    return [type(s).__name__ for s in unit.kernel.body]


def with_gradients(f):
    """``f`` of tensors, summed where it is not a number, and the gradients of all of them."""

    def both(*tensors):
        tensors = [x.requires_grad_() for x in tensors]
        y = f(*tensors)
        y.backward()
        return (y.detach(), *(x.grad for x in tensors))

    return both


def test_a_chain_is_one_kernel():
    (unit,) = fused(lambda x, b: ag.exp(x * b + 1.0) / (x * x + 2.0), f32(6, 5), f32(5))
    assert unit.kernel.outer == (6,)
    assert unit.kernel.inner == (5,)
    assert len([s for s in unit.kernel.body if isinstance(s, Load)]) == 2


def test_layer_norm_softmax_forward_and_backward_is_one_kernel():
    def row(x, w, b):
        return softmax.softmax(normalization.layer_norm(x, (512,), w, b)).square().sum()

    (unit,) = fused(with_gradients(row), f32(64, 512), f32(512), f32(512))
    assert unit.kernel.outer == (64,)
    assert unit.kernel.inner == (512,)
    loads = [s.access.operand for s in unit.kernel.body if isinstance(s, Load)]
    assert len(loads) == len(set(loads)) == 3  # x once
    assert kinds(unit).count("Accumulate") == 3  # the loss and the gradients of weight and bias


def test_batch_norm_keeps_channels_outside():
    def f(x, w, b):
        return activation.relu(normalization.batch_norm(x, None, None, w, b, training=True)).square().mean()

    units = fused(with_gradients(f), f32(4, 8, 6, 6), f32(8), f32(8))
    assert [u.kernel.outer for u in units] == [(8,), ()]  # and the division of the mean
    assert units[0].kernel.inner == (4, 36)


def test_cross_entropy_forward_and_backward_is_one_kernel():
    labels = R.integers(0, 10, 96)

    def f(x, labels):
        x = x.requires_grad_()
        y = cross_entropy.cross_entropy(x, labels)
        y.backward()
        return y.detach(), x.grad

    units = fused(f, f32(96, 10), labels)
    assert [u.kernel.outer for u in units] == [(96,), ()]


def test_gelu_forward_and_backward_is_one_kernel():
    def f(x):
        x = x.requires_grad_()
        y = activation.gelu(x, approximate="tanh") * activation.sigmoid(x) + x
        y.sum().backward()
        return y.detach(), x.grad

    (unit,) = fused(f, f32(3000))
    assert unit.kernel.outer == (3000,)
    assert unit.kernel.inner == ()


def test_adam_is_one_kernel_a_parameter():
    def f(p, g, lr, m, v, step):
        static = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
        flags = {"decoupled_weight_decay": True, "maximize": False}
        return bind(optimizer_updates.adam_update_p, (p, g, lr, m, v, step), {**static, **flags})

    units = fused(
        f, f32(20, 30), f32(20, 30), np.float64(0.01).reshape(()), f32(20, 30), f32(20, 30) ** 2, f32() * 0 + 3
    )
    assert sorted(u.kernel.outer for u in units) == [(), (600,)]  # the step count is a kernel of its own
    (update,) = [u for u in units if u.kernel.outer]
    assert len(update.outputs) == 3


def test_a_network_between_products_is_fused():
    labels = R.integers(0, 10, 64)

    def step(x, w1, b1, w2, b2, labels):
        w1, b1, w2, b2 = parameters = [p.requires_grad_() for p in (w1, b1, w2, b2)]
        y = activation.relu(x @ w1 + b1) @ w2 + b2
        loss = cross_entropy.cross_entropy(y, labels)
        loss.backward()
        return (loss.detach(), *(p.grad for p in parameters))

    units = fused(step, f32(64, 20), f32(20, 32), f32(32), f32(32, 10), f32(10), labels)
    opaque = [u for u in units if not isinstance(u, LoopUnit)]
    assert [u.equation.primitive.name for u in opaque] == ["matmul"] * len(opaque)
    assert len(opaque) == 5
    loops = [u for u in units if isinstance(u, LoopUnit)]
    # relu(x + b); the loss, its gradient and the bias's; the same of the first layer; the mean's division
    assert len(loops) == 4
    assert sum(kinds(u).count("Accumulate") for u in loops) == 3


def test_transposed_operands_of_products_are_views():
    graph = simplify(graph_of(lambda x, w: x @ ag.matrix_transpose(w), f32(4, 5), f32(6, 5)))
    plan = schedule(graph)
    (view,) = plan.views.values()
    assert len(plan.units) == 1
    assert view.strides == (1, 5)
    assert view.base is graph.inputs[1]


def test_views_can_be_refused():
    graph = simplify(graph_of(lambda x, w: x @ ag.matrix_transpose(w), f32(4, 5), f32(6, 5)))
    plan = schedule(graph, takes_view=lambda equation, operand, view: False)
    assert [type(u).__name__ for u in plan.units] == ["LoopUnit", "OpaqueUnit"]
    assert not plan.views


def test_what_is_native_stays_whole():
    graph = graph_of(lambda x: ag.exp(x) + 1.0, f32(3))
    plan = schedule(graph, is_native=lambda equation: equation.primitive.name == "exp")
    assert [type(u).__name__ for u in plan.units] == ["OpaqueUnit", "LoopUnit"]


@pytest.mark.parametrize("axis", [0, 1, (0, 1), (0, 2), 2, None])
def test_sums_and_what_follows(axis):
    fused(lambda x: (ag.exp(x).sum(axis=axis) * 2.0, x * 3.0), f32(5, 6, 7))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_along_any_axis(axis):
    (unit,) = fused(lambda x: softmax.softmax(x, axis=axis), f32(5, 6, 7))
    assert kinds(unit).count("Reduce") == 2


def test_shapes_that_are_reshapes_of_one_another_meet():
    def f(x, b):
        y = ag.tanh(x + b)  # (24, 8)
        return (y.reshape((4, 6, 8)) * 2.0).sum(axis=2), y

    (unit,) = fused(f, f32(24, 8), f32(8))
    assert unit.kernel.outer == (24,)
    assert unit.kernel.inner == (8,)


def test_reshapes_that_no_loop_follows_are_stored():
    fused(lambda x: ag.exp(ag.exp(x).reshape((4, 6))).T.reshape((8, 3)) + 1.0, f32(6, 4))


def test_outputs_that_are_views_and_inputs():
    units = fused(lambda x: (x.T, x.reshape((6,)), x, ag.exp(x).reshape((6,)), ag.zeros(3)), f32(2, 3))
    assert all(isinstance(u, LoopUnit) for u in units)


def test_empty_arrays_need_no_kernels():
    assert fused(lambda x: ag.exp(x) + x.sum(axis=0), f32(0, 3)) == ()


def test_a_reduction_that_is_needed_at_once_is_no_accumulation():
    (unit,) = fused(lambda x: x / x.sum(), f32(6, 7))  # few points: one thread may do it all
    assert unit.kernel.outer == ()
    assert any(isinstance(s, Reduce) for s in unit.kernel.body)
    units = fused(lambda x: x / x.sum(), f32(100, 70))
    assert len(units) == 2
    assert any(isinstance(s, Accumulate) for s in units[0].kernel.body)


@pytest.mark.parametrize("size", [(8, 6), (9, 7)])
def test_the_gradient_of_pooling_without_overlap_is_fused(size):
    def f(x):
        x = x.requires_grad_()
        y = pooling.max_pool2d(activation.relu(x), 2)
        (y * y).sum().backward()
        return y.detach(), x.grad

    assert all(isinstance(u, LoopUnit) for u in fused(f, f32(2, 3, *size)))


def test_the_gradient_of_means_of_windows_is_fused():
    units = fused(with_gradients(lambda x: pooling.avg_pool2d(x, 2).square().sum()), f32(2, 3, 8, 6))
    assert all(isinstance(u, LoopUnit) for u in units)


def test_windows_that_overlap_stay_whole():
    units = fused(with_gradients(lambda x: pooling.max_pool2d(x, 3, 2).square().sum()), f32(2, 3, 9, 9))
    assert [u.equation.primitive.name for u in units if not isinstance(u, LoopUnit)] == ["pool_scatter"]


def test_kernels_that_are_joined_never_wait_for_one_another():
    """Each of two chains meets the other twice, by the biases: whichever pair is joined, the other pair is not."""

    def f(x, y, w, b, c):
        x_first = ag.tanh(x + b)
        x_second = ag.tanh(x_first @ w + c)
        x_third = x_second @ w
        y_first = ag.tanh(y + c)
        return x_third, ag.tanh(y_first @ w + b)

    units = fused(f, *(f32(8, 8) for _ in range(5)))
    kernels = [u for u in units if isinstance(u, LoopUnit)]
    assert len(kernels) == 3
    assert sum(kinds(u).count("Store") == 2 for u in kernels) == 1

"""The sweep: backward again, accumulation of cotangents, operations with several results, copies, devices."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from engine_tools import leaf, network, nodes_under, scalar
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.interpreters.eager import Eager
from autograd_core.interpreters.reverse import main_node
from autograd_core.primitive import bind, general
from autograd_core.tensor import Tensor


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """The names of the primitives that run on arrays."""
    names: list[str] = []
    run = Eager.run

    def counting(self, primitive, inputs, params):
        names.append(primitive.name)
        return run(self, primitive, inputs, params)

    monkeypatch.setattr(Eager, "run", counting)
    return names


# Backward again -------------------------------------------------------------------------------------------------


def test_a_retained_graph_gives_the_same_gradient_again() -> None:
    w = leaf(0.5, 1.5)
    y = network(w)
    y.backward(retain_graph=True)
    first = w.grad
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(w.grad.numpy(), 2 * first.numpy())
    y.backward()
    np.testing.assert_allclose(w.grad.numpy(), 3 * first.numpy(), rtol=1e-15)
    with pytest.raises(ag.GradientError, match="freed"):
        y.backward()


def test_a_shared_part_freed_by_one_loss_is_missed_by_the_next() -> None:
    w = leaf(0.5, 1.5)
    h = ag.exp(w)
    first, second = h.sum(), (h * h).sum()
    first.backward()
    with pytest.raises(ag.GradientError, match=r"shape \(2,\)\) of 'exp'"):
        second.backward()


def test_a_freed_part_that_leads_to_no_argument_is_not_missed() -> None:
    """The gradient with respect to x alone needs nothing of the history of ``scale``."""
    w = scalar(3.0)
    scale = w * w
    scale.backward()
    assert ag.grad(lambda x: x * scale)(ag.tensor(np.array(2.0))).item() == 9.0


def test_create_graph_makes_gradients_differentiable() -> None:
    w = scalar(2.0)
    (w**4).backward(create_graph=True)
    g, w.grad = w.grad, None
    g.backward(create_graph=True)
    h, w.grad = w.grad, None
    h.backward()
    assert (g.item(), h.item(), w.grad.item()) == (32.0, 48.0, 48.0)
    assert g.requires_grad
    assert not w.grad.requires_grad


def test_without_create_graph_gradients_have_no_history() -> None:
    w, g = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (w + 0.0).backward(g)  # here the gradient is the cotangent itself
    assert w.grad.tolist() == [3.0, 4.0]
    assert not w.grad.requires_grad


# Accumulation ---------------------------------------------------------------------------------------------------


def test_gradients_accumulate_over_several_backwards() -> None:
    w, b = leaf(1.0, 2.0), leaf(1.0, 1.0)
    for _ in range(3):
        (w * w + b).sum().backward()
    (w * 5.0).sum().backward()
    assert w.grad.tolist() == [11.0, 17.0]
    assert b.grad.tolist() == [3.0, 3.0]
    w.grad = None
    assert w.grad is None


def test_one_backward_delivers_the_sum_of_all_uses() -> None:
    w = leaf(1.0, 2.0)
    (w * w + w * 3.0 + w + w + w[0] + w.sum()).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [2 + 5 + 2 + 2, 4 + 5 + 2])


def test_doubling_sixty_times_is_linear(runs) -> None:
    w = ag.tensor(1.0, requires_grad=True)
    y = w
    for _ in range(60):
        y = y + y
    assert len(nodes_under(y)) == 61
    runs.clear()
    y.backward()
    assert w.grad.item() == 2.0**60
    assert runs.count("add") <= 60
    assert len(runs) <= 62


@pytest.mark.parametrize(
    "transform",
    [ag.grad, ag.jacfwd, lambda f: ag.grad(ag.grad(f)), ag.hessian, lambda f: lambda x: ag.vjp(f, x)[1](1.0)[0]],
    ids=["grad", "jacfwd", "grad of grad", "hessian", "vjp"],
)
def test_transforms_of_shared_subexpressions_are_linear(runs, transform) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        for _ in range(60):
            x = x + x
        return x * x

    assert transform(f)(ag.tensor(1.0)).item() in (2.0**120 * 2, 2.0**120)
    assert len(runs) < 60 * 20


def test_a_cotangent_that_two_leaves_share_is_not_summed_into() -> None:
    a, b, g = leaf(1.0, 2.0), leaf(3.0, 4.0), ag.tensor(np.array([1.0, 10.0]))
    y = a + b
    z = y + a + a
    z.backward(g, retain_graph=True)
    assert (a.grad.tolist(), b.grad.tolist(), g.tolist()) == ([3.0, 30.0], [1.0, 10.0], [1.0, 10.0])
    kept = a.grad, b.grad
    z.backward(g)
    assert (a.grad.tolist(), b.grad.tolist()) == ([6.0, 60.0], [2.0, 20.0])
    assert [k.tolist() for k in kept] == [[3.0, 30.0], [1.0, 10.0]]


def test_gradients_own_their_values() -> None:
    """Neither the caller's array nor a variable given as cotangent is the gradient itself."""
    array, variable = np.array([1.0, 2.0]), ag.Variable(np.array([1.0, 2.0]), ag.zeros(0).device)
    a, b = leaf(0.0, 0.0), leaf(0.0, 0.0)
    (a + 0.0).backward(array)
    (b + 0.0).backward(variable)
    array[:] = 7.0
    variable.assign_([7.0, 7.0])
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 2.0]


PROGRAMS = st.lists(
    st.tuples(st.sampled_from("+-*se="), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=25
)


def play(program: list[tuple[str, int, int]], values: list[ag.Tensor]) -> list[ag.Tensor]:
    """Every step adds a value made of two earlier ones."""
    values = list(values)
    for op, i, j in program:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(
            {
                "+": lambda a=a, b=b: a + b,
                "-": lambda a=a, b=b: a - b,
                "*": lambda a=a, b=b: a * b * 0.5,
                "s": lambda a=a: a.sum() * 0.25 + a * 0.0,
                "e": lambda a=a: ag.tanh(a),
                "=": lambda a=a: a.reshape((2, 1)).reshape(2),
            }[op]()
        )
    return values


@given(program=PROGRAMS)
def test_whatever_the_graph_the_sweep_agrees_with_forward_mode_and_changes_nothing(program) -> None:
    start = [np.array([0.5, -1.0]), np.array([1.5, 0.25])]
    leaves = [ag.tensor(a, requires_grad=True) for a in start]
    values = play(program, leaves)
    cotangent = ag.tensor(np.array([1.0, -2.0]))
    before = [v.numpy().copy() for v in values]
    y = values[-1] + values[-2] + values[-1]
    y.backward(cotangent, retain_graph=True)
    grads = [x.grad for x in leaves]
    first = [None if g is None else g.numpy().copy() for g in grads]
    y.backward(cotangent)
    for v, array in zip(values, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), array)
    assert cotangent.tolist() == [1.0, -2.0]
    for x, g, array in zip(leaves, grads, first, strict=True):
        if g is not None:
            np.testing.assert_array_equal(g.numpy(), array)  # the tensor that was read is not the one added to
            np.testing.assert_array_equal(x.grad.numpy(), 2 * array)

    def f(*xs: ag.Tensor) -> ag.Tensor:
        vs = play(program, list(xs))
        return ((vs[-1] + vs[-2] + vs[-1]) * cotangent).sum()

    for i, array in enumerate(first):
        forward = ag.jacfwd(f, argnums=i)(*map(ag.tensor, start)).numpy()
        np.testing.assert_allclose(0.0 if array is None else array, forward, rtol=1e-9, atol=1e-9)


# Several outputs ------------------------------------------------------------------------------------------------

sincos_p = general(
    "sincos",
    lambda xp, x: (xp.sin(x), xp.cos(x)),
    lambda x: (x, x),
    vjp=(lambda g, y: g[0] * y[1] - g[1] * y[0],),
)


def sincos(x: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
    return bind(sincos_p, (x,), {})


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda s, c: s, np.cos),
        (lambda s, c: c, lambda x: -np.sin(x)),
        (lambda s, c: s * c, lambda x: np.cos(2 * x)),
        (lambda s, c: s + s + c + s, lambda x: 3 * np.cos(x) - np.sin(x)),
        (lambda s, c: s * s + c * c, lambda x: 0 * x),
    ],
    ids=["first", "second", "both", "several times", "cancelling"],
)
def test_outputs_may_be_used_or_not(f, slope) -> None:
    x = np.array([0.3, 0.7])
    w = ag.tensor(x, requires_grad=True)
    f(*sincos(w)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), slope(x), atol=1e-15)
    ag.check_grads(lambda x: f(*sincos(x)), (ag.tensor(x),), order=3)


def test_several_outputs_are_one_node_and_free_together() -> None:
    w = leaf(0.3)
    s, c = sincos(w * 1.0)
    assert main_node(s.node) is main_node(c.node)
    s.sum().backward()
    with pytest.raises(ag.GradientError, match="the 2 results of 'sincos'"):
        c.sum().backward()


# Copies ---------------------------------------------------------------------------------------------------------


def test_a_deep_copy_of_a_leaf_is_a_leaf_of_its_own() -> None:
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    v = copy.deepcopy(w)
    (v * 3.0).sum().backward()
    assert (w.grad.tolist(), v.grad.tolist()) == ([2.0, 4.0], [5.0, 7.0])
    assert v.device is w.device
    assert not np.shares_memory(v.numpy(), w.numpy())


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_result_shares_its_history(duplicate) -> None:
    w = leaf(1.0, 2.0)
    s, c = sincos(w)
    y = s * c
    (duplicate(y) + y + duplicate(s)).sum().backward()
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(w.grad.numpy(), 2 * np.cos(2 * x) + np.cos(x))


# Devices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("here", "there"), [("cpu", "numpy"), ("numpy", "cpu")])
def test_moving_to_another_device_is_differentiable(here: str, there: str) -> None:
    x = ag.tensor([1.0, 2.0], device=here, requires_grad=True)
    y = x.to(there) * ag.tensor([3.0, 4.0], device=there)
    assert y.device == there
    (y * y).to(here).sum().backward()
    assert x.grad.device == here
    assert x.grad.tolist() == [18.0, 64.0]

    def f(x: Tensor) -> Tensor:
        return (ag.exp(x.to(there)).to(here) * x).sum()

    ag.check_grads(f, (ag.tensor(np.array([0.5, 1.0]), device=here),))
    assert ag.hessian(f)(ag.tensor([0.5, 1.0], device=here)).device == here


def test_to_the_same_device_is_the_tensor_itself() -> None:
    x = ag.tensor([1.0])
    assert x.to("cpu") is x
    assert x.to("cpu:0") is x
    assert x.cpu() is x

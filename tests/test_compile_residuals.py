"""Gradients of compiled functions: the forward pass runs once, and what it keeps for them is let go."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_networks import draw

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import GradientError
from autograd_core.graph import Node
from autograd_core.primitive import bind, general

F = nn.functional


def products(x: Any, w: Any) -> Any:
    return ag.matmul(F.gelu(ag.matmul(ag.sin(ag.matmul(x, w)), w)), w)


def compiled(f: Callable[..., Any], *args: Any) -> Any:
    """``f`` after the calls that compile it, gradients included."""
    c = ag.compile(f)
    for _ in range(3):
        c(*args).sum().backward()
    return c


def program(c: Any, start: str) -> list[str]:
    """The operations of the program of that name that was made for ``c``."""
    (graph,) = [p.graph for p in c.latest.programs if p.name.startswith(start)]
    return [e.primitive.name for e in graph.equations]


def node_of(y: Any) -> Any:
    return y.node if type(y.node) is Node else y.node.node


# ------------------------------------------------------------------------------------------ once


def test_a_backward_pass_runs_no_product_of_the_forward_pass(device) -> None:
    x, w = draw(4, 4), draw(4, 4, seed=1).requires_grad_()
    c = compiled(products, x, w)
    assert program(c, "pullback of products").count("matmul") == 2 * 3 - 1  # none for x of the first
    assert [e.primitive.name for e in c.latest.runner.graph.equations].count("matmul") == 3


def test_under_vmap_as_well(device) -> None:
    c = ag.compile(lambda x, w: products(x, w).sum())
    xs, w = ag.stack([draw(4, 4, seed=i) for i in range(3)]), draw(4, 4, seed=9)
    expected = ag.vmap(ag.grad(lambda x, w: products(x, w).sum()), in_axes=(0, None))(xs, w)
    for _ in range(3):
        found = ag.vmap(ag.grad(c), in_axes=(0, None))(xs, w)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert program(c, "batch of pullback").count("matmul") == 3


def test_all_calls_of_a_function_keep_their_own(device) -> None:
    """Several calls before their backward passes, in another order: nobody writes to what another one keeps."""
    x, w = draw(4, 4), draw(4, 4, seed=1).requires_grad_()
    c = compiled(products, x, w)
    inputs = [draw(4, 4, seed=i) for i in range(4)]
    results = [c(z, w) for z in inputs]
    for i in (2, 0, 3, 1):
        w.grad = None
        results[i].sum().backward()
        (expected,) = ag.vjp(lambda v, z=inputs[i]: products(z, v).sum(), w)[1](1.0)
        np.testing.assert_allclose(w.grad.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)


def test_dropout_has_the_same_mask_in_both_passes(device) -> None:
    def f(x: Any, w: Any) -> Any:
        return F.dropout(ag.matmul(x, w), 0.5)

    c, generator = ag.compile(f), ag.random.Generator(5)
    x, w = draw(6, 6), draw(6, 6, seed=1)
    with ag.random.fork(generator):
        for _ in range(5):
            bias = ag.zeros((6, 6)).requires_grad_()
            y = c(x + bias, w)
            y.backward(ag.ones((6, 6)))
            slope = 2.0 * (y.numpy() != 0)
            np.testing.assert_allclose(bias.grad.numpy(), slope @ w.numpy().T, rtol=1e-5, atol=1e-5)
    assert generator.call == 5
    assert "random_bernoulli" in program(c, "pullback")  # made again from the key


# ------------------------------------------------------------------------------------------ memory


def residuals(y: Any) -> list[Any]:
    """Weak references to the arrays that the node of ``y`` keeps."""
    return [weakref.ref(x.data) for x in node_of(y).saved]


@pytest.fixture
def counted() -> Any:
    """Without garbage collection: what is not referred to is gone at once, or never."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_what_is_kept_is_released_by_backward(device, counted) -> None:
    w = draw(4, 4, seed=1).requires_grad_()
    c = compiled(lambda w: products(w, w), w)
    y = c(w)
    kept = residuals(y)
    assert len(kept) > 2
    y.sum().backward()
    assert [k() for k in kept if k() is not w.data] == [None] * (len(kept) - 1)
    with pytest.raises(GradientError, match=r"whose saved values an earlier backward has freed"):
        y.sum().backward()


def test_what_is_kept_goes_with_the_result(device, counted) -> None:
    w = draw(4, 4, seed=1).requires_grad_()
    c = compiled(lambda w: products(w, w), w)
    y = c(w)
    kept = residuals(y)
    del y
    assert [k() for k in kept if k() is not w.data] == [None] * (len(kept) - 1)


def test_a_retained_graph_can_be_used_again(device) -> None:
    x, w = draw(4, 4), draw(4, 4, seed=1).requires_grad_()
    c = compiled(products, x, w)
    w.grad = None
    y = c(x, w)
    y.sum().backward(retain_graph=True)
    first = w.grad.numpy().copy()
    y.sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), first + first)


def test_arguments_that_the_gradient_does_not_need_are_not_kept(device, counted) -> None:
    c = ag.compile(lambda x, b: x.sum(axis=0) + b)
    b = ag.ones(3).requires_grad_()
    for _ in range(4):
        x = draw(4, 3)
        y = c(x, b)
        assert node_of(y).saved == ()
        gone = weakref.ref(x)
        del x
    assert gone() is None


def test_parameters_that_a_step_replaces_keep_the_values_of_the_forward_pass(device) -> None:
    w = nn.Parameter(draw(3, 3))
    optimizer = optim.SGD([w], lr=0.5)

    @ag.compile
    def step() -> Any:
        loss = w.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    f = ag.compile(lambda x: ag.matmul(ag.sin(ag.matmul(x, w)), w).sum())
    x = draw(3, 3, seed=4).requires_grad_()
    for _ in range(5):
        x.grad = None
        y, then = f(x), w.detach()
        step()
        y.backward()
        (expected,) = ag.vjp(lambda z, v=then: ag.matmul(ag.sin(ag.matmul(z, v)), v).sum(), x)[1](1.0)
        np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------ checkpoints


def test_a_checkpoint_keeps_arguments_alone(device, counted) -> None:
    f = ag.compile(products)
    x, w = draw(4, 4).requires_grad_(), draw(4, 4, seed=1).requires_grad_()
    expected = ag.grad(lambda x: products(x, w).sum())(x)
    for _ in range(4):
        x.grad = None
        seen: list[Any] = []

        def inner(x: Any, w: Any, seen: list[Any] = seen) -> Any:
            y = f(x, w)
            seen += residuals(y)
            return y

        y = ag.checkpoint(inner)(x, w)
        given = {id(x.data), id(w.data)}
        assert {id(k()) for k in seen if k() is not None} <= given
        y.sum().backward()
        assert {id(k()) for k in seen if k() is not None} <= given
        np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_checkpoint_draws_and_assigns_once(device) -> None:
    def make() -> nn.Module:
        with ag.random.fork(0):
            return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.4), nn.Tanh(), nn.Linear(6, 2))

    plain, model = make(), make()
    checkpointed = ag.checkpoint(ag.compile(model))
    generators = [ag.random.Generator(1), ag.random.Generator(1)]
    for i in range(6):
        for f, m, generator in ((plain, plain, generators[0]), (checkpointed, model, generators[1])):
            m.zero_grad()
            with ag.random.fork(generator):
                f(draw(5, 4, seed=i)).square().sum().backward()
        for p, q in zip(plain.parameters(), model.parameters(), strict=True):
            np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-5)
        for name, value in plain.state_dict().items():
            np.testing.assert_allclose(model.state_dict()[name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)
        assert generators[1].call == generators[0].call


def test_a_function_that_only_assigns_does_so_once_in_a_checkpoint(device) -> None:
    count = nn.Buffer(ag.zeros(()))

    @ag.compile
    def note(x: Any) -> Any:
        count.assign_(count + 1.0)
        return x.sum()

    @ag.checkpoint
    def f(x: Any) -> Any:
        return (x * x).sum() + note(x.detach())

    for i in range(1, 7):
        x = draw(3).requires_grad_()
        f(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy())
        assert count.item() == i


# ------------------------------------------------------------------------------------------ transforms


def smooth(x: Any, w: Any) -> Any:
    return ag.tanh(ag.matmul(ag.sin(ag.matmul(x, w)), w)).sum()


TRANSFORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "gradient of the gradient": lambda f, x, w: ag.grad(lambda w: (ag.grad(f)(x, w) * w).sum())(w),
    "forward over reverse": lambda f, x, w: ag.jvp(lambda x: ag.grad(f, argnums=1)(x, w), (x,), (w,))[1],
    "reverse over forward": lambda f, x, w: ag.grad(lambda x: ag.jvp(lambda w: f(x, w), (w,), (x,))[1])(x),
    "three times": lambda f, x, w: ag.grad(
        lambda w: ag.jvp(lambda x: (ag.grad(f, argnums=1)(x, w) * x).sum(), (x,), (w,))[1]
    )(w),
    "a batch of gradients": lambda f, x, w: ag.vmap(ag.grad(f), in_axes=(0, None))(ag.stack([x, w]), w),
    "gradient of a batch": lambda f, x, w: ag.grad(
        lambda w: ag.vmap(f, in_axes=(0, None))(ag.stack([x, w]), w).square().sum()
    )(w),
    "gradient of a batch of gradients": lambda f, x, w: ag.grad(
        lambda w: ag.vmap(ag.grad(f), in_axes=(0, None))(ag.stack([x, w]), w).square().sum()
    )(w),
    "a batch of tangents of gradients": lambda f, x, w: ag.vmap(
        lambda t: ag.jvp(lambda x: ag.grad(f)(x, w), (x,), (t,))[1]
    )(ag.stack([x, w])),
    "a Jacobian": lambda f, x, w: ag.jacrev(lambda w: ag.grad(f)(x, w))(w),
    "the linear part": lambda f, x, w: ag.linearize(lambda x: f(x, w), x)[1](w),
    "the linear part of a gradient": lambda f, x, w: ag.linearize(lambda x: ag.grad(f, argnums=1)(x, w), x)[1](w),
    "pullbacks of one call": lambda f, x, w: sum(ag.vjp(f, x, w)[1](ag.tensor(s, dtype="float64"))[1] for s in (1, 2)),
    "a pullback twice": lambda f, x, w: (
        lambda pull: pull(ag.ones((), dtype="float64"))[0] + pull(ag.full((), 3.0, dtype="float64"))[1]
    )(ag.vjp(f, x, w)[1]),
    "backward that can be differentiated": lambda f, x, w: twice(f, x, w),
}


def twice(f: Any, x: Any, w: Any) -> Any:
    w = w.detach().requires_grad_()
    f(x, w).backward(create_graph=True)
    first, w.grad = w.grad, None
    first.square().sum().backward()
    return w.grad


@pytest.mark.parametrize("what", TRANSFORMS)
def test_transforms_of_transforms(device, what: str) -> None:
    transform = TRANSFORMS[what]
    x, w = draw(3, 3).double(), draw(3, 3, seed=1).double()
    expected = transform(smooth, x, w).numpy()
    c = ag.compile(smooth)
    for _ in range(3):
        np.testing.assert_allclose(transform(c, x, w).numpy(), expected, rtol=1e-10, atol=1e-10)


def test_functions_of_several_results_of_which_some_are_used(device) -> None:
    def f(x: Any, w: Any) -> Any:
        y = ag.matmul(x, w)
        return y.mT, ag.argmax(y, axis=1), {"again": (w, y.detach(), ag.sin(y).sum(), w.reshape(9))}

    def loss(g: Any, x: Any, w: Any) -> Any:
        y, _, rest = g(x, w)
        return y[0].sum() + rest["again"][3].square().sum() if x.shape[0] == 2 else rest["again"][2]

    c, w = ag.compile(f), draw(3, 3, seed=1)
    for x in (draw(2, 3), draw(4, 3)):
        expected = ag.grad(lambda w, x=x: loss(f, x, w))(w).numpy()
        for _ in range(4):
            found = ag.grad(lambda w, x=x: loss(c, x, w))(w).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_gradients_in_half_precision(device) -> None:
    c, x = ag.compile(lambda x: (x * x * x).sum()), ag.tensor(np.array([1.0, 2.0, 3.0], "float16"))
    for _ in range(4):
        assert ag.grad(c)(x).tolist() == [3, 12, 27]
        assert ag.grad(c)(x).dtype == x.dtype


def test_an_error_of_the_gradient_comes_when_it_is_asked_for(device) -> None:
    """The function itself can be computed, with arguments that require gradients."""
    stated = ag.custom_vjp(lambda z: z * z)
    stated.defvjp(lambda z: (z * z, z), lambda z, g: (g * z,))
    c, x = ag.compile(lambda x: stated(x).sum()), draw(3).requires_grad_()
    for _ in range(4):
        y = c(x)
        with pytest.raises(ag.errors.CompileError, match="is differentiated from outside"):
            y.backward()


def test_instruments_see_gradients_of_compiled_functions(device) -> None:
    """What is traced while one watches is not shown to it: there are no values yet."""
    x, w = draw(3, 3).double(), draw(3, 3, seed=1).double()
    c = ag.compile(smooth)
    for _ in range(3):
        z = w.requires_grad_()
        y = c(x, z)
        with ag.detect_anomaly():
            z.grad = None
            y.backward(create_graph=True)
            first, z.grad = z.grad, None
            first.square().sum().backward()
        np.testing.assert_allclose(z.grad.numpy(), twice(smooth, x, w).numpy(), rtol=1e-10, atol=1e-10)


def test_a_derivative_that_does_not_exist_is_an_error_of_the_gradient_alone(device, caplog) -> None:
    known_in_part = general(
        "known_in_part", lambda xp, a, b: a * b, lambda a, b: a, vjp=(lambda g, b: g * b, None), signals=False
    )
    c = ag.compile(lambda x, y: bind(known_in_part, (x, y), {}).sum())
    x, y = draw(3).requires_grad_(), draw(3, seed=1)
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        for _ in range(4):
            x.grad = None
            c(x, y).backward()
            np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
            value = c(x, y.detach().requires_grad_())
            with pytest.raises(GradientError, match="no derivative with respect to operand 'b'"):
                value.backward()
    assert any("its gradient cannot be taken" in record.getMessage() for record in caplog.records)

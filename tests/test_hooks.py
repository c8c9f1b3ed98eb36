"""Hooks on gradients, and gradients of results kept."""

from __future__ import annotations

import gc
import weakref

import pytest
from engine_tools import f64, leaf

import autograd_core as ag


def test_a_hook_sees_the_whole_gradient_once() -> None:
    seen = []
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * y + y).sum().backward()
    assert seen == [[7.0, 13.0]]
    assert x.grad.tolist() == [21.0, 39.0]


def test_what_a_hook_returns_goes_on() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3.0
    y.register_hook(lambda g: g * 2.0)
    y.register_hook(lambda g: g + 1.0)  # in the order of registration
    y.sum().backward()
    assert x.grad.tolist() == [9.0, 9.0]


def test_hooks_of_leaves() -> None:
    x = leaf(1.0, 2.0)
    handle = x.register_hook(lambda g: g * 10.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [20.0, 40.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_hooks_of_one_result_of_several() -> None:
    x = leaf(1.0, 2.0)
    a, b = ag.split(x, 1)
    b.register_hook(lambda g: g * 100.0)
    (a + b).backward()
    assert x.grad.tolist() == [1.0, 100.0]


def scaled(x: ag.Tensor) -> ag.Tensor:
    """d/dx of x * x, tripled on its way, and doubled where it arrives."""
    y = x * x
    y.register_hook(lambda g: g * 3.0)
    x.register_hook(lambda g: g * 2.0)
    return y.sum()


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda x: ag.grad(scaled)(x), [12.0, 24.0]),
        (lambda x: ag.vjp(scaled, x)[1](1.0)[0], [12.0, 24.0]),
        (lambda x: ag.vmap(ag.grad(scaled))(ag.stack([x, x]))[1], [12.0, 24.0]),
        (lambda x: ag.grad(lambda x: ag.vmap(scaled)(ag.stack([x])).sum())(x), [12.0, 24.0]),
        (lambda x: ag.jvp(ag.grad(scaled), (x,), (x,))[1], [12.0, 24.0]),
        # the second derivative arrives at x as well, and is doubled as well
        (lambda x: ag.grad(lambda x: ag.grad(lambda z: scaled(z))(x).sum())(x), [24.0, 24.0]),
        (lambda x: ag.grad(ag.checkpoint(scaled))(x), [12.0, 24.0]),
    ],
    ids=["grad", "vjp", "vmap of grad", "grad of vmap", "jvp of grad", "grad of grad", "checkpoint"],
)
def test_hooks_under_transforms(transform, expected: list[float]) -> None:
    assert transform(f64([1.0, 2.0])).tolist() == expected


@pytest.mark.parametrize(
    ("hook", "given"),
    [(lambda g: g.sum(), r"float64\[\]"), (lambda g: g.float(), r"float32\[2\]"), (lambda g: 3.0, "float")],
)
def test_what_is_no_gradient_is_refused(hook, given: str) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(hook)
    with pytest.raises(
        ag.GradientError, match=rf"like the gradient it was given \(float64\[2\]\), it returned {given}"
    ):
        x.sum().backward()


def test_no_gradient_no_hook() -> None:
    with pytest.raises(ag.GradientError, match="the hook would never be called"):
        ag.ones(2).register_hook(print)
    with pytest.raises(ag.GradientError, match="there is none to keep"):
        ag.ones(2).retain_grad()


def test_results_keep_gradients_where_asked() -> None:
    x = leaf(1.0, 2.0)
    y, z = x * 3.0, ag.split(x, 1)[1]
    for kept in (x, y, y, z):
        kept.retain_grad()
    assert y.grad is None
    for _ in range(2):
        ((y * y).sum() + z.sum()).backward(retain_graph=True)
    assert y.grad.tolist() == [12.0, 24.0]
    assert z.grad.tolist() == [2.0]
    assert (x * 3.0).grad is None


def test_hooks_and_kept_gradients_leave_no_cycle() -> None:
    gc.disable()
    try:
        y = leaf(1.0, 2.0) * 3.0
        y.register_hook(lambda g: g)
        y.retain_grad()
        y.sum().backward()
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()

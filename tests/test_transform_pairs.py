"""All transforms in all orders: each applied to each other, against the same derivatives taken the plain way.

A transform stands here as a map from functions of a vector to functions of a vector, so that any two compose; beside it
stands what it means in terms of reverse mode, Python loops and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from engine_tools import f64

import autograd_core as ag

F = Callable[[ag.Tensor], ag.Tensor]

X = f64([0.7, -0.4, 1.3])
V = f64([0.5, -1.0, 0.25])
EXAMPLES = f64([[1.0, 0.5, -1.0], [0.3, 2.0, 0.6]])
SHARE = f64([[0.2, -0.7, 1.0], [1.5, 0.4, -0.3], [0.1, 0.8, 0.9]])


def smooth(x: ag.Tensor) -> ag.Tensor:
    """Couples all elements, by products, a reduction, a matrix product and a choice."""
    y = ag.sin(x * ag.flip(x)) + ag.where(x > 0, x**3, x * 0.5) * ag.exp(-x.mean())
    return ag.tanh(SHARE @ y) + y * x[0]


# ------------------------------------------------------------------------------- what transforms mean


def pull(f: F, x: ag.Tensor, g: ag.Tensor) -> ag.Tensor:
    return ag.vjp(f, x)[1](g)[0]


def plain_gradient(f: F) -> F:
    return lambda x: pull(f, x, x.new_ones(x.shape))


def plain_push(f: F) -> F:
    """J v, as the transpose of the transpose: two reverse sweeps."""
    return lambda x: pull(lambda g: pull(f, x, g), x.new_zeros(x.shape), V)


def plain_hvp(f: F) -> F:
    return plain_push(plain_gradient(f))


def plain_loop(f: F) -> F:
    return lambda x: sum(f(x * row) for row in ag.unstack(EXAMPLES))


def plain_gradients_by_example(f: F) -> F:
    return lambda x: sum(pull(f, x, row) for row in ag.unstack(EXAMPLES))


# ------------------------------------------------------------------------------- the transforms themselves


def of_batch(f: F) -> F:
    return lambda x: ag.vmap(lambda row, x: f(x * row), in_axes=(0, None))(EXAMPLES, x).sum(axis=0)


def by_columns(f: F) -> F:
    """The same batch, its examples along the last axis, on both sides."""
    return lambda x: ag.vmap(lambda row: f(x * row), in_axes=1, out_axes=1)(EXAMPLES.mT).sum(axis=1)


def by_example(f: F) -> F:
    return lambda x: ag.per_sample_grad(lambda p, rows: (f(p) * rows).sum())(x, EXAMPLES).sum(axis=0)


def custom_reverse(f: F) -> F:
    g = ag.custom_vjp(lambda x: f(x))
    g.defvjp(lambda x: (f(x), x), lambda x, c: (pull(f, x, c),))
    return g


def custom_forward(f: F) -> F:
    g = ag.custom_jvp(lambda x: f(x))
    g.defjvp(lambda primals, tangents: ag.jvp(f, primals, tangents))
    return g


def hooked(f: F) -> F:
    """A hook that changes nothing, wherever there is a gradient that it could see."""

    def g(x: ag.Tensor) -> ag.Tensor:
        y = f(x) * 1.0
        y.add_hook(lambda g: g * 1.0)
        return y

    return g


class Transform(NamedTuple):
    of: Callable[[F], F]
    means: Callable[[F], F]


def same(f: F) -> F:
    return f


TRANSFORMS = {
    "grad": Transform(lambda f: ag.grad(lambda x: f(x).sum()), plain_gradient),
    "value_and_grad": Transform(lambda f: lambda x: ag.value_and_grad(lambda x: f(x).sum())(x)[1], plain_gradient),
    "vjp": Transform(lambda f: lambda x: pull(f, x, V), lambda f: lambda x: pull(f, x, V)),
    "jvp": Transform(lambda f: lambda x: ag.jvp(f, (x,), (V,))[1], plain_push),
    "linearize": Transform(lambda f: lambda x: ag.linearize(f, x)[1](V), plain_push),
    "jacrev": Transform(lambda f: lambda x: ag.jacrev(f)(x) @ V, plain_push),
    "jacfwd": Transform(lambda f: lambda x: ag.jacfwd(f)(x) @ V, plain_push),
    "hessian": Transform(lambda f: lambda x: ag.hessian(lambda x: f(x).sum())(x) @ V, plain_hvp),
    "hvp": Transform(lambda f: lambda x: ag.hvp(lambda x: f(x).sum(), (x,), (V,)), plain_hvp),
    "vmap": Transform(of_batch, plain_loop),
    "vmap by columns": Transform(by_columns, plain_loop),
    "per_sample_grad": Transform(by_example, plain_gradients_by_example),
    "checkpoint": Transform(ag.checkpoint, same),
    "custom_vjp": Transform(custom_reverse, same),
    "custom_jvp": Transform(custom_forward, same),
    "hook": Transform(hooked, same),
}


def agree(found: ag.Tensor, expected: ag.Tensor) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-9)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize("outer", TRANSFORMS)
@pytest.mark.parametrize("inner", TRANSFORMS)
def test_every_ordered_pair(outer: str, inner: str) -> None:
    a, b = TRANSFORMS[outer], TRANSFORMS[inner]
    agree(a.of(b.of(smooth))(X), a.means(b.means(smooth))(X))


# One of each kind: reverse, forward, batch, replay, custom rules, several at once.
KINDS = ("grad", "jvp", "vmap", "per_sample_grad", "checkpoint", "custom_vjp", "linearize")


@pytest.mark.parametrize(("outer", "middle", "inner"), list(product(KINDS, repeat=3)))
def test_ordered_triples_of_the_kinds(outer: str, middle: str, inner: str) -> None:
    a, b, c = (TRANSFORMS[name] for name in (outer, middle, inner))
    agree(a.of(b.of(c.of(smooth)))(X), a.means(b.means(c.means(smooth)))(X))


# Functions with derivatives of their own cannot see what they capture, and refuse it.
CUSTOM = ("custom_vjp", "custom_jvp")


@pytest.mark.parametrize("inner", [name for name in TRANSFORMS if name not in CUSTOM])
def test_backward_through_each(inner: str) -> None:
    """A gradient that ``backward`` leaves in a variable used outside is that of the plain way."""
    gradients = []
    for make in TRANSFORMS[inner]:
        w = ag.tensor([1.1, 0.9, -0.6], dtype="float64", requires_grad=True)
        make(lambda x, w=w: smooth(x * w) + w)(X * w).sum().backward()
        gradients.append(w.grad)
    agree(*gradients)


@pytest.mark.parametrize("outer", ["vmap", "checkpoint", "hook"])
@pytest.mark.parametrize("inner", CUSTOM)
def test_no_gradient_is_lost_in_a_custom_rule(outer: str, inner: str) -> None:
    w = ag.tensor([1.1, 0.9, -0.6], dtype="float64", requires_grad=True)
    x = X.detach().requires_grad_()
    with pytest.raises(ag.GradientError, match="its gradient would be lost; pass it as an argument"):
        TRANSFORMS[outer].of(TRANSFORMS[inner].of(lambda x: smooth(x * w)))(x)

"""Functions from functions to their derivatives: nested in any order, with variables outside, with backward inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine_tools import MODES, D, f64, leaf, network, nodes_under, one_mode, pulled, scalar

import autograd_core as ag
from autograd_core.primitive import bind, general

two_modes = pytest.mark.parametrize(
    ("outer", "inner"),
    [(a, b) for a in MODES.values() for b in MODES.values()],
    ids=[f"{a} of {b}" for a in MODES for b in MODES],
)


# Nesting --------------------------------------------------------------------------------------------------------


@two_modes
def test_perturbations_are_not_confused(outer, inner) -> None:
    """d/dx (x d/dy (x + y)) at y = 1 is 1. Source: Siskind and Pearlmutter, Perturbation confusion, 2005."""
    assert outer(lambda x: x * inner(lambda y: x + y)(f64(1.0)))(f64(1.0)).item() == 1.0


@two_modes
def test_the_inner_derivative_may_be_taken_at_the_outer_variable(outer, inner) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        return x * inner(lambda y: x * y * y)(x)  # x * 2 x x

    assert outer(f)(f64(3.0)).item() == pytest.approx(6 * 9.0)


@two_modes
def test_a_derivative_is_not_confused_by_a_function_that_returns_functions(outer, inner) -> None:
    """Source: Manzyuk, Pearlmutter, Radul, Rush and Siskind, Perturbation confusion in forward automatic
    differentiation of higher-order functions, 2019: s(u) f x = f(x + u), so d/du s(0) is differentiation itself."""

    def shifted(u: ag.Tensor) -> Callable[[Callable], Callable]:
        return lambda f: lambda x: f(x + u)

    def d(f: Callable) -> Callable:
        return lambda x: inner(lambda u: shifted(u)(f)(x))(f64(0.0))

    def d_outer(f: Callable) -> Callable:
        return lambda x: outer(lambda u: shifted(u)(f)(x))(f64(0.0))

    assert d_outer(d(ag.exp))(f64(1.0)).item() == pytest.approx(np.e)
    assert d_outer(d(lambda x: x**3))(f64(2.0)).item() == pytest.approx(12.0)


@two_modes
def test_closures_over_outer_variables(outer, inner) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        a = ag.sin(x)
        return inner(lambda y: ag.exp(a * y) + a * x)(x * x) + inner(lambda y: a * y)(a)

    x = 0.7
    s, c = np.sin(x), np.cos(x)
    # f = s exp(s x^2) + s
    expected = c * np.exp(s * x * x) + s * np.exp(s * x * x) * (c * x * x + 2 * s * x) + c
    assert outer(f)(f64(x)).item() == pytest.approx(expected)


@two_modes
def test_the_inner_result_may_not_depend_on_the_outer_variable(outer, inner) -> None:
    assert outer(lambda x: inner(lambda y: y * y)(f64(3.0)))(f64(1.0)).item() == 0.0
    assert outer(lambda x: inner(lambda y: x * x)(f64(3.0)))(f64(1.0)).item() == 0.0


scaled_square_p = general(
    "scaled_square",
    lambda xp, x1, x2: x1 * x1 * x2,
    lambda x1, x2: x1,
    composed=lambda x1, x2: x1 * x1 * x2,
)


@two_modes
def test_operations_known_by_their_composition_nest_too(outer, inner) -> None:
    def f(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        return bind(scaled_square_p, (x, y), {})

    assert outer(lambda y: inner(lambda x: f(x, y))(f64(3.0)))(f64(5.0)).item() == 6.0
    assert outer(lambda x: inner(lambda y: f(x, y))(f64(5.0)))(f64(3.0)).item() == 6.0
    assert outer(lambda x: inner(lambda z: f(z, x))(x))(f64(3.0)).item() == 12.0
    assert outer(inner(lambda x: f(x, f64(5.0))))(f64(3.0)).item() == 10.0


def curve(x: ag.Tensor) -> ag.Tensor:
    """``network`` as a function of one number."""
    return network(ag.stack([x, 0.5 * x * x, ag.sin(x)]))


@pytest.mark.parametrize("order", ["ggg", "jjj", "gjg", "jgj", "vjg", "jvv", "ggv", "jjg"])
def test_three_deep(order: str) -> None:
    f = curve
    for letter in order:
        f = {"g": ag.grad, "j": D, "v": pulled}[letter](f)
    x, h = 0.6, 1e-3
    y = [curve(f64(x + k * h)).item() for k in (-2, -1, 1, 2)]
    third_difference = (y[3] - 2 * y[2] + 2 * y[1] - y[0]) / (2 * h**3)
    assert f(f64(x)).item() == pytest.approx(third_difference, rel=1e-4)


@one_mode
def test_a_pullback_may_be_called_later_inside_another_transform(d) -> None:
    _, pull = ag.vjp(lambda x: x**3, f64(2.0))
    assert d(lambda g: pull(g * g)[0])(f64(3.0)).item() == 2 * 3.0 * 12.0
    assert pull(1.0)[0].item() == 12.0


@one_mode
def test_a_pullback_made_inside_a_transform_may_be_called_there_again(d) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        y, pull = ag.vjp(lambda z: z * z * x, x)  # 2 z x g = 2 x^2 g
        return pull(y)[0] + pull(1.0)[0]  # 2 x^5 + 2 x^2

    assert d(f)(f64(2.0)).item() == 10 * 16.0 + 4 * 2.0


def test_a_pullback_keeps_its_history_to_outer_variables() -> None:
    w = scalar(5.0)
    _, pull = ag.vjp(lambda x: w * x * x, f64(3.0))
    (g,) = pull(2.0)
    g.backward(retain_graph=True)
    assert (g.item(), w.grad.item()) == (60.0, 12.0)
    (again,) = pull(1.0)
    again.backward()  # frees what the pullback shares with it
    assert (again.item(), w.grad.item()) == (30.0, 18.0)
    with pytest.raises(ag.GradientError, match="an earlier backward has freed"):
        pull(1.0)


def test_a_pullback_is_differentiable_in_its_cotangent() -> None:
    g = leaf(1.0, 2.0)
    _, pull = ag.vjp(ag.exp, f64([0.0, 1.0]))
    pull(g)[0].sum().backward()
    np.testing.assert_allclose(g.grad.numpy(), np.exp([0.0, 1.0]))


def test_a_value_of_a_finished_jvp_is_refused_in_another() -> None:
    kept = []
    ag.jvp(lambda x: kept.append(x) or x, (f64(1.0),), (1.0,))
    with pytest.raises(ag.GradientError, match="used after it ended"):
        D(lambda x: x * kept[0])(f64(1.0))


# Outer variables, and backward inside ---------------------------------------------------------------------------


def test_results_have_a_history_only_if_something_outside_has() -> None:
    w = scalar(3.0)
    x = f64(2.0)

    def free(x: ag.Tensor) -> ag.Tensor:
        return x**3

    def bound(x: ag.Tensor) -> ag.Tensor:
        return w * x**3

    results = [*ag.value_and_grad(free)(x), *ag.vjp(free, x)[1](1.0), ag.vjp(free, x)[0], ag.hessian(free)(x)]
    assert not any(r.requires_grad for r in [*results, *ag.jvp(free, (x,), (x,)), ag.jacrev(free)(x)])
    results = [*ag.value_and_grad(bound)(x), *ag.vjp(bound, x)[1](1.0), ag.vjp(bound, x)[0], ag.hessian(bound)(x)]
    assert all(r.requires_grad for r in [*results, *ag.jvp(bound, (x,), (x,)), ag.jacrev(bound)(x)])


def test_auxiliary_results_have_no_history_of_the_transform() -> None:
    def f(x: ag.Tensor) -> tuple[ag.Tensor, dict[str, Any]]:
        return (x * x).sum(), {"doubled": x * 2.0, "note": "any object", "nothing": None, "list": [x]}

    (value, aux), g = ag.value_and_grad(f, has_aux=True)(f64([1.0, 2.0]))
    assert (value.item(), g.tolist()) == (5.0, [2.0, 4.0])
    assert (aux["doubled"].tolist(), aux["note"], aux["nothing"]) == ([2.0, 4.0], "any object", None)
    assert not aux["doubled"].requires_grad
    assert not aux["list"][0].requires_grad
    g, aux = ag.grad(f, has_aux=True)(f64([1.0, 2.0]))
    assert (g.tolist(), aux["note"]) == ([2.0, 4.0], "any object")


def test_auxiliary_results_keep_a_history_outside() -> None:
    w = leaf(3.0)
    g, aux = ag.grad(lambda x: ((x * x).sum(), w * x), has_aux=True)(f64([2.0]))
    aux.sum().backward()
    assert (g.tolist(), w.grad.tolist()) == ([4.0], [2.0])


def test_the_value_and_the_gradient_reach_closed_over_leaves() -> None:
    w = leaf(1.0, 2.0)
    value, g = ag.value_and_grad(lambda x: (w * w * x).sum())(f64([3.0, 4.0]))
    value.backward(retain_graph=True)
    assert w.grad.tolist() == [6.0, 16.0]
    w.grad = None
    (g * f64([1.0, 10.0])).sum().backward()
    assert (g.tolist(), w.grad.tolist()) == ([1.0, 4.0], [2.0, 40.0])


def test_a_transform_gives_leaves_no_gradient() -> None:
    w = leaf(1.0, 2.0)
    ag.grad(lambda x: (w * x).sum())(w)
    assert w.grad is None


def test_an_argument_with_a_history_passes_it_on() -> None:
    w = leaf(1.0, 2.0)
    g = ag.grad(lambda x: (x**3).sum())(w * 2.0)
    g.sum().backward()
    assert (g.tolist(), w.grad.tolist()) == ([12.0, 48.0], [24.0, 48.0])


@one_mode
@pytest.mark.parametrize("create_graph", [True, False])
def test_backward_may_be_called_inside(d, create_graph: bool) -> None:
    """Of a leaf made inside. Without create_graph its gradient is a constant to reverse mode."""

    def f(x: ag.Tensor) -> ag.Tensor:
        w = f64(2.0).requires_grad_()
        (w * w * x).backward(create_graph=create_graph)
        g, w.grad = w.grad, None
        return g * x  # 2 w x * x

    expected = 24.0 if create_graph or d is D else 12.0
    assert d(f)(f64(3.0)).item() == expected


def test_backward_inside_reaches_leaves_outside() -> None:
    w = scalar(2.0)

    def f(x: ag.Tensor) -> ag.Tensor:
        y = w * x * x
        y.backward(retain_graph=True)
        return y

    assert ag.grad(f)(f64(3.0)).item() == 12.0
    assert w.grad.item() == 9.0


def test_backward_through_the_argument_of_a_grad_frees_it() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        y = x * x
        y.backward()
        return y * x

    with pytest.raises(ag.GradientError, match="an earlier backward has freed"):
        ag.grad(f)(f64(2.0))


def test_nested_transforms_walk_their_own_part_of_the_graph_only() -> None:
    """Each step of an inner loop costs the same, however long the outer history (as in meta-learning)."""
    w = scalar(0.5)
    x = w * 1.0
    inner = []
    for _ in range(50):
        y, g = ag.value_and_grad(lambda z: z * z * w)(x)
        inner.append(len(nodes_under(y)))
        x = x - 0.01 * g
    assert inner[-1] > 100  # the value's history is long
    x.backward()
    step = 1e-6

    def run(w: float) -> float:
        x = w
        for _ in range(50):
            x = x - 0.01 * 2 * x * w
        return x

    assert w.grad.item() == pytest.approx((run(0.5 + step) - run(0.5 - step)) / (2 * step), rel=1e-8)

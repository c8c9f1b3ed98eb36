"""Derivatives stated by the user: used where they should be, of any order, under any transform, refused when wrong."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import context
from autograd_core.graph import Leaf

A, B = np.array([0.5, -1.5, 2.0]), np.array([1.5, 0.25, -1.0])


def tensors(*arrays, requires_grad=False):
    return [ag.tensor(a, requires_grad=requires_grad) for a in arrays]


def polynomial():
    """x y + x^3 with its own rule, which is right."""

    @ag.custom_vjp
    def f(x, y):
        return x * y + x * x * x

    f.defvjp(lambda x, y: (f.f(x, y), (x, y)), lambda r, g: (g * (r[1] + 3 * r[0] * r[0]), g * r[0]))
    return f


def doubled(factor=2.0):
    """x y whose rule says factor * y for x and nothing for y: to see that the rule is what counts."""

    @ag.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(lambda x, y: (x * y, y), lambda y, g: (factor * g * y, None))
    return f


# Reverse mode --------------------------------------------------------------------------------------------------


def test_value_and_rule():
    x, y = tensors(A, B, requires_grad=True)
    z = doubled()(x, y)
    np.testing.assert_array_equal(z.numpy(), A * B)
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * B)
    assert y.grad is None


def test_a_right_rule_is_right_to_any_order():
    ag.check_grads(polynomial(), (A, B), order=3)


@pytest.mark.parametrize(
    "composition",
    [
        lambda f, x, y: ag.grad(lambda z: f(z, y).sum())(x),
        lambda f, x, y: ag.jvp(lambda z: ag.grad(lambda u: f(u, y).sum())(z), (x,), (y,))[1],
        lambda f, x, y: ag.grad(lambda z: ag.jvp(lambda u: f(u, y), (z,), (y,))[1].sum())(x),
        lambda f, x, y: ag.grad(lambda z: ag.grad(lambda u: f(u * z, y).sum())(x).sum())(y),
        lambda f, x, y: ag.hessian(lambda z: f(z, y).sum())(x),
        lambda f, x, y: ag.jacrev(lambda z: f(z, f(y, z)))(x),
        lambda f, x, y: ag.jacfwd(lambda z: f(z, f(y, z)))(x),
        lambda f, x, y: ag.hvp(lambda z: f(z, z).sum(), (x,), (y,)),
    ],
    ids=["grad", "jvp of grad", "grad of jvp", "grad of grad", "hessian", "jacrev", "jacfwd", "hvp"],
)
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_transforms_compose_over_a_custom_rule(composition, kind):
    f = polynomial() if kind == "vjp" else product_and_square()[0]
    plain = (lambda x, y: x * y + x * x * x) if kind == "vjp" else f.f
    found, expected = (composition(h, *tensors(A, B)) for h in (f, plain))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    ag.check_grads(lambda x, y: composition(f, x, y), (A, B))


def test_the_second_derivative_is_that_of_the_rule():
    x, y = tensors(A, B)
    f = doubled(10.0)
    second = ag.grad(lambda v: ag.grad(lambda u: f(u, v).sum())(x).sum())(y)
    np.testing.assert_array_equal(second.numpy(), np.full(3, 10.0))


def test_forward_mode_differentiates_the_operations_of_the_function():
    x, y = tensors(A, B)
    _, t = ag.jvp(lambda u: doubled()(u, y), (x,), (ag.ones(3, dtype="float64"),))
    np.testing.assert_array_equal(t.numpy(), B)


def test_arguments_and_outputs_in_containers():
    @ag.custom_vjp
    def f(params, x):
        return {"y": params["w"] * x, "z": (params["b"] + x, ag.argmax(x))}

    def bwd(residuals, g):
        params, x = residuals
        gy, gz = g["y"], g["z"][0]
        return {"w": gy * x, "b": gz}, gy * params["w"] + gz

    f.defvjp(lambda params, x: (f.f(params, x), (params, x)), bwd)
    ag.check_grads(f, ({"w": A, "b": B}, A + B))
    w, b, x = tensors(A, B, A, requires_grad=True)
    result = f({"w": w, "b": b}, x)
    assert not result["z"][1].requires_grad
    result["y"].sum().backward()  # the cotangent of z is then zeros
    np.testing.assert_array_equal(b.grad.numpy(), np.zeros(3))


def test_static_arguments_come_first_in_bwd():
    def power(n, x, name):
        return x**n

    f = ag.custom_vjp(power, nondiff_argnums=(0, 2))
    f.defvjp(lambda n, x, name: (x**n, x), lambda n, name, x, g: (n * x ** (n - 1) * g + len(name),))
    x = ag.tensor(3.0)
    assert ag.grad(lambda x: f(2, x, "name"))(x).item() == 6 + 4
    assert ag.grad(lambda x: f(2, name="name", x=x))(x).item() == 6 + 4


def test_a_python_number_is_an_argument_without_gradient():
    f = doubled()
    x = ag.tensor(A, requires_grad=True)
    f(x, 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(3, 6.0))


def test_nothing_is_recorded_where_nothing_is_asked():
    calls = []

    @ag.custom_vjp
    def f(x):
        return x * x

    f.defvjp(lambda x: calls.append(x), None)
    f(ag.tensor(A))
    with ag.no_grad():
        assert not f(ag.tensor(A, requires_grad=True)).requires_grad
    assert not calls


def test_the_rule_runs_in_the_grad_mode_of_the_backward():
    modes = []

    @ag.custom_vjp
    def f(x):
        return x * x

    def bwd(x, g):
        modes.append(ag.is_grad_enabled())
        return (2 * x * g,)

    f.defvjp(lambda x: (x * x, x), bwd)
    f(ag.tensor(1.0, requires_grad=True)).backward()
    f(ag.tensor(1.0, requires_grad=True)).backward(create_graph=True)
    assert modes == [False, True]


def test_a_second_backward_is_refused_by_name_and_retain_graph_allows_it():
    x, y = tensors(A, B, requires_grad=True)
    z = polynomial()(x, y).sum()
    z.backward(retain_graph=True)
    z.backward()
    np.testing.assert_allclose(y.grad.numpy(), 2 * A)
    z = polynomial()(x, y)
    z.backward(ag.ones(3, dtype="float64"))
    with pytest.raises(ag.GradientError, match=r"backward reached the result \(shape \(3,\)\) of 'f'"):
        z.backward(ag.ones(3, dtype="float64"))


@pytest.mark.parametrize("make", [polynomial, lambda: product_and_square()[0]], ids=["vjp", "jvp"])
def test_nothing_is_left_for_the_garbage_collector(make):
    f = make()

    def run() -> None:
        x, y = tensors(A, B, requires_grad=True)
        middle = x * y
        kept = weakref.ref(middle)
        z = f(middle, y).sum()
        del middle
        z.backward()
        del z
        assert kept() is None
        unused = f(x * y, y)
        node = weakref.ref(unused)
        del unused
        assert node() is None
        x.grad = y.grad = None
        assert isinstance(x.node, Leaf)

    run()  # imports what is loaded on first use, which leaves garbage
    while gc.collect():  # and what callbacks of the collector (JAX has one) let go of is found the next time
        pass
    gc.disable()
    try:
        run()
        assert gc.collect() == 0
    finally:
        gc.enable()


# What is refused -----------------------------------------------------------------------------------------------


def with_bwd(bwd, fwd=lambda x, y: (x * y, (x, y))):
    @ag.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(fwd, bwd)
    return f


@pytest.mark.parametrize(
    ("bwd", "error", "message"),
    [
        (lambda r, g: g, ag.GradientError, r"f: bwd must return a tuple of 2 cotangent\(s\), .* it returned a Tensor"),
        (lambda r, g: (g,), ag.GradientError, r"a tuple of 2 cotangent\(s\), .* it returned 1"),
        (lambda r, g: (g, g.sum()), ag.ShapeError, r"cotangent of shape \(\) for argument 1 of shape \(3,\)"),
        (lambda r, g: (g, [g]), ag.GradientError, "bwd's cotangent of argument 1 must have that argument's structure"),
    ],
)
def test_cotangents_that_do_not_fit_are_refused(bwd, error, message):
    x, y = tensors(A, B, requires_grad=True)
    with pytest.raises(error, match=message):
        with_bwd(bwd)(x, y).sum().backward()
    assert x.grad is None
    assert y.grad is None


def test_what_fwd_returns_is_checked():
    x, y = tensors(A, B, requires_grad=True)
    with pytest.raises(ag.GradientError, match=r"f: its fwd must return a pair \(output, residuals\)"):
        with_bwd(None, lambda x, y: x * y)(x, y)
    with pytest.raises(ag.GradientError, match="f: its fwd must return tensors, it returned ndarray"):
        with_bwd(None, lambda x, y: (A * B, None))(x, y)


def test_a_captured_variable_is_refused_because_its_gradient_would_be_lost():
    x, w = tensors(A, B, requires_grad=True)

    @ag.custom_vjp
    def f(x):
        return x * w

    f.defvjp(lambda x: (x * w, x), lambda x, g: (g * w,))
    with pytest.raises(ag.GradientError, match=r"f: fwd uses a tensor that requires gradients and is not one of its"):
        f(x)
    f.defvjp(lambda x: (x * w.detach(), x), lambda x, g: (g * w.detach(),))
    f(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), B)
    f.defvjp(lambda x: (x * w.detach(), x * w), lambda r, g: (g,))
    with pytest.raises(ag.GradientError, match="would be lost"):
        f(x)


def test_rules_must_be_stated_first():
    x = ag.tensor(1.0)
    with pytest.raises(ag.GradientError, match=r"f: custom_vjp has no rule yet; call f\.defvjp\(fwd, bwd\)"):
        ag.custom_vjp(_named("f"))(x)
    with pytest.raises(ag.GradientError, match=r"f: custom_jvp has no rule yet; state it with @f\.defjvp"):
        ag.custom_jvp(_named("f"))(x)


def _named(name):
    def f(x):
        return x

    f.__name__ = name
    return f


def test_arguments_without_a_place_in_the_rule_are_refused():
    def f(x, *, scale=2.0):
        return x * scale

    g = ag.custom_vjp(f)
    g.defvjp(lambda x: (x, x), lambda x, g: (g,))
    with pytest.raises(ag.ArgumentError, match=r"f: keyword-only arguments \['scale'\] have no place in its rule"):
        g(ag.tensor(1.0))
    with pytest.raises(ag.ArgumentError, match="nondiff_argnums are positions counted from 0, got -1"):
        ag.custom_vjp(f, nondiff_argnums=-1)


# Both modes ----------------------------------------------------------------------------------------------------


def product_and_square():
    """x y + x^2 with its own jvp rule, which is right; and how often the rule ran."""
    runs = []

    @ag.custom_jvp
    def f(x, y):
        return x * y + x * x

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (tx, ty) = primals, tangents
        runs.append(context.current().depth)
        return f(x, y), tx * y + x * ty + 2 * x * tx

    return f, runs


def test_one_rule_for_both_modes():
    f, runs = product_and_square()
    ag.check_grads(f, (A, B), order=3)
    assert runs


def test_the_stated_jvp_is_what_counts_in_both_modes():
    @ag.custom_jvp
    def f(x, y):
        return x * y, x + y

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (tx, ty) = primals, tangents
        return f(x, y), (10 * tx * y, ty)

    x, y = tensors(A, B)
    _, (t1, t2) = ag.jvp(f, (x, y), (y, x))
    np.testing.assert_array_equal(t1.numpy(), 10 * B * B)
    np.testing.assert_array_equal(t2.numpy(), A)
    _, pull = ag.vjp(f, x, y)
    gx, gy = pull((y, x))
    np.testing.assert_array_equal(gx.numpy(), 10 * B * B)
    np.testing.assert_array_equal(gy.numpy(), A)


def test_constants_have_zero_tangents_and_integers_none():
    seen = []

    @ag.custom_jvp
    def f(x, n, flag):
        return x * n

    @f.defjvp
    def rule(primals, tangents):
        seen.append([t.numpy() for t in tangents])
        return f(*primals), tangents[0] * primals[1]

    x = ag.tensor(A)
    assert ag.jvp(lambda x: f(x, 3, True), (x,), (x,))[1].tolist() == (3 * A).tolist()
    assert ag.grad(lambda x: f(x, 3, True).sum())(x).tolist() == [3.0, 3.0, 3.0]
    assert not np.any(seen[0][1:])


def test_static_arguments_come_first_in_a_jvp_rule():
    f = ag.custom_jvp(lambda x, n: x**n, nondiff_argnums=1)
    f.defjvp(lambda n, primals, tangents: (f(primals[0], n), 100 * n * tangents[0]))
    assert ag.grad(lambda x: f(x, 3))(ag.tensor(2.0)).item() == 300
    assert f(ag.tensor(2.0), 3).item() == 8


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda y, t: t, ag.GradientError, r"f: its jvp rule must return a pair \(output, tangent of the output\)"),
        (lambda y, t: (y, (t,)), ag.GradientError, "jvp rule's tangent must have the structure of the output"),
        (lambda y, t: (y, t.sum()), ag.ShapeError, r"a tangent of shape \(\) for output 0 of shape \(3,\)"),
        (lambda y, t: (y, 0.0), ag.GradientError, "its jvp rule must return tensors, it returned float"),
    ],
)
def test_tangents_that_do_not_fit_are_refused(result, error, message):
    f = ag.custom_jvp(_named("f"))
    f.defjvp(lambda primals, tangents: result(*primals, *tangents))
    (x,) = tensors(A, requires_grad=True)
    with pytest.raises(error, match=message):
        ag.jvp(f, (x,), (x,))
    with pytest.raises(error, match=message):
        f(x).sum().backward()


def test_what_a_rule_keeps_is_what_it_was_when_the_function_ran() -> None:
    product = ag.custom_vjp(lambda x, c: x * c)
    product.defvjp(lambda x, c: (x * c, (c, "a note")), lambda kept, g: (g * kept[0], None))
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    parameter, constant = ag.Variable(ag.tensor([3.0, 4.0]).data, x.device), ag.tensor([3.0, 4.0])
    y = product(x, parameter) + product(x, constant)
    parameter.assign_(ag.zeros(2))
    with pytest.raises(ag.GradientError, match="has kept this tensor"):
        constant[0] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0]

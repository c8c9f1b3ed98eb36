"""linearize, and Jacobians taken in one sweep."""

from __future__ import annotations

import numpy as np
import pytest
from engine_tools import f64, leaf

import autograd_core as ag

X = f64([0.5, -1.2, 2.0])
T = f64([1.0, 0.3, -0.7])


def several(x: ag.Tensor, p: dict) -> dict:
    return {"a": ag.sin(x) * p["w"].sum(), "n": ag.argmax(x), "b": (x * p["w"]).prod()}


def test_it_is_the_jvp_without_running_again() -> None:
    runs = []

    def f(x: ag.Tensor, p: dict) -> dict:
        runs.append(1)
        return several(x, p)

    p = {"w": X * 2.0}
    y, push = ag.linearize(f, X, p)
    for t in (T, T * 3.0):
        found = push(t, {"w": t})
        value, expected = ag.jvp(several, (X, p), (t, {"w": t}))
        for k in ("a", "b"):
            np.testing.assert_allclose(found[k].numpy(), expected[k].numpy(), rtol=1e-12)
            assert y[k].tolist() == value[k].tolist()
        assert not found["n"].any()
    assert len(runs) == 1


def test_it_is_linear_and_differentiable_in_what_it_is_given() -> None:
    _, push = ag.linearize(lambda x: x**3, X)
    np.testing.assert_allclose(ag.grad(lambda t: push(t).sum())(T).numpy(), 3 * X.numpy() ** 2)
    np.testing.assert_allclose(ag.jvp(push, (T,), (T,))[1].numpy(), push(T).numpy())
    np.testing.assert_allclose(ag.vmap(push)(ag.eye(3, dtype="float64")).numpy(), np.diag(3 * X.numpy() ** 2))


def test_it_is_differentiable_in_the_point() -> None:
    found = ag.grad(lambda x: ag.linearize(lambda z: z**3, x)[1](T).sum())(X)
    np.testing.assert_allclose(found.numpy(), 6 * X.numpy() * T.numpy())
    w = leaf(2.0, 3.0, 4.0)
    ag.linearize(lambda z: w * z * z, X)[1](T).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X.numpy() * T.numpy())


def test_nothing_is_recorded_where_nobody_can_differentiate() -> None:
    y, push = ag.linearize(lambda z: z**3, X)
    assert not y.requires_grad
    assert not push(T).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ag.linearize(ag.sin, X)[1](T, T), ag.ArgumentError, "linearize: the tangents must have the structure"),
        (lambda: ag.linearize(ag.sin, X)[1](T[:2]), ag.ShapeError, r"linearize: a tangent of shape \(2,\) given"),
        (lambda: ag.linearize(ag.sin, ag.arange(3)), ag.DTypeError, "linearize: cannot differentiate with respect to"),
    ],
)
def test_what_does_not_fit(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# Jacobians ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jacobian", [ag.jacrev, ag.jacfwd])
def test_the_function_runs_once_for_the_whole_jacobian(jacobian) -> None:
    runs = []

    def f(x: ag.Tensor) -> ag.Tensor:
        runs.append(1)
        return ag.stack([x.sum(), x.prod(), (x * x).sum(), x[0]])

    x = X.numpy()
    expected = [[1, 1, 1], [x[1] * x[2], x[0] * x[2], x[0] * x[1]], list(2 * x), [1, 0, 0]]
    np.testing.assert_allclose(jacobian(f)(X).numpy(), np.array(expected))
    assert len(runs) == 1


@pytest.mark.parametrize("jacobian", [ag.jacrev, ag.jacfwd])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1,), (2, 2)])
def test_shapes_of_jacobians(jacobian, shape: tuple[int, ...]) -> None:
    x = ag.ones(shape, dtype="float64")
    assert jacobian(lambda x: ag.sin(x))(x).shape == shape + shape
    assert jacobian(lambda x: x.sum())(x).shape == shape
    both = jacobian(lambda x: (ag.exp(x), {"n": (x * 2.0).sum(axis=())}))(x)
    assert (both[0].shape, both[1]["n"].shape) == (shape + shape, shape + shape)


@pytest.mark.parametrize("jacobian", [ag.jacrev, ag.jacfwd])
def test_a_jacobian_of_complex_numbers(jacobian) -> None:
    z = ag.tensor(np.array([1 + 2j, 0.5 - 1j]))
    found = jacobian(lambda z: ag.stack([z[0] * z[1], ag.exp(z[0])]))(z).numpy()
    a, b = z.numpy()
    np.testing.assert_allclose(found, [[b, a], [np.exp(a), 0]])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: ag.jvp(ag.sin, (X,), (T * 1j,)),
            "jvp: a tangent of dtype complex128 given for a primal of dtype float64",
        ),
        (lambda: ag.linearize(ag.sin, X)[1](T * 1j), "linearize: a tangent of dtype complex128"),
        (
            lambda: ag.vjp(ag.sin, X)[1](T * 1j),
            "vjp: a cotangent of dtype complex128 given for an output of dtype float64",
        ),
    ],
)
def test_complex_directions_of_real_functions(call, text: str) -> None:
    with pytest.raises(ag.DTypeError, match=text):
        call()

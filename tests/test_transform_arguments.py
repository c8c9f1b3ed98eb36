"""What transforms take and give: Jacobians and Hessians, argnums, containers, zeros, dtypes, devices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from engine_tools import f64, network, one_mode

import autograd_core as ag

# Matrices of derivatives ----------------------------------------------------------------------------------------


def vector_function(x: ag.Tensor) -> ag.Tensor:
    return ag.stack([ag.sin(x[0]) * x[1], x.sum() ** 2, ag.exp(x[1] * x[2])])


def test_jacobians_of_both_modes_agree_with_the_analytic_one() -> None:
    a, b, c = x = [0.3, -0.5, 0.8]
    s, e = 2 * sum(x), np.exp(b * c)
    expected = [[np.cos(a) * b, np.sin(a), 0.0], [s, s, s], [0.0, c * e, b * e]]
    np.testing.assert_allclose(ag.jacrev(vector_function)(f64(x)).numpy(), expected, rtol=1e-14)
    np.testing.assert_allclose(ag.jacfwd(vector_function)(f64(x)).numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
@pytest.mark.parametrize("result", [lambda x: x.sum(), lambda x: x * x, lambda x: ag.stack([x, x * x], axis=-1)])
def test_jacobians_have_the_shape_of_output_and_input(shape, result) -> None:
    x = f64(np.random.default_rng(0).standard_normal(shape))
    reverse, forward = ag.jacrev(result)(x), ag.jacfwd(result)(x)
    assert reverse.shape == forward.shape == result(x).shape + shape
    np.testing.assert_allclose(reverse.numpy(), forward.numpy(), rtol=1e-14)


def test_hessian_is_analytic_and_symmetric() -> None:
    a, b, c = x = [0.3, -0.5, 0.8]

    def f(x: ag.Tensor) -> ag.Tensor:
        return x[0] ** 2 * x[1] + ag.sin(x[1] * x[2])

    s, co = np.sin(b * c), np.cos(b * c)
    mixed = co - b * c * s
    expected = [[2 * b, 2 * a, 0.0], [2 * a, -c * c * s, mixed], [0.0, mixed, -b * b * s]]
    h = ag.hessian(f)(f64(x)).numpy()
    np.testing.assert_allclose(h, expected, rtol=1e-13)
    np.testing.assert_allclose(ag.jacrev(ag.jacrev(f))(f64(x)).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(ag.jacfwd(ag.jacfwd(f))(f64(x)).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(ag.jacrev(ag.jacfwd(f))(f64(x)).numpy(), expected, rtol=1e-13)
    v = [1.0, -2.0, 0.5]
    np.testing.assert_allclose(ag.hvp(f, (f64(x),), (f64(v),)).numpy(), np.array(expected) @ v, rtol=1e-13)


def test_the_hessian_of_a_matrix_argument_is_symmetric() -> None:
    x = f64(np.random.default_rng(1).standard_normal((2, 2)))
    h = ag.hessian(lambda x: network(x.reshape(4)))(x)
    assert h.shape == (2, 2, 2, 2)
    flat = h.numpy().reshape(4, 4)
    np.testing.assert_allclose(flat, flat.T, rtol=1e-10, atol=1e-12)


def test_hvp_of_several_arguments() -> None:
    x, y, v, u = f64([1.0, 2.0]), f64([3.0, 4.0]), f64([1.0, 0.0]), f64([0.0, 1.0])
    gx, gy = ag.hvp(lambda x, y: (x * x * y).sum(), (x, y), (v, u))
    assert gx.tolist() == [6.0, 4.0]  # 2 y v + 2 x u
    assert gy.tolist() == [2.0, 0.0]  # 2 x v


def test_jacobians_of_several_outputs() -> None:
    def f(x: ag.Tensor) -> dict[str, Any]:
        return {"square": x * x, "pair": (x.sum(), f64([1.0]))}

    for transform in (ag.jacrev, ag.jacfwd):
        found = transform(f)(f64([1.0, 2.0]))
        assert found["square"].tolist() == [[2.0, 0.0], [0.0, 4.0]]
        assert found["pair"][0].tolist() == [1.0, 1.0]
        assert found["pair"][1].tolist() == [[0.0, 0.0]]


# Arguments ------------------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    weight: Any
    bias: Any


def test_parameters_in_nested_containers() -> None:
    params = {"first": Layer(f64([1.0, 2.0]), f64(3.0)), "rest": [f64([4.0]), (f64(5.0), None)], 7: f64(0.5)}

    def f(p: Any, x: ag.Tensor) -> ag.Tensor:
        first = p["first"]
        return (first.weight * x).sum() + first.bias**2 + p["rest"][0][0] * p["rest"][1][0] * p[7]

    g = ag.grad(f)(params, f64([10.0, 20.0]))
    assert type(g["first"]) is Layer
    assert g["first"].weight.tolist() == [10.0, 20.0]
    assert g["first"].bias.item() == 6.0
    assert g["rest"][0].tolist() == [2.5]
    assert g["rest"][1][0].item() == 2.0
    assert g["rest"][1][1] is None
    assert g[7].item() == 20.0
    (pulled_back, _) = ag.vjp(f, params, f64([10.0, 20.0]))[1](1.0)
    assert pulled_back["first"].bias.item() == 6.0
    tangents = {"first": Layer(f64([1.0, 0.0]), f64(0.0)), "rest": [f64([0.0]), (f64(1.0), None)], 7: f64(0.0)}
    assert ag.jvp(f, (params, f64([10.0, 20.0])), (tangents, f64([0.0, 0.0])))[1].item() == 12.0


def test_argnums() -> None:
    def f(a: ag.Tensor, b: ag.Tensor, c: ag.Tensor) -> ag.Tensor:
        return a * b**2 * c**3

    args = f64(2.0), f64(3.0), f64(5.0)
    by_a, by_b, by_c = 9.0 * 125, 2 * 6.0 * 125, 18.0 * 75
    assert ag.grad(f)(*args).item() == by_a
    assert ag.grad(f, 1)(*args).item() == by_b
    assert ag.grad(f, -1)(*args).item() == by_c
    for argnums, expected in [((0,), [by_a]), ((2, 0), [by_c, by_a]), ([-2, 2], [by_b, by_c])]:
        found = ag.grad(f, argnums)(*args)
        assert isinstance(found, tuple)
        assert [g.item() for g in found] == expected
    value, (ga, gc) = ag.value_and_grad(f, (0, -1))(*args)
    assert (value.item(), ga.item(), gc.item()) == (2250.0, by_a, by_c)
    assert ag.jacrev(f, -1)(*args).item() == ag.jacfwd(f, 2)(*args).item() == by_c
    assert ag.hessian(f, 1)(*args).item() == 2 * 2 * 125.0


@pytest.mark.parametrize("argnums", [3, -4, (0, 3), (0, 0), (1, -2), 0.5, "x", None])
@pytest.mark.parametrize("transform", [ag.grad, ag.value_and_grad])
def test_argnums_that_name_no_argument(transform, argnums) -> None:
    with pytest.raises(ag.ArgumentError, match="argnums"):
        transform(lambda a, b, c: a * b * c, argnums)(f64(1.0), f64(2.0), f64(3.0))


@pytest.mark.parametrize("transform", [ag.jacrev, ag.jacfwd, ag.hessian])
def test_matrices_of_derivatives_take_one_tensor(transform) -> None:
    with pytest.raises(ag.ArgumentError, match="argnums"):
        transform(lambda a, b: a * b, (0, 1))(f64(1.0), f64(2.0))
    with pytest.raises(ag.ArgumentError, match="must be one tensor, got a dict"):
        transform(lambda p: p["a"])({"a": f64(1.0)})


def test_keywords_and_plain_numbers_and_arrays() -> None:
    assert ag.grad(lambda x, power: x**power)(3.0, power=2).item() == 6.0
    assert ag.grad(lambda x: (x * x).sum())(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert ag.grad(lambda x, n: x * n)(3.0, 5).item() == 5.0
    assert ag.vjp(lambda x, k: x * k, 2.0, k=3.0)[1](1.0)[0].item() == 3.0
    assert ag.jvp(lambda x, k: x * k, (2.0,), (1.0,), k=3.0)[1].item() == 3.0


def test_the_name_and_docstring_of_a_function_stay() -> None:
    def loss(x: ag.Tensor) -> ag.Tensor:
        """What it is about."""
        return x

    for transform in (ag.grad, ag.value_and_grad, ag.jacrev, ag.jacfwd, ag.hessian):
        assert (transform(loss).__name__, transform(loss).__doc__) == ("loss", "What it is about.")


@pytest.mark.parametrize("integer", [3, True, np.array([1, 2]), ag.tensor([1, 2]), {"a": ag.tensor(1.0), "n": 3}])
@pytest.mark.parametrize(
    "transform",
    [lambda f, x: ag.grad(f)(x), lambda f, x: ag.vjp(f, x), lambda f, x: ag.jvp(f, (x,), (x,))],
    ids=["grad", "vjp", "jvp"],
)
def test_integers_are_no_variables(transform, integer) -> None:
    with pytest.raises(ag.DTypeError, match="cannot differentiate with respect to an argument of dtype"):
        transform(lambda x: x, integer)


@one_mode
def test_a_function_that_ignores_its_argument_has_derivative_zero(d) -> None:
    assert d(lambda x: f64(3.0))(f64(2.0)).item() == 0.0
    assert d(lambda x: f64(3.0) * 2.0)(f64(2.0)).item() == 0.0
    assert d(lambda x: x.detach())(f64(2.0)).item() == 0.0
    g = ag.grad(lambda x, y: (y * y).sum(), (0, 1))(f64([[1.0, 2.0]]), f64([3.0]))
    assert [t.tolist() for t in g] == [[[0.0, 0.0]], [6.0]]


@pytest.mark.parametrize("f", [lambda x: ag.floor(x), lambda x: (x > 0).astype("float64"), lambda x: ag.sign(x)])
@one_mode
def test_steps_have_derivative_zero(d, f) -> None:
    assert d(f)(f64(2.5)).item() == 0.0


def test_the_identity_hands_the_cotangent_back() -> None:
    g = f64([3.0, 4.0])
    assert ag.vjp(lambda x: x, f64([1.0, 2.0]))[1](g)[0].tolist() == [3.0, 4.0]
    assert ag.grad(lambda x: x)(2.0).item() == 1.0
    assert ag.jvp(lambda x: x, (2.0,), (5.0,))[1].item() == 5.0


def test_outputs_may_repeat_share_and_be_arguments() -> None:
    def f(x: ag.Tensor) -> tuple[ag.Tensor, ...]:
        y = x * x
        return y, y, x, y + y

    y, pull = ag.vjp(f, f64(3.0))
    assert [t.item() for t in y] == [9.0, 9.0, 3.0, 18.0]
    one, nought = f64(1.0), f64(0.0)
    assert pull((one, one, one, one))[0].item() == 6 + 6 + 1 + 12
    assert pull((nought, nought, one, nought))[0].item() == 1.0


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_nothing_at_all_has_derivatives_too(shape) -> None:
    x, n = ag.zeros(shape), tuple(shape)
    assert ag.grad(lambda x: (x * x).sum())(x).shape == n
    assert ag.jvp(ag.exp, (x,), (x,))[1].shape == n
    assert ag.vjp(ag.exp, x)[1](x)[0].shape == n
    for transform in (ag.jacrev, ag.jacfwd):
        assert transform(lambda x: x * x)(x).shape == n + n
        assert transform(lambda x: (x * x).sum())(x).shape == n
        assert transform(lambda x: x[:0])(ag.ones(3)).shape == (0, 3)
    assert ag.hessian(lambda x: (x * x).sum())(x).shape == n + n


def test_results_that_are_integers_have_no_slope() -> None:
    x = f64([1.0, 3.0])
    (y, i), (ty, ti) = ag.jvp(lambda x: (x * x, ag.argmax(x)), (x,), (x,))
    assert (y.tolist(), i.item(), ty.tolist(), ti.item()) == ([1.0, 9.0], 1, [2.0, 18.0], 0)
    _, pull = ag.vjp(lambda x: (x * x, x > 2), x)
    assert pull((x, ag.tensor([True, True])))[0].tolist() == [2.0, 18.0]


# Dtypes and devices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gradients_have_the_dtype_of_the_variable(dtype: str) -> None:
    x = ag.ones(2, dtype=dtype)
    mixed = ag.ones(2, dtype="float64")

    def f(x: ag.Tensor) -> ag.Tensor:
        return (x * mixed * 2.0).sum()

    assert ag.grad(f)(x).dtype == dtype
    assert ag.jvp(f, (x,), (x,))[1].dtype == "float64"
    assert ag.hessian(f)(x).dtype == dtype
    assert ag.vjp(f, x)[1](1.0)[0].dtype == dtype
    x = x.detach().requires_grad_()
    f(x).backward()
    assert x.grad.dtype == dtype


def test_tangents_and_cotangents_of_another_device_are_refused() -> None:
    x, there = ag.ones(2), ag.ones(2, device="numpy")
    with pytest.raises(ag.DeviceError, match="jvp: .*on cpu, .*on numpy"):
        ag.jvp(ag.exp, (x,), (there,))
    with pytest.raises(ag.DeviceError, match="vjp: .*on cpu, .*on numpy"):
        ag.vjp(ag.exp, x)[1](there)
    with pytest.raises(ag.DeviceError, match="backward: .*on cpu, .*on numpy"):
        (ag.ones(2).requires_grad_() * 1.0).backward(there)


def test_transforms_stay_on_the_device_of_their_arguments() -> None:
    x = ag.tensor([1.0, 2.0], device="numpy")
    results = [
        *ag.value_and_grad(lambda x: (x * x).sum())(x),
        *ag.jvp(ag.exp, (x,), (x,)),
        ag.grad(lambda x: ag.zeros((), device="numpy"))(x),
        ag.jacrev(ag.exp)(x),
        ag.jacfwd(ag.exp)(x),
        ag.hessian(lambda x: (x**3).sum())(x),
        *ag.vjp(ag.exp, x)[1](np.ones(2)),
    ]
    assert {str(r.device) for r in results} == {"numpy"}

"""Higher derivatives where the first is a convention, and slopes where a formula changes or its parts are too large.

At the points of ``test_difficult_points`` a function has no derivative but the one that its documentation states. What
follows from that statement for the next order, and at the limits between two formulas, is tested here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from engine_tools import f64

import autograd_core as ag
from autograd_core import linalg, special
from autograd_core.nn import functional as F
from autograd_core.ops.normalization import moving_average_p
from autograd_core.primitive import bind

CONES: list[tuple[str, Callable[[ag.Tensor], ag.Tensor], list[float]]] = [
    ("hypot", lambda x: ag.hypot(x[0], x[1]), [0.0, 0.0]),
    ("atan2", lambda x: ag.atan2(x[0], x[1]), [0.0, 0.0]),
    ("vector_norm", linalg.vector_norm, [0.0, 0.0, 0.0]),
    ("vector_norm of some", lambda x: linalg.vector_norm(x.reshape((2, 2)), axis=1)[1], [3.0, 4.0, 0.0, 0.0]),
    ("std", ag.std, [7.0, 7.0, 7.0]),
]


@pytest.mark.parametrize(("f", "x"), [case[1:] for case in CONES], ids=[case[0] for case in CONES])
def test_at_the_tip_of_a_cone_all_derivatives_are_0(f: Callable, x: list[float]) -> None:
    """The one at which nothing moves is chosen of the slopes there, as for abs: then nothing moves it, either."""
    np.testing.assert_array_equal(ag.grad(f)(f64(x)).numpy(), np.zeros(len(x)))
    np.testing.assert_array_equal(ag.hessian(f)(f64(x)).numpy(), np.zeros((len(x), len(x))))


@pytest.mark.parametrize(("dtype", "far"), [("float64", 1e200), ("float32", 1e25)])
def test_the_slope_of_an_angle_is_right_where_squares_are_not(dtype: str, far: float) -> None:
    for r in np.array([far, 1 / far], dtype):
        x1, x2 = (ag.tensor(r * np.array(x, dtype)) for x in ([3.0, 0.0, 1.0], [4.0, 1.0, 0.0]))
        by_x1, by_x2 = ag.grad(lambda a, b: ag.atan2(a, b).sum(), argnums=(0, 1))(x1, x2)
        np.testing.assert_allclose(by_x1.numpy() * r, [0.16, 1.0, 0.0], rtol=1e-6)
        np.testing.assert_allclose(by_x2.numpy() * r, [-0.12, 0.0, -1.0], rtol=1e-6)


def test_mish_is_x_to_within_rounding_however_large_x_is() -> None:
    x = f64([20.0, 25.0, 1e3, 1e10, 1e17, 1e300])
    slope = ag.grad(lambda x: F.mish(x).sum())
    np.testing.assert_allclose(slope(x).numpy(), np.ones(6), rtol=1e-15)
    np.testing.assert_allclose(ag.grad(lambda x: slope(x).sum())(x).numpy(), np.zeros(6), atol=1e-15)


def test_the_curvature_of_huber_is_even() -> None:
    def loss(x: ag.Tensor) -> ag.Tensor:
        return F.huber_loss(x, ag.zeros(x.shape, dtype=x.dtype), reduction="sum", delta=0.5)

    curvature = ag.grad(lambda x: ag.grad(loss)(x).sum())(f64([-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])).numpy()
    np.testing.assert_array_equal(curvature, curvature[::-1])
    np.testing.assert_array_equal(curvature[[0, 2]], [0.0, 1.0])


# ------------------------------------------------------------------------------- where a formula changes


def erfcx_series(x: float, order: int) -> float:
    """A derivative of erfcx at large x, from 1 / (sqrt(pi) x) sum_k (-1)^k (2k - 1)!! / (2 x^2)^k."""
    terms = []
    for k in range(9):
        power, factor = 2 * k + 1, math.prod(range(1, 2 * k, 2)) / (-2.0) ** k
        slope = math.prod(-(power + i) for i in range(order))
        terms.append(factor * slope / x ** (power + order))
    return math.fsum(terms) / math.sqrt(math.pi)


def test_the_slope_of_erfcx_keeps_its_digits() -> None:
    x = [50.5, 51.0, 60.0, 1e3, 1e8]
    slope = ag.grad(lambda x: special.erfcx(x).sum())(f64(x)).numpy()
    np.testing.assert_allclose(slope, [erfcx_series(v, 1) for v in x], rtol=2e-14)


def test_derivatives_of_erfcx_at_the_limit_between_its_formulas() -> None:
    slope = ag.grad(lambda x: special.erfcx(x).sum())
    curvature = ag.grad(lambda x: slope(x).sum())
    x = [49.9, 50.0, 50.1]
    np.testing.assert_allclose(slope(f64(x)).numpy(), [erfcx_series(v, 1) for v in x], rtol=1e-10)
    np.testing.assert_allclose(curvature(f64(x)).numpy(), [erfcx_series(v, 2) for v in x], rtol=1e-6)


def test_the_series_of_erfcx_is_not_looked_at_where_it_is_infinite() -> None:
    slope = ag.grad(lambda x: special.erfcx(x).sum())
    curvature = ag.grad(lambda x: slope(x).sum())
    third = ag.grad(lambda x: curvature(x).sum())
    c = 2 / math.sqrt(math.pi)
    for derivative, expected in ((slope, -c), (curvature, 2.0), (third, -4 * c)):
        np.testing.assert_allclose(derivative(f64([0.0])).numpy(), [expected], rtol=1e-14)


# ------------------------------------------------------------------------------- matrices and their stacks


@pytest.mark.parametrize("lead", [(3,), (3, 5), (2, 3, 5)])
def test_one_matrix_is_solved_for_a_stack_of_any_axes(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    a, b, g = rng.standard_normal((2, 2)), *(rng.standard_normal((*lead, 2, 4)) for _ in range(2))
    np.testing.assert_allclose(linalg.solve(f64(a), f64(b)).numpy(), np.linalg.inv(a) @ b, rtol=1e-12)
    _, pull = ag.vjp(linalg.solve, f64(a), f64(b))
    np.testing.assert_allclose(pull(f64(g))[1].numpy(), np.linalg.inv(a).T @ g, rtol=1e-12)


def complex_matrix(m: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, n)) + 1j * rng.standard_normal((m, n))


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_what_little_a_cotangent_says_of_phases_is_dropped(shape: tuple[int, int]) -> None:
    """u_k and v_k may turn together by any phase: cotangents along that turn are no change of u s v^H."""
    x = ag.tensor(complex_matrix(*shape))
    (u, s, vh), pull = ag.vjp(lambda x: tuple(linalg.svd(x, full_matrices=False)), x)
    u, vh = u.numpy(), vh.numpy()
    rng = np.random.default_rng(1)
    # of functions of the moduli, which phases do not change
    gu, gs, gvh = u * rng.standard_normal(u.shape), rng.standard_normal(s.shape), vh * rng.standard_normal(vh.shape)
    turns = 1e-5 * rng.standard_normal(3)
    turned = gu + 1j * u * turns, gs, gvh - 1j * turns[:, None] * vh
    (expected,), (found,) = (pull(tuple(ag.tensor(g) for g in gs)) for gs in ((gu, gs, gvh), turned))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_of_a_singular_value_0_have_a_derivative(side: str) -> None:
    """The projector on the null space is 1 minus that on the rest, of which all singular values are far from 0."""
    x = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 2.0]) + np.outer([0.0, 1.0, 1.0], [1.0, 1.0, 0.0])
    weights = f64(np.random.default_rng(0).standard_normal((3, 3)))

    def projected(x: ag.Tensor, columns: slice) -> ag.Tensor:
        u, _, vh = linalg.svd(x)
        vectors = u[:, columns] if side == "left" else vh[columns].mT
        return (weights * (vectors @ vectors.mT)).sum()

    null, rest = (ag.grad(lambda x, c=c: projected(x, c))(f64(x)).numpy() for c in (slice(2, 3), slice(0, 2)))
    assert np.abs(rest).max() > 0.01
    np.testing.assert_allclose(null, -rest, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------- vmap under vmap


@pytest.mark.parametrize("own", [True, False], ids=["momenta", "one-momentum"])
@pytest.mark.parametrize("shape", [(), (4,), (4, 2)])
def test_moving_averages_move_under_two_vmaps(shape: tuple[int, ...], own: bool) -> None:
    rng = np.random.default_rng(0)
    running, value = (rng.standard_normal((2, 3, *shape)) for _ in range(2))
    momentum = rng.random((2, 3)) if own else np.array(0.3)

    def move(running: ag.Tensor, value: ag.Tensor, momentum: ag.Tensor) -> ag.Tensor:
        return bind(moving_average_p, (running, value, momentum), {"scale": 1.5})

    axes = (0, 0, 0 if own else None)
    found = ag.vmap(ag.vmap(move, in_axes=axes), in_axes=axes)(f64(running), f64(value), f64(momentum))
    factor = momentum.reshape((*momentum.shape, *[1] * len(shape)))
    np.testing.assert_allclose(found.numpy(), running + (1.5 * value - running) * factor, rtol=1e-12)

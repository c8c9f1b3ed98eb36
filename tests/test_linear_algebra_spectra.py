"""Eigenvalues, singular values and norms where they are hard: repeated values, missing rank, arbitrary phases."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import linalg

RNG = np.random.default_rng(0)


def gradient(f, x) -> np.ndarray:
    return ag.grad(f)(ag.asarray(x)).numpy()


def complex_matrix(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


def weights(*shape: int) -> ag.Tensor:
    return ag.asarray(np.random.default_rng(1).standard_normal(shape))


# ------------------------------------------------------------------------------------------- repeated values


def test_symmetric_functions_of_repeated_eigenvalues_have_their_gradient():
    x = np.eye(3) * 2
    np.testing.assert_allclose(gradient(lambda x: linalg.eigvalsh(x).sum(), x), np.eye(3), atol=1e-14)
    np.testing.assert_allclose(gradient(lambda x: (linalg.eigvalsh(x) ** 3).sum(), x), 12 * np.eye(3), atol=1e-13)
    np.testing.assert_allclose(gradient(lambda x: linalg.eigh(x)[0].sum(), x), np.eye(3), atol=1e-14)
    np.testing.assert_allclose(gradient(lambda x: ag.real(linalg.eigvals(x) ** 3).sum(), x), 12 * np.eye(3), atol=1e-13)


@pytest.mark.parametrize("f", [lambda x: linalg.eigh(x)[1], lambda x: linalg.svd(x)[0], lambda x: linalg.svd(x)[2]])
def test_vectors_of_repeated_values_have_no_derivative(f):
    """Nothing finite is made up: the answer is infinite or NaN."""
    g = gradient(lambda x: (weights(3, 3) * f(x)).sum(), np.eye(3) * 2)
    assert not np.isfinite(g).all()


def test_eigenvectors_of_a_general_matrix_with_repeated_eigenvalues_have_no_derivative():
    g = gradient(lambda x: (weights(3, 3) * ag.abs(linalg.eig(x)[1] + 1)).sum(), np.eye(3))
    assert not np.isfinite(g).all()


def test_a_defective_matrix_has_no_derivative_of_its_eigenvalues():
    g = gradient(lambda x: ag.real(linalg.eigvals(x) * ag.tensor([1.0, 2.0])).sum(), np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert not np.isfinite(g).all() or np.abs(g).max() > 1e100


def test_second_derivatives_of_distinct_eigenvalues_and_of_repeated_ones():
    def largest(x):
        return linalg.eigvalsh((x + x.mT) / 2)[-1]

    found = ag.hessian(largest)(ag.asarray(np.diag([1.0, 3.0]))).numpy()
    # d2 w = 2 |v_j^T dx v_i|^2 / (w_i - w_j), dx01 = dx10 = (t01 + t10) / 2
    np.testing.assert_allclose(found[0, 1], [[0, 0.25], [0.25, 0]], atol=1e-14)
    assert not np.isfinite(ag.hessian(largest)(ag.eye(2, dtype="float64")).numpy()).all()


def test_symmetric_functions_of_repeated_singular_values_have_their_gradient():
    x = np.diag([2.0, -2.0])
    np.testing.assert_allclose(gradient(lambda x: (linalg.svdvals(x) ** 2).sum(), x), 2 * x, atol=1e-14)
    np.testing.assert_allclose(gradient(lambda x: linalg.svd(x)[1].sum(), x), np.diag([1.0, -1.0]), atol=1e-14)


def test_the_gradient_of_an_eigenvalue_knows_the_lower_triangle_is_read():
    x = np.array([[1.0, 99.0], [0.5, 3.0]])
    g = gradient(lambda x: linalg.eigvalsh(x)[0], x)
    np.testing.assert_allclose(g, gradient(lambda x: linalg.eigvalsh(x)[0], np.array([[1.0, 0.5], [0.5, 3.0]])))
    np.testing.assert_allclose(g, g.T)


@pytest.mark.parametrize("f", [linalg.cholesky, lambda x: linalg.eigh(x)[0], linalg.eigvalsh])
def test_gradients_of_functions_of_hermitian_matrices_are_hermitian(f):
    x = complex_matrix(3, 3)
    x = x @ x.conj().T + np.eye(3)
    y, pull = ag.vjp(f, ag.asarray(x))
    (g,) = pull(ag.asarray(complex_matrix(*y.shape) if y.dtype.kind == "c" else weights(*y.shape)))
    np.testing.assert_allclose(g.numpy(), g.numpy().conj().T, atol=1e-14)


def test_gradients_of_functions_of_symmetric_matrices_are_symmetric():
    x = RNG.standard_normal((3, 3))
    g = gradient(lambda x: (weights(3, 3) * linalg.eigh(x)[1]).sum(), x + x.T)
    np.testing.assert_allclose(g, g.T, atol=1e-14)


@pytest.mark.parametrize("f", [linalg.eigh, linalg.eig])
def test_tangents_of_eigenvectors_turn_as_little_as_they_can(f):
    x, t = complex_matrix(3, 3), complex_matrix(3, 3)
    (_, v), (_, dv) = ag.jvp(f, (ag.asarray(x + x.conj().T),), (ag.asarray(t + t.conj().T),))
    np.testing.assert_allclose(np.diagonal(v.numpy().conj().T @ dv.numpy()), 0, atol=1e-13)


# ------------------------------------------------------------------------------------------- missing rank


def test_columns_that_depend_on_each_other_have_no_derivative_of_qr():
    x = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]])
    g = gradient(lambda x: (weights(3, 2) * linalg.qr(x)[0]).sum(), x)
    assert not np.isfinite(g).all() or np.abs(g).max() > 1e10


def test_a_singular_matrix_has_no_derivative_of_lu():
    g = gradient(lambda x: (weights(2, 2) * linalg.lu(x)[1]).sum(), np.zeros((2, 2)))
    assert not np.isfinite(g).all()


def test_singular_values_of_zero_get_no_gradient():
    np.testing.assert_array_equal(gradient(lambda x: linalg.svdvals(x).sum(), np.zeros((3, 2))), 0)
    g = gradient(lambda x: linalg.svdvals(x).sum(), np.diag([2.0, 0.0]))
    np.testing.assert_allclose(g, np.diag([1.0, 0.0]), atol=1e-15)


def test_singular_vectors_beside_a_value_of_zero():
    """Where vectors move by 1 / s, nothing finite is made up; what does not ask for them stays finite."""
    x = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert not np.isfinite(gradient(lambda x: (weights(3, 2) * linalg.svd(x, full_matrices=False)[0]).sum(), x)).all()
    np.testing.assert_array_equal(
        gradient(lambda x: linalg.svd(x, full_matrices=False)[1][0], x), [[1, 0], [0, 0], [0, 0]]
    )


def test_the_pseudo_inverse_among_matrices_of_one_rank():
    """x+ of a x+ b = x+ / a for a number a: the derivative along x is -x+, although the rank is not full."""
    x = RNG.standard_normal((4, 2)) @ RNG.standard_normal((2, 3))
    y, t = ag.jvp(lambda x: linalg.pinv(x, rtol=1e-10), (ag.asarray(x),), (ag.asarray(x),))
    np.testing.assert_allclose(t.numpy(), -y.numpy(), atol=1e-12)


def test_rank_and_inverse_count_singular_values_up_to_rtol_as_zero():
    x = np.diag([1e4, 1e1])
    np.testing.assert_allclose(linalg.pinv(x).numpy(), np.diag([1e-4, 1e-1]))
    np.testing.assert_allclose(linalg.pinv(x, rtol=1e-2).numpy(), np.diag([1e-4, 0.0]))
    assert linalg.matrix_rank(x).item() == 2
    assert linalg.matrix_rank(x, rtol=1e-2).item() == 1
    tolerances = ag.asarray([1e-2, 1e-4])
    np.testing.assert_array_equal(linalg.matrix_rank(np.stack([x, x]), rtol=tolerances).numpy(), [1, 2])
    np.testing.assert_allclose(linalg.pinv(np.stack([x, x]), rtol=tolerances).numpy()[:, 1, 1], [0, 1e-1])


@pytest.mark.parametrize(("dtype", "eps"), [("float64", 2.0**-52), ("float32", 2.0**-23), ("bfloat16", 2.0**-7)])
def test_by_default_rtol_is_the_rounding_of_so_many_numbers(dtype, eps):
    x = ag.asarray(np.stack([np.diag([8.0, 8 * n * eps]) for n in (1, 3, 5)])).astype(dtype)
    np.testing.assert_array_equal(linalg.matrix_rank(x).numpy(), [1, 2, 2])
    wide = ag.concat([x, x * 0], axis=-1)
    np.testing.assert_array_equal(linalg.matrix_rank(wide).numpy(), [1, 1, 2])


@pytest.mark.parametrize("shape", [(4, 6, 6), (4, 8, 5), (4, 5, 8)])
def test_elimination_takes_the_largest_pivots(shape):
    x = RNG.standard_normal(shape)
    p, lower, upper = (y.numpy() for y in linalg.lu(x))
    np.testing.assert_allclose(p @ lower @ upper, x, atol=1e-13)
    assert np.abs(lower).max() <= 1 + 1e-12
    np.testing.assert_array_equal(np.triu(upper), upper)


def test_least_squares_without_full_rank_are_the_shortest():
    a, b = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([1.0, 3.0])
    found = linalg.lstsq(a, b)
    np.testing.assert_allclose(found.solution.numpy(), [1.0, 1.0])
    np.testing.assert_allclose(found.residuals.item(), 2.0)
    assert found.rank.item() == 1
    assert linalg.lstsq(100 * np.diag([1.0, 1e-3]), b, rcond=1e-2).rank.item() == 1
    np.testing.assert_allclose(found.singular_values.numpy(), [2.0, 0.0], atol=1e-15)


# ------------------------------------------------------------------------------------------- what is arbitrary


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: linalg.eigh(x)[1], "eigh: .*phases of complex eigenvectors.*abs"),
        (lambda x: linalg.eig(x)[1], "eig: .*phases of complex eigenvectors"),
        (lambda x: linalg.svd(x)[0], "svd: .*phases of complex singular vectors"),
        (lambda x: linalg.svd(x)[2], "svd: .*phases of complex singular vectors"),
    ],
)
def test_the_phase_of_a_complex_vector_has_no_derivative(f, message):
    x = complex_matrix(3, 3)
    x = x + x.conj().T
    with pytest.raises(ag.GradientError, match=message):
        gradient(lambda x: ag.real(weights(3, 3) * f(x)).sum(), x)
    assert np.isfinite(gradient(lambda x: (weights(3, 3) * ag.abs(f(x))).sum(), x)).all()


@pytest.mark.parametrize(
    "f", [lambda x: linalg.qr(x, mode="complete")[0], lambda x: linalg.svd(x)[0], lambda x: linalg.svd(x.mT)[2].mT]
)
def test_columns_that_complete_a_basis_have_a_derivative_as_a_span_alone(f):
    x = RNG.standard_normal((4, 2))
    with pytest.raises(ag.GradientError, match="more than the span.*mode='reduced'"):
        gradient(lambda x: (weights(4, 4) * f(x)).sum(), x)

    def projected(x):
        rest = f(x)[:, 2:]
        return (weights(4, 4) * (rest @ rest.mT)).sum()

    # the projector on the span is 1 - x x+
    expected = gradient(lambda x: -(weights(4, 4) * (x @ linalg.pinv(x))).sum(), x)
    np.testing.assert_allclose(gradient(projected, x), expected, atol=1e-12)


def test_complete_bases_are_bases():
    for x in (RNG.standard_normal((2, 4, 2)), complex_matrix(2, 4, 2)):
        q, r = (y.numpy() for y in linalg.qr(x, mode="complete"))
        np.testing.assert_allclose(q @ r, x, atol=1e-12)
        np.testing.assert_allclose(q.conj().mT @ q, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-12)
        u, s, vh = (y.numpy() for y in linalg.svd(x))
        np.testing.assert_allclose(u.conj().mT @ u, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-12)
        np.testing.assert_allclose(u[..., :2] * s[:, None] @ vh, x, atol=1e-12)


# ------------------------------------------------------------------------------------------- norms


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, 2, np.inf, -1, -2, -np.inf])
def test_the_gradient_of_a_matrix_norm_at_zero_is_zero(ord):
    np.testing.assert_array_equal(gradient(lambda x: linalg.matrix_norm(x, ord=ord), np.zeros((2, 3))), 0)


@pytest.mark.parametrize("ord", [1, 2, 3, np.inf])
def test_the_gradient_of_a_complex_norm_at_zero_is_zero(ord):
    g = gradient(lambda x: linalg.vector_norm(x, ord=ord), np.zeros(3, np.complex128))
    np.testing.assert_array_equal(g, 0)


def test_ties_of_a_matrix_norm_are_shared():
    np.testing.assert_array_equal(gradient(lambda x: linalg.matrix_norm(x, ord=1), np.eye(2)), np.eye(2) / 2)
    g = gradient(lambda x: linalg.matrix_norm(x, ord=2), np.eye(2))
    np.testing.assert_allclose(g, np.eye(2) / 2, atol=1e-15)


def test_norm_takes_vectors_and_matrices_apart():
    x = np.array([[3.0, 0.0], [4.0, -1.0]])
    for ord in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        np.testing.assert_allclose(linalg.norm(x, ord).numpy(), np.linalg.norm(x, ord))
    for ord in (None, 0, 1, 2, 3, np.inf):
        np.testing.assert_allclose(linalg.norm(x, ord, axis=0).numpy(), np.linalg.norm(x, ord, axis=0))
    np.testing.assert_allclose(linalg.norm(x[None, None]).item(), np.sqrt(26))
    np.testing.assert_allclose(linalg.norm(x[:, 0], 3).item(), 91 ** (1 / 3))


@pytest.mark.parametrize("ord", [0.5, 1, 1.5, 2, 3, np.inf])
def test_norms_of_zeros_are_zero(ord):
    np.testing.assert_array_equal(linalg.vector_norm(np.zeros((2, 3)), axis=1, ord=ord).numpy(), [0, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: linalg.norm(x, "fro", axis=0), ag.ArgumentError, "give axis two axes, got 0"),
        (lambda x: linalg.norm(x, 2, axis=(0, 1, 2)), ag.ArgumentError, "int, two ints or None"),
        (lambda x: linalg.norm(x, 3), ag.ArgumentError, "'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got 3"),
        (lambda x: linalg.norm(x[None], 2), ag.ShapeError, r"shape \(1, 2, 2\) needs axis"),
        (lambda x: linalg.norm(x, 2, axis=(1, -1)), ag.ShapeError, "names an axis twice"),
        (lambda x: linalg.matrix_norm(x, ord="l2"), ag.ArgumentError, "got 'l2'"),
        (lambda x: linalg.vector_norm(x, ord="fro"), ag.ArgumentError, r"ag\.linalg\.matrix_norm"),
        (lambda x: linalg.cond(x[:0]), ag.ShapeError, "no condition number"),
        (lambda x: linalg.cond(x[:, :0]), ag.ShapeError, "no condition number"),
        (lambda x: linalg.cond(x[:1], 1), ag.ShapeError, "takes square matrices"),
    ],
)
def test_norms_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call(ag.ones((2, 2)))


@pytest.mark.parametrize("p", [None, 2, "fro", "nuc", 1, np.inf])
def test_the_condition_of_a_singular_matrix_is_infinite(p):
    found = linalg.cond(np.stack([np.diag([1.0, 0.0]), np.diag([1.0, 1.0])]), p).numpy()
    assert np.isinf(found[0])
    assert np.isfinite(found[1])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_phases_are_refused_relative_to_the_cotangent(scale):
    x = np.random.default_rng(2).standard_normal((2, 3, 3)) @ [[[1, 1j, 0], [0, 2, 1], [1j, 0, 3]]]
    with pytest.raises(ag.GradientError, match="phases"):
        gradient(lambda x: ag.real(linalg.svd(x).U).sum() * scale, x)
    w = weights(2, 3, 3)
    found = gradient(lambda x: (ag.abs(linalg.svd(x).U) * w).sum() * scale, x)
    np.testing.assert_allclose(found / scale, gradient(lambda x: (ag.abs(linalg.svd(x).U) * w).sum(), x), rtol=1e-6)

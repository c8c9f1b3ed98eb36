"""Linear equations and determinants where they are hard: singular matrices, no elements, shapes that do not fit."""

from __future__ import annotations

import inspect
from itertools import pairwise

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import linalg


def zeros(*shape: int) -> ag.Tensor:
    return ag.zeros(shape)


def stack_with_singular(index: tuple[int, ...], shape: tuple[int, ...] = (2, 3)) -> ag.Tensor:
    x = np.broadcast_to(np.eye(2), (*shape, 2, 2)).copy()
    x[index] = [[1, 2], [2, 4]]
    return ag.asarray(x)


def gradient(f, x) -> np.ndarray:
    return ag.grad(lambda x: f(x).sum())(ag.asarray(x)).numpy()


# ------------------------------------------------------------------------------------------- the interface

# as the array API standard 2024.12 has them
SIGNATURES = {
    "cholesky": "x, /, *, upper",
    "cross": "x1, x2, /, *, axis",
    "det": "x, /",
    "diagonal": "x, /, *, offset",
    "eigh": "x, /",
    "eigvalsh": "x, /",
    "inv": "x, /",
    "matmul": "x1, x2, /",
    "matrix_norm": "x, /, *, keepdims, ord",
    "matrix_power": "x, n, /",
    "matrix_rank": "x, /, *, rtol",
    "matrix_transpose": "x, /",
    "outer": "x1, x2, /",
    "pinv": "x, /, *, rtol",
    "qr": "x, /, *, mode",
    "slogdet": "x, /",
    "solve": "x1, x2, /",
    "svd": "x, /, *, full_matrices",
    "svdvals": "x, /",
    "tensordot": "x1, x2, /, *, axes",
    "trace": "x, /, *, offset, dtype",
    "vecdot": "x1, x2, /, *, axis",
    "vector_norm": "x, /, *, axis, keepdims, ord",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_standard(name):
    given = inspect.signature(getattr(linalg, name)).parameters.values()
    words, kind = [], None
    for p in given:
        if kind is inspect.Parameter.POSITIONAL_ONLY and p.kind is not kind:
            words.append("/")
        if p.kind is inspect.Parameter.KEYWORD_ONLY and kind is not p.kind:
            words.append("*")
        words.append(p.name)
        kind = p.kind
    if kind is inspect.Parameter.POSITIONAL_ONLY:
        words.append("/")
    assert ", ".join(words) == SIGNATURES[name]


def test_results_have_the_names_of_the_standard():
    x = ag.eye(2)
    assert linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert linalg.qr(x)._fields == ("Q", "R")
    assert linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert linalg.svd(x)._fields == ("U", "S", "Vh")


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("f", [linalg.inv, lambda x: linalg.solve(x, ag.ones((2, 1), dtype="float64"))])
def test_a_singular_matrix_is_named(f):
    with pytest.raises(ag.LinAlgError, match=r"matrix \[1, 2\] of the stack \(2, 3, 2, 2\) is singular.*linalg\.pinv"):
        f(stack_with_singular((1, 2)))
    with pytest.raises(np.linalg.LinAlgError, match=r"the matrix of shape \(2, 2\) is singular"):
        f(stack_with_singular((), ()))


def test_a_matrix_that_is_not_positive_definite_is_named():
    x = ag.asarray(np.stack([np.eye(2), -np.eye(2)]))
    with pytest.raises(ag.LinAlgError, match=r"cholesky: matrix \[1\] of the stack \(2, 2, 2\) is not positive def"):
        linalg.cholesky(x)


@pytest.mark.parametrize("name", ["eig", "eigvals", "svd", "svdvals", "pinv"])
def test_a_matrix_with_nan_is_named(name):
    x = ag.asarray(np.stack([np.eye(2), np.full((2, 2), np.nan)]))
    with pytest.raises(ag.LinAlgError, match=rf"^{name}: matrix \[1\] of the stack \(2, 2, 2\) has no .*NaN"):
        getattr(linalg, name)(x)


def test_eigenvalues_of_a_symmetric_matrix_with_nan_are_nan():
    x = np.stack([np.eye(2), np.full((2, 2), np.nan)])
    for w in (linalg.eigvalsh(x).numpy(), linalg.eigh(x).eigenvalues.numpy()):
        np.testing.assert_array_equal(w, [[1, 1], [np.nan, np.nan]])


@pytest.mark.parametrize(
    "name",
    ["cholesky", "det", "eigh", "eigvalsh", "eig", "eigvals", "inv", "slogdet", "logdet", "matrix_exp"],
)
def test_matrices_must_be_square(name):
    with pytest.raises(ag.ShapeError, match=rf"^{name}: takes square matrices \(..., n, n\), got shape \(4, 2, 3\)"):
        getattr(linalg, name)(zeros(4, 2, 3))
    with pytest.raises(ag.ShapeError, match=rf"^{name}: takes matrices.*got shape \(3,\)"):
        getattr(linalg, name)(zeros(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linalg.solve(zeros(2, 3), zeros(2)), ag.ShapeError, r"square matrices.*\(2, 3\)"),
        (lambda: linalg.solve(zeros(3, 3), zeros(2)), ag.ShapeError, "n is 3 in x1 and 2 in x2"),
        (lambda: linalg.solve(zeros(2, 3, 3), zeros(4, 3, 1)), ag.ShapeError, "leading axes"),
        (lambda: linalg.solve(zeros(3, 3), zeros()), ag.ShapeError, r"x2 is \(n,\) or \(..., n, k\)"),
        (
            lambda: linalg.solve_triangular(zeros(3, 3), zeros(3, 2), upper=True, left=False),
            ag.ShapeError,
            "axis -1 of B has length 2, A is .*left=False",
        ),
        (lambda: linalg.solve_triangular(zeros(2, 3, 3), zeros(4, 3, 1), upper=True), ag.ShapeError, "leading axes"),
        (lambda: linalg.solve_triangular(zeros(3, 2), zeros(3, 2), upper=True), ag.ShapeError, "square"),
        (lambda: linalg.cholesky_solve(zeros(3, 2), zeros(3, 2)), ag.ShapeError, "square"),
        (lambda: linalg.cholesky_solve(zeros(3, 2), zeros(3, 2), upper=True), ag.ShapeError, "square"),
        (lambda: linalg.lstsq(zeros(3, 2), zeros(2)), ag.ShapeError, r"a is \(..., m, n\) and b \(m,\)"),
        (lambda: linalg.multi_dot([zeros(2, 3)]), ag.ArgumentError, "at least two arrays, got 1"),
        (lambda: linalg.multi_dot([zeros(2, 3), zeros(2, 3)]), ag.ShapeError, "3 columns meet 2 rows"),
        (lambda: linalg.multi_dot([zeros(2, 3), zeros(3), zeros(3, 2)]), ag.ShapeError, "vectors at the ends"),
        (lambda: linalg.cross(zeros(2, 3), zeros(2, 2)), ag.ShapeError, "length 3 along that axis"),
        (lambda: linalg.cross(zeros(3, 2), zeros(3), axis=0), ag.ShapeError, "write a negative axis"),
        (lambda: linalg.matrix_power(zeros(2, 2), 0.5), ag.ArgumentError, "n must be an int, got 0.5"),
        (lambda: linalg.matrix_power(zeros(2, 3), 1), ag.ShapeError, "square"),
        (lambda: linalg.qr(zeros(2, 2), mode="raw"), ag.ArgumentError, "'reduced', 'complete' or 'r', got 'raw'"),
        (lambda: linalg.tensorsolve(zeros(2, 3), zeros(3)), ag.ShapeError, "begins with the shape of b"),
        (lambda: linalg.tensorinv(zeros(2, 3)), ag.ShapeError, "hold 6 elements, the others 1"),
        (lambda: linalg.tensorinv(zeros(2, 2), ind=0), ag.ArgumentError, "ind must be positive"),
        (lambda: ag.inner(zeros(2, 3), zeros(2)), ag.ShapeError, "lengths 3 and 2"),
        (lambda: ag.vdot(zeros(2, 3), zeros(5)), ag.ShapeError, "6 elements meet 5"),
    ],
)
def test_arguments_that_do_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------------------------------- singular points


def test_a_zero_on_the_diagonal_of_a_triangle_is_infinite_in_its_example_alone():
    a = np.stack([np.diag([2.0, 0.0]), np.diag([2.0, 4.0])])
    for upper in (True, False):
        y = linalg.solve_triangular(ag.asarray(a), ag.ones((2, 1), dtype="float64"), upper=upper).numpy()
        assert np.isinf(y[0, 1, 0])
        np.testing.assert_array_equal(y[1, :, 0], [0.5, 0.25])


def test_the_other_triangles_of_a_stack_with_a_zero_on_a_diagonal_are_solved():
    rng = np.random.default_rng(0)
    a = np.triu(rng.standard_normal((3, 4, 4))) + 3 * np.eye(4)
    a[1, 2, 2] = 0
    b = rng.standard_normal((2, 1, 4, 2))
    y = linalg.solve_triangular(a, b, upper=True).numpy()
    np.testing.assert_allclose(y[:, ::2], np.linalg.solve(a[::2], b), atol=1e-14)
    assert not np.isfinite(y[:, 1, 2]).any()


@pytest.mark.parametrize("n", [16, 17, 50])
def test_triangles_of_any_size(n):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, n)) / n + np.eye(n), rng.standard_normal((n, 3))
    for upper, kept in ((True, np.triu(a)), (False, np.tril(a))):
        found = linalg.solve_triangular(a, b, upper=upper).numpy()
        np.testing.assert_allclose(kept @ found, b, atol=1e-12)


def test_the_gradient_of_a_determinant_of_any_rank():
    """d det = tr(adj(x) dx): of rank n - 1 an outer product, below that 0."""
    u, v = np.array([[1.0, 2.0, 2.0]]), np.array([[2.0, -1.0, 0.5]])
    np.testing.assert_allclose(gradient(linalg.det, u.T @ v), 0, atol=1e-14)
    x = np.diag([2.0, 3.0, 0.0])
    np.testing.assert_allclose(gradient(linalg.det, x), np.diag([0.0, 0.0, 6.0]), atol=1e-14)
    np.testing.assert_array_equal(gradient(linalg.det, np.zeros((2, 2))), 0)


def test_the_hessian_of_a_determinant_at_zero_is_that_of_its_polynomial():
    """det = x00 x11 - x01 x10, whatever x is."""
    found = ag.hessian(linalg.det)(ag.zeros((2, 2), dtype="float64")).numpy()
    expected = np.zeros((2, 2, 2, 2))
    expected[0, 0, 1, 1] = expected[1, 1, 0, 0] = 1
    expected[0, 1, 1, 0] = expected[1, 0, 0, 1] = -1
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_the_third_derivative_of_a_determinant_is_right_or_nan():
    def third(x):
        return ag.grad(lambda x: ag.grad(lambda x: ag.grad(lambda x: linalg.det(x).sum())(x)[0, 0])(x)[1, 1])(x)

    np.testing.assert_allclose(third(ag.asarray(np.eye(3) * 2)).numpy(), np.diag([0.0, 0.0, 1.0]), atol=1e-14)
    assert np.isnan(third(ag.zeros((3, 3), dtype="float64")).numpy()).any()


def test_slogdet_of_a_singular_matrix():
    x = ag.asarray(np.stack([np.eye(2), np.zeros((2, 2)), np.eye(2)]))
    sign, logarithm = linalg.slogdet(x)
    np.testing.assert_array_equal(sign.numpy(), [1, 0, 1])
    np.testing.assert_array_equal(logarithm.numpy(), [0, -np.inf, 0])
    g = gradient(lambda x: linalg.slogdet(x).logabsdet, x.numpy())
    np.testing.assert_array_equal(g[::2], [np.eye(2)] * 2)
    assert np.isnan(g[1]).all()
    chosen = gradient(lambda x: ag.where(linalg.det(x) != 0, linalg.slogdet(x).logabsdet, 0), x.numpy())
    np.testing.assert_array_equal(chosen, [np.eye(2), np.zeros((2, 2)), np.eye(2)])


def test_logdet_outside_its_domain():
    x = ag.asarray(np.stack([np.diag([1.0, -1.0]), np.diag([1.0, 0.0])]))
    np.testing.assert_array_equal(linalg.logdet(x).numpy(), [np.nan, -np.inf])


def test_a_determinant_beyond_the_range_of_floats_has_a_logarithm():
    x = np.eye(400) * 1e3
    assert np.isinf(linalg.det(x).item())
    np.testing.assert_allclose(linalg.slogdet(x).logabsdet.item(), 400 * np.log(1e3))


def test_powers_of_a_singular_matrix():
    x = np.zeros((3, 2, 2))
    np.testing.assert_array_equal(linalg.matrix_power(x, 0).numpy(), np.broadcast_to(np.eye(2), x.shape))
    with pytest.raises(ag.LinAlgError, match=r"matrix \[0\] of the stack \(3, 2, 2\) is singular"):
        linalg.matrix_power(x, -1)


def test_exponentials_of_a_stack_are_scaled_each_by_itself():
    x = np.stack([np.diag([300.0, -300.0]), np.diag([1e-300, 0.0]), np.full((2, 2), np.nan)])
    y = linalg.matrix_exp(x).numpy()
    np.testing.assert_allclose(y[0], np.diag(np.exp([300.0, -300.0])), rtol=1e-11)
    np.testing.assert_allclose(y[1], np.eye(2), atol=1e-15)
    assert np.isnan(y[2]).all()


# ------------------------------------------------------------------------------------------- no elements


@pytest.mark.parametrize(
    ("f", "shape", "expected"),
    [
        (linalg.det, (2, 0, 0), np.ones(2)),
        (lambda x: linalg.slogdet(x).sign, (0, 0), 1),
        (lambda x: linalg.slogdet(x).logabsdet, (0, 0), 0),
        (linalg.inv, (2, 0, 0), np.zeros((2, 0, 0))),
        (linalg.inv, (0, 2, 2), np.zeros((0, 2, 2))),
        (linalg.pinv, (2, 0, 3), np.zeros((2, 3, 0))),
        (linalg.matrix_rank, (2, 0, 3), np.zeros(2)),
        (linalg.svdvals, (2, 0, 3), np.zeros((2, 0))),
        (lambda x: linalg.svd(x).Vh, (0, 3), np.eye(3)),
        (lambda x: linalg.qr(x).R, (0, 3), np.zeros((0, 3))),
        (lambda x: linalg.qr(x, mode="complete").Q, (3, 0), np.eye(3)),
        (linalg.matrix_exp, (2, 0, 0), np.zeros((2, 0, 0))),
        (lambda x: linalg.matrix_power(x, 0), (0, 0), np.zeros((0, 0))),
        (linalg.eigvalsh, (2, 0, 0), np.zeros((2, 0))),
        (linalg.cholesky, (0, 0), np.zeros((0, 0))),
        (lambda x: linalg.solve(x, ag.zeros((0, 2), dtype="float64")), (0, 0), np.zeros((0, 2))),
        (lambda x: linalg.solve(ag.eye(2, dtype="float64"), x), (2, 0), np.zeros((2, 0))),
        (linalg.matrix_norm, (2, 0, 3), np.zeros(2)),
        (lambda x: linalg.matrix_norm(x, ord=2), (2, 0, 3), np.zeros(2)),
        (lambda x: linalg.matrix_norm(x, ord=1, keepdims=True), (0, 3), np.zeros((1, 1))),
        (lambda x: linalg.vector_norm(x, ord=np.inf), (0,), 0),
    ],
)
def test_matrices_without_elements(f, shape, expected):
    y = f(ag.zeros(shape, dtype="float64"))
    assert y.shape == np.shape(expected)
    np.testing.assert_array_equal(np.abs(y.numpy()), expected)
    if y.dtype.kind == "f":
        assert gradient(f, np.zeros(shape)).shape == shape


# ------------------------------------------------------------------------------------------- work and dtypes


def shapes_seen(monkeypatch, module, name) -> list[tuple]:
    seen, original = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda a, b: seen.append((a.shape, b.shape)) or original(a, b))
    return seen


def test_one_matrix_for_many_right_hand_sides_is_factored_once(monkeypatch):
    seen = shapes_seen(monkeypatch, np.linalg, "solve")
    a, b = ag.eye(3), ag.ones((5, 3, 2))
    linalg.solve(a, b)
    ag.vmap(linalg.solve, in_axes=(None, 0))(a, b)
    assert seen == [((3, 3), (3, 10))] * 2


def test_one_matrix_on_the_right_of_a_batch_is_one_product(monkeypatch):
    seen = shapes_seen(monkeypatch, np, "matmul")
    w = ag.ones((3, 4))
    for f in (ag.matmul, lambda x, w: linalg.matmul(x, w)):
        ag.vmap(f, in_axes=(0, None))(ag.ones((5, 2, 3)), w)
    assert seen == [((10, 3), (3, 4))] * 2


def test_the_cheapest_order_of_a_chain(monkeypatch):
    seen = shapes_seen(monkeypatch, np, "matmul")
    linalg.multi_dot([np.ones((50, 2)), np.ones((2, 50)), np.ones((50, 2))])
    assert seen == [((2, 50), (50, 2)), ((50, 2), (2, 2))]
    seen.clear()
    # the example of Cormen et al., section 15.2: 15125 multiplications at the least
    lengths = [30, 35, 15, 5, 10, 20, 25]
    linalg.multi_dot([np.ones(shape) for shape in pairwise(lengths)])
    assert sum(n * k * m for (n, k), (_, m) in seen) == 15125


@pytest.mark.parametrize(
    ("dtype", "real", "whole"),
    [
        ("float16", "float16", "complex64"),
        ("float32", "float32", "complex64"),
        ("float64", "float64", "complex128"),
        ("complex64", "float32", "complex64"),
        ("complex128", "float64", "complex128"),
        ("int64", "float32", "complex64"),
    ],
)
def test_dtypes_of_results(dtype, real, whole):
    x = ag.eye(2, dtype=dtype)
    own = "float32" if dtype == "int64" else dtype
    for f in (linalg.inv, linalg.det, linalg.cholesky, linalg.pinv, linalg.matrix_exp, lambda x: linalg.solve(x, x)):
        assert f(x).dtype == own
    assert [y.dtype for y in linalg.svd(x)] == [own, real, own]
    assert [y.dtype for y in linalg.eigh(x)] == [real, own]
    assert [y.dtype for y in linalg.slogdet(x)] == [own, real]
    assert [y.dtype for y in linalg.eig(x)] == [whole, whole]
    assert linalg.matrix_rank(x).dtype == "int64"
    for f in (linalg.matrix_norm, linalg.vector_norm, linalg.cond, linalg.norm):
        assert f(x).dtype == real


def test_the_third_derivative_of_a_determinant_is_multilinear_in_complex_directions():
    """Of 3x3 matrices it is the same everywhere: the sum of (-1)^(3 - |S|) det(sum of S) over subsets of directions."""
    rng = np.random.default_rng(0)
    x, a, b, c = rng.standard_normal((4, 2, 3, 3)) + 1j * rng.standard_normal((4, 2, 3, 3))
    weight = 0.7 - 0.4j

    def along(f, direction):
        return lambda x: ag.real(ag.sum(ag.conj(ag.grad(f)(x)) * ag.asarray(direction)))

    value = along(along(along(lambda x: ag.real(linalg.det(x) * weight).sum(), a), b), c)(ag.asarray(x)).item()
    subsets = [(s, [d for k, d in enumerate((a, b, c)) if s >> k & 1]) for s in range(1, 8)]
    expected = sum((-1) ** (3 - s.bit_count()) * np.linalg.det(sum(chosen)) for s, chosen in subsets)
    np.testing.assert_allclose(value, (expected * weight).real.sum(), rtol=1e-10)

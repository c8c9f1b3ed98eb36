"""scikit-learn and SciPy on tensors. Run by ``test_consumers`` in a process of its own, with SCIPY_ARRAY_API=1 set.

Every check computes the same with NumPy arrays and with tensors: results are tensors, and equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag

Asarray = Callable[[np.ndarray], Any]


def compare(compute: Callable[[Asarray], tuple[Any, ...]], tolerance: float = 1e-8) -> None:
    expected, found = compute(np.asarray), compute(ag.asarray)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, ag.Tensor)
        np.testing.assert_allclose(a.numpy(), b, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------------------ scikit-learn


@pytest.fixture
def iris():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.datasets import load_iris

    with sklearn.config_context(array_api_dispatch=True):
        yield load_iris(return_X_y=True)


@pytest.mark.parametrize("solver", ["full", "covariance_eigh"])
def test_pca(iris, solver):
    from sklearn.decomposition import PCA

    def compute(asarray):
        x = asarray(iris[0])
        model = PCA(n_components=2, svd_solver=solver).fit(x)
        return model.explained_variance_, abs(model.transform(x)), model.inverse_transform(model.transform(x))

    compare(compute)


def test_linear_discriminant_analysis(iris):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    def compute(asarray):
        x, y = map(asarray, iris)
        model = LinearDiscriminantAnalysis().fit(x, y)
        return model.coef_, model.predict(x), model.predict_proba(x)

    compare(compute)


def test_ridge(iris):
    from sklearn.linear_model import Ridge

    def compute(asarray):
        x, y = map(asarray, iris)
        model = Ridge(alpha=0.5, solver="svd").fit(x, y)
        return model.coef_, model.predict(x)

    compare(compute)


def test_logistic_regression(iris):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def compute(asarray):
        x, y = map(asarray, iris)
        scaled = StandardScaler().fit_transform(x)
        model = LogisticRegression(tol=1e-8, max_iter=500).fit(scaled, y)
        return scaled, model.coef_, model.predict(scaled)

    compare(compute, 1e-5)


def test_naive_bayes_scalers_and_kernels(iris):
    from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel
    from sklearn.naive_bayes import GaussianNB
    from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures

    def compute(asarray):
        x, y = map(asarray, iris)
        scaled = [scaler().fit_transform(x) for scaler in (MinMaxScaler, Normalizer, PolynomialFeatures)]
        return *scaled, GaussianNB().fit(x, y).predict_proba(x), rbf_kernel(x), cosine_similarity(x)

    compare(compute)


# ------------------------------------------------------------------------------------------ SciPy


@pytest.fixture
def x():
    pytest.importorskip("scipy")
    return np.random.default_rng(0).standard_normal((4, 6))


def test_scipy_special(x):
    from scipy import special

    compare(
        lambda asarray: (
            special.logsumexp(asarray(x), axis=1),
            special.softmax(asarray(x), axis=1),
            special.xlogy(asarray(abs(x)), asarray(abs(x))),
        )
    )


def test_scipy_statistics(x):
    from scipy import stats

    compare(
        lambda asarray: (
            stats.zscore(asarray(x), axis=1),
            stats.kurtosis(asarray(x), axis=1),
            *stats.ttest_ind(asarray(x[0]), asarray(x[1])),
        )
    )


def test_scipy_calculus(x):
    from scipy import differentiate, integrate
    from scipy.optimize import elementwise

    def compute(asarray):
        root = elementwise.find_root(lambda t: t**3 - 2, (asarray(np.zeros(2)), asarray(np.array([3.0, 4.0]))))
        slope = differentiate.derivative(lambda t: t**3, asarray(np.array([1.0, 2.0])))
        area = integrate.tanhsinh(lambda t: t * t, asarray(np.array(0.0)), asarray(np.array(1.0)))
        return integrate.trapezoid(asarray(x), axis=1), root.x, slope.df, area.integral

    compare(compute)


def test_scipy_filters_and_rotations(x):
    from scipy import ndimage, signal
    from scipy.spatial.transform import Rotation

    compare(
        lambda asarray: (
            signal.detrend(asarray(x), axis=1),
            ndimage.gaussian_filter(asarray(x), 1.0),
            Rotation.from_rotvec(asarray(x[:, :3])).as_matrix(),
        )
    )


def test_gradients_go_through_scipy(x):
    """Through functions that do not write into their arrays."""
    from scipy import integrate, special, stats

    for f in (special.softmax, stats.gmean, integrate.trapezoid, lambda x, axis: stats.moment(x, 3, axis=axis)):
        ag.check_grads(lambda x, f=f: f(x, axis=1), (abs(x) + 0.1,), order=2)

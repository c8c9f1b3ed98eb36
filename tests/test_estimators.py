"""The scikit-learn estimators: scikit-learn's own checks, and what they do beyond them."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators build on scikit-learn (extra: examples)")

from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, DataError, ShapeError
from autograd_core.estimators import NeuralNetClassifier, NeuralNetRegressor

SMALL = {"hidden_sizes": (16,), "lr": 0.02, "epochs": 20, "random_state": 0}


@parametrize_with_checks([NeuralNetClassifier(**SMALL), NeuralNetRegressor(**SMALL)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_blobs(90, centers=3, cluster_std=0.8, random_state=0)
    return X, np.array(["low", "middle", "high"])[y]


def line(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    X = np.linspace(-1, 1, n)[:, None]
    return X, 2 * X[:, 0] - 0.5


def weights(estimator: object) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in estimator.module_.state_dict().items()}


def same(one: object, other: object) -> bool:
    one, other = weights(one), weights(other)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_a_grid_search_over_a_pipeline(clouds):
    model = make_pipeline(StandardScaler(), NeuralNetClassifier(**SMALL))
    search = GridSearchCV(model, {"neuralnetclassifier__hidden_sizes": [(), (8,)]}, cv=2).fit(*clouds)
    assert search.best_score_ > 0.8
    assert cross_val_score(model, *clouds, cv=3).mean() > 0.8


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_generator_alone(clouds):
    before = ag.random.default_generator().state_dict()
    fitted = [NeuralNetClassifier(**SMALL | {"dropout": 0.2, "random_state": seed}).fit(*clouds) for seed in (3, 3, 4)]
    assert ag.random.default_generator().state_dict() == before
    assert same(fitted[0], fitted[1])
    assert not same(fitted[0], fitted[2])


def test_images_by_a_module_of_ones_own():
    X, y = load_digits(n_class=3, return_X_y=True)

    def build(features: int, classes: int) -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(72, classes),
        )

    sgd = functools.partial(optim.SGD, momentum=0.9)
    model = NeuralNetClassifier(build, optimizer=sgd, lr=0.1, epochs=3, dtype="float32", random_state=0)
    assert model.fit(X / 16, y).score(X / 16, y) > 0.95
    assert model.predict_proba(X[:2] / 16).dtype == np.float32


def test_a_module_is_copied_and_trained_on_from_its_weights():
    X, y = line()
    start = nn.Linear(1, 1).double()
    before = start.weight.numpy().copy()
    model = NeuralNetRegressor(start, lr=0.0, epochs=1).fit(X, y)
    assert np.array_equal(model.module_.weight.numpy(), before)
    model.set_params(lr=0.1).fit(X, y)
    assert not np.array_equal(model.module_.weight.numpy(), before)
    assert np.array_equal(start.weight.numpy(), before)


def test_early_stopping_holds_out_a_share_and_keeps_the_best_weights():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 20)), rng.integers(0, 2, 60)  # nothing to learn: the held-out loss rises
    model = NeuralNetClassifier(**SMALL | {"epochs": 60}, early_stopping=True, validation_fraction=0.25, patience=3)
    model.fit(X, y)
    assert model.n_iter_ == len(model.history_) < 60
    best, _ = model.history_.best("val_loss")
    assert model.n_iter_ == best + 1 + 3
    again = clone(model).set_params(epochs=best + 1).fit(X, y)
    assert same(model, again)


def test_compiled_training_learns_the_same(clouds):
    plain, compiled = (NeuralNetClassifier(**SMALL, compile=c).fit(*clouds) for c in (False, True))
    assert np.allclose(plain.predict_proba(clouds[0]), compiled.predict_proba(clouds[0]), atol=1e-6)


def test_balanced_classes_in_float32_count_as_repeated_samples():
    X, y = make_blobs(44, centers=2, cluster_std=4.0, random_state=1)
    rare = np.flatnonzero(y == 1)[:4]
    some = np.concatenate([np.flatnonzero(y == 0)[:12], rare])
    full = np.concatenate([np.flatnonzero(y == 0)[:12], rare, rare, rare])
    settings = SMALL | {"batch_size": None, "dtype": "float32"}
    balanced = NeuralNetClassifier(**settings, class_weight="balanced").fit(X[some], y[some])
    repeated = NeuralNetClassifier(**settings).fit(X[full], y[full])
    assert np.allclose(balanced.predict_proba(X), repeated.predict_proba(X), atol=1e-4)
    unweighted = NeuralNetClassifier(**settings).fit(X[some], y[some])
    assert not np.allclose(balanced.predict_proba(X), unweighted.predict_proba(X), atol=1e-2)
    assert balanced.history_["accuracy"][-1] == pytest.approx(repeated.history_["accuracy"][-1], abs=1e-6)


def test_weights_of_samples_in_a_regression_of_two_outputs():
    X, y = line(20)
    targets = np.stack([y, -y], axis=1)
    counts = np.arange(20) % 3
    settings = SMALL | {"batch_size": None}
    weighted = NeuralNetRegressor(**settings).fit(X, targets, sample_weight=counts)
    repeated = NeuralNetRegressor(**settings).fit(np.repeat(X, counts, axis=0), np.repeat(targets, counts, axis=0))
    assert weighted.predict(X).shape == (20, 2)
    assert np.allclose(weighted.predict(X), repeated.predict(X), atol=1e-10)


def test_partial_fit_goes_on_and_counts_epochs(clouds):
    X, y = clouds
    model = NeuralNetClassifier(**SMALL)
    for _ in range(20):
        model.partial_fit(X, y, classes=["high", "low", "middle"])
    assert (model.n_iter_, int(model.optimizer_.steps)) == (20, 40)
    assert model.score(X, y) > 0.8
    before = weights(model)
    model.partial_fit(X[:10], y[:10])
    assert not all(np.array_equal(before[name], value) for name, value in weights(model).items())


def test_a_pickled_estimator_predicts_the_same_and_learns_on_as_the_original(clouds):
    X, y = clouds
    model = NeuralNetClassifier(**SMALL | {"dropout": 0.1}).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert np.array_equal(model.predict_proba(X), copy.predict_proba(X))
    assert same(model.partial_fit(X, y), copy.partial_fit(X, y))


@pytest.mark.parametrize(
    ("change", "fit", "error", "message"),
    [
        (
            {},
            {"X": [[1.0, 2.0], [3.0, np.nan]]},
            DataError,
            r"Input X contains NaN at row 1, column 1\. Leave such rows",
        ),
        (
            {},
            {"X": [[1.0, np.inf], [np.inf, 0.0]]},
            DataError,
            "X contains infinity .* row 0, column 1; 2 values are not",
        ),
        ({}, {"y": [0.0, np.nan]}, DataError, "Input y contains NaN at row 1"),
        ({}, {"X": np.zeros((0, 2)), "y": []}, ValueError, "minimum of 1 is required|at least one"),
        ({}, {"sample_weight": [1.0, 2.0, 3.0]}, ShapeError, r"sample_weight needs one number a sample, shape \(2,\)"),
        ({}, {"sample_weight": [1.0, -2.0]}, DataError, "sample_weight is negative at row 1: -2"),
        ({}, {"sample_weight": [0.0, 0.0]}, ArgumentError, "zero for every sample"),
        ({"epochs": 0}, {}, ArgumentError, "NeuralNetRegressor: epochs must be an int of at least 1, got 0"),
        ({"batch_size": 2.5}, {}, ArgumentError, "batch_size must be an int"),
        ({"dropout": 1.0}, {}, ArgumentError, r"dropout must be a number in \[0, 1\)"),
        ({"weight_decay": -1}, {}, ArgumentError, "weight_decay must be a number"),
        ({"dtype": "float16"}, {}, ArgumentError, "dtype must be None, 'float32' or 'float64', got 'float16'"),
        ({"activation": "rleu"}, {}, ArgumentError, r"activation must be one of \['gelu', .*got 'rleu'"),
        (
            {"hidden_sizes": 100},
            {},
            ArgumentError,
            r"hidden_sizes must be a tuple of layer sizes, as in \(100,\), got 100",
        ),
        ({"hidden_sizes": (0,)}, {}, ArgumentError, r"hidden_sizes\[0\] must be an int of at least 1, got 0"),
        ({"hidden_sizes": (4.0,)}, {}, ArgumentError, r"hidden_sizes\[0\] must be an int of at least 1, got 4.0"),
        ({"activation": nn.ReLU()}, {}, ArgumentError, r"a function that makes a module, as nn.ELU does; got ReLU\(\)"),
        (
            {"optimizer": "adam"},
            {},
            ArgumentError,
            r"optimizer must be a class or function .*, such as optim.Adam, got '",
        ),
        (
            {"loss": "mse"},
            {},
            ArgumentError,
            "loss must be None or a function .* such as nn.functional.mse_loss, got 'm",
        ),
        ({"loss": nn.MSELoss}, {}, ArgumentError, "loss must be None or a function .*, got <class"),
        (
            {"loss": nn.MSELoss()},
            {"sample_weight": [1.0, 2.0]},
            ArgumentError,
            r"weighted samples need a loss that takes reduction='none', .* MSELoss\(.* takes \(input, target\)",
        ),
        ({}, {"sample_weight": -1}, DataError, "sample_weight must be finite and not negative, got -1"),
        ({}, {"sample_weight": np.nan}, DataError, "sample_weight must be finite and not negative, got nan"),
        (
            {"early_stopping": True, "validation_fraction": "a"},
            {},
            ArgumentError,
            "validation_fraction must lie between 0 and 1, got 'a'",
        ),
        ({"module": "mlp"}, {}, ArgumentError, "module must be None, a module, or a function"),
        ({"module": lambda i, o: None}, {}, ArgumentError, "2 features and 1 outputs, it returned NoneType"),
        (
            {"early_stopping": True, "validation_fraction": 1.5},
            {},
            ArgumentError,
            "validation_fraction must lie between",
        ),
    ],
)
def test_bad_input(change, fit, error, message):
    given = {"X": [[1.0, 2.0], [3.0, 4.0]], "y": [0.0, 1.0]} | fit
    with pytest.raises(error, match=message):
        NeuralNetRegressor(**SMALL | change).fit(**given)


def test_optimizers_without_decay_of_weights(clouds):
    X, y = clouds
    model = NeuralNetClassifier(**SMALL | {"optimizer": optim.Rprop, "batch_size": None}).fit(X, y)
    assert type(model.optimizer_) is optim.Rprop
    with pytest.raises(ArgumentError, match="NeuralNetClassifier: weight_decay=0.1, but Rprop takes no weight_decay"):
        NeuralNetClassifier(**SMALL | {"optimizer": optim.Rprop, "weight_decay": 0.1}).fit(X, y)
    with pytest.raises(ArgumentError, match=r"lr=.*, but <lambda> takes no lr: .* give a function \(parameters, lr="):
        NeuralNetRegressor(**SMALL | {"optimizer": lambda params: optim.SGD(params, lr=0.1)}).fit([[1.0]], [1.0])
    given: dict = {}

    def adam(params, **options):
        given.update(options)
        return optim.Adam(params, **options)

    NeuralNetRegressor(**SMALL | {"optimizer": adam, "lr": 0.5}).fit([[1.0]], [1.0])
    assert given == {"lr": 0.5, "weight_decay": 0.0}


def test_bad_input_of_the_classifier(clouds):
    X, y = clouds
    model = NeuralNetClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ArgumentError, match="classes must be passed on the first call to partial_fit"):
        model.partial_fit(X, y)
    with pytest.raises(ArgumentError, match="'balanced' needs all samples at once"):
        NeuralNetClassifier(class_weight="balanced").partial_fit(X, y, classes=np.unique(y))
    model.partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(
        DataError, match=r"label 'other' at row 1 is not one of the classes \['high', 'low', 'middle'\]"
    ):
        model.partial_fit(X[:2], ["low", "other"])
    with pytest.raises(DataError, match="Input X contains NaN at row 0, column 1"):
        model.predict([[0.0, np.nan]])
    for wrong, message in (
        ({"low": 3.0, "high": -1.0}, r"class_weight\['high'\] must be a number in \[0, inf\), got -1.0"),
        ({"low": np.nan}, r"class_weight\['low'\] must be a number"),
        ("even", "class_weight must be None, 'balanced' or a dict of classes and weights, got 'even'"),
        ([1.0, 2.0, 3.0], "class_weight must be None, 'balanced' or a dict"),
    ):
        with pytest.raises(ArgumentError, match=message):
            NeuralNetClassifier(**SMALL, class_weight=wrong).fit(X, y)
    with pytest.raises(
        DataError, match="early_stopping cannot hold out validation_fraction=0.01 of 90 samples: The test_s"
    ):
        NeuralNetClassifier(**SMALL, early_stopping=True, validation_fraction=0.01).fit(X, y)


def test_settings_of_numpy_are_settings(clouds):
    """Such as a grid search takes out of arrays."""
    settings = {
        "epochs": np.arange(1, 2),
        "lr": np.array([0.01], np.float32),
        "batch_size": np.array([16]),
        "dropout": np.array([0.25], np.float32),
        "weight_decay": np.array([0.5], np.float32),
        "hidden_sizes": [(np.int64(4),)],
    }
    search = GridSearchCV(NeuralNetClassifier(**SMALL), settings, cv=2, error_score="raise").fit(*clouds)
    plain = {name: x.item() if isinstance(x, np.generic) else x for name, x in search.best_params_.items()}
    assert same(search.best_estimator_, NeuralNetClassifier(**SMALL | plain).fit(*clouds))


def test_a_data_frame_keeps_its_names_and_any_index(clouds):
    pandas = pytest.importorskip("pandas", reason="statsmodels brings pandas (extra: examples)")
    X, y = clouds
    frame = pandas.DataFrame(X, columns=["height", "width"], index=range(7, 97))
    labels = pandas.Series(y, index=range(200, 290), dtype="category")
    weight = pandas.Series(np.linspace(0.5, 1.5, 90), index=range(300, 390))
    model = NeuralNetClassifier(**SMALL).fit(frame, labels, sample_weight=weight)
    assert same(model, NeuralNetClassifier(**SMALL).fit(X, y, sample_weight=weight.to_numpy()))
    assert model.feature_names_in_.tolist() == ["height", "width"]
    assert model.score(frame, labels) > 0.8
    with pytest.raises(DataError, match=r"X contains NaN at row 3, column 1 \('width'\)"):
        model.predict(frame.mask(np.arange(180).reshape(90, 2) == 7))


def test_an_estimator_with_a_schedule_is_pickled(clouds):
    model = NeuralNetClassifier(**SMALL | {"lr": optim.schedules.cosine(0.02, 50)}).fit(*clouds)
    copy = pickle.loads(pickle.dumps(clone(model).fit(*clouds)))  # noqa: S301 - our own bytes
    assert same(model, copy)


def test_without_scikit_learn_the_error_names_the_extra():
    program = "import sys; sys.modules['sklearn'] = None; import autograd_core.estimators"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingPackageError: autograd_core.estimators builds on scikit-learn" in done.stderr
    assert "pip install 'autograd-core[examples]'" in done.stderr

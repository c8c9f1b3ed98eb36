"""Metrics: equal to scikit-learn's, and the same inside compiled functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.nn import metrics
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import evaluate


def predictions(seed: int, n: int = 60, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels; the last class neither occurs nor is predicted, the one before is predicted only."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n, classes)).astype(np.float32)
    scores[:, -1] = -9.0
    return scores, rng.integers(0, classes - 2, n)


@pytest.mark.parametrize("seed", range(5))
def test_of_classes_as_scikit_learn(seed):
    theirs = pytest.importorskip("sklearn.metrics", reason="the judge is scikit-learn (extra: examples)")
    scores, labels = predictions(seed)
    predicted = scores.argmax(axis=1)
    matrix = metrics.confusion_matrix(scores, labels)
    assert np.array_equal(matrix.numpy(), theirs.confusion_matrix(labels, predicted, labels=range(6)))
    assert matrix.dtype == "int64"
    for average in ("macro", "micro", "weighted", None):
        options = {"average": average, "zero_division": 0.0} | ({"labels": range(6)} if average is None else {})
        for ours, reference in (
            (metrics.precision, theirs.precision_score),
            (metrics.recall, theirs.recall_score),
            (metrics.f1_score, theirs.f1_score),
        ):
            assert ours(matrix, average).numpy() == pytest.approx(reference(labels, predicted, **options), abs=1e-12)
    assert float(metrics.accuracy(scores, labels)) == pytest.approx(theirs.accuracy_score(labels, predicted))
    for k in (1, 2, 5):
        expected = theirs.top_k_accuracy_score(labels, scores, k=k, labels=range(6))
        assert float(metrics.top_k_accuracy(scores, labels, k)) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 4)])
def test_of_numbers_as_scikit_learn(shape):
    theirs = pytest.importorskip("sklearn.metrics", reason="the judge is scikit-learn (extra: examples)")
    rng = np.random.default_rng(0)
    found, wanted = rng.standard_normal((2, *shape))
    assert float(metrics.mean_absolute_error(found, wanted)) == pytest.approx(theirs.mean_absolute_error(wanted, found))
    assert float(metrics.mean_squared_error(found, wanted)) == pytest.approx(theirs.mean_squared_error(wanted, found))
    assert float(metrics.r2_score(found, wanted)) == pytest.approx(theirs.r2_score(wanted, found))
    constant = np.ones(shape)
    assert float(metrics.r2_score(found, constant)) == theirs.r2_score(constant, found) == 0.0
    assert float(metrics.r2_score(constant, constant)) == theirs.r2_score(constant, constant) == 1.0


def test_the_confusion_of_batches_adds_up_and_takes_sequences():
    scores, labels = predictions(9)
    whole = metrics.confusion_matrix(scores, labels).numpy()
    halves = [metrics.confusion_matrix(scores[part], labels[part]).numpy() for part in (slice(7), slice(7, None))]
    assert np.array_equal(whole, sum(halves))
    sequences = metrics.confusion_matrix(scores.reshape(6, 10, 6), labels.reshape(6, 10))
    assert np.array_equal(whole, sequences.numpy())
    assert np.array_equal(whole, metrics.confusion_matrix(scores.argmax(axis=1), labels, num_classes=6).numpy())


def test_nothing_predicted_is_zero_and_not_nan():
    empty = ag.zeros((2, 2), dtype="int64")
    assert [
        float(f(empty, a)) for f in (metrics.precision, metrics.recall) for a in ("macro", "micro", "weighted")
    ] == [0.0] * 6


def test_a_tie_counts_for_the_target():
    assert float(metrics.top_k_accuracy([[1.0, 1.0, 1.0]], [2], k=1)) == 1.0


def test_a_score_that_is_nan_is_not_the_best():
    nan = float("nan")
    scores, labels = [[nan, 1.0, 2.0], [nan, 1.0, 2.0], [nan, nan, nan], [0.0, 1.0, 2.0]], [0, 2, 1, 2]
    assert [float(metrics.top_k_accuracy(scores, labels, k)) for k in (1, 2, 3)] == [0.25, 0.5, 0.5]


def test_perplexity_and_bits_of_a_uniform_guess():
    loss = nn.functional.cross_entropy(ag.zeros((5, 8), dtype="float64"), ag.tensor([0, 1, 2, 3, 7]))
    assert float(metrics.perplexity(loss)) == pytest.approx(8.0)
    assert float(metrics.bits_per_character(loss)) == pytest.approx(3.0)
    assert float(metrics.bits_per_character(math.log(2.0))) == 1.0


def test_inside_a_compiled_function():
    scores, labels = predictions(3)

    def figures(scores: ag.Tensor, labels: ag.Tensor) -> dict[str, ag.Tensor]:
        matrix = metrics.confusion_matrix(scores, labels)
        return {
            "top": metrics.top_k_accuracy(scores, labels, 3),
            "matrix": matrix,
            "f1": metrics.f1_score(matrix),
            "recall": metrics.recall(matrix, "weighted"),
            "r2": metrics.r2_score(scores[:, 0], scores[:, 1]),
        }

    compiled = ag.compile(figures)
    for _ in range(3):
        found = compiled(ag.asarray(scores), ag.asarray(labels))
    for name, value in figures(ag.asarray(scores), ag.asarray(labels)).items():
        assert np.allclose(found[name].numpy(), value.numpy(), rtol=1e-12), name


def test_as_metrics_of_a_loop():
    scores, labels = predictions(1)
    loader = DataLoader(ArrayDataset(scores, labels), batch_size=7)
    found = evaluate(
        nn.Identity(), loader, nn.functional.cross_entropy, {"top 2": lambda o, t: metrics.top_k_accuracy(o, t, 2)}
    )
    assert found["top 2"] == pytest.approx(float(metrics.top_k_accuracy(scores, labels, 2)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: metrics.top_k_accuracy(np.ones((2, 3)), [0, 1], 4),
            ArgumentError,
            "k must be an int from 1 .*3; got 4",
        ),
        (
            lambda: metrics.top_k_accuracy(np.ones((2, 3)), [0, 1, 2], 1),
            ShapeError,
            r"got the shapes \(2, 3\) and \(3,\)",
        ),
        (lambda: metrics.top_k_accuracy(np.ones((2, 3)), [0, 3], 1), DataError, "index 3 at 1 is outside 3 classes"),
        (lambda: metrics.accuracy(np.eye(3), [[0], [1], [2]]), ShapeError, r"accuracy: takes .* \(3, 3\) and \(3, 1\)"),
        (lambda: metrics.accuracy(np.eye(3), np.eye(3)), ShapeError, r"shapes \(3, 3\) and \(3, 3\)"),
        (lambda: metrics.accuracy([0.1, 0.9], [0, 1]), ShapeError, r"shapes \(2,\) and \(2,\)"),
        (
            lambda: metrics.accuracy(np.eye(3), [0.0, 1.0, 2.0]),
            DTypeError,
            "accuracy: targets are integer classes, got",
        ),
        (lambda: metrics.confusion_matrix([0], [0], "two"), ArgumentError, "num_classes must be an int .* got 'two'"),
        (
            lambda: metrics.confusion_matrix([0], [0], 0),
            ArgumentError,
            "num_classes must be an int of at least 1, got 0",
        ),
        (lambda: metrics.confusion_matrix(np.ones((2, 3)), [0.0, 1.0]), DTypeError, "targets are integer classes"),
        (lambda: metrics.confusion_matrix([0, 1], [0], 2), ShapeError, "for scores .* leave out num_classes"),
        (lambda: metrics.precision(np.ones((2, 3))), ShapeError, r"takes a confusion matrix \(C, C\)"),
        (lambda: metrics.recall(np.ones((2, 2)), "mean"), ArgumentError, "average must be 'macro', .* got 'mean'"),
        (lambda: metrics.r2_score([1.0], [1.0]), ShapeError, r"\(N, K\) with N >= 2, got \(1,\)"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()

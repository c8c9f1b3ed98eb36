"""Figures of merit as functions of tensors, equal to scikit-learn's, for training loops and compiled steps.

Means over a batch, which ``nn.training.fit(metrics=...)`` averages over an epoch: ``accuracy``, ``top_k_accuracy``,
``mean_absolute_error``, ``mean_squared_error``. Counts that add up over batches: ``confusion_matrix``, from which come
``precision``, ``recall`` and ``f1_score``. From a mean cross-entropy: ``perplexity``, ``bits_per_character``.

What needs all predictions in order is scikit-learn's: ``sklearn.metrics.roc_auc_score(targets, scores.numpy())``.
"""

from __future__ import annotations

import math
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.tensor import Tensor

from . import functional
from .training.evaluation import accuracy, scores_and_labels

__all__ = [
    "accuracy",
    "bits_per_character",
    "confusion_matrix",
    "f1_score",
    "mean_absolute_error",
    "mean_squared_error",
    "perplexity",
    "precision",
    "r2_score",
    "recall",
    "top_k_accuracy",
]

AVERAGES = ("macro", "micro", "weighted", None)


def top_k_accuracy(outputs: Any, targets: Any, k: int = 5) -> Tensor:
    """The share of rows whose target class is among the k with the largest outputs.

    outputs: (..., C) scores; targets: (...) integer classes. A 0-d float32 tensor. A class counts as among the k if
    fewer than k others have a larger score: ties are in its favour, NaN is not. ArgumentError unless 1 <= k <= C.

    >>> import autograd_core as ag
    >>> scores = ag.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    >>> top_k_accuracy(scores, ag.tensor([1, 0]), k=2)
    tensor(0.5)
    """
    scores, labels = scores_and_labels("top_k_accuracy", outputs, targets)
    classes = scores.shape[-1]
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= classes:
        raise ArgumentError(f"top_k_accuracy: k must be an int from 1 to the number of classes, {classes}; got {k!r}")
    chosen = functional.one_hot(labels, classes).astype("bool")
    target = ag.where(chosen, scores, 0.0).sum(axis=-1, keepdims=True)
    ahead = ag.logical_not(scores <= target)  # other than >, true where there is a NaN
    return (ahead.sum(axis=-1) < k).astype("float32").mean()


def confusion_matrix(outputs: Any, targets: Any, num_classes: int | None = None) -> Tensor:
    """How often class i (row) was taken for class j (column): (C, C), int64. The matrices of batches add up.

    outputs: (..., C) scores, or (...) predicted classes with ``num_classes`` given; targets: (...) integer classes.
    DataError for a class out of range, ShapeError for shapes that do not fit.

    >>> import autograd_core as ag
    >>> confusion_matrix(ag.tensor([0, 1, 1]), ag.tensor([0, 1, 0]), num_classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    if num_classes is None:
        scores, labels = scores_and_labels("confusion_matrix", outputs, targets)
        predicted, num_classes = scores.argmax(axis=-1), scores.shape[-1]
    else:
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
            raise ArgumentError(f"confusion_matrix: num_classes must be an int of at least 1, got {num_classes!r}")
        predicted, labels = ag.asarray(outputs), ag.asarray(targets)
        if predicted.shape != labels.shape:
            raise ShapeError(
                f"confusion_matrix: predicted classes of shape {predicted.shape} and targets of shape {labels.shape} "
                "differ; for scores (..., C) leave out num_classes"
            )
    # Products of zeros and ones are exact in float64, and every device multiplies matrices.
    rows, columns = (functional.one_hot(x.reshape((-1,)), num_classes).astype("float64") for x in (labels, predicted))
    return (rows.mT @ columns).astype("int64")


def precision(confusion: Any, average: str | None = "macro") -> Tensor:
    """Of what was taken for a class, the share that is of it: TP / (TP + FP), 0 where nothing was.

    confusion: (C, C) counts as ``confusion_matrix`` makes them; the result is float64. average: "macro", the mean over
    the classes that occur or were predicted; "weighted", by how often they occur; "micro", of all counts together;
    None, each class: (C,).

    >>> import autograd_core as ag
    >>> precision(ag.tensor([[3, 1], [0, 4]]), average=None)
    tensor([1. , 0.8], dtype=float64)
    """
    right, true, taken = _counts("precision", confusion)
    return _averaged("precision", right, taken, true, taken, average)


def recall(confusion: Any, average: str | None = "macro") -> Tensor:
    """Of what is of a class, the share that was taken for it: TP / (TP + FN), 0 for a class that does not occur.

    confusion, average: as for ``precision``.

    >>> import autograd_core as ag
    >>> recall(ag.tensor([[3, 1], [0, 4]]), average=None)
    tensor([0.75, 1.  ], dtype=float64)
    """
    right, true, taken = _counts("recall", confusion)
    return _averaged("recall", right, true, true, taken, average)


def f1_score(confusion: Any, average: str | None = "macro") -> Tensor:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    confusion, average: as for ``precision``.

    >>> import autograd_core as ag
    >>> f1_score(ag.tensor([[3, 1], [0, 4]]), average="micro")
    tensor(0.875, dtype=float64)
    """
    right, true, taken = _counts("f1_score", confusion)
    return _averaged("f1_score", 2.0 * right, true + taken, true, taken, average)


def mean_absolute_error(outputs: Any, targets: Any) -> Tensor:
    """mean |outputs - targets|, of tensors of one shape."""
    return functional.l1_loss(outputs, targets)


def mean_squared_error(outputs: Any, targets: Any) -> Tensor:
    """mean (outputs - targets)^2, of tensors of one shape."""
    return functional.mse_loss(outputs, targets)


def r2_score(outputs: Any, targets: Any) -> Tensor:
    """The share of the targets' variance that is explained: 1 - sum (y - f)^2 / sum (y - mean y)^2.

    outputs, targets: (N,) or (N, K), N at least 2; over several columns the mean of theirs. A 0-d float64 tensor. For a
    column that is constant 1 if it is met exactly, else 0. It is not a mean over samples: to compare data sets, give it
    all predictions at once, not batches.

    >>> import autograd_core as ag
    >>> r2_score(ag.tensor([1.0, 2.0, 2.0]), ag.tensor([1.0, 2.0, 3.0]))
    tensor(0.5, dtype=float64)
    """
    found, wanted = (ag.asarray(x).astype("float64") for x in (outputs, targets))
    if found.shape != wanted.shape or found.ndim not in (1, 2) or len(found) < 2:
        raise ShapeError(
            f"r2_score: takes outputs and targets of one shape (N,) or (N, K) with N >= 2, got {found.shape} and "
            f"{wanted.shape}"
        )
    missed = ((wanted - found) ** 2).sum(axis=0)
    spread = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
    share = 1.0 - missed / ag.where(spread == 0.0, 1.0, spread)
    return ag.where(spread == 0.0, (missed == 0.0).astype("float64"), share).mean()


def perplexity(cross_entropy: Any) -> Tensor:
    """exp of a mean cross-entropy in nats: among how many equally likely symbols the model chooses.

    Take it of the mean over the data set (``history["val_loss"]``): the mean of perplexities is another number.

    >>> round(float(perplexity(1.0)), 4)
    2.7183
    """
    return ag.exp(ag.asarray(cross_entropy))


def bits_per_character(cross_entropy: Any) -> Tensor:
    """A mean cross-entropy per character, from nats to bits: divided by ln 2.

    >>> float(bits_per_character(math.log(4.0)))
    2.0
    """
    return ag.asarray(cross_entropy) / math.log(2.0)


def _counts(op: str, confusion: Any) -> tuple[Tensor, Tensor, Tensor]:
    """For each class how often it was found, how often it occurs, how often it was predicted; float64."""
    counts = ag.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ShapeError(f"{op}: takes a confusion matrix (C, C), as confusion_matrix makes it, got {counts.shape}")
    counts = counts.astype("float64")
    return counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)


def _averaged(op: str, part: Tensor, whole: Tensor, true: Tensor, taken: Tensor, average: str | None) -> Tensor:
    if average not in AVERAGES:
        raise ArgumentError(f"{op}: average must be 'macro', 'micro', 'weighted' or None, got {average!r}")
    if average == "micro":
        return _ratio(part.sum(), whole.sum())
    shares = _ratio(part, whole)
    if average is None:
        return shares
    weights = true if average == "weighted" else (true + taken > 0.0).astype("float64")
    return _ratio((shares * weights).sum(), weights.sum())


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / ag.where(whole == 0.0, 1.0, whole)

"""A classifier by scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from autograd_core.errors import ArgumentError, DataError
from autograd_core.nn import functional
from autograd_core.nn.training import accuracy

from . import checks
from .base import NeuralNet, with_settings
from .weighting import Loss, weighted_accuracy


class NeuralNetClassifier(ClassifierMixin, NeuralNet):
    """A network that assigns one of several classes, trained by cross-entropy.

    X: (n_samples, n_features), dense; y: (n_samples,) labels of any kind, two or more classes.

    - ``module``: a function (n_features, n_classes) -> ``nn.Module`` from (B, n_features) to logits (B, n_classes);
      or a module, of which every ``fit`` trains a copy from its weights on; None for a multilayer perceptron with
      ``hidden_sizes``, ``activation`` (a name, or what makes a module) and ``dropout``. Images begin with
      ``nn.Unflatten(1, (channels, height, width))``.
    - ``loss``: (outputs, labels) -> the mean, which takes ``reduction="none"`` if samples are weighted; None for
      cross-entropy. ``optimizer``: a class or function (parameters, lr=, weight_decay=) -> optimizer, of which
      one without ``weight_decay`` will do where that is 0; more arguments by
      ``functools.partial(optim.SGD, momentum=0.9)``. ``lr``: a number or a schedule.
    - ``batch_size``: None for all samples at once. ``epochs``: passes over the data.
    - ``early_stopping``: hold out ``validation_fraction`` of the samples (each class its share), stop when their loss
      has not improved for ``patience`` epochs, and keep the best epoch's weights.
    - ``class_weight``: None, "balanced" (inversely to the classes' frequencies), or a dict of class and weight.
    - ``random_state``: an int makes weights, order and dropout repeat, without touching ``ag.random``'s generator.
    - ``dtype``: "float32", "float64", or None for that of X, as scikit-learn has it: float32 if X is, else float64.
      "float32" takes half the time and memory.
    - ``device``. ``compile``: the steps of ``fit``. ``verbose``: a line an epoch.

    Fitted: ``classes_``, ``module_``, ``optimizer_``, ``history_``, ``n_iter_``, ``n_features_in_``. A fitted estimator
    can be pickled if its functions can be; to hand weights on, ``ag.save(path, estimator.module_.state_dict())``.

    Raises DataError, a ValueError that names row and column, for NaN or infinite input; ArgumentError for arguments out
    of range.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = NeuralNetClassifier(hidden_sizes=(16,), lr=0.02, epochs=20, random_state=0)
    >>> model = make_pipeline(StandardScaler(), network)

    Hold-out and k-fold validation are scikit-learn's:

    >>> from sklearn.model_selection import cross_val_score, train_test_split
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> bool(model.fit(X_train, y_train).score(X_test, y_test) > 0.9)
    True
    >>> scores = cross_val_score(model, X, y, cv=5)
    >>> len(scores), bool(scores.mean() > 0.9)
    (5, True)
    """

    default_loss = staticmethod(functional.cross_entropy)
    predicts_labels = True

    @with_settings
    def __init__(self, *module: Any, class_weight: str | Mapping[Any, float] | None = None, **settings: Any):
        super().__init__(*module, **settings)
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralNetClassifier:
        """Train a new network. sample_weight: (n_samples,), how much each sample counts."""
        X, y = self._labelled(X, y, reset=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weights = self._weights(y, labels, sample_weight)
        self._begin(len(self.classes_), X.dtype)
        self._train(X, labels.astype(np.int64), weights, self.epochs, alone=True)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NeuralNetClassifier:
        """One epoch over these samples, on top of what was learnt before.

        classes: all classes there will be; needed in the first call. Weights are relative within a call.
        """
        first = not hasattr(self, "module_")
        X, y = self._labelled(X, y, reset=first)
        if self.class_weight == "balanced":
            raise ArgumentError(
                "class_weight='balanced' needs all samples at once; give partial_fit a dict, as "
                "sklearn.utils.class_weight.compute_class_weight makes it"
            )
        if first:
            if classes is None:
                raise ArgumentError("classes must be passed on the first call to partial_fit: later data may have more")
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ArgumentError(f"classes={classes!r} is not the same as before, {self.classes_!r}")
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            row = int(np.argmax(unknown))
            label = y[row : row + 1].tolist()[0]
            known = self.classes_.tolist()
            raise DataError(f"{self._name}: label {label!r} at row {row} is not one of the classes {known}")
        labels = np.searchsorted(self.classes_, y)
        weights = self._weights(y, labels, sample_weight)
        if first:
            self._begin(len(self.classes_), X.dtype)
        self._train(X, labels.astype(np.int64), weights, 1, alone=False)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, in the order of ``classes_``: (n_samples, n_classes)."""
        return self._outputs(X, lambda logits: functional.softmax(logits, axis=-1))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of the probabilities; finite also where these are too small for a float."""
        return self._outputs(X, lambda logits: functional.log_softmax(logits, axis=-1))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row: (n_samples,), labels as in y."""
        best = self._outputs(X, lambda logits: logits.argmax(axis=-1))
        return self.classes_[best]

    def _labelled(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._checked(X, y, reset=reset)
        check_classification_targets(y)
        return X, y

    def _weights(self, y: np.ndarray, labels: np.ndarray, sample_weight: Any) -> np.ndarray | None:
        """The weight of every sample, None if they count alike."""
        if sample_weight is None and self.class_weight is None:
            return None
        weights = checks.sample_weights(self._name, sample_weight, len(y))
        if self.class_weight is not None:
            self._check_class_weight()
            weights = weights * compute_class_weight(self.class_weight, classes=self.classes_, y=y)[labels]
        return weights

    def _check_class_weight(self) -> None:
        given = self.class_weight
        if isinstance(given, Mapping):
            for label, weight in given.items():
                checks.number(self._name, f"class_weight[{label!r}]", weight, 0.0)
        elif not isinstance(given, str) or given != "balanced":
            raise ArgumentError(
                f"{self._name}: class_weight must be None, 'balanced' or a dict of classes and weights, got "
                f"{given!r:.80}"
            )

    def _metrics(self, weighted: bool) -> dict[str, Loss]:
        return {"accuracy": weighted_accuracy if weighted else accuracy}

    def _stratify(self, targets: np.ndarray) -> np.ndarray:
        return targets

"""A regressor by scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from autograd_core.nn import functional

from . import checks
from .base import NeuralNet


class NeuralNetRegressor(RegressorMixin, NeuralNet):
    """A network that predicts one number or several, trained by mean squared error.

    X: (n_samples, n_features), dense; y: (n_samples,) or (n_samples, n_outputs). Networks learn best from targets of
    mean 0 and variance 1: ``sklearn.compose.TransformedTargetRegressor(model, transformer=StandardScaler())``.

    ``module``: a function (n_features, n_outputs) -> ``nn.Module`` from (B, n_features) to (B, n_outputs). ``loss``:
    None for the mean squared error. The other arguments, attributes and errors are those of ``NeuralNetClassifier``.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> model = NeuralNetRegressor(hidden_sizes=(16,), lr=0.05, epochs=60, batch_size=None, random_state=0)
    >>> bool(model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.9)
    True
    """

    default_loss = staticmethod(functional.mse_loss)
    predicts_labels = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralNetRegressor:
        """Train a new network. sample_weight: (n_samples,), how much each sample counts."""
        X, y = self._numbers(X, y, reset=True)
        weights = self._weights(sample_weight, len(y))
        self._begin(y[0].size, X.dtype)
        self._single = y.ndim == 1
        self._train(X, y.reshape(len(y), -1), weights, self.epochs, alone=True)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralNetRegressor:
        """One epoch over these samples, on top of what was learnt before. Weights are relative within a call."""
        first = not hasattr(self, "module_")
        X, y = self._numbers(X, y, reset=first)
        weights = self._weights(sample_weight, len(y))
        if first:
            self._begin(y[0].size, X.dtype)
            self._single = y.ndim == 1
        self._train(X, y.reshape(len(y), -1), weights, 1, alone=False)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The prediction for each row: (n_samples,) or (n_samples, n_outputs), as y was."""
        outputs = self._outputs(X, lambda values: values)
        return outputs[:, 0] if self._single else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _numbers(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = self._checked(X, y, reset=reset, multi_output=True, y_numeric=True)
        y = y.astype(X.dtype)
        checks.finite(self._name, "y", y)
        return X, y

    def _weights(self, sample_weight: Any, length: int) -> np.ndarray | None:
        return None if sample_weight is None else checks.sample_weights(self._name, sample_weight, length)

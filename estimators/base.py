"""What the classifier and the regressor share: arguments, training, prediction."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, DataError
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import EarlyStopping, History, fit
from autograd_core.tensor import Tensor

from . import checks
from .networks import Factory, built, multilayer_perceptron
from .weighting import Loss, packed, weighted

PREDICTION_ROWS = 1024  # so many rows at a time are predicted: a batch that fits a cache, however long the data
DTYPES = ("float32", "float64")
SEEDS = 2**31 - 1


class NeuralNet(BaseEstimator):
    """Base of the estimators; a subclass says how targets become arrays and what the outputs mean.

    Fitted attributes: ``module_`` (the network), ``optimizer_``, ``history_`` (``nn.training.History``), ``n_iter_``
    (epochs trained), ``n_features_in_`` and, for data frames, ``feature_names_in_``.
    """

    def __init__(
        self,
        module: nn.Module | Factory | None = None,
        *,
        hidden_sizes: Sequence[int] = (100,),
        activation: str | Callable[[], nn.Module] = "relu",
        dropout: float = 0.0,
        loss: Loss | None = None,
        optimizer: Callable[..., optim.Optimizer] = optim.Adam,
        lr: Any = 1e-3,
        weight_decay: float = 0.0,
        batch_size: int | None = 64,
        epochs: int = 50,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        random_state: Any = None,
        dtype: str | None = None,
        device: Any = None,
        compile: bool = False,
        verbose: bool = False,
    ):
        self.module = module
        self.hidden_sizes = hidden_sizes
        self.activation = activation
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.dtype = dtype
        self.device = device
        self.compile = compile
        self.verbose = verbose

    # ------------------------------------------------------------------------------ for subclasses

    default_loss: Loss
    predicts_labels: bool

    def _metrics(self, weighted: bool) -> dict[str, Loss]:
        """What the history shows beside the loss."""
        return {}

    def _stratify(self, targets: np.ndarray) -> np.ndarray | None:
        """Labels whose shares the held-out part keeps."""
        return None

    # ------------------------------------------------------------------------------ data

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[np.ndarray, np.ndarray]:
        """X as a finite matrix of our dtype and y as scikit-learn validates it; remembers or compares the features."""
        if self.dtype not in (None, *DTYPES):
            raise ArgumentError(f"{self._name}: dtype must be None, 'float32' or 'float64', got {self.dtype!r}")
        if y is not None:
            checks.finite(self._name, "y", y)
        dtype = self._module_dtype if not reset else [np.float64, np.float32] if self.dtype is None else self.dtype
        X, y = validate_data(self, X, y, reset=reset, dtype=dtype, ensure_all_finite=False, **options)
        checks.finite(self._name, "X", X, getattr(self, "feature_names_in_", None))
        return X, y

    @property
    def _module_dtype(self) -> np.dtype:
        return next(self.module_.parameters()).dtype

    # ------------------------------------------------------------------------------ training

    def _check_arguments(self) -> None:
        name = self._name
        checks.whole(name, "epochs", self.epochs, 1)
        checks.whole(name, "patience", self.patience, 1)
        checks.number(name, "dropout", self.dropout, 0.0, 1.0)
        checks.number(name, "weight_decay", self.weight_decay, 0.0)
        if self.batch_size is not None:
            checks.whole(name, "batch_size", self.batch_size, 1)
        share = self.validation_fraction
        is_number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
        if self.early_stopping and not (is_number and 0.0 < share < 1.0):
            raise ArgumentError(f"{name}: validation_fraction must lie between 0 and 1, got {share!r}")
        if not callable(self.optimizer):
            raise ArgumentError(
                f"{name}: optimizer must be a class or function (parameters, lr=, weight_decay=) -> optimizer, such as "
                f"optim.Adam, got {self.optimizer!r:.80}"
            )
        if self.loss is not None and (not callable(self.loss) or isinstance(self.loss, type)):
            raise ArgumentError(
                f"{name}: loss must be None or a function (outputs, targets) -> mean, such as "
                f"nn.functional.mse_loss, got {self.loss!r:.80}"
            )

    def _begin(self, outputs: int, dtype: np.dtype) -> None:
        """A new network of the dtype, optimizer and history."""
        self._check_arguments()
        seed = int(check_random_state(self.random_state).randint(SEEDS))
        self._random = ag.random.Generator(seed)
        inputs = self.n_features_in_
        with ag.random.fork(self._random):
            if self.module is None:
                network: nn.Module = multilayer_perceptron(
                    inputs, outputs, self.hidden_sizes, self.activation, self.dropout
                )
            else:
                network = built(self.module, inputs, outputs)
        self.module_ = network.to(device=self.device, dtype=dtype)
        options = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.weight_decay == 0 and not checks.takes(self.optimizer, "weight_decay"):
            del options["weight_decay"]
        for option, value in options.items():
            if not checks.takes(self.optimizer, option):
                raise ArgumentError(
                    f"{self._name}: {option}={value!r}, but {checks.title(self.optimizer)} takes no {option}: choose "
                    f"another optimizer, or give a function (parameters, lr=, weight_decay=) -> optimizer"
                )
        self.optimizer_ = self.optimizer(self.module_.parameters(), **options)
        self.history_ = History()

    def _train(self, X: np.ndarray, targets: np.ndarray, weights: np.ndarray | None, epochs: int, alone: bool) -> None:
        """So many epochs over the samples; with ``alone`` they are all there will be, so a part may be held out."""
        loss = self.default_loss if self.loss is None else self.loss
        metrics = self._metrics(weights is not None)
        if weights is not None:
            loss = weighted(loss, labels=self.predicts_labels)
            strata, targets = targets, packed(targets, weights, X.dtype)
        else:
            strata = targets
        seed = self._random.seed + len(self.history_)
        parts = [np.arange(len(X))]
        if alone and self.early_stopping:
            try:
                parts = train_test_split(
                    parts[0], test_size=self.validation_fraction, random_state=seed, stratify=self._stratify(strata)
                )
            except ValueError as error:
                raise DataError(
                    f"{self._name}: early_stopping cannot hold out validation_fraction={self.validation_fraction} of "
                    f"{len(X)} samples: {error}"
                ) from None
        size = self.batch_size or len(X)
        loaders = [
            DataLoader(ArrayDataset(X[part], targets[part]), batch_size=min(size, len(part)), shuffle=first, seed=seed)
            for part, first in zip(parts, (True, False))
        ]
        with ag.random.fork(self._random):
            history = fit(
                self.module_,
                loaders[0],
                loss=loss,
                optimizer=self.optimizer_,
                epochs=int(epochs),
                validation=loaders[1] if len(loaders) > 1 else None,
                metrics=metrics,
                early_stopping=EarlyStopping(patience=self.patience) if len(loaders) > 1 else None,
                compile=self.compile and alone,
                progress=bool(self.verbose),
            )
        for row in history.rows:
            self.history_.append(row)
        self.n_iter_ = len(self.history_)
        self.module_.eval()

    # ------------------------------------------------------------------------------ prediction

    def _outputs(self, X: Any, last: Callable[[Tensor], Tensor]) -> np.ndarray:
        """``last`` of the network's outputs for every row of X."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=self._module_dtype, ensure_all_finite=False)
        checks.finite(self._name, "X", X, getattr(self, "feature_names_in_", None))
        device = next(self.module_.parameters()).device
        with ag.no_grad():
            parts = [
                last(self.module_(ag.asarray(X[start : start + PREDICTION_ROWS], device=device))).numpy()
                for start in range(0, len(X), PREDICTION_ROWS)
            ]
        return np.concatenate(parts)


def with_settings(constructor: Callable[..., None]) -> Callable[..., None]:
    """A subclass's constructor, which hands on what is ``NeuralNet``'s: with the signature of both.

    That is where scikit-learn reads which arguments an estimator has, and their defaults.
    """
    own = inspect.signature(constructor).parameters.values()
    added = [each for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY]
    shared = inspect.signature(NeuralNet.__init__)
    constructor.__dict__["__signature__"] = shared.replace(parameters=[*shared.parameters.values(), *added])
    return constructor

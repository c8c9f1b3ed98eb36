"""Stopping when a validation figure has stopped improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.scalars import is_real, is_whole

MODES = {"min": 1.0, "max": -1.0}


class EarlyStopping:
    """Stop after ``patience`` epochs without an improvement of more than ``min_delta``.

    monitor: a column of the history ("val_loss", "val_accuracy"). mode: "min" or "max".
    restore_best: give the model the weights of its best epoch at the end. A training begins with a clean slate, so one
    object may serve several after each other.
    Source: Prechelt, Early stopping - but when?, 1998.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ):
        if not isinstance(mode, str) or mode not in MODES:
            raise ArgumentError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        if not is_whole(patience) or patience < 1:
            raise ArgumentError(f"EarlyStopping: patience must be an int of at least 1, got {patience!r}")
        if not is_real(min_delta) or not 0 <= min_delta < math.inf:
            raise ArgumentError(f"EarlyStopping: min_delta must be a finite number of at least 0, got {min_delta!r}")
        self.monitor, self.patience, self.min_delta, self.mode = monitor, patience, min_delta, mode
        self.restore_best = restore_best
        self.begin()

    def begin(self) -> None:
        """Forget what an earlier training has left: nothing was good yet."""
        self.best = math.inf
        self.waited = 0
        self.best_weights: dict[str, Any] | None = None

    def update(self, row: Mapping[str, float], model: Any) -> bool:
        """Look at a new row of the history; True when it is time to stop. NaN never counts as an improvement."""
        if self.monitor not in row:
            raise ArgumentError(f"EarlyStopping monitors {self.monitor!r}, but an epoch records {sorted(row)}")
        value = MODES[self.mode] * row[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            if self.restore_best:
                self.best_weights = dict(model.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience

    def finish(self, model: Any) -> None:
        """Give the model its best weights back, if asked to."""
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "best_weights": self.best_weights}

    def load(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = float(state["best"]), int(state["waited"])
        self.best_weights = state["best_weights"]

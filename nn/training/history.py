"""What a training has recorded, epoch by epoch."""

from __future__ import annotations

import math
from typing import Any

from autograd_core.errors import ArgumentError, AutogradError


class ColumnError(AutogradError, KeyError):
    """A history has no column of that name."""

    def __str__(self) -> str:  # KeyError would print the message's repr
        return self.args[0] if self.args else ""


class History:
    """A table of numbers: one row an epoch, one column a quantity ("loss", "val_accuracy", "seconds", ...).

    >>> history = History()
    >>> history.append({"loss": 0.5}); history.append({"loss": 0.25})
    >>> history["loss"], len(history), history.best("loss")
    ([0.5, 0.25], 2, (1, 0.25))
    """

    def __init__(self, rows: list[dict[str, float]] | None = None):
        self.rows = list(rows or [])

    def append(self, row: dict[str, float]) -> None:
        self.rows.append(dict(row))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[float]:
        if not any(column in row for row in self.rows):
            known = sorted({name for row in self.rows for name in row})
            raise ColumnError(f"the history has no column {column!r}; it has {known}")
        return [row.get(column, float("nan")) for row in self.rows]

    def best(self, column: str, mode: str = "min") -> tuple[int, float]:
        """The epoch (from 0) and value of the smallest (mode "min") or largest ("max") entry of a column but NaN."""
        if mode not in ("min", "max"):
            raise ArgumentError(f"History.best: mode must be 'min' or 'max', got {mode!r}")
        sign = 1.0 if mode == "min" else -1.0
        values = self[column]
        epoch = min(range(len(values)), key=lambda i: math.inf if math.isnan(values[i]) else sign * values[i])
        return epoch, values[epoch]

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={value:.4g}" for name, value in (self.rows[-1] if self.rows else {}).items())
        return f"History({len(self)} epochs; last: {last})"

    def state(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.rows]

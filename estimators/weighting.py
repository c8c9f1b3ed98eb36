"""Samples that count differently: targets that carry their weights, and means that use them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core import nn
from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor

Loss = Callable[..., Tensor]


def packed(targets: np.ndarray, weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Targets (N,) or (N, K) and weights (N,) as one array (N, K + 1), weights last, scaled to a mean of 1."""
    mean = weights.mean()
    if not mean > 0:
        raise ArgumentError("sample_weight (times class_weight) is zero for every sample: there is nothing to learn")
    columns = targets.reshape(len(targets), -1)
    return np.column_stack([columns, weights / mean]).astype(dtype)


def weighted(loss: Loss, *, labels: bool) -> Loss:
    """The mean of weight * loss over a batch of packed targets, for a ``loss`` that takes ``reduction="none"``.

    With weights of mean 1 over all samples this is unbiased in mini-batches, and for a batch of all samples the
    weighted mean.
    """

    takes = inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters
    if "reduction" not in takes and not any(each.kind is each.VAR_KEYWORD for each in takes.values()):
        raise ArgumentError(
            f"weighted samples need a loss that takes reduction='none', as nn.functional.cross_entropy does; "
            f"{loss!r:.80} takes ({', '.join(takes)})"
        )

    def mean(outputs: Tensor, targets: Tensor) -> Tensor:
        each = loss(outputs, _unpacked(targets, labels), reduction="none")
        return (each.reshape((len(each), -1)).mean(axis=1) * targets[:, -1]).mean()

    return mean


def weighted_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The weight of the right answers; targets as ``packed`` makes them from labels."""
    right = outputs.argmax(axis=-1) == _unpacked(targets, True)
    return (right.astype("float32") * targets[:, -1]).mean()


def _unpacked(targets: Tensor, labels: bool) -> Any:
    return targets[:, 0].astype("int64") if labels else targets[:, :-1]

"""What models of sequences share: which recurrent layer, what an input may be, and how a next symbol is drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core import random
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.ops import creation
from autograd_core.ops._apply import examine
from autograd_core.ops.scans import cumulative_sum
from autograd_core.ops.selection import maximum
from autograd_core.ops.softmax import softmax
from autograd_core.scalars import is_real
from autograd_core.tensor import Tensor

from ..recurrent import GRU, LSTM, RNN

CELLS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def recurrent_layer(model: str, cell: str, *sizes: int, **options: Any) -> RNN | LSTM | GRU:
    """The recurrent layer that ``cell`` names: "rnn", "lstm" or "gru"."""
    if not isinstance(cell, str) or cell not in CELLS:
        raise ArgumentError(f"{model}: cell must be 'rnn', 'lstm' or 'gru', got {cell!r}")
    return CELLS[cell](*sizes, batch_first=True, **options)


def check_steps(model: str, shape: tuple[int, ...], axes: str, count: int) -> None:
    """``shape`` has so many axes, the second of which counts steps; a sequence has at least one."""
    if len(shape) != count:
        raise ShapeError(f"{model}: input must be {axes}, got shape {shape}")
    if shape[1] == 0:
        raise ShapeError(
            f"{model}: a sequence of length zero (input {axes} of shape {shape}): there is no step to predict from; "
            "leave empty sequences out"
        )


def symbols(model: str, given: Any, device: Any) -> Tensor:
    """``given`` as numbers of symbols, (B, T) of whole numbers, T at least 1."""
    x = creation.asarray(given, device=device)
    check_steps(model, x.shape, "(B, T)", 2)
    if x.dtype.kind not in "iu":
        raise DTypeError(f"{model}: input must be whole numbers, the symbols' places in the vocabulary; got {x.dtype}")
    return x


def check_generation(length: Any, temperature: Any) -> None:
    """The arguments of a ``generate`` method."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ArgumentError(f"generate: length must be an int of at least 0, got {length!r}")
    if not is_real(temperature) or not 0 <= temperature < math.inf:
        raise ArgumentError(f"generate: temperature must be a finite number of at least 0, got {temperature!r}")


def drawn(scores: Tensor, temperature: float) -> Tensor:
    """Symbols drawn with p = softmax(scores / temperature), (B, V) -> (B, 1); with temperature 0 the likeliest."""
    largest = scores.max(axis=-1, keepdims=True)
    examine(largest, _check_scores)
    if temperature == 0:
        return scores.argmax(axis=-1, keepdims=True)
    # exp(-1000) is 0: what is further away has no chance either, and nothing overflows however cold it is
    distances = maximum(scores.astype("float64") - largest, -1000.0 * temperature)
    cumulative = cumulative_sum(softmax(distances / temperature, axis=-1), axis=-1)
    # compared with a part of the last sum, which rounding may leave below 1
    level = random.uniform((len(scores), 1), dtype="float64", device=scores.device) * cumulative[:, -1:]
    return (cumulative <= level).sum(axis=-1, keepdims=True)


def _check_scores(largest: np.ndarray) -> None:
    """DataError for sequences without a likeliest symbol, by the largest of each one's scores."""
    largest = largest.ravel()
    wrong = np.flatnonzero(~np.isfinite(largest))
    if wrong.size:
        value = {"nan": "NaN", "inf": "infinity", "-inf": "-infinity"}[str(largest[wrong[0]])]
        raise DataError(
            f"generate: the scores of the next symbol are {value} in sequence {wrong[0]}, {len(wrong)} of "
            f"{len(largest)} sequences have such, so there is none to draw. Did the model diverge in training? "
            "ag.detect_anomaly() around a step names the operation; a lower learning rate or clipping often helps"
        )

"""What estimators check beyond scikit-learn's own validation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import check_array

from autograd_core.errors import ArgumentError, DataError, ShapeError


def finite(owner: str, name: str, values: Any, columns: Any = None) -> None:
    """DataError that says where ``values`` (N,) or (N, K) has its first NaN or infinity, if it has one.

    columns: the names of its columns, where they have names.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    place = np.argwhere(~np.isfinite(array))[0]
    value = array[tuple(place)]
    kind = "NaN" if np.isnan(value) else f"infinity or a value too large for {array.dtype}"
    where = f"row {place[0]}"
    if len(place) > 1:
        where += f", column {place[1]}" + ("" if columns is None else f" ({columns[place[1]]!r})")
    count = array.size - int(np.isfinite(array).sum())
    more = f"; {count} values are not finite" if count > 1 else ""
    raise DataError(
        f"{owner}: Input {name} contains {kind} at {where}{more}. Leave such rows out, or fill them in with "
        "sklearn.impute.SimpleImputer in a pipeline"
    )


def sample_weights(owner: str, weights: Any, length: int) -> np.ndarray:
    """Weights as float64 of shape (N,): ones for None, one number for all or one each, none negative."""
    if weights is None or isinstance(weights, int | float | np.number):
        weight = 1.0 if weights is None else float(weights)
        if not 0.0 <= weight < np.inf:
            raise DataError(f"{owner}: sample_weight must be finite and not negative, got {weights!r}")
        return np.full(length, weight)
    array = check_array(weights, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="sample_weight")
    if array.shape != (length,):
        raise ShapeError(f"{owner}: sample_weight needs one number a sample, shape ({length},), got {array.shape}")
    finite(owner, "sample_weight", array)
    if (array < 0).any():
        row = int(np.argmax(array < 0))
        raise DataError(f"{owner}: sample_weight is negative at row {row}: {array[row]:g}")
    return array


def number(owner: str, name: str, value: Any, low: float, high: float = np.inf) -> None:
    """ArgumentError unless ``value`` is a number in [low, high)."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not low <= value < high:
        raise ArgumentError(f"{owner}: {name} must be a number in [{low:g}, {high:g}), got {value!r}")


def whole(owner: str, name: str, value: Any, low: int) -> None:
    """ArgumentError unless ``value`` is an integer of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ArgumentError(f"{owner}: {name} must be an int of at least {low}, got {value!r}")


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function or class can be called with an argument of that name, as far as its signature tells."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # of some that are written in C
        return True
    found = parameters.get(name)
    if found is None or found.kind is inspect.Parameter.POSITIONAL_ONLY:
        return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    return found.kind is not inspect.Parameter.VAR_POSITIONAL


def title(function: Callable[..., Any]) -> str:
    """What messages call a function or class."""
    return getattr(function, "__name__", None) or f"{function!r:.80}"

"""Checks shared by the datasets, the splits and the loader."""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsIndex, cast

import numpy as np

from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.scalars import is_real

INT64_MAX = 2**63 - 1


class DatasetIndexError(DataError, IndexError):
    """An index lies outside its dataset; also an ``IndexError``, so that ``for item in dataset`` ends."""


def integer(name: str, value: object, minimum: int, maximum: int = INT64_MAX) -> int:
    """``value`` as a Python int between ``minimum`` and ``maximum``, or an ArgumentError that names the argument."""
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise ArgumentError(f"{name} must be an integer >= {minimum}, got {value!r}") from None
    if isinstance(value, bool | np.bool_) or not minimum <= number <= maximum:
        bound = f">= {minimum}" if maximum == INT64_MAX else f"from {minimum} to {maximum}"
        raise ArgumentError(f"{name} must be an integer {bound}, got {value!r}")
    return number


def number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    """``value`` as a float from ``least`` to ``most``, or an ArgumentError that names the argument."""
    if not is_real(value) or not least <= value <= most:
        bounds = "" if least == -math.inf else f" from {least:g} to {most:g}"
        raise ArgumentError(f"{name} must be a number{bounds}, got {value!r:.80}")
    return float(value)


def as_array(name: str, given: Any) -> np.ndarray:
    """``given`` as one array, or a ShapeError that names it."""
    try:
        return np.asarray(given)
    except ValueError:
        raise ShapeError(f"{name} is not one array, its rows differ in length") from None


def positions(index: Any, length: int) -> np.ndarray:
    """An integer, integer array, boolean mask or slice as an intp array of positions in ``range(length)``."""
    if isinstance(index, slice):
        return np.arange(length)[index]
    array = np.asarray(index)
    if array.dtype == np.bool_ and array.ndim:
        if array.shape != (length,):
            raise DatasetIndexError(f"a boolean index needs shape ({length},) like the dataset, got {array.shape}")
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu" and array.size:  # an empty list arrives as float64
        raise DTypeError(f"a dataset takes integers or arrays of integers as index, got {array.dtype}: {index!r}")
    if array.size and not -length <= int(array.min()) <= int(array.max()) < length:
        bad = next(int(i) for i in array.flat if not -length <= i < length)
        raise DatasetIndexError(f"index {bad} is out of range for a dataset of {length} items")
    array = array.astype(np.intp, copy=False)
    return np.where(array < 0, array + length, array)

"""What is known of a value without its numbers: shape and dtype; and the rules that combine them.

Dtypes are NumPy dtype objects on every device. Promotion follows NEP 50: a Python scalar takes the dtype
of the tensor that it meets. Where a floating dtype is needed and none is given (``ag.tensor(1.5)``,
``ag.exp(int_tensor)``, ``int_tensor * 0.5``), it is float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .errors import ArgumentError, DTypeError, IndexingError, ShapeError

DEFAULT_FLOAT = np.dtype(np.float32)
DEFAULT_INT = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)

Shape = tuple[int, ...]
Axis = int | Sequence[int] | None


class Aval(NamedTuple):
    """The abstract value of a tensor: its shape and dtype."""

    shape: Shape
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


# ------------------------------------------------------------------------------------------- dtypes


HALF = "eE"  # the characters of float16 and bfloat16: dtypes that values are stored in, and float32 computes for


def as_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype that ``dtype`` names; DTypeError if it is not numeric or boolean."""
    if type(dtype) is str and dtype == "bfloat16":
        import ml_dtypes  # noqa: F401 (tells NumPy the name; only where it is used: it costs a tenth of our import)
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"{dtype!r} is not a dtype; write e.g. ag.float32 or 'float32'") from None
    if result.kind not in "biufc" and result.name != "bfloat16":
        raise DTypeError(
            f"dtype {result} holds no numbers; a tensor holds booleans, integers, floats or complex numbers"
        )
    return result if result.isnative else np.dtype(result.type)


def is_inexact(dtype: np.dtype) -> bool:
    """Whether derivatives exist for this dtype: floating or complex."""
    return dtype.kind in "fc" or dtype.name == "bfloat16"


def scalar_dtype(value: object) -> np.dtype:
    """The dtype of a Python scalar that meets no tensor."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return DEFAULT_INT
    if isinstance(value, float):
        return DEFAULT_FLOAT
    return np.dtype(np.complex64)


def promote(dtypes: Iterable[np.dtype], scalars: Iterable[object] = ()) -> np.dtype:
    """The common dtype of tensors of ``dtypes`` and Python ``scalars`` (NEP 50: scalars are weak)."""
    dtypes, scalars = list(dtypes), list(scalars)
    common = dtypes[0] if dtypes else scalar_dtype(scalars[0])
    for dtype in dtypes[1:]:
        if dtype is not common:
            common = _common(common, dtype)
    for value in scalars:
        common = _promote_scalar(common, value)
    return common


def _common(a: np.dtype, b: np.dtype) -> np.dtype:
    try:
        return np.promote_types(a, b)
    except TypeError:  # NumPy knows no common dtype of bfloat16 and these
        half, other = (a, b) if a.char == "E" else (b, a)
        return half if other.kind in "iu" else DEFAULT_FLOAT


def _promote_scalar(dtype: np.dtype, value: object) -> np.dtype:
    if isinstance(value, bool):
        return dtype
    if isinstance(value, int):
        return DEFAULT_INT if dtype.kind == "b" else dtype
    if isinstance(value, float):
        return dtype if is_inexact(dtype) else DEFAULT_FLOAT
    if dtype.kind == "c":
        return dtype
    return np.dtype(np.complex128 if dtype == np.float64 else np.complex64)


# ------------------------------------------------------------------------------------------- shapes


def as_shape(op: str, shape: Any) -> Shape:
    """``shape`` as a tuple of non-negative ints; an int stands for one axis."""
    if type(shape) is tuple and all([type(n) is int and n >= 0 for n in shape]):  # noqa: C419 (a list is quicker for so few)
        return shape
    try:
        result = (int(shape.__index__()),) if hasattr(shape, "__index__") else tuple(int(n.__index__()) for n in shape)
    except (TypeError, AttributeError):
        raise ArgumentError(f"{op}: a shape is an int or a tuple of ints, got {shape!r}") from None
    if any(n < 0 for n in result):
        raise ShapeError(f"{op}: shape {result} has a negative length")
    return result


def broadcast_shapes(op: str, *shapes: Shape) -> Shape:
    """The shape that all ``shapes`` broadcast to (NumPy's rule), or a ShapeError that names the axis."""
    longest = max(shapes, key=len, default=())
    if all(shape == longest[len(longest) - len(shape) :] for shape in shapes):
        return longest
    ndim = max(map(len, shapes), default=0)
    result = []
    for axis in range(-ndim, 0):
        lengths = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(lengths) > 1:
            given = " and ".join(str(shape) for shape in shapes)
            raise ShapeError(
                f"{op}: shapes {given} do not broadcast: axis {axis} (from the right) has lengths "
                f"{' and '.join(map(str, sorted(lengths)))}. Lengths must be equal or 1; "
                "insert an axis with x[:, None] or ag.expand_dims, or transpose one operand."
            )
        result.append(lengths.pop() if lengths else 1)
    return tuple(result)


def normalize_axis(op: str, axis: int, ndim: int) -> int:
    """``axis`` as a non-negative int below ``ndim``."""
    try:
        index = axis.__index__()
    except AttributeError:
        raise ArgumentError(f"{op}: axis must be an int, got {axis!r}") from None
    if not -ndim <= index < ndim:
        use = f"use {-ndim} to {ndim - 1}" if ndim else "a 0-d tensor has no axes"
        raise IndexingError(f"{op}: axis {index} is out of range for {ndim} dimension(s); {use}")
    return index % ndim


def normalize_axes(op: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """``axis`` (None: all) as a sorted tuple of distinct non-negative ints."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and 0 <= axis < ndim:
        return (axis,)
    axes = [normalize_axis(op, a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{op}: axis {axis} names an axis twice")
    return tuple(sorted(axes))


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """The shape after reducing ``axes`` (normalized) away, or to length 1."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)

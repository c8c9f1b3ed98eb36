"""The largest and the smallest element over axes, and where they are."""

from __future__ import annotations

import builtins
from typing import Any

from ..aval import DEFAULT_INT, Aval, Axis, normalize_axes, reduced_shape
from ..batching import shift
from ..errors import DTypeError, ShapeError
from ..primitive import bind, general
from ._apply import as_tensor
from .reductions import expand_reduced, reduced, sum
from .selection import where
from .shaping import reshape

__all__ = ["max", "min", "argmax", "argmin"]


def _shared(g: Any, x: Any, y: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """``g`` for the elements that equal the extremum ``y`` of their group, in equal parts, 0 for the others."""
    chosen = x == expand_reduced(y, x.shape, axis, keepdims)
    count = sum(chosen, axis=axis, dtype=g.dtype, keepdims=keepdims)
    return where(chosen, expand_reduced(g / count, x.shape, axis, keepdims), 0)


max_p = general(
    "max",
    lambda xp, x, *, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
    reduced,
    vjp=(lambda g, x, y, axis, keepdims: _shared(g, x, y, axis, keepdims),),
    signals=False,
    batch={"axis": shift},
)

min_p = general(
    "min",
    lambda xp, x, *, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    reduced,
    vjp=(lambda g, x, y, axis, keepdims: _shared(g, x, y, axis, keepdims),),
    signals=False,
    batch={"axis": shift},
)


def _checked_axes(op: str, x: Any, axis: Axis) -> tuple[int, ...]:
    """The axes of a reduction that nothing stands for when there are no elements."""
    if x.dtype.kind == "c":
        raise DTypeError(f"{op}: complex numbers have no order, got {x.dtype}; write e.g. ag.{op}(abs(x))")
    axes = normalize_axes(op, axis, len(x.shape))
    if builtins.any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{op}: no element to choose in shape {x.shape} along axis {axis}: its length is 0")
    return axes


def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over ``axis`` (all axes by default); NaN if there is one.

    The gradient goes to the largest element; equal ones share it evenly, as in PyTorch's ``amax``. ShapeError where
    there are no elements. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.max(ag.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    tensor([2., 4.])
    """
    x = as_tensor("max", x)
    axes = _checked_axes("max", x, axis)
    return bind(max_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes else x


def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over ``axis`` (all axes by default); NaN if there is one.

    The gradient goes to the smallest element; equal ones share it evenly, as in PyTorch's ``amin``. ShapeError where
    there are no elements. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.min(ag.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    tensor([1., 3.])
    """
    x = as_tensor("min", x)
    axes = _checked_axes("min", x, axis)
    return bind(min_p, (x,), {"axis": axes, "keepdims": keepdims}) if axes else x


def _position_aval(x: Aval, *, axis: int, keepdims: bool) -> Aval:
    return Aval(reduced_shape(x.shape, (axis,), keepdims), DEFAULT_INT)


argmax_p = general(
    "argmax",
    lambda xp, x, *, axis, keepdims: x.argmax(axis=axis, keepdims=keepdims),
    _position_aval,
    signals=False,
    batch={"axis": shift},
)
argmin_p = general(
    "argmin",
    lambda xp, x, *, axis, keepdims: x.argmin(axis=axis, keepdims=keepdims),
    _position_aval,
    signals=False,
    batch={"axis": shift},
)


def _position(op: str, primitive: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = as_tensor(op, x)
    if axis is not None:
        (axis,) = _checked_axes(op, x, (axis,))
        return bind(primitive, (x,), {"axis": axis, "keepdims": keepdims})
    flat = x.flatten()
    _checked_axes(op, flat, 0)
    found = bind(primitive, (flat,), {"axis": 0, "keepdims": False})
    return reshape(found, (1,) * len(x.shape)) if keepdims else found


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Position (int64) of the largest element along ``axis`` (None: of the flattened tensor), the first of equals.

    ShapeError where there are no elements. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.argmax(ag.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    tensor([1, 0])
    """
    return _position("argmax", argmax_p, x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Position (int64) of the smallest element along ``axis`` (None: of the flattened tensor), the first of equals.

    ShapeError where there are no elements. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.argmin(ag.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    tensor([0, 1])
    """
    return _position("argmin", argmin_p, x, axis, keepdims)

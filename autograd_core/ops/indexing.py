"""Picking and placing elements: slices, integer and boolean indices, gather and scatter.

However an index is written, ``_keys`` brings it to one form, and this file to the primitives in ``_elements``.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .. import context
from ..aval import DEFAULT_INT, broadcast_shapes, is_inexact, normalize_axis
from ..errors import DTypeError, ShapeError
from ..primitive import Value, bind
from ._apply import SCALARS, as_tensor, check_devices, require_bool, require_integer
from ._elements import (
    add_at_p,
    joint_positions_p,
    nonzero_p,
    overwrite_p,
    place_p,
    positions_along_p,
    put_p,
    sliced,
    take_p,
)
from ._keys import Array, basic_shape, is_whole, read, read_basic
from .creation import made
from .reductions import count_nonzero
from .selection import where
from .shaping import broadcast_to, permute_dims, reshape

__all__ = [
    "take",
    "take_along_axis",
    "gather",
    "scatter",
    "scatter_add",
    "nonzero",
    "masked_fill",
    "masked_select",
]


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """Positions of the elements that are not 0: an int64 tensor for each axis. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.nonzero(ag.tensor([0.0, 3.0, 4.0]))
    (tensor([1, 2]),)
    """
    x = as_tensor("nonzero", x)
    if not x.shape:
        raise ShapeError("nonzero: a 0-d tensor has no positions; write x.ravel() or x != 0")
    number = count_nonzero(x)  # looked at first, so that shapes do not depend on values
    if not number.level:
        context.current().interpreter.base.looking_at(number, counts=True)
    count = number.item()
    return bind(nonzero_p, (x,), {"count": count})


def has_values(x: Any) -> bool:
    """Whether ``x`` has values that shapes may depend on: not while a function is compiled, nor for one of a batch."""
    while x.level:
        if not x.interpreter.shows_values:
            return False
        x = x.inner
    return bool(context.current().interpreter.base.in_place)


# --------------------------------------------------------------------------------------- any key


class _Selection:
    """The elements that a key names: how to get, add to, and replace them.

    get:  x -> axes under a mask joined -> basic step -> indexed axes together -> joined -> taken -> in their place
    """

    def __init__(self, x: Any, key: Any):
        joined, self.basic, arrays, in_front = read(x, key)
        self.shape = x.shape
        self.joined = joined
        self.indices: Any = None
        viewed = basic_shape(joined, self.basic)
        self.result_shape = viewed
        self.order: tuple[int, ...] | None = None
        self.result_order: tuple[int, ...] | None = None
        if arrays:
            self._read_arrays(arrays, viewed, in_front)

    def _read_arrays(self, arrays: list[Array], viewed: tuple[int, ...], in_front: bool) -> None:
        axes = [array.axis for array in arrays]
        lengths = tuple(viewed[a] for a in axes)
        indices = [_mask_positions(array.index) if array.is_mask else array.index for array in arrays]
        shape = broadcast_shapes("indexing", *[index.shape for index in indices])
        self.axis = axes[0]
        if axes != list(range(axes[0], axes[0] + len(axes))):
            self.axis = 0
            self.order = (*axes, *[a for a in range(len(viewed)) if a not in axes])
            viewed = tuple(viewed[a] for a in self.order)
        self.viewed = viewed
        before, after = viewed[: self.axis], viewed[self.axis + len(axes) :]
        self.rows_shape = (*before, prod(lengths), *after)
        self.indices = indices[0] if len(indices) == 1 else bind(joint_positions_p, indices, {"lengths": lengths})
        self.taken_shape = self.result_shape = (*before, *shape, *after)
        if in_front and self.axis:
            n, k = self.axis, len(shape)
            self.result_order = (*range(n, n + k), *range(n), *range(n + k, len(self.taken_shape)))
            self.result_shape = (*shape, *before, *after)

    def get(self, x: Any) -> Any:
        x = sliced(reshape(x, self.joined), self.basic)
        if self.indices is None:
            return x
        y = bind(take_p, (self._rows(x), self.indices), {"axis": self.axis})
        return y if self.result_order is None else permute_dims(y, self.result_order)

    def add(self, x: Any, v: Any) -> Any:
        if self.indices is not None:
            length = self.rows_shape[self.axis]
            v = bind(add_at_p, (self._as_taken(v), self.indices), {"axis": self.axis, "length": length})
            v = self._from_rows(v)
        if not is_whole(self.joined, self.basic):
            v = bind(place_p, (v,), {"key": self.basic, "shape": self.joined})
        return x + reshape(v, self.shape)

    def set(self, x: Any, v: Any) -> Any:
        x = reshape(x, self.joined)
        if self.indices is not None:
            rows = self._rows(sliced(x, self.basic))
            v = self._from_rows(bind(put_p, (rows, self._as_taken(v), self.indices), {"axis": self.axis}))
        if self.indices is None or not is_whole(self.joined, self.basic):
            v = bind(overwrite_p, (x, v), {"key": self.basic})
        return reshape(v, self.shape)

    def _rows(self, viewed: Any) -> Any:
        return reshape(viewed if self.order is None else permute_dims(viewed, self.order), self.rows_shape)

    def _from_rows(self, rows: Any) -> Any:
        viewed = reshape(rows, self.viewed)
        return viewed if self.order is None else permute_dims(viewed, _inverse(self.order))

    def _as_taken(self, v: Any) -> Any:
        return v if self.result_order is None else permute_dims(v, _inverse(self.result_order))


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(i) for i in range(len(order)))


def _mask_positions(mask: Any) -> Any:
    (found,) = nonzero(reshape(mask, (mask.size,)))
    return found


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` by NumPy's rules: integers, slices, None, Ellipsis, integer and boolean arrays, in any mixture.

    IndexingError for an index out of range or too many indices; DTypeError for an index that is no integer.
    """
    if isinstance(key, Value) and key.dtype.kind in "iu" and x.shape and key.device is x.device:
        return bind(take_p, (x, key), {"axis": 0})  # rows by number: every embedding
    basic = read_basic(x.shape, key)
    return _Selection(x, key).get(x) if basic is None else sliced(x, basic)


class At:
    """``x.at[key]``: the elements that ``key`` names, to be updated in a copy of ``x``."""

    __slots__ = ("_x",)

    def __init__(self, x: Any):
        self._x = x

    def __getitem__(self, key: Any) -> Updates:
        return Updates(self._x, key)


class Updates:
    """The updates of ``x.at[key]``; each returns a new tensor and is differentiable in ``x`` and ``value``.

    value: broadcasts to ``x[key]`` and is cast to the dtype of ``x``; floating values for an integer tensor raise a
    DTypeError, as they would lose their fraction.

    >>> import autograd_core as ag
    >>> x = ag.tensor([1.0, 2.0, 3.0])
    >>> x.at[0].set(9.0), x.at[ag.tensor([1, 1])].add(1.0), x.at[1:].multiply(2.0)
    (tensor([9., 2., 3.]), tensor([1., 4., 3.]), tensor([1., 4., 6.]))
    """

    __slots__ = ("_selection", "_x")

    def __init__(self, x: Any, key: Any):
        self._x = x
        self._selection = _Selection(x, key)

    def get(self) -> Any:
        """``x[key]``."""
        return self._selection.get(self._x)

    def set(self, value: Any) -> Any:
        """``x`` with ``value`` at ``key``; where an array names a place several times, the last value stays."""
        return self._selection.set(self._x, self._value("set", value))

    def add(self, value: Any) -> Any:
        """``x`` with ``value`` added at ``key``; where an array names a place several times, all are added."""
        return self._selection.add(self._x, self._value("add", value))

    def multiply(self, value: Any) -> Any:
        """``x`` with ``value`` multiplied in at ``key``: x[key] = x[key] * value, so once for a place named twice."""
        return self._selection.set(self._x, self.get() * self._value("multiply", value))

    def _value(self, op: str, value: Any) -> Any:
        x, shape = self._x, self._selection.result_shape
        value = _as_value(f"x.at[...].{op}", value, x)
        if broadcast_shapes(f"x.at[...].{op}", value.shape, shape) != shape:
            raise ShapeError(
                f"x.at[...].{op}: a value of shape {value.shape} does not broadcast to {shape}, that of x[...]"
            )
        return broadcast_to(value, shape)


def _as_value(op: str, value: Any, x: Any) -> Any:
    """``value`` as a tensor of the dtype of ``x``."""
    given, value = value, as_tensor(op, value, x)
    check_devices(op, (x, value))
    if is_inexact(value.dtype) and not is_inexact(x.dtype):
        raise DTypeError(
            f"{op}: a value of dtype {value.dtype} in a tensor of {x.dtype} would lose its fraction; cast one"
        )
    if hasattr(given, "dtype") or (value.dtype.kind == "c" and x.dtype.kind != "c"):
        return value.astype(x.dtype)
    return made(op, given, x.dtype, x.device)  # numbers keep the digits that the dtype of x has room for


# -------------------------------------------------------------------------------- gather and scatter


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """Slices of ``x`` along ``axis`` by number: y[..., i, ...] = x[..., indices[i], ...].

    indices: integers of any shape, which takes the place of the axis; negative ones count from the end. axis: None
    takes from the flattened tensor. IndexingError for an index out of range. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.take(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 0, 1], axis=0)
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    x = as_tensor("take", x)
    indices = _as_indices("take", indices, x)
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = normalize_axis("take", axis, len(x.shape))
    return bind(take_p, (x, indices), {"axis": axis})


def _as_indices(op: str, indices: Any, x: Any) -> Any:
    given = indices
    indices = as_tensor(op, indices, x)
    if not indices.size and not isinstance(given, Value):
        indices = indices.astype(DEFAULT_INT)
    require_integer(op, "indices", indices)
    check_devices(op, (x, indices))
    return indices


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """An element for every index along ``axis``: y[i, j] = x[i, indices[i, j]] for the last of two axes.

    indices: integers, of as many axes as ``x``; all axes but ``axis`` broadcast. argsort and argmax (keepdims=True)
    give such. IndexingError for an index out of range. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.take_along_axis(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    x = as_tensor("take_along_axis", x)
    indices = _as_indices("take_along_axis", indices, x)
    n = len(x.shape)
    axis = normalize_axis("take_along_axis", axis, n)
    if len(indices.shape) != n:
        raise ShapeError(
            f"take_along_axis: x has shape {x.shape}, indices {indices.shape}: they must have as many axes"
        )
    shape = broadcast_shapes(
        "take_along_axis", x.shape[:axis] + x.shape[axis + 1 :], indices.shape[:axis] + indices.shape[axis + 1 :]
    )
    x = broadcast_to(x, (*shape[:axis], x.shape[axis], *shape[axis:]))
    indices = broadcast_to(indices, (*shape[:axis], indices.shape[axis], *shape[axis:]))
    return _gather(x, axis, indices)


def _gather(x: Any, axis: int, index: Any) -> Any:
    at = bind(positions_along_p, (index,), {"shape": x.shape, "axis": axis})
    return bind(take_p, (reshape(x, (x.size,)), at), {"axis": 0})


def _scattering(op: str, x: Any, dim: int, index: Any) -> tuple[Any, int, Any]:
    x = as_tensor(op, x)
    index = _as_indices(op, index, x)
    dim = normalize_axis(op, dim, len(x.shape))
    if len(index.shape) != len(x.shape) or any(
        k > n for i, (k, n) in enumerate(zip(index.shape, x.shape, strict=True)) if i != dim
    ):
        raise ShapeError(
            f"{op}: index of shape {index.shape} does not fit x of shape {x.shape}: it needs as many axes, each but "
            f"axis {dim} no longer than that of x"
        )
    return x, dim, index


def gather(x: Any, dim: int, index: Any, /) -> Any:
    """An element for every index along ``dim``: y[i, j] = x[i, index[i, j]] for dim 1 of two. PyTorch's ``gather``.

    index: integers, of as many axes as ``x``, no longer than ``x`` in those other than ``dim``; y has its shape.
    IndexingError for an index out of range.

    >>> import autograd_core as ag
    >>> ag.gather(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ag.tensor([[0, 0], [1, 0]]))
    tensor([[1., 1.],
            [4., 3.]])
    """
    return _gather(*_scattering("gather", x, dim, index))


def _source(op: str, x: Any, index: Any, src: Any) -> Any:
    """The part of ``src`` that ``index`` covers."""
    src = _as_value(op, src, x)
    if not src.shape:
        return broadcast_to(src, index.shape)
    if len(src.shape) != len(index.shape) or any(k > n for k, n in zip(index.shape, src.shape, strict=True)):
        raise ShapeError(f"{op}: src of shape {src.shape} has no value for every index of shape {index.shape}")
    return sliced(src, tuple((0, n, 1) for n in index.shape))


def scatter(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """``x`` with values put along ``dim``: y[i, index[i, j]] = src[i, j] for dim 1 of two. PyTorch's ``scatter``.

    index: integers, as for ``gather``; of several values for one place the last stays. src: a number, or a tensor at
    least as long as ``index`` in every axis.

    >>> import autograd_core as ag
    >>> ag.scatter(ag.zeros((2, 2)), 1, ag.tensor([[1], [0]]), 5.0)
    tensor([[0., 5.],
            [5., 0.]])
    """
    x, dim, index = _scattering("scatter", x, dim, index)
    at = bind(positions_along_p, (index,), {"shape": x.shape, "axis": dim})
    flat = bind(put_p, (reshape(x, (x.size,)), _source("scatter", x, index, src), at), {"axis": 0})
    return reshape(flat, x.shape)


def scatter_add(x: Any, dim: int, index: Any, src: Any, /) -> Any:
    """``x`` with values added along ``dim``: y[i, index[i, j]] += src[i, j] for dim 1 of two.

    Arguments as for ``scatter``; all values for one place are added. PyTorch's ``scatter_add``.

    >>> import autograd_core as ag
    >>> ag.scatter_add(ag.zeros((1, 2)), 1, ag.tensor([[1, 1, 0]]), ag.tensor([[1.0, 2.0, 4.0]]))
    tensor([[4., 3.]])
    """
    x, dim, index = _scattering("scatter_add", x, dim, index)
    at = bind(positions_along_p, (index,), {"shape": x.shape, "axis": dim})
    sums = bind(add_at_p, (_source("scatter_add", x, index, src), at), {"axis": 0, "length": x.size})
    return x + reshape(sums, x.shape)


# --------------------------------------------------------------------------------------------- masks


def masked_fill(x: Any, mask: Any, value: Any, /) -> Any:
    """``x`` with ``value``, a number or 0-d tensor, where ``mask`` is true. PyTorch's ``masked_fill``.

    >>> import autograd_core as ag
    >>> ag.masked_fill(ag.tensor([1.0, 2.0]), ag.tensor([True, False]), 0.0)
    tensor([0., 2.])
    """
    x = as_tensor("masked_fill", x)
    return where(mask, value if isinstance(value, SCALARS) else _as_value("masked_fill", value, x), x)


def masked_select(x: Any, mask: Any, /) -> Any:
    """The elements of ``x`` where ``mask`` is true, in one axis; the two broadcast. PyTorch's ``masked_select``.

    >>> import autograd_core as ag
    >>> ag.masked_select(ag.tensor([1.0, 2.0]), ag.tensor([True, False]))
    tensor([1.])
    """
    x = as_tensor("masked_select", x)
    mask = as_tensor("masked_select", mask, x)
    require_bool("masked_select", "mask", mask)
    shape = broadcast_shapes("masked_select", x.shape, mask.shape)
    return getitem(broadcast_to(x, shape), broadcast_to(mask, shape))

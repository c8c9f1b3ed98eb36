"""What stands between the brackets of ``x[...]``, read by NumPy's rules and brought to a plain form.

A key is read into two steps. The first is *basic*: integers, slices and new axes, which give a view. The second takes
whole slices of that view by integer arrays. A boolean mask of k axes is an integer array, of the positions where it is
true, on those k axes joined into one; so masks cost the second step nothing of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..aval import Shape
from ..errors import ArgumentError, DTypeError, IndexingError
from ..primitive import Value
from ._apply import as_tensor, check_devices

# an axis of the indexed tensor: the position taken, or the (start, stop, step) of a slice; None: a new axis
BasicItem = int | tuple[int, int | None, int] | None
BasicKey = tuple[BasicItem, ...]
_BASIC_TYPES = frozenset((int, slice, type(None), type(Ellipsis)))


class Array(NamedTuple):
    """An integer array of the key (or the mask that it is to be made from) and the axis that it indexes."""

    index: Any
    axis: int
    is_mask: bool


class Key(NamedTuple):
    """A key, read for one shape."""

    joined: Shape  # the shape indexed, the axes under each mask joined into one
    basic: BasicKey
    arrays: list[Array]  # their axes are those of the basic step's result
    in_front: bool  # whether the arrays' axes come first in the result, or where the first array stood


def position(index: int, axis: int, length: int) -> int:
    """``index``, possibly negative, as a position along an axis; IndexingError if there is none."""
    if not -length <= index < length:
        raise IndexingError(
            f"index {index} is out of range for axis {axis} with length {length}"
            + (f"; use {-length} to {length - 1}" if length else "")
        )
    return index % length


def _slice(item: slice, axis: int, length: int) -> tuple[int, int | None, int]:
    try:
        start, stop, step = item.indices(length)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"slice {item} of axis {axis} cannot be used: {error}") from None
    if not len(range(start, stop, step)):
        return 0, 0, 1
    return start, (None if stop < 0 else stop), step


def basic_shape(shape: Shape, key: BasicKey) -> Shape:
    """The shape that a basic step gives."""
    axis, result = 0, []
    for item in key:
        if item is None:
            result.append(1)
            continue
        if type(item) is tuple:
            start, stop, step = item
            result.append(len(range(start, -1 if stop is None else stop, step)))
        axis += 1
    return (*result, *shape[axis:])


def native(key: BasicKey) -> tuple[Any, ...]:
    """The key as array libraries take it; the Ellipsis makes 0-d results arrays, not scalars."""
    return (*[slice(*item) if type(item) is tuple else item for item in key], ...)


def is_whole(shape: Shape, key: BasicKey) -> bool:
    """Whether a basic step changes nothing."""
    for item, n in zip(key, shape, strict=False):
        if item != (0, n, 1):
            return False
    return len(key) <= len(shape)


def read_basic(shape: Shape, key: Any) -> BasicKey | None:
    """``key`` as a basic key if it is one for this shape, None otherwise: the short way for most."""
    items = key if type(key) is tuple else (key,)
    used = 0
    for item in items:
        if type(item) not in _BASIC_TYPES:
            return None
        used += type(item) is int or type(item) is slice
    if used > len(shape) or len([i for i in items if i is Ellipsis]) > 1:
        return None
    basic: list[BasicItem] = []
    axis = 0
    for item in items:
        if item is None:
            basic.append(None)
        elif item is Ellipsis:
            hidden = len(shape) - used
            basic += [(0, n, 1) for n in shape[axis : axis + hidden]]
            axis += hidden
        else:
            n = shape[axis]
            basic.append(position(item, axis, n) if type(item) is int else _slice(item, axis, n))
            axis += 1
    return tuple(basic)


def read(x: Value, key: Any) -> Key:
    """``key`` read for the shape of ``x``."""
    given = key if type(key) is tuple else (key,)
    items = [item if _is_basic(item) else _as_index(x, item) for item in given]
    hidden = _axes_of_ellipsis(x.shape, items)
    axis = 0
    joined: list[int] = []
    basic: list[BasicItem] = []
    arrays: list[Array] = []
    pattern: list[bool] = []  # whether each item is an index (integers count where there are arrays)
    for item in items:
        pattern.append(not (item is None or item is Ellipsis or isinstance(item, slice)))
        covered = 1
        if isinstance(item, Value):
            is_mask = item.dtype.kind == "b"
            arrays.append(Array(item, sum([type(b) is not int for b in basic]), is_mask))
            if is_mask:
                covered = _axes_of_mask(x.shape, axis, item.shape)
            item = slice(None) if covered else None  # a single truth value: all or nothing of a new axis
        if item is None:
            basic.append(None)
            continue
        if item is Ellipsis:
            basic += [(0, n, 1) for n in x.shape[axis : axis + hidden]]
            joined += x.shape[axis : axis + hidden]
            axis += hidden
            continue
        length = prod(x.shape[axis : axis + covered])
        basic.append(_slice(item, axis, length) if isinstance(item, slice) else position(int(item), axis, length))
        joined.append(length)
        axis += covered
    return Key((*joined, *x.shape[axis:]), tuple(basic), arrays, _parted(pattern))


def _axes_of_mask(shape: Shape, axis: int, mask: Shape) -> int:
    covered = shape[axis : axis + len(mask)]
    # a mask of no elements chooses none: its empty axes fit any length
    if len(mask) != len(covered) or any(m not in (n, 0) for m, n in zip(mask, covered, strict=True)):
        raise IndexingError(
            f"a boolean index of shape {mask} was used on axes of lengths {covered} (from axis {axis} of shape "
            f"{shape}): a mask must have the shape of what it chooses from"
        )
    return len(mask)


def _is_basic(item: Any) -> bool:
    if item is None or item is Ellipsis or isinstance(item, slice):
        return True
    return isinstance(item, (int, np.integer)) and not isinstance(item, bool)


def _as_index(x: Value, item: Any) -> Any:
    """An integer or boolean tensor from whatever stands in a key."""
    index = as_tensor("an index", item, x)
    check_devices("indexing", (x, index))
    if not index.size and not isinstance(item, (Value, np.ndarray)):
        index = index.astype("int64")  # an empty list has no dtype of its own
    if index.dtype.kind not in "biu":
        raise DTypeError(
            f"an index holds integers or booleans, got {index.dtype}{list(index.shape)}; write .astype('int64')"
        )
    return index


def _axes_of_ellipsis(shape: Shape, items: list[Any]) -> int:
    """How many axes are left for an Ellipsis."""
    if sum(item is Ellipsis for item in items) > 1:
        raise ArgumentError("an index can have one Ellipsis (...) only")
    used = sum(
        len(item.shape) if isinstance(item, Value) and item.dtype.kind == "b" else 1
        for item in items
        if item is not None and item is not Ellipsis
    )
    if used > len(shape):
        raise IndexingError(f"{used} indices were used on a tensor of {len(shape)} dimension(s), shape {shape}")
    return len(shape) - used


def _parted(pattern: Sequence[bool]) -> bool:
    """Whether a slice, an Ellipsis (of no axis, even) or a new axis stands between two indices."""
    indices = [i for i, is_index in enumerate(pattern) if is_index]
    return bool(indices) and indices[-1] - indices[0] >= len(indices)

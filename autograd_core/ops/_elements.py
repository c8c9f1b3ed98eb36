"""The primitives under indexing.

Two pairs, each the other's transpose, do the work: ``slice``/``place`` for basic keys, which are views, and
``take``/``add_at`` for integer arrays along one axis. ``overwrite`` and ``put`` replace instead of adding. Positions
come from what a user wrote by ``joint_positions``, ``positions_along`` and ``nonzero``, which have no derivative.

A formula looks at its indices to refuse one out of range; where that would mean waiting for a device, a backend has
a kernel of its own.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..aval import BOOL, DEFAULT_INT, Aval, broadcast_shapes
from ..batching import prefix
from ..errors import BatchingError, IndexingError
from ..primitive import General, Multilinear, bind, general, multilinear
from ._keys import BasicKey, basic_shape, is_whole, native
from .creation import arange
from .selection import where
from .shaping import broadcast_to, moveaxis, reshape

# ------------------------------------------------------------------------------------- basic keys


def _whole_batch(key: BasicKey, size: int) -> BasicKey:
    """``key`` behind a batch axis, all of which it takes."""
    return ((0, size, 1), *key)


slice_p = multilinear(
    "slice",
    lambda xp, x, *, key: x[native(key)],
    transposes=(lambda g, avals, key: bind(place_p, (g,), {"key": key, "shape": avals[0].shape}),),
    shape=lambda x, *, key: Aval(basic_shape(x.shape, key), x.dtype),
    batch={"key": _whole_batch},
)


def _placed(xp: Any, v: Any, *, key: BasicKey, shape: tuple[int, ...]) -> Any:
    result = xp.zeros(shape, v.dtype)
    result[native(key)] = v
    return result


place_p: Multilinear = multilinear(
    "place",
    _placed,
    transposes=(lambda g, key: bind(slice_p, (g,), {"key": key}),),
    shape=lambda v, *, key, shape: Aval(shape, v.dtype),
    batch={"key": _whole_batch, "shape": prefix},
)


def _overwritten(xp: Any, x: Any, v: Any, *, key: BasicKey) -> Any:
    result = x.copy()
    result[native(key)] = v
    return result


overwrite_p: Multilinear = multilinear(
    "overwrite",
    _overwritten,
    transposes=(
        lambda g, avals, key: bind(overwrite_p, (g, _zeros(g, avals[1].shape)), {"key": key}),
        lambda g, key: bind(slice_p, (g,), {"key": key}),
    ),
    shape=lambda x, v, *, key: x,
    joint=True,
    batch={"key": _whole_batch},
)


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros that take no room."""
    return broadcast_to(like.new_zeros(()), shape)


def sliced(x: Any, key: BasicKey) -> Any:
    """``x`` after a basic step."""
    return x if is_whole(x.shape, key) else bind(slice_p, (x,), {"key": key})


# ------------------------------------------------------------------------- integer arrays along an axis


def _in_range(xp: Any, indices: Any, length: int) -> Any:
    """``indices`` counted from the front; IndexingError for one out of range."""
    if not indices.size:
        return _wide(indices)
    lowest, highest = int(indices.min()), int(indices.max())
    if lowest < -length or highest >= length:
        wrong = lowest if lowest < -length else highest
        raise IndexingError(
            f"index {wrong} is out of range for an axis of length {length}"
            + (f"; use {-length} to {length - 1}" if length else "")
        )
    return _wide(indices) if lowest >= 0 else _from_front(xp, indices, length)


def _wide(indices: Any) -> Any:
    """As what a narrow integer may not hold: lengths of axes, and positions in arrays."""
    return indices.astype(DEFAULT_INT, copy=False)


def _from_front(xp: Any, indices: Any, length: int) -> Any:
    indices = _wide(indices)
    return xp.where(indices < 0, indices + length, indices)


def _along(axis: int, indices: Any) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, indices)


def _taken(xp: Any, x: Any, indices: Any, *, axis: int) -> Any:
    if not x.size:  # then nothing else looks at the indices
        _in_range(xp, indices, x.shape[axis])
    try:
        if x.flags.c_contiguous:
            return xp.take(x, indices, axis=axis)
        return x[_along(axis, indices)]  # take would first copy all of x
    except IndexError:
        _in_range(xp, indices, x.shape[axis])
        raise


def _taken_shape(x: Aval, indices: Aval, *, axis: int) -> Aval:
    return Aval((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def _in_batch(indices: Any, size: int, length: int) -> Any:
    """A batch of indices of an axis, as positions in one axis that all examples' axes make together."""
    example = reshape(arange(size, device=indices.device), (size, *[1] * (len(indices.shape) - 1)))
    return bind(joint_positions_p, (example, indices), {"lengths": (size, length)})


def _all_in_batch(xs: Any, batched: Any, size: int) -> list[Any]:
    return [x if b else broadcast_to(x, (size, *x.shape)) for x, b in zip(xs, batched, strict=True)]


def _axes_to(x: Any, first: int, count: int, to: int) -> Any:
    return moveaxis(x, tuple(range(first, first + count)), tuple(range(to, to + count)))


def _take_batched(xs: Any, batched: Any, size: int, axis: int) -> Any:
    x, indices = xs
    if not batched[1]:
        return bind(take_p, xs, {"axis": axis + 1})
    if not batched[0]:
        return moveaxis(bind(take_p, xs, {"axis": axis}), axis, 0)
    x = moveaxis(x, axis + 1, 1)
    rows = reshape(x, (size * x.shape[1], *x.shape[2:]))
    y = bind(take_p, (rows, _in_batch(indices, size, x.shape[1])), {"axis": 0})
    return _axes_to(y, 1, len(indices.shape) - 1, axis + 1)


take_p: Multilinear = multilinear(
    "take",
    _taken,
    transposes=(
        lambda g, indices, avals, axis: bind(add_at_p, (g, indices), {"axis": axis, "length": avals[0].shape[axis]}),
        None,
    ),
    shape=_taken_shape,
    batch=_take_batched,
)

_BLOCK = 1 << 16  # elements added at a time: their positions stay in the cache


def _added_at(xp: Any, v: Any, indices: Any, *, axis: int, length: int) -> Any:
    """Sums by index. One flat ``add.at`` over positions of elements is several times faster than one over rows."""
    before, after = v.shape[:axis], v.shape[axis + indices.ndim :]
    outer, inner = prod(before), prod(after)
    result = xp.zeros(outer * length * inner, v.dtype)
    rows = _in_range(xp, indices, length).reshape(-1)
    if outer != 1:
        rows = (xp.arange(outer)[:, None] * length + rows).reshape(-1)
    values = v.reshape(-1)
    if inner == 1:
        xp.add.at(result, rows, values)
    elif inner:
        count = max(1, _BLOCK // inner)
        within = xp.arange(inner)
        for start in range(0, rows.size, count):
            block = rows[start : start + count]
            at = (block[:, None] * inner + within).reshape(-1)
            xp.add.at(result, at, values[start * inner : start * inner + at.size])
    return result.reshape(*before, length, *after)


def _add_at_batched(xs: Any, batched: Any, size: int, axis: int, length: int) -> Any:
    if not batched[1]:
        return bind(add_at_p, xs, {"axis": axis + 1, "length": length})
    v, indices = _all_in_batch(xs, batched, size)
    v = _axes_to(v, axis + 1, len(indices.shape) - 1, 1)
    y = bind(add_at_p, (v, _in_batch(indices, size, length)), {"axis": 0, "length": size * length})
    return moveaxis(reshape(y, (size, length, *y.shape[1:])), 1, axis + 1)


add_at_p: Multilinear = multilinear(
    "add_at",
    _added_at,
    transposes=(lambda g, indices, axis: bind(take_p, (g, indices), {"axis": axis}), None),
    shape=lambda v, indices, *, axis, length: Aval((*v.shape[:axis], length, *v.shape[axis + indices.ndim :]), v.dtype),
    batch=_add_at_batched,
)


def _put(xp: Any, x: Any, v: Any, indices: Any, *, axis: int) -> Any:
    # in one line, so that of several values for one place the last stays
    at = xp.ascontiguousarray(_in_range(xp, indices, x.shape[axis])).reshape(-1)
    result = x.copy()
    result[_along(axis, at)] = v.reshape(*x.shape[:axis], at.size, *x.shape[axis + 1 :])
    return result


def _put_batched(xs: Any, batched: Any, size: int, axis: int) -> Any:
    if not batched[2]:
        return bind(put_p, (*_all_in_batch(xs[:2], batched[:2], size), xs[2]), {"axis": axis + 1})
    x, v, indices = _all_in_batch(xs, batched, size)
    x, v = moveaxis(x, axis + 1, 1), _axes_to(v, axis + 1, len(indices.shape) - 1, 1)
    rows = reshape(x, (size * x.shape[1], *x.shape[2:]))
    y = bind(put_p, (rows, v, _in_batch(indices, size, x.shape[1])), {"axis": 0})
    return moveaxis(reshape(y, x.shape), 1, axis + 1)


put_p: Multilinear = multilinear(
    "put",
    _put,
    transposes=(
        lambda g, indices, avals, axis: bind(put_p, (g, _zeros(g, avals[1].shape), indices), {"axis": axis}),
        lambda g, indices, avals, axis: where(
            _stays(indices, avals[0].shape, axis), bind(take_p, (g, indices), {"axis": axis}), 0
        ),
        None,
    ),
    shape=lambda x, v, indices, *, axis: x,
    joint=True,
    batch=_put_batched,
)


def _last(xp: Any, indices: Any, *, length: int) -> Any:
    at = xp.ascontiguousarray(_from_front(xp, indices, length)).reshape(-1)
    order = xp.arange(at.size)
    writer = xp.zeros(length, order.dtype)
    writer[at] = order
    return (writer[at] == order).reshape(indices.shape)


def _last_batched(xs: Any, batched: Any, size: int, length: int) -> Any:
    return bind(last_p, (_in_batch(xs[0], size, length),), {"length": size * length})


last_p: General = general(
    "last", _last, lambda indices, *, length: Aval(indices.shape, BOOL), signals=False, batch=_last_batched
)


def _stays(indices: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Which of the values that were put stay: of several for one place the last."""
    stays = bind(last_p, (indices,), {"length": shape[axis]})
    return reshape(stays, indices.shape + (1,) * (len(shape) - axis - 1))


# ------------------------------------------------------------------------------ positions from indices


def _joint_positions(xp: Any, *indices: Any, lengths: tuple[int, ...]) -> Any:
    total = 0
    for index, length in zip(indices, lengths, strict=True):
        total = total * length + _in_range(xp, index, length)
    return total


def _joint_positions_batched(xs: Any, batched: Any, size: int, lengths: tuple[int, ...]) -> Any:
    ndim = max(len(x.shape) - b for x, b in zip(xs, batched, strict=True))
    aligned = [
        reshape(x, (size, *[1] * (ndim + 1 - len(x.shape)), *x.shape[1:])) if b else x
        for x, b in zip(xs, batched, strict=True)
    ]
    return bind(joint_positions_p, aligned, {"lengths": lengths})


joint_positions_p: General = general(
    "joint_positions",
    _joint_positions,
    lambda *indices, lengths: Aval(broadcast_shapes("indexing", *[i.shape for i in indices]), DEFAULT_INT),
    signals=False,
    batch=_joint_positions_batched,
)


def _positions_along(xp: Any, index: Any, *, shape: tuple[int, ...], axis: int) -> Any:
    total = _in_range(xp, index, shape[axis]) * prod(shape[axis + 1 :])
    for i, n in enumerate(index.shape):
        if i != axis:
            steps = xp.arange(n) * prod(shape[i + 1 :])
            total = total + steps.reshape(-1, *[1] * (len(shape) - i - 1))
    return total


def _positions_along_batched(xs: Any, batched: Any, size: int, shape: tuple[int, ...], axis: int) -> Any:
    joint = bind(positions_along_p, xs, {"shape": (size, *shape), "axis": axis + 1})
    example = reshape(arange(size, device=joint.device), (size, *[1] * len(shape)))
    return joint - example * prod(shape)  # positions within each example


positions_along_p: General = general(
    "positions_along",
    _positions_along,
    lambda index, *, shape, axis: Aval(index.shape, DEFAULT_INT),
    signals=False,
    batch=_positions_along_batched,
)


def _nonzero_batched(xs: Any, batched: Any, size: int, count: int) -> Any:
    raise BatchingError("nonzero: how many elements are not 0 differs from example to example; use where or a sum")


nonzero_p = general(
    "nonzero",
    lambda xp, x, *, count: tuple(xp.nonzero(x)),
    lambda x, *, count: (Aval((count,), DEFAULT_INT),) * x.ndim,
    signals=False,
    batch=_nonzero_batched,
)

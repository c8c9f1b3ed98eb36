"""Picking and placing by integer arrays: indices are looked at once, and what is known of them is remembered.

CuPy wraps indices around that are out of range. To refuse them as the other backends do, the host has to wait for
their smallest and largest; it waits once for an array of indices and a length, however often they are used after
that, in the backward pass for example. While a stream is captured nothing can be waited for, and nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any
from weakref import ref

from autograd_core.errors import IndexingError
from autograd_core.ops._elements import add_at_p, joint_positions_p, positions_along_p, put_p, take_p
from autograd_core.primitive import Primitive

from .indexing_steps import step_of
from .queues import Queue


class Indices:
    """What is known of arrays of indices: lengths that they fit."""

    def __init__(self, cupy: Any, queue: Callable[[int], Queue]):
        self._cupy = cupy
        self._queue = queue
        self._fitting: dict[int, tuple[Any, int]] = {}

    def checked(self, indices: Any, length: int) -> Any:
        """``indices`` as int64, counted from the front; IndexingError for one out of range."""
        known = self._fitting.get(id(indices))
        if known is None or known[0]() is not indices or known[1] > length:
            self.look(indices, length)
        wide = indices.astype("int64", copy=False)
        return wide if wide.dtype.kind == "u" else self._cupy.where(wide < 0, wide + length, wide)

    def look(self, indices: Any, length: int) -> None:
        """IndexingError for one out of range, unless the stream is captured."""
        queue = self._queue(indices.data.device_id)
        if not indices.size or queue.stream.is_capturing():
            return
        both = self._cupy.stack([indices.min(), indices.max()]).get(blocking=False)
        queue.wait()
        lowest, highest = both.tolist()
        if lowest < -length or highest >= length:
            wrong = lowest if lowest < -length else highest
            raise IndexingError(
                f"index {wrong} is out of range for an axis of length {length}"
                + (f"; use {-length} to {length - 1}" if length else "")
            )
        self.fit(indices, length)

    def fit(self, indices: Any, length: int) -> Any:
        """``indices``, which are known to fit an axis of that length, or a longer one."""
        key = id(indices)
        self._fitting[key] = (ref(indices, lambda _: self._fitting.pop(key, None)), length)
        return indices


def kernels(cupy: Any, queue: Callable[[int], Queue], xp: Any) -> dict[Primitive, Callable[..., Any]]:
    known = Indices(cupy, queue)

    def take(x: Any, indices: Any, *, axis: int) -> Any:
        at = known.checked(indices, x.shape[axis])
        return cupy.take(x, at, axis=axis)

    def add_at(v: Any, indices: Any, *, axis: int, length: int) -> Any:
        before, after = v.shape[:axis], v.shape[axis + indices.ndim :]
        outer, inner = prod(before), prod(after)
        rows = known.checked(indices, length).reshape(-1)
        if v.dtype.char in "fdFD":
            return xp.add.sums(v, rows, outer, length, inner).reshape(*before, length, *after)
        if outer != 1:
            rows = (cupy.arange(outer)[:, None] * length + rows).reshape(-1)
        if inner != 1:
            rows = (rows[:, None] * inner + cupy.arange(inner)).reshape(-1)
        result = cupy.zeros(outer * length * inner, v.dtype)
        if v.size:
            xp.add.at(result, rows, v.reshape(-1))
        return result.reshape(*before, length, *after)

    def put(x: Any, v: Any, indices: Any, *, axis: int) -> Any:
        at = known.checked(indices, x.shape[axis]).reshape(-1)
        result = x.copy()
        if at.size and v.size:
            values = v.reshape(*x.shape[:axis], at.size, *x.shape[axis + 1 :])
            # of several values for one place the last stays, as on the host: each place takes from its last writer
            writer = cupy.full(x.shape[axis], -1, "int64")
            cupy.maximum.at(writer, at, cupy.arange(at.size))
            written = (writer >= 0).reshape(-1, *(1,) * (x.ndim - axis - 1))
            result = xp.where(written, cupy.take(values, cupy.maximum(writer, 0), axis=axis), result)
        return result

    def joint_positions(*indices: Any, lengths: tuple[int, ...]) -> Any:
        total: Any = 0
        for index, length in zip(indices, lengths, strict=True):
            total = total * length + known.checked(index, length)
        return known.fit(total, prod(lengths))

    def positions_along(index: Any, *, shape: tuple[int, ...], axis: int) -> Any:
        total = known.checked(index, shape[axis]) * prod(shape[axis + 1 :])
        for i, n in enumerate(index.shape):
            if i != axis:
                steps = cupy.arange(n) * prod(shape[i + 1 :])
                total = total + steps.reshape(-1, *[1] * (len(shape) - i - 1))
        return known.fit(total, prod(shape))

    take.step = partial(step_of, by_index=xp.add.sums, known=known)  # type: ignore[attr-defined]
    return {
        take_p: take,
        add_at_p: add_at,
        put_p: put,
        joint_positions_p: joint_positions,
        positions_along_p: positions_along,
    }

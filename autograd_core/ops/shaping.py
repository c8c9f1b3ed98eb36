"""Other shapes of the same elements: broadcast, reshape, permute, flip, roll, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..aval import Aval, Axis, as_shape, broadcast_shapes, normalize_axes, normalize_axis
from ..batching import prefix, shift
from ..errors import ArgumentError, ShapeError
from ..primitive import bind, multilinear
from ._apply import as_tensor, as_tensors
from .casting import alias_p
from .creation import asarray

__all__ = [
    "broadcast_to",
    "broadcast_arrays",
    "expand",
    "reshape",
    "flatten",
    "squeeze",
    "expand_dims",
    "permute_dims",
    "matrix_transpose",
    "moveaxis",
    "swapaxes",
    "flip",
    "roll",
    "tile",
    "repeat",
    "tril",
    "triu",
    "meshgrid",
]


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """``x`` summed over the axes along which ``shape`` was broadcast: the transpose of broadcast_to."""
    added = len(x.shape) - len(shape)
    axes = tuple(range(added)) + tuple(i + added for i, n in enumerate(shape) if n == 1 and x.shape[i + added] != 1)
    return x.sum(axis=axes).reshape(shape) if axes else x


def _broadcast_batched(xs: Any, batched: Any, size: int, shape: tuple[int, ...]) -> Any:
    (x,) = xs
    missing = len(shape) + 1 - len(x.shape)
    return broadcast_to(reshape(x, (size, *[1] * missing, *x.shape[1:])), (size, *shape))


broadcast_to_p = multilinear(
    "broadcast_to",
    lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    transposes=(lambda g, avals: sum_to(g, avals[0].shape),),
    shape=lambda x, *, shape: Aval(shape, x.dtype),
    batch=_broadcast_batched,
)


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """``x`` repeated along new axes and axes of length 1 to fill ``shape``. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.broadcast_to(ag.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    x, shape = as_tensor("broadcast_to", x), as_shape("broadcast_to", shape)
    if x.shape == shape:
        return x
    if x.shape and broadcast_shapes("broadcast_to", x.shape, shape) != shape:
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}: only lengths of 1 stretch")
    return bind(broadcast_to_p, (x,), {"shape": shape})


reshape_p = multilinear(
    "reshape",
    lambda xp, x, *, shape: x.reshape(shape),
    transposes=(lambda g, avals: g.reshape(avals[0].shape),),
    shape=lambda x, *, shape: Aval(shape, x.dtype),
    batch={"shape": prefix},
)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements of ``x`` in row-major order under another shape; one length may be -1 (inferred).

    copy: True makes a new tensor also where the shape stays. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.reshape(ag.arange(6), (2, -1)).shape
    (2, 3)
    """
    x = as_tensor("reshape", x)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    size = prod(x.shape)
    if -1 in shape:
        known = prod([n for n in shape if n != -1])
        if shape.count(-1) > 1:
            raise ShapeError(f"reshape: {x.shape} and {shape} do not fit: one length at most can be -1 (inferred)")
        if size % known if known else True:
            raise ShapeError(
                f"reshape: {size} elements of shape {x.shape} do not fit {shape}: the length -1 cannot be inferred, as "
                f"the others make {known}"
            )
        shape = tuple(size // known if n == -1 else n for n in shape)
    shape = as_shape("reshape", shape)
    if prod(shape) != size:
        raise ShapeError(
            f"reshape: {size} elements of shape {x.shape} do not fit {shape}, which has {prod(shape)}; write -1 for a "
            "length to be inferred"
        )
    if shape == x.shape:
        return bind(alias_p, (x,), {}) if copy else x
    return bind(reshape_p, (x,), {"shape": shape})


permute_dims_p = multilinear(
    "permute_dims",
    lambda xp, x, *, axes: xp.transpose(x, axes),
    transposes=(lambda g, axes: permute_dims(g, tuple(axes.index(i) for i in range(len(axes)))),),
    shape=lambda x, *, axes: Aval(tuple(x.shape[a] for a in axes), x.dtype),
    batch={"axes": lambda axes, size: (0, *shift(axes, size))},
)


def permute_dims(x: Any, /, axes: Sequence[int]) -> Any:
    """Axes reordered: axis i of the result is axis ``axes[i]`` of ``x``. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.permute_dims(ag.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = as_tensor("permute_dims", x)
    given = tuple(axes)
    axes = tuple(normalize_axis("permute_dims", a, len(x.shape)) for a in given)
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError(f"permute_dims: axes {given} do not name each of the {len(x.shape)} axes of {x.shape} once")
    return x if axes == tuple(range(len(axes))) else bind(permute_dims_p, (x,), {"axes": axes})


def matrix_transpose(x: Any, /) -> Any:
    """The last two axes swapped: (..., n, m) -> (..., m, n). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.matrix_transpose(ag.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = as_tensor("matrix_transpose", x)
    n = len(x.shape)
    if n < 2:
        raise ShapeError(f"matrix_transpose: needs at least 2 dimensions, got shape {x.shape}")
    return permute_dims(x, (*range(n - 2), n - 1, n - 2))


def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Any:
    """Axes ``source`` moved to positions ``destination``, the others in their order. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.moveaxis(ag.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_tensor("moveaxis", x)
    n = len(x.shape)
    sources, destinations = (
        [normalize_axis("moveaxis", a, n) for a in (axes if isinstance(axes, (tuple, list)) else (axes,))]
        for axes in (source, destination)
    )
    if len(sources) != len(destinations) or len(set(sources)) < len(sources) or len(set(destinations)) < len(sources):
        raise ShapeError(
            f"moveaxis: source {source} and destination {destination} must name equally many axes, each once"
        )
    order = [a for a in range(n) if a not in sources]
    for position, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(position, axis)
    return permute_dims(x, tuple(order))


def swapaxes(x: Any, axis1: int, axis2: int, /) -> Any:
    """Two axes exchanged; ``transpose`` in PyTorch.

    >>> import autograd_core as ag
    >>> ag.swapaxes(ag.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = as_tensor("swapaxes", x)
    n = len(x.shape)
    order = list(range(n))
    i, j = normalize_axis("swapaxes", axis1, n), normalize_axis("swapaxes", axis2, n)
    order[i], order[j] = j, i
    return permute_dims(x, tuple(order))


def expand_dims(x: Any, /, axis: int | tuple[int, ...] = 0) -> Any:
    """New axes of length 1 at positions ``axis`` of the result. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.expand_dims(ag.zeros((2, 3)), axis=1).shape
    (2, 1, 3)
    """
    x = as_tensor("expand_dims", x)
    n = len(x.shape) + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    axes = normalize_axes("expand_dims", axis, n)
    lengths = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(lengths) for i in range(n)))


def squeeze(x: Any, /, axis: int | Sequence[int]) -> Any:
    """Axes of length 1 removed. ShapeError for an axis of another length. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.squeeze(ag.zeros((2, 1, 3)), 1).shape
    (2, 3)
    """
    x = as_tensor("squeeze", x)
    axes = normalize_axes("squeeze", axis, len(x.shape))
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axis {axis} of shape {x.shape} has a length other than 1: nothing to remove there")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def flatten(x: Any, /, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes ``start_dim`` to ``end_dim`` (included) as one; a 0-d tensor becomes 1-d. PyTorch's ``flatten``.

    >>> import autograd_core as ag
    >>> ag.flatten(ag.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    x = as_tensor("flatten", x)
    shape = x.shape or (1,)
    start, end = (normalize_axis("flatten", d, len(shape)) for d in (start_dim, end_dim))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim} in shape {x.shape}")
    return reshape(x, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


def expand(x: Any, shape: Any, /) -> Any:
    """``broadcast_to`` in which a length of -1 keeps the axis as it is. PyTorch's ``expand``.

    >>> import autograd_core as ag
    >>> ag.expand(ag.zeros((3, 1)), (2, -1, 4)).shape
    (2, 3, 4)
    """
    x = as_tensor("expand", x)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    added = len(shape) - len(x.shape)
    if -1 in shape[: max(added, 0)] or added < 0:
        raise ShapeError(f"expand: shape {shape} does not fit {x.shape}: -1 can stand for an axis that exists only")
    return broadcast_to(x, tuple(x.shape[i - added] if n == -1 else n for i, n in enumerate(shape)))


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """All ``arrays`` broadcast to their common shape. Python array API standard.

    >>> import autograd_core as ag
    >>> [x.shape for x in ag.broadcast_arrays(ag.zeros((2, 1)), ag.zeros(3))]
    [(2, 3), (2, 3)]
    """
    if not arrays:
        return []
    tensors = as_tensors("broadcast_arrays", *arrays)
    shape = broadcast_shapes("broadcast_arrays", *[x.shape for x in tensors])
    return [broadcast_to(x, shape) for x in tensors]


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinate tensors of a grid from 1-d coordinates along each axis.

    indexing: "xy" (the first two axes exchanged) or "ij". Python array API standard.

    >>> import autograd_core as ag
    >>> [x.shape for x in ag.meshgrid(ag.zeros(2), ag.zeros(3), indexing="ij")]
    [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    n = len(arrays)
    tensors = as_tensors("meshgrid", *arrays) if arrays else []
    if any(len(x.shape) > 1 for x in tensors):
        raise ShapeError(f"meshgrid: takes 1-d tensors, got shapes {[x.shape for x in tensors]}")
    grid = [reshape(x, (*[1] * i, -1, *[1] * (n - 1 - i))) for i, x in enumerate(tensors)]
    if indexing == "xy" and n > 1:
        grid = [swapaxes(x, 0, 1) for x in grid]
    return broadcast_arrays(*grid)


# -------------------------------------------------------------------------------- flipping, repeating

flip_p = multilinear(
    "flip",
    lambda xp, x, *, axis: xp.flip(x, axis),
    transposes=(lambda g, axis: flip(g, axis=axis),),
    shape=lambda x, *, axis: x,
    batch={"axis": shift},
)


def flip(x: Any, /, *, axis: Axis = None) -> Any:
    """Elements in reverse order along ``axis`` (all axes by default). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.flip(ag.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    x = as_tensor("flip", x)
    axes = normalize_axes("flip", axis, len(x.shape))
    return bind(flip_p, (x,), {"axis": axes}) if axes else x


roll_p = multilinear(
    "roll",
    lambda xp, x, *, shift, axis: xp.roll(x, shift, axis),
    transposes=(lambda g, shift, axis: roll(g, tuple(-s for s in shift), axis=axis),),
    shape=lambda x, *, shift, axis: x,
    batch={"axis": shift},
)


def roll(x: Any, /, shift: int | tuple[int, ...], *, axis: Axis = None) -> Any:
    """Elements moved ``shift`` places along ``axis``, those pushed out coming in at the other end.

    axis: None rolls the flattened elements. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.roll(ag.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    x = as_tensor("roll", x)
    if axis is None:
        total = sum(shift) if isinstance(shift, (tuple, list)) else shift
        return reshape(roll(reshape(x, (-1,) if x.size else (0,)), total, axis=0), x.shape)
    axes = [normalize_axis("roll", a, len(x.shape)) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll: {len(shifts)} shifts {shift} given for {len(axes)} axes {axis}")
    shifts = tuple(int(s.__index__()) for s in shifts)
    return bind(roll_p, (x,), {"shift": shifts, "axis": tuple(axes)}) if axes else x


def tile(x: Any, repetitions: int | Sequence[int], /) -> Any:
    """``x`` as a whole repeated along each axis; missing axes count from the left. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.tile(ag.tensor([1.0, 2.0]), 2)
    tensor([1., 2., 1., 2.])
    """
    x = as_tensor("tile", x)
    repetitions = as_shape("tile", repetitions)
    n = max(len(x.shape), len(repetitions))
    shape = (1,) * (n - len(x.shape)) + x.shape
    repetitions = (1,) * (n - len(repetitions)) + repetitions
    paired = tuple(k for pair in zip(repetitions, shape, strict=True) for k in pair)
    spread = reshape(x, tuple(k for m in shape for k in (1, m)))
    return reshape(broadcast_to(spread, paired), tuple(r * m for r, m in zip(repetitions, shape, strict=True)))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Every element repeated, next to itself, along ``axis`` (None: of the flattened tensor).

    repeats: an int, or a number for each position along the axis. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.repeat(ag.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    x = as_tensor("repeat", x)
    if axis is None:
        x, axis = reshape(x, (-1,) if x.size else (0,)), 0
    axis = normalize_axis("repeat", axis, len(x.shape))
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if isinstance(repeats, int):
        (repeats,) = as_shape("repeat", repeats)
        spread = broadcast_to(reshape(x, (*before, length, 1, *after)), (*before, length, repeats, *after))
        return reshape(spread, (*before, length * repeats, *after))
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.shape not in ((), (1,), (length,)) or (counts < 0).any():
        raise ArgumentError(
            f"repeat: repeats is a non-negative int or one for each of the {length} positions, got {repeats!r}"
        )
    places = np.repeat(np.arange(length), counts)
    if isinstance(repeats, np.ndarray):  # may hold other numbers in the next call, which a compiled function must know
        return x.take(places, axis=axis)
    return x.take(asarray(places, device=x.device), axis=axis)


# ----------------------------------------------------------------------------------------- triangles


def _require_matrix(op: str, x: Any) -> Any:
    x = as_tensor(op, x)
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: needs at least 2 dimensions, got shape {x.shape}")
    return x


tril_p = multilinear(
    "tril",
    lambda xp, x, *, k: xp.tril(x, k),
    transposes=(lambda g, k: tril(g, k=k),),
    shape=lambda x, *, k: x,
    batch={},
)


def tril(x: Any, /, *, k: int = 0) -> Any:
    """The elements on and below the k-th diagonal of matrices (..., n, m), 0 elsewhere. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.tril(ag.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return bind(tril_p, (_require_matrix("tril", x),), {"k": k})


triu_p = multilinear(
    "triu",
    lambda xp, x, *, k: xp.triu(x, k),
    transposes=(lambda g, k: triu(g, k=k),),
    shape=lambda x, *, k: x,
    batch={},
)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """The elements on and above the k-th diagonal of matrices (..., n, m), 0 elsewhere. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.triu(ag.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return bind(triu_p, (_require_matrix("triu", x),), {"k": k})

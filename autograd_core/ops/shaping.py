"""Other shapes of the same elements: broadcast, reshape, permute, join, split, pad, flip, roll."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..aval import Aval, as_shape, broadcast_shapes, normalize_axis
from ..errors import ShapeError
from ..primitive import bind, multilinear
from ._apply import as_tensor


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """``x`` summed over the axes along which ``shape`` was broadcast: the transpose of broadcast_to."""
    added = len(x.shape) - len(shape)
    axes = tuple(range(added)) + tuple(
        i + added for i, n in enumerate(shape) if n == 1 and x.shape[i + added] != 1
    )
    return x.sum(axis=axes).reshape(shape) if axes else x


broadcast_to_p = multilinear(
    "broadcast_to",
    lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    transposes=(lambda g, avals: sum_to(g, avals[0].shape),),
    shape=lambda x, *, shape: Aval(shape, x.dtype),
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
    if broadcast_shapes("broadcast_to", x.shape, shape) != shape:
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}: only lengths of 1 stretch")
    return bind(broadcast_to_p, (x,), {"shape": shape})


reshape_p = multilinear(
    "reshape",
    lambda xp, x, *, shape: x.reshape(shape),
    transposes=(lambda g, avals: g.reshape(avals[0].shape),),
    shape=lambda x, *, shape: Aval(shape, x.dtype),
)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements of ``x`` in row-major order under another shape; one length may be -1 (inferred).

    Python array API standard.

    >>> import autograd_core as ag
    >>> ag.reshape(ag.arange(6), (2, -1)).shape
    (2, 3)
    """
    x = as_tensor("reshape", x)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    size = prod(x.shape)
    if -1 in shape:
        known = prod([n for n in shape if n != -1])
        if shape.count(-1) > 1 or (size % known if known else True):
            raise ShapeError(f"reshape: {size} elements of shape {x.shape} do not fit {shape}")
        shape = tuple(size // known if n == -1 else n for n in shape)
    shape = as_shape("reshape", shape)
    if prod(shape) != size:
        raise ShapeError(f"reshape: {size} elements of shape {x.shape} do not fit {shape}")
    return x if shape == x.shape else bind(reshape_p, (x,), {"shape": shape})


permute_dims_p = multilinear(
    "permute_dims",
    lambda xp, x, *, axes: xp.transpose(x, axes),
    transposes=(lambda g, axes: permute_dims(g, tuple(axes.index(i) for i in range(len(axes)))),),
    shape=lambda x, *, axes: Aval(tuple(x.shape[a] for a in axes), x.dtype),
)


def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
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

"""Tensors joined to one and cut into several: concat, stack, split, unstack."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ..aval import Aval, as_shape, normalize_axis
from ..batching import shift
from ..errors import ArgumentError, ShapeError
from ..primitive import bind, multilinear
from ._apply import as_tensor, promoted
from .shaping import flatten

__all__ = ["concat", "split", "stack", "unstack"]


def _concat_shape(*xs: Aval, axis: int) -> Aval:
    first = xs[0].shape
    for x in xs:
        if len(x.shape) != len(first) or x.shape[:axis] + x.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ShapeError(
                f"concat: shapes {', '.join(str(x.shape) for x in xs)} must agree in every axis but axis {axis}"
            )
    return Aval((*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), xs[0].dtype)


concat_p = multilinear(
    "concat",
    lambda xp, *xs, axis: xp.concatenate(xs, axis=axis),
    transposes=lambda g, avals, axis: split(g, [x.shape[axis] for x in avals], axis=axis),
    shape=_concat_shape,
    joint=True,
    batch={"axis": shift},
)


def _sequence(op: str, arrays: Any) -> list[Any]:
    """The operands of a join, of one dtype."""
    if not isinstance(arrays, (tuple, list)):
        raise ArgumentError(f"{op}: takes a list or tuple of tensors, got {type(arrays).__name__}")
    if not arrays:
        raise ArgumentError(f"{op}: got no tensors; at least one is needed")
    return promoted(op, arrays)


def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """Tensors joined along an existing axis; None: flattened first. Dtypes are promoted.

    arrays: (..., n_k, ...) that agree in every other axis -> (..., sum n_k, ...). Python array API standard.

    >>> import autograd_core as ag
    >>> ag.concat([ag.tensor([1.0, 2.0]), ag.tensor([3.0])])
    tensor([1., 2., 3.])
    """
    tensors = _sequence("concat", arrays)
    if axis is None:
        tensors, axis = [flatten(x) for x in tensors], 0
    axis = normalize_axis("concat", axis, len(tensors[0].shape))
    _concat_shape(*tensors, axis=axis)
    return tensors[0] if len(tensors) == 1 else bind(concat_p, tensors, {"axis": axis})


stack_p = multilinear(
    "stack",
    lambda xp, *xs, axis: xp.stack(xs, axis=axis),
    transposes=lambda g, axis: unstack(g, axis=axis),
    shape=lambda *xs, axis: Aval((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]), xs[0].dtype),
    joint=True,
    batch={"axis": shift},
)


def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
    """Tensors of one shape joined along a new axis. Dtypes are promoted. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.stack([ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """
    tensors = _sequence("stack", arrays)
    shapes = [x.shape for x in tensors]
    if len(set(shapes)) > 1:
        raise ShapeError(f"stack: shapes {', '.join(map(str, shapes))} must be equal; ag.concat joins unequal ones")
    return bind(stack_p, tensors, {"axis": normalize_axis("stack", axis, len(shapes[0]) + 1)})


def _pieces(x: Any, sizes: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    ends = accumulate(sizes)
    before = (slice(None),) * axis
    return tuple([x[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True)])


split_p = multilinear(
    "split",
    lambda xp, x, *, sizes, axis: _pieces(x, sizes, axis),
    # all pieces' cotangents at once: a loop over the pieces costs what one pass over x does
    transposes=(lambda g, axis: concat(g, axis=axis),),
    shape=lambda x, *, sizes, axis: tuple(Aval((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes),
    batch={"axis": shift},
)


def split(x: Any, sizes: int | Sequence[int], /, *, axis: int = 0) -> tuple[Any, ...]:
    """``x`` cut along ``axis`` into pieces of ``sizes``.

    sizes: the length of every piece (the last may be shorter), or the list of all lengths. ShapeError if those do not
    add up. PyTorch's ``split``.

    >>> import autograd_core as ag
    >>> ag.split(ag.tensor([1.0, 2.0, 3.0]), 2)
    (tensor([1., 2.]), tensor([3.]))
    """
    x = as_tensor("split", x)
    axis = normalize_axis("split", axis, len(x.shape))
    length = x.shape[axis]
    if hasattr(sizes, "__index__"):
        sizes = int(sizes.__index__())
        if sizes <= 0:
            raise ArgumentError(f"split: the size of a piece must be positive, got {sizes}")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] or [0]
    sizes = as_shape("split", tuple(sizes))
    if sum(sizes) != length:
        raise ShapeError(f"split: sizes {sizes} add up to {sum(sizes)}, but axis {axis} of {x.shape} has {length}")
    return bind(split_p, (x,), {"sizes": sizes, "axis": axis}) if sizes else ()


def _slices(x: Any, axis: int) -> tuple[Any, ...]:
    before = (slice(None),) * axis
    return tuple([x[(*before, i, ...)] for i in range(x.shape[axis])])


unstack_p = multilinear(
    "unstack",
    lambda xp, x, *, axis: _slices(x, axis),
    transposes=(lambda g, axis: stack(g, axis=axis),),
    shape=lambda x, *, axis: (Aval(x.shape[:axis] + x.shape[axis + 1 :], x.dtype),) * x.shape[axis],
    batch={"axis": shift},
)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices of ``x`` along ``axis``, as a tuple; ``unbind`` in PyTorch. Python array API standard.

    Backward through a loop over the slices costs one pass over ``x``, where x[0], x[1], ... cost one each.

    >>> import autograd_core as ag
    >>> ag.unstack(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
    x = as_tensor("unstack", x)
    axis = normalize_axis("unstack", axis, len(x.shape))
    return bind(unstack_p, (x,), {"axis": axis}) if x.shape[axis] else ()

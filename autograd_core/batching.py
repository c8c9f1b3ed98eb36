"""How a primitive runs on a batch of operands: what ``batch=`` says in its declaration.

Under ``vmap`` an operand has a leading axis more than the function sees. Elementwise primitives need no word about it.
The others state

``{"axis": shift, "shape": prefix}``   which parameters count axes or give shapes, and how these change. Operands that
                                       have no batch axis get one. ``{}``: leading axes are independent anyway.
``rule(xs, batched, size, **params)``  the result with a leading batch axis, in public operations; ``batched[i]`` says
                                       whether operand i has that axis, of length ``size``.

A ``general`` primitive that states neither is run by its composed form, as is one whose rule returns NotImplemented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

BatchRule = Callable[..., Any] | Mapping[str, Callable[[Any, int], Any]]


def shift(axes: Any, size: int) -> Any:
    """Axes (non-negative: one, or several) behind a new leading axis."""
    if axes is None:
        return None
    return tuple(a + 1 for a in axes) if isinstance(axes, (tuple, list)) else axes + 1


def prefix(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """A shape behind a new leading axis."""
    return (size, *shape)


def expanded(xs: Sequence[Any], batched: Sequence[bool], size: int) -> list[Any]:
    """Operands that meet element by element, all with the batch axis; 0-d constants meet any shape as they are."""
    return [
        x if has_axis or not (x.shape or x.level or x.node is not None) else x.broadcast_to((size, *x.shape))
        for x, has_axis in zip(xs, batched, strict=True)
    ]

"""Tensors in einops: ``import autograd_core.interop.einops``, and rearrange, reduce, repeat, pack and einsum take them.

einops finds a framework through the subclasses of its ``AbstractBackend``; defining one is all there is to register.
(``einops.array_api`` takes tensors without any of this.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from einops._backends import AbstractBackend

from ..aval import Axis, is_inexact
from ..ops.creation import arange
from ..ops.einsum import einsum
from ..ops.joining import concat, stack
from ..ops.shaping import expand_dims, permute_dims, tile
from ..tensor import Tensor, tensor


class EinopsBackend(AbstractBackend):
    """What einops asks of a framework; reductions and reshapes are the methods of tensors.

    >>> import einops
    >>> import autograd_core as ag
    >>> einops.rearrange(ag.ones((2, 6)), "b (h w) -> h b w", h=2).shape
    (2, 2, 3)
    """

    framework_name = __name__.partition(".")[0]

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: np.ndarray) -> Tensor:
        return tensor(x, requires_grad=is_inexact(x.dtype))

    def to_numpy(self, x: Tensor) -> np.ndarray:
        return x.numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return arange(start, stop)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return permute_dims(x, axes)

    def reduce(self, x: Tensor, operation: str, axes: Axis) -> Tensor:
        return getattr(x, operation)(axis=tuple(axes) if isinstance(axes, list) else axes)

    def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
        return stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        return expand_dims(x, new_position)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        return tile(x, tuple(repeats))

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        return concat(list(tensors), axis=axis)

    def is_float_type(self, x: Tensor) -> bool:
        return is_inexact(x.dtype)

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        return einsum(pattern, *x)

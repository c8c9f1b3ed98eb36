"""Padding layers: constants, or the input's own elements, around the last one, two or three axes."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops.padding import pad
from autograd_core.tensor import Tensor

from .module import Module


def _ends(layer: str, padding: Any, ndim: int) -> tuple[int, ...]:
    """An int for all ends, or two for each axis from the last one backwards, as a tuple."""
    given = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * ndim)
    if len(given) != 2 * ndim or any(isinstance(n, bool) or not isinstance(n, int) for n in given):
        raise ArgumentError(
            f"{layer}: padding must be an int or {2 * ndim} of them, before and after the last axis"
            f"{', then those before it' if ndim > 1 else ''}; got {padding!r}"
        )
    return given


class _Pad(Module):
    ndim: int
    mode: str
    value: float = 0.0
    any_axes = False  # whether the axes in front need not be N and C

    def __init__(self, padding: Any):
        self.padding = _ends(type(self).__name__, padding, self.ndim)

    def forward(self, input: Tensor) -> Tensor:
        axes = len(input.shape)
        if axes < self.ndim or not (self.any_axes or self.ndim < axes < self.ndim + 3):
            wanted = f"{self.ndim} axes or more" if self.any_axes else f"{self.ndim + 1} or {self.ndim + 2} axes"
            raise ShapeError(f"{type(self).__name__}: input must have {wanted}, got shape {input.shape}")
        pairs = [self.padding[i : i + 2] for i in range(0, len(self.padding), 2)]
        widths = [(0, 0)] * (axes - self.ndim) + pairs[::-1]
        return pad(input, widths, mode=self.mode, constant_value=self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"
    any_axes = True

    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """``value`` added at both ends of the last axis. Arguments as for ``ConstantPad2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConstantPad1d((1, 2), 5.0)(ag.ones(2))
    tensor([5., 1., 1., 5., 5.])
    """

    ndim = 1


class ConstantPad2d(_ConstantPad):
    """``value`` added around the last two axes. x: (..., H, W).

    padding: an int for all ends, or (left, right, top, bottom): of the last axis, then of the one before it; negative
    numbers remove elements.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConstantPad2d((1, 0, 0, 1), 5.0)(ag.ones((1, 2)))
    tensor([[5., 1., 1.],
            [5., 5., 5.]])
    """

    ndim = 2


class ConstantPad3d(_ConstantPad):
    """``value`` added around the last three axes; as ``ConstantPad2d``. x: (..., D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConstantPad3d(1, 5.0)(ag.ones((2, 3, 4))).shape
    (4, 5, 6)
    """

    ndim = 3


class _ZeroPad(_Pad):
    mode = "constant"
    any_axes = True


class ZeroPad1d(_ZeroPad):
    """Zeros added at both ends of the last axis. padding: as for ``ConstantPad1d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ZeroPad1d(1)(ag.ones(2))
    tensor([0., 1., 1., 0.])
    """

    ndim = 1


class ZeroPad2d(_ZeroPad):
    """Zeros added around the last two axes. padding: as for ``ConstantPad2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ZeroPad2d((1, 0, 0, 1))(ag.ones((1, 2)))
    tensor([[0., 1., 1.],
            [0., 0., 0.]])
    """

    ndim = 2


class ZeroPad3d(_ZeroPad):
    """Zeros added around the last three axes. padding: as for ``ConstantPad3d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ZeroPad3d(1)(ag.ones((2, 3, 4))).shape
    (4, 5, 6)
    """

    ndim = 3


class _ReflectionPad(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    """The last axis mirrored at its ends, which are not repeated. x: (N, C, L) or (C, L). padding: an int, or two.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReflectionPad1d(2)(ag.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    ndim = 1


class ReflectionPad2d(_ReflectionPad):
    """The last two axes mirrored; padding: as for ``ConstantPad2d``. x: (N, C, H, W) or (C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReflectionPad2d(1)(ag.ones((2, 3, 4))).shape
    (2, 5, 6)
    """

    ndim = 2


class ReflectionPad3d(_ReflectionPad):
    """The last three axes mirrored; as ``ReflectionPad2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReflectionPad3d(1)(ag.ones((2, 2, 3, 4))).shape
    (2, 4, 5, 6)
    """

    ndim = 3


class _ReplicationPad(_Pad):
    mode = "edge"


class ReplicationPad1d(_ReplicationPad):
    """The ends of the last axis repeated. x: (N, C, L) or (C, L). padding: an int, or two.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReplicationPad1d((1, 2))(ag.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3., 3.]])
    """

    ndim = 1


class ReplicationPad2d(_ReplicationPad):
    """The edges of the last two axes repeated; padding: as for ``ConstantPad2d``. x: (N, C, H, W) or (C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReplicationPad2d(1)(ag.ones((2, 3, 4))).shape
    (2, 5, 6)
    """

    ndim = 2


class ReplicationPad3d(_ReplicationPad):
    """The faces of the last three axes repeated; as ``ReplicationPad2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ReplicationPad3d(1)(ag.ones((2, 2, 3, 4))).shape
    (2, 4, 5, 6)
    """

    ndim = 3


class _CircularPad(_Pad):
    mode = "wrap"


class CircularPad1d(_CircularPad):
    """The last axis continued by its other end. x: (N, C, L) or (C, L). padding: an int, or two.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.CircularPad1d((1, 2))(ag.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1., 2.]])
    """

    ndim = 1


class CircularPad2d(_CircularPad):
    """The last two axes continued by their other ends; padding: as for ``ConstantPad2d``. x: (N, C, H, W) or (C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.CircularPad2d(1)(ag.ones((2, 3, 4))).shape
    (2, 5, 6)
    """

    ndim = 2


class CircularPad3d(_CircularPad):
    """The last three axes continued by their other ends; as ``CircularPad2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.CircularPad3d(1)(ag.ones((2, 2, 3, 4))).shape
    (2, 4, 5, 6)
    """

    ndim = 3

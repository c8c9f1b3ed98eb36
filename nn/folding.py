"""Layers that cut images into blocks and put them together: windows as columns, pixels as channels."""

from __future__ import annotations

from typing import Any

from autograd_core.ops import folding
from autograd_core.tensor import Tensor

from .module import Module


class Unfold(Module):
    """Every window of an image as a column. x: (N, C, H, W) or (C, H, W); y: (N, C kH kW, H' W').

    kernel_size, dilation, padding, stride: an int, or one for each axis.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Unfold((2, 3))(ag.ones((2, 5, 3, 4))).shape
    (2, 30, 4)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return folding.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Columns put back as windows of an image, added where they overlap. x: (N, C kH kW, H' W') or (C kH kW, H' W').

    output_size: (H, W), an int for both; other arguments as for the ``Unfold`` that it is the transpose of.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Fold((3, 4), (2, 3))(ag.ones((2, 30, 4))).shape
    (2, 5, 3, 4)
    """

    def __init__(self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1):
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return folding.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class PixelShuffle(Module):
    """Channels as finer pixels: (..., C r^2, H, W) -> (..., C, H r, W r), r = ``upscale_factor``. Shi et al., 2016.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.PixelShuffle(2)(ag.ones((1, 8, 3, 4))).shape
    (1, 2, 6, 8)
    """

    def __init__(self, upscale_factor: int):
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return folding.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels as channels: (..., C, H r, W r) -> (..., C r^2, H, W), r = ``downscale_factor``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.PixelUnshuffle(2)(ag.ones((1, 2, 6, 8))).shape
    (1, 8, 3, 4)
    """

    def __init__(self, downscale_factor: int):
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return folding.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Channels of ``groups`` groups in turn. x: (N, C, ...). Zhang et al., ShuffleNet, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ChannelShuffle(2)(ag.arange(6).reshape((1, 6, 1))).reshape(6)
    tensor([0, 3, 1, 4, 2, 5])
    """

    def __init__(self, groups: int):
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return folding.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"

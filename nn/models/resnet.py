"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops.activation import relu
from autograd_core.tensor import Tensor

from .. import init
from ..container import Sequential
from ..convolution import Conv2d
from ..linear import Linear, check_positive
from ..module import Module
from ..normalization import BatchNorm2d


class BasicBlock(Module):
    """y = relu(x' + norm(conv(relu(norm(conv(x)))))), with x' = x, or norm(conv1x1(x)) where shapes differ.

    x: (N, in_channels, H, W); y: (N, out_channels, H', W') with H' = ceil(H / stride). Both convolutions are 3x3
    without bias, the first one with ``stride``. What a block learns is added to what it is given, so that gradients
    pass the sum unhindered.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.

    >>> import autograd_core as ag
    >>> BasicBlock(8, 16, stride=2)(ag.ones((2, 8, 7, 7))).shape
    (2, 16, 4, 4)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, device: Any = None, dtype: Any = None):
        check_positive("BasicBlock", in_channels=in_channels, out_channels=out_channels, stride=stride)
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False, **made)
        self.bn1 = BatchNorm2d(out_channels, **made)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, bias=False, **made)
        self.bn2 = BatchNorm2d(out_channels, **made)
        self.downsample: Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = Sequential(
                Conv2d(in_channels, out_channels, 1, stride=stride, bias=False, **made),
                BatchNorm2d(out_channels, **made),
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(residual + (x if self.downsample is None else self.downsample(x)))


class ResNet(Module):
    """A residual network of basic blocks: 3x3 convolution, four stages of blocks, mean over the image, linear layer.

    x: (N, in_channels, H, W); scores: (N, num_classes). Stage i has blocks[i] blocks of ``width * 2**i`` channels; from
    the second on each stage halves the image. For small images (28x28, 32x32) the network begins with a single 3x3
    convolution of stride 1, as the authors' own network for CIFAR-10 does, not with the 7x7 convolution and pooling
    that take a photograph to a quarter. ``blocks=(2, 2, 2, 2), width=64`` is ResNet-18 with its 11.2 million
    parameters, (3, 4, 6, 3) is ResNet-34. ``width`` scales parameters and work by its square.

    Convolutions begin as by He et al. (2015) with fan_out. Names and layout of the state dict are torchvision's.
    ArgumentError for sizes that are not positive ints, and without stages.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016.

    >>> import autograd_core as ag
    >>> model = ResNet(in_channels=1, num_classes=10, width=8)
    >>> model(ag.ones((2, 1, 28, 28))).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        blocks: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("ResNet", in_channels=in_channels, num_classes=num_classes, width=width)
        if not isinstance(blocks, tuple | list) or not blocks:
            raise ArgumentError(
                f"ResNet: blocks says how many blocks each stage has, such as (2, 2, 2, 2), got {blocks!r}"
            )
        check_positive("ResNet", **{f"blocks[{i}]": count for i, count in enumerate(blocks)})
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False, **made)
        self.bn1 = BatchNorm2d(width, **made)
        self.stages = len(blocks)
        channels = width
        for i, count in enumerate(blocks):
            wide = width * 2**i
            first = BasicBlock(channels, wide, stride=1 if i == 0 else 2, **made)
            rest = [BasicBlock(wide, wide, **made) for _ in range(count - 1)]
            setattr(self, f"layer{i + 1}", Sequential(first, *rest))
            channels = wide
        self.fc = Linear(channels, num_classes, **made)
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean(axis=(2, 3)))

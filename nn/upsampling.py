"""Layers that give images another size."""

from __future__ import annotations

from typing import Any

from autograd_core.ops.resampling import interpolate
from autograd_core.tensor import Tensor

from .module import Module


class Upsample(Module):
    """The input at another size. x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    size: an int, or one for each axis; or scale_factor, a number, or one for each axis. mode: "nearest", "linear",
    "bilinear", "bicubic", "trilinear" or what else ``nn.functional.interpolate`` takes, with align_corners and
    recompute_scale_factor as there.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Upsample(scale_factor=2)(ag.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        self.size, self.mode = size, mode
        if isinstance(scale_factor, (tuple, list)):
            scale_factor = tuple(float(factor) for factor in scale_factor)
        self.scale_factor = float(scale_factor) if isinstance(scale_factor, int) else scale_factor
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        given = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """``Upsample`` by the nearest elements. x: (N, C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.UpsamplingNearest2d(scale_factor=2)(ag.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 10)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """``Upsample`` by bilinear interpolation between aligned corners. x: (N, C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.UpsamplingBilinear2d(size=(8, 9))(ag.ones((1, 3, 4, 5))).shape
    (1, 3, 8, 9)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)

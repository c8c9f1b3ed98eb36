"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops import convolution, creation
from autograd_core.ops.padding import pad
from autograd_core.tensor import Tensor

from . import init
from .linear import check_positive
from .module import Module
from .parameter import Parameter

# as ag.pad calls them
PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def per_axis(layer: str, name: str, value: Any, ndim: int, least: int) -> tuple[int, ...]:
    """An int for all axes, or one for each, as a tuple; ArgumentError unless all are at least ``least``."""
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * ndim
    if len(given) != ndim or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in given):
        kinds = "an int" if ndim == 1 else f"an int or {ndim} of them"
        raise ArgumentError(f"{layer}: {name} must be {kinds}, at least {least}, got {value!r}")
    return given


class _Conv(Module):
    """What convolutions over different numbers of axes share."""

    ndim: int
    convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        layer, ndim = type(self).__name__, self.ndim
        check_positive(layer, in_channels=in_channels, out_channels=out_channels, groups=groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ArgumentError(f"{layer}: {name}={channels} does not divide into groups={groups}")
        if padding_mode not in PADDING_MODES:
            known = ", ".join(map(repr, PADDING_MODES))
            raise ArgumentError(f"{layer}: padding_mode must be one of {known}, got {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ArgumentError(f"{layer}: padding must be ints, 'same' or 'valid', got {padding!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis(layer, "kernel_size", kernel_size, ndim, 1)
        self.stride = per_axis(layer, "stride", stride, ndim, 1)
        self.padding: Any = padding if isinstance(padding, str) else per_axis(layer, "padding", padding, ndim, 0)
        self.dilation = per_axis(layer, "dilation", dilation, ndim, 1)
        self.padding_mode = padding_mode
        if padding == "same" and max(self.stride) > 1:
            raise ArgumentError(f"{layer}: padding='same' keeps the size only at stride 1, got stride={stride!r}")
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(creation.zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(creation.zeros(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), 0
        return type(self).convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, input: Tensor) -> Tensor:
        """The input with values of its own around it, as the convolution would have put zeros."""
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size)]
            widths = [(n // 2, n - n // 2) for n in totals]
        else:
            widths = [(0, 0)] * self.ndim if self.padding == "valid" else [(n, n) for n in self.padding]
        lead = [(0, 0)] * (len(input.shape) - self.ndim)
        return pad(input, [*lead, *widths], mode=PADDING_MODES[self.padding_mode])

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * self.ndim:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.ndim:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_Conv):
    """Convolution along one axis: y[n, o, t] = b[o] + sum_c,k w[o, c, k] x[n, c, s t + d k - p].

    x: (N, in_channels, L) or (in_channels, L). Arguments, parameters and initial values as for ``Conv2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Conv1d(16, 33, 3, stride=2)(ag.ones((20, 16, 50))).shape
    (20, 33, 24)
    """

    ndim = 1
    convolve = convolution.conv1d


class Conv2d(_Conv):
    """Convolution: y[n, o, t, u] = b[o] + sum_c,k,l w[o, c, k, l] x[n, c, s t + d k - p, s u + d l - p].

    x: (N, in_channels, H, W) or (in_channels, H, W); y: (N, out_channels, H', W') with
    H' = (H + 2p - d (kH - 1) - 1) // s + 1. weight w: (out_channels, in_channels / groups, kH, kW), bias b:
    (out_channels,), both drawn uniformly from [-1/sqrt(n), 1/sqrt(n)) with n = in_channels / groups * kH * kW.
    kernel_size, stride s, padding p, dilation d: an int, or one for each axis; padding may be "same" or "valid".
    padding_mode: what the padding holds: "zeros", "reflect", "replicate" or "circular". ArgumentError for values out
    of range, ShapeError when x does not fit.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Conv2d(3, 16, 3, padding=1)(ag.ones((2, 3, 8, 8))).shape
    (2, 16, 8, 8)
    """

    ndim = 2
    convolve = convolution.conv2d

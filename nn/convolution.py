"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops import convolution, creation, transposed_convolution
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


class _ConvBase(Module):
    """Weight and bias of convolutions, and of transposed ones, over any number of axes."""

    ndim: int
    convolve: Callable[..., Tensor]

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: int,
        padding_mode: str,
    ) -> None:
        layer, ndim = type(self).__name__, self.ndim
        check_positive(layer, in_channels=in_channels, out_channels=out_channels, groups=groups)
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ArgumentError(f"{layer}: {name}={channels} does not divide into groups={groups}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_axis(layer, "kernel_size", kernel_size, ndim, 1)
        self.stride = per_axis(layer, "stride", stride, ndim, 1)
        self.dilation = per_axis(layer, "dilation", dilation, ndim, 1)
        self.padding_mode = padding_mode

    def _make_parameters(self, shape: tuple[int, ...], bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(creation.zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(creation.zeros(self.out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", 0), ("output_padding", 0), ("dilation", 1)):
            value = getattr(self, name, None)
            if value not in (None, (default,) * self.ndim):
                parts.append(f"{name}={value}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_ConvBase):
    """What convolutions over different numbers of axes share."""

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
        layer = type(self).__name__
        if padding_mode not in PADDING_MODES:
            known = ", ".join(map(repr, PADDING_MODES))
            raise ArgumentError(f"{layer}: padding_mode must be one of {known}, got {padding_mode!r}")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ArgumentError(f"{layer}: padding must be ints, 'same' or 'valid', got {padding!r}")
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, padding_mode)
        self.padding: Any = padding if isinstance(padding, str) else per_axis(layer, "padding", padding, self.ndim, 0)
        if padding == "same" and max(self.stride) > 1:
            raise ArgumentError(f"{layer}: padding='same' keeps the size only at stride 1, got stride={stride!r}")
        self._make_parameters((out_channels, in_channels // groups, *self.kernel_size), bias, device, dtype)

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


class Conv3d(_Conv):
    """Convolution along three axes. Arguments, parameters and initial values as for ``Conv2d``.

    x: (N, in_channels, D, H, W) or (in_channels, D, H, W). weight: (out_channels, in_channels / groups, kD, kH, kW).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Conv3d(3, 8, 3, padding=1)(ag.ones((2, 3, 4, 6, 6))).shape
    (2, 8, 4, 6, 6)
    """

    ndim = 3
    convolve = convolution.conv3d


# -------------------------------------------------------------------------------------- transposed


class _ConvTranspose(_ConvBase):
    """What transposed convolutions over different numbers of axes share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        layer = type(self).__name__
        if padding_mode != "zeros":
            raise ArgumentError(
                f"{layer}: padding_mode must be 'zeros': padding is taken off here; got {padding_mode!r}"
            )
        self._set_up(in_channels, out_channels, kernel_size, stride, dilation, groups, padding_mode)
        self.padding = per_axis(layer, "padding", padding, self.ndim, 0)
        self.output_padding = per_axis(layer, "output_padding", output_padding, self.ndim, 0)
        self._make_parameters((in_channels, out_channels // groups, *self.kernel_size), bias, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return type(self).convolve(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives ``output_size``."""
        layer, ndim, axes = type(self).__name__, self.ndim, len(input.shape)
        if len(output_size) not in (ndim, axes):
            raise ArgumentError(
                f"{layer}: output_size must hold {ndim} lengths, or all {axes} of the output; got {tuple(output_size)}"
            )
        wanted = tuple(output_size[-ndim:])
        smallest = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, k, s, p, d in zip(
                input.shape[-ndim:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        )
        largest = tuple(n + s - 1 for n, s in zip(smallest, self.stride, strict=True))
        if not all(low <= n <= high for low, n, high in zip(smallest, wanted, largest, strict=True)):
            raise ArgumentError(
                f"{layer}: output_size {wanted} cannot come from input {input.shape}: it can be {smallest} to {largest}"
            )
        return tuple(n - low for n, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution along one axis. Arguments, parameters and initial values as for ``ConvTranspose2d``.

    x: (N, in_channels, L) or (in_channels, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConvTranspose1d(16, 33, 3, stride=2)(ag.ones((20, 16, 50))).shape
    (20, 33, 101)
    """

    ndim = 1
    convolve = transposed_convolution.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution: y[n, o, s t + d k - p, s u + d l - p] += w[c, o, k, l] x[n, c, t, u], plus b[o].

    x: (N, in_channels, H, W) or (in_channels, H, W); y: (N, out_channels, H', W') with
    H' = (H - 1) s - 2p + d (kH - 1) + q + 1. weight w: (in_channels, out_channels / groups, kH, kW), bias b:
    (out_channels,), both drawn uniformly from [-1/sqrt(n), 1/sqrt(n)) with n = out_channels / groups * kH * kW.
    kernel_size, stride s, padding p, output_padding q, dilation d: an int, or one for each axis. Called with
    ``output_size``, the layer finds q itself. ArgumentError for values out of range, ShapeError when x does not fit.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConvTranspose2d(16, 3, 3, stride=2, padding=1)(ag.ones((2, 16, 4, 4)), output_size=(8, 8)).shape
    (2, 3, 8, 8)
    """

    ndim = 2
    convolve = transposed_convolution.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution along three axes. Arguments, parameters and initial values as for ``ConvTranspose2d``.

    x: (N, in_channels, D, H, W) or (in_channels, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.ConvTranspose3d(4, 2, 2, stride=2)(ag.ones((1, 4, 2, 3, 3))).shape
    (1, 2, 4, 6, 6)
    """

    ndim = 3
    convolve = transposed_convolution.conv_transpose3d

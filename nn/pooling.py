"""Pooling layers: maxima and means of windows."""

from __future__ import annotations

from typing import Any

from autograd_core.ops import adaptive_pooling, pooling
from autograd_core.tensor import Tensor

from .module import Module


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Maximum over windows along one axis. x: (N, C, L) or (C, L). Arguments as for ``MaxPool2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxPool1d(2)(ag.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, input: Tensor) -> Any:
        return pooling.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """Maximum over windows: y[n, c, t, u] = max_k,l x[n, c, s t + d k - p, s u + d l - p].

    x: (N, C, H, W) or (C, H, W). kernel_size, stride s (None: kernel_size), padding p, dilation d: an int, or one for
    each axis. ceil_mode: a last window may end outside. return_indices: also where each maximum was, as h * W + w.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxPool2d(2)(ag.ones((1, 3, 8, 6))).shape
    (1, 3, 4, 3)
    """

    def forward(self, input: Tensor) -> Any:
        return pooling.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """Mean over windows along one axis. x: (N, C, L) or (C, L). Arguments as for ``AvgPool2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AvgPool1d(2)(ag.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return pooling.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """Mean over windows. x: (N, C, H, W) or (C, H, W).

    kernel_size, stride (None: kernel_size), padding, ceil_mode: as for ``MaxPool2d``. count_include_pad: whether
    padding counts in the mean. divisor_override: what to divide by instead of the number of elements.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AvgPool2d(2)(ag.ones((1, 3, 8, 6))).shape
    (1, 3, 4, 3)
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return pooling.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool1d(Module):
    """Mean over ``output_size`` bins along one axis, whatever the input's length. x: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveAvgPool1d(1)(ag.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2.]])
    """

    def __init__(self, output_size: Any):
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_pooling.adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(Module):
    """Mean over a grid of bins, whatever the input's size. x: (N, C, H, W) or (C, H, W).

    output_size: an int, or one for each axis (None: the input's).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveAvgPool2d(1)(ag.ones((2, 64, 7, 5))).shape
    (2, 64, 1, 1)
    """

    def __init__(self, output_size: Any):
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_pooling.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"

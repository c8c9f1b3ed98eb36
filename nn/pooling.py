"""Pooling layers: maxima, means and p-norms of windows, and maxima put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd_core.ops import pooling, power_pooling, unpooling
from autograd_core.tensor import Tensor

from .module import Module

# ------------------------------------------------------------------------------------------- maxima


class _MaxPool(Module):
    pool: Callable[..., Any]

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

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

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

    pool = pooling.max_pool1d


class MaxPool2d(_MaxPool):
    """Maximum over windows: y[n, c, t, u] = max_k,l x[n, c, s t + d k - p, s u + d l - p].

    x: (N, C, H, W) or (C, H, W). kernel_size, stride s (None: kernel_size), padding p, dilation d: an int, or one for
    each axis. ceil_mode: a last window may end outside. return_indices: also where each maximum was, as h * W + w.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxPool2d(2)(ag.ones((1, 3, 8, 6))).shape
    (1, 3, 4, 3)
    """

    pool = pooling.max_pool2d


class MaxPool3d(_MaxPool):
    """Maximum over windows along three axes. x: (N, C, D, H, W) or (C, D, H, W). Arguments as for ``MaxPool2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxPool3d(2)(ag.ones((1, 3, 4, 8, 6))).shape
    (1, 3, 2, 4, 3)
    """

    pool = pooling.max_pool3d


class _MaxUnpool(Module):
    unpool: Callable[..., Tensor]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return type(self).unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima back where they were found along one axis; as ``MaxUnpool2d``. x: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxUnpool1d(2)(ag.tensor([[3.0, 2.0]]), ag.tensor([[1, 2]]))
    tensor([[0., 3., 2., 0.]])
    """

    unpool = unpooling.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """Zeros, with the maxima that ``MaxPool2d(..., return_indices=True)`` found back in their places.

    kernel_size, stride (None: kernel_size), padding: those of the pooling. Called with the maxima, the indices and,
    where it is not the smallest possible, the ``output_size``. x: (N, C, H, W) or (C, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> x = ag.tensor([[[1.0, 3.0], [2.0, 0.0]]])
    >>> nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x))
    tensor([[[0., 3.],
             [0., 0.]]])
    """

    unpool = unpooling.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """Maxima back where they were found; as ``MaxUnpool2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.MaxUnpool3d(2)(ag.ones((1, 1, 1, 1)), ag.tensor([[[[5]]]])).shape
    (1, 2, 2, 2)
    """

    unpool = unpooling.max_unpool3d


# ------------------------------------------------------------------------------------------- means


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


class _AvgPool(Module):
    pool: Callable[..., Tensor]

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
        return type(self).pool(
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


class AvgPool2d(_AvgPool):
    """Mean over windows. x: (N, C, H, W) or (C, H, W).

    kernel_size, stride (None: kernel_size), padding, ceil_mode: as for ``MaxPool2d``. count_include_pad: whether
    padding counts in the mean. divisor_override: what to divide by instead of the number of elements.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AvgPool2d(2)(ag.ones((1, 3, 8, 6))).shape
    (1, 3, 4, 3)
    """

    pool = pooling.avg_pool2d


class AvgPool3d(_AvgPool):
    """Mean over windows along three axes; as ``AvgPool2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AvgPool3d(2)(ag.ones((1, 3, 4, 8, 6))).shape
    (1, 3, 2, 4, 3)
    """

    pool = pooling.avg_pool3d


# ------------------------------------------------------------------------------------------- powers


class _LPPool(Module):
    pool: Callable[..., Tensor]

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return type(self).pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """p-norms of windows along one axis; as ``LPPool2d``. x: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.LPPool1d(2, 2)(ag.tensor([[3.0, 4.0, 0.0, 1.0]]))
    tensor([[5., 1.]])
    """

    pool = power_pooling.lp_pool1d


class LPPool2d(_LPPool):
    """(sum of x^p over each window)^(1/p), p being ``norm_type``. x: (N, C, H, W) or (C, H, W).

    kernel_size, stride (None: kernel_size), ceil_mode: as for ``MaxPool2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.LPPool2d(2, 2)(ag.tensor([[[1.0, 3.0], [1.0, 5.0]]]))
    tensor([[[6.]]])
    """

    pool = power_pooling.lp_pool2d


class LPPool3d(_LPPool):
    """p-norms of windows along three axes; as ``LPPool2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.LPPool3d(1, 2)(ag.ones((1, 3, 4, 8, 6))).shape
    (1, 3, 2, 4, 3)
    """

    pool = power_pooling.lp_pool3d

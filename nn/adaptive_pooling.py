"""Pooling layers that are told the size of their output, not that of their windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd_core.ops import adaptive_pooling, fractional_pooling
from autograd_core.tensor import Tensor

from .module import Module
from .parameter import Buffer


class _AdaptiveAvgPool(Module):
    pool: Callable[..., Tensor]

    def __init__(self, output_size: Any):
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return type(self).pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Mean over ``output_size`` bins along one axis, whatever the input's length. x: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveAvgPool1d(1)(ag.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2.]])
    """

    pool = adaptive_pooling.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Mean over a grid of bins, whatever the input's size. x: (N, C, H, W) or (C, H, W).

    output_size: an int, or one for each axis (None: the input's).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveAvgPool2d(1)(ag.ones((2, 64, 7, 5))).shape
    (2, 64, 1, 1)
    """

    pool = adaptive_pooling.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Mean over bins along three axes; as ``AdaptiveAvgPool2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveAvgPool3d((1, None, 2))(ag.ones((2, 3, 4, 7, 5))).shape
    (2, 3, 1, 7, 2)
    """

    pool = adaptive_pooling.adaptive_avg_pool3d


class _AdaptiveMaxPool(Module):
    pool: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False):
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximum over ``output_size`` bins along one axis; as ``AdaptiveMaxPool2d``. x: (N, C, L) or (C, L).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveMaxPool1d(1)(ag.tensor([[1.0, 3.0, 2.0]]))
    tensor([[3.]])
    """

    pool = adaptive_pooling.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximum over a grid of bins, whatever the input's size. x: (N, C, H, W) or (C, H, W).

    output_size: an int, or one for each axis (None: the input's). return_indices: also where each maximum was.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveMaxPool2d((1, None))(ag.ones((2, 64, 7, 5))).shape
    (2, 64, 1, 5)
    """

    pool = adaptive_pooling.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maximum over bins along three axes; as ``AdaptiveMaxPool2d``. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.AdaptiveMaxPool3d(2)(ag.ones((2, 3, 4, 7, 5))).shape
    (2, 3, 2, 2, 2)
    """

    pool = adaptive_pooling.adaptive_max_pool3d


class _FractionalMaxPool(Module):
    pool: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
        *,
        generator: Any = None,
    ):
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices, self.generator = return_indices, generator
        # part of the state, as in PyTorch: a model saved with its samples pools alike when loaded
        self._random_samples = None if _random_samples is None else Buffer(_random_samples)

    def forward(self, input: Tensor) -> Any:
        return type(self).pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
            generator=self.generator,
        )

    def extra_repr(self) -> str:
        size = f"output_ratio={self.output_ratio}" if self.output_size is None else f"output_size={self.output_size}"
        return f"kernel_size={self.kernel_size}, {size}"


class FractionalMaxPool2d(_FractionalMaxPool):
    """Maximum over windows at random distances, in training and evaluation. x: (N, C, H, W) or (C, H, W).

    output_size: an int, or one for each axis; or output_ratio, its part of the input's. generator: by default that of
    the context. Graham, Fractional max-pooling, 2014.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.FractionalMaxPool2d(2, output_ratio=0.7)(ag.ones((2, 3, 9, 9))).shape
    (2, 3, 6, 6)
    """

    pool = fractional_pooling.fractional_max_pool2d


class FractionalMaxPool3d(_FractionalMaxPool):
    """``FractionalMaxPool2d`` along three axes. x: (N, C, D, H, W) or (C, D, H, W).

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.FractionalMaxPool3d(2, output_size=3)(ag.ones((2, 3, 5, 9, 9))).shape
    (2, 3, 3, 3, 3)
    """

    pool = fractional_pooling.fractional_max_pool3d

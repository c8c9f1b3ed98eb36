"""Normalization layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation, normalization, rms_norms
from autograd_core.tensor import Tensor

from . import init
from .linear import check_positive
from .module import Module
from .parameter import Buffer, Parameter


def _affine(shape: Any, device: Any, dtype: Any, weight: bool, bias: bool) -> tuple[Parameter | None, Parameter | None]:
    """A weight of ones and a bias of zeros, or None for each."""
    return (
        Parameter(creation.ones(shape, device=device, dtype=dtype)) if weight else None,
        Parameter(creation.zeros(shape, device=device, dtype=dtype)) if bias else None,
    )


def _reset(layer: Any) -> None:
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)


class _ChannelNorm(Module):
    """Weights and running statistics for every channel."""

    axes: str  # the shapes of inputs, for messages
    ndims: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ):
        layer = type(self).__name__
        check_positive(layer, num_features=num_features)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(f"{layer}: momentum must be None or between 0 and 1, got {momentum!r}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight, self.bias = _affine(num_features, device, dtype, affine, affine and bias)
        self.running_mean: Buffer | None = None
        self.running_var: Buffer | None = None
        self.num_batches_tracked: Buffer | None = None
        if track_running_stats:
            self.running_mean = Buffer(creation.zeros(num_features, device=device, dtype=dtype))
            self.running_var = Buffer(creation.ones(num_features, device=device, dtype=dtype))
            self.num_batches_tracked = Buffer(creation.zeros((), device=device, dtype=np.int64))

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                init.constant_(buffer, value)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no batches seen."""
        self.reset_running_stats()
        _reset(self)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


_WHICH = "; BatchNorm1d is for (N, C) and (N, C, L), BatchNorm2d for (N, C, H, W), BatchNorm3d for (N, C, D, H, W)"


class _BatchNorm(_ChannelNorm):
    def forward(self, input: Tensor) -> Tensor:
        if len(input.shape) not in self.ndims or input.shape[1] != self.num_features:
            raise ShapeError(
                f"batch_norm: takes {self.axes} with C = num_features = {self.num_features}, got shape {input.shape}"
                + (f"; write num_features={input.shape[1]}" if len(input.shape) in self.ndims else _WHICH)
            )
        mean, var, seen = self.running_mean, self.running_var, self.num_batches_tracked
        momentum: Any = self.momentum
        if self.training and seen is not None:
            seen_now = seen + 1
            momentum = 1 / seen_now if momentum is None else momentum
            y = normalization.batch_norm(input, mean, var, self.weight, self.bias, True, momentum, self.eps)
            seen.assign_(seen_now)
            return y
        return normalization.batch_norm(input, mean, var, self.weight, self.bias, seen is None, 0.0, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalization of vectors or sequences. x: (N, C) or (N, C, L). Arguments as for ``BatchNorm2d``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.BatchNorm1d(1, eps=0.0)(ag.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.],
            [ 1.]])
    """

    axes = "(N, C) or (N, C, L)"
    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalization of images: y = (x - mean) / sqrt(var + eps) * weight + bias, for every channel.

    x: (N, C, H, W) with C = num_features. In training, mean and variance are the batch's, and ``running_mean`` and
    ``running_var`` (buffers) follow them: r <- (1 - momentum) r + momentum b, or with momentum None their plain average
    over ``num_batches_tracked`` batches. In evaluation the running ones are used; with track_running_stats=False, the
    batch's always. affine: whether there are a weight (1 at first) and, with ``bias``, a bias (0). ShapeError for other
    shapes, and in training for a batch with one value per channel. Ioffe and Szegedy, Batch normalization, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> layer(ag.ones((2, 3, 4, 4))).shape, layer.num_batches_tracked.item()
    ((2, 3, 4, 4), 1)
    """

    axes = "(N, C, H, W)"
    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of volumes. x: (N, C, D, H, W). Arguments as for ``BatchNorm2d``."""

    axes = "(N, C, D, H, W)"
    ndims = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        batched = len(input.shape) == self.ndims[0]
        if (
            not (batched or len(input.shape) == self.ndims[0] - 1)
            or input.shape[-self.ndims[0] + 1] != self.num_features
        ):
            raise ShapeError(
                f"instance_norm: takes {self.axes} with C = num_features = {self.num_features}, got shape {input.shape}"
            )
        y = normalization.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance normalization of sequences. x: (N, C, L) or (C, L). Arguments as for ``InstanceNorm2d``."""

    axes = "(N, C, L) or (C, L)"
    ndims = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalization of every channel of every sample over its own elements: y = (x - mean) / sqrt(var + eps) * w + b.

    x: (N, C, H, W) or (C, H, W) with C = num_features. affine: whether there are a weight (1 at first) and, with
    ``bias``, a bias (0). track_running_stats: whether ``running_mean`` and ``running_var`` (buffers) follow the
    averages over the samples and are used in evaluation. Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.InstanceNorm2d(3)(ag.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    axes = "(N, C, H, W) or (C, H, W)"
    ndims = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalization of volumes. x: (N, C, D, H, W) or (C, D, H, W). Arguments as for ``InstanceNorm2d``."""

    axes = "(N, C, D, H, W) or (C, D, H, W)"
    ndims = (5,)


class LayerNorm(Module):
    """Normalization of every sample over its last axes: y = (x - mean) / sqrt(var + eps) * weight + bias.

    x: (..., *normalized_shape). elementwise_affine: whether there are a weight (1 at first) and, with ``bias``, a bias
    (0), both of normalized_shape. ShapeError for other shapes. Ba, Kiros and Hinton, Layer normalization, 2016.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.LayerNorm(2, eps=0.0)(ag.tensor([[1.0, 3.0], [0.0, 8.0]])).detach()
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        check_positive("LayerNorm", **{f"normalized_shape[{i}]": n for i, n in enumerate(shape)})
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight, self.bias = _affine(shape, device, dtype, elementwise_affine, elementwise_affine and bias)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return normalization.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalization of every sample over groups of channels: y = (x - mean) / sqrt(var + eps) * weight + bias.

    x: (N, C, ...) with C = num_channels, in ``num_groups`` equal groups. affine: whether there are a weight (1 at
    first) and, with ``bias``, a bias (0), both (C,). Wu and He, Group normalization, 2018.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.GroupNorm(3, 6)(ag.ones((2, 6, 4, 4))).shape
    (2, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
        bias: bool = True,
    ):
        check_positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_channels={num_channels} does not divide into num_groups={num_groups}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight, self.bias = _affine(num_channels, device, dtype, affine, affine and bias)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return normalization.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class RMSNorm(Module):
    """Every sample over its root mean square along its last axes: y = x / sqrt(mean(x^2) + eps) * weight.

    x: (..., *normalized_shape). elementwise_affine: whether there is a weight (1 at first) of normalized_shape. eps:
    None for the machine epsilon of the dtype. Zhang and Sennrich, Root mean square layer normalization, 2019.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.RMSNorm(2)(ag.tensor([[1.0, 7.0]])).detach()
    tensor([[0.2, 1.4]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        check_positive("RMSNorm", **{f"normalized_shape[{i}]": n for i, n in enumerate(shape)})
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight, _ = _affine(shape, device, dtype, elementwise_affine, False)

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return rms_norms.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Every element over the energy of its neighbours in other channels: y = x / (k + alpha mean_w(x^2))^beta.

    x: (N, C, ...); the window w holds ``size`` channels. Krizhevsky, Sutskever and Hinton, 2012.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        check_positive("LocalResponseNorm", size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return rms_norms.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"

"""Layers that are one matrix product, and layers that only arrange their input."""

from __future__ import annotations

import math
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.ops.distances import bilinear
from autograd_core.ops.linear_algebra import linear
from autograd_core.tensor import Tensor

from . import init
from .module import Module
from .parameter import Parameter


def check_positive(layer: str, **sizes: Any) -> None:
    """ArgumentError unless every size is an int of at least 1."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"{layer}: {name} must be an int of at least 1, got {size!r}")


class Identity(Module):
    """y = x. Takes any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x W^T + b.

    x: (..., in_features); y: (..., out_features). weight W: (out_features, in_features), bias b: (out_features,), both
    drawn uniformly from [-1/sqrt(in_features), 1/sqrt(in_features)). ShapeError when x has other features.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> layer = nn.Linear(20, 30)
    >>> layer(ag.ones((128, 20))).shape
    (128, 30)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, device: Any = None, dtype: Any = None
    ):
        check_positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(creation.zeros((out_features, in_features), device=device, dtype=dtype))
        self.bias = Parameter(creation.zeros(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_o = x1^T W_o x2 + b_o.

    x1: (..., in1_features), x2: (..., in2_features), leading axes equal; y: (..., out_features). weight W:
    (out_features, in1_features, in2_features), bias b: (out_features,), both drawn uniformly from
    [-1/sqrt(in1_features), 1/sqrt(in1_features)). ShapeError for other shapes.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Bilinear(20, 30, 40)(ag.ones((128, 20)), ag.ones((128, 30))).shape
    (128, 40)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("Bilinear", in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(creation.zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(creation.zeros(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` joined into one: (N, C, H, W) -> (N, C H W) by default.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Flatten()(ag.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Axis ``dim`` split into axes of the lengths ``unflattened_size``, one of which may be -1.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Unflatten(1, (3, 4))(ag.ones((2, 12))).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        dim = self.dim % max(len(input.shape), 1)
        return input.reshape((*input.shape[:dim], *self.unflattened_size, *input.shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"

"""Normalization by root mean squares: of a sample's last axes, and of an element's neighbours in other channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._apply import promoted
from .exponential import rsqrt
from .normalization import operands, trailing
from .padding import pad

__all__ = ["rms_norm", "local_response_norm"]


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Every sample over its root mean square along its last axes: y = x / sqrt(mean(x^2) + eps) * weight.

    input: (..., *normalized_shape), integers as float32; normalized_shape: an int or a tuple of ints. weight: of that
    shape, or None. eps: None for the machine epsilon of the dtype. ShapeError where shapes do not fit. Half precision
    is computed in float32. Zhang and Sennrich, Root mean square layer normalization, 2019. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.rms_norms import rms_norm
    >>> rms_norm(ag.tensor([[1.0, 7.0], [0.0, 2.0]]), 2)
    tensor([[0.2      , 1.4      ],
            [0.       , 1.4142135]])
    """
    op = "rms_norm"
    x, weight, _ = operands(op, input, weight, None, 0.0 if eps is None else eps)
    shape = trailing(op, x, normalized_shape, weight=weight)
    wide = x.astype("float32") if x.dtype.itemsize == 2 else x
    least = float(np.finfo(wide.dtype).eps) if eps is None else eps
    y = wide * rsqrt(wide.square().mean(axis=tuple(range(-len(shape), 0)), keepdims=True) + least)
    return (y if weight is None else y * weight.astype(y.dtype)).astype(x.dtype)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Every element over the energy of its neighbours in other channels: y = x / (k + alpha mean_w(x^2))^beta.

    The window w holds ``size`` channels (size // 2 before, the rest from the element on); those outside count as 0.
    input: (N, C, ...) with at least one axis after C (ShapeError); integers as float32. ArgumentError for size < 1.
    Krizhevsky, Sutskever and Hinton, ImageNet classification, 2012. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.rms_norms import local_response_norm
    >>> local_response_norm(ag.tensor([[[3.0], [4.0]]]), 2, alpha=2.0, beta=1.0, k=0.0)
    tensor([[[0.33333334],
             [0.16      ]]])
    """
    op = "local_response_norm"
    (x,) = promoted(op, [input], floating=True)
    if len(x.shape) < 3:
        raise ShapeError(f"{op}: input must be (N, C, ...) with an axis after C, got shape {x.shape}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ArgumentError(f"{op}: size must be an int of at least 1, got {size!r}")
    channels = x.shape[1]
    widths = [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (len(x.shape) - 2)]
    squares = pad(x.square(), widths)
    energy = squares[:, :channels]
    for i in range(1, size):
        energy = energy + squares[:, i : i + channels]
    return x / (energy * (alpha / size) + k) ** beta

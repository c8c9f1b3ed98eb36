"""Dropout in its kinds: noise that keeps a network from relying on single features. PyTorch's names and defaults.

Which elements fall out is up to ``ag.random.bernoulli`` and its generator, by default that of the context.
 ``inplace`` is taken where PyTorch takes it, and changes nothing: a tensor is a value.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from . import random
from ._apply import as_tensor
from .selection import where

__all__ = ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]

_SELU_LOWEST = -1.7580993408473766  # what SELU tends to far below 0


def check_probability(op: str, p: Any) -> None:
    """ArgumentError unless p is a number between 0 and 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(f"{op}: p is the probability of a zero, between 0 and 1; got {p!r}")


def _checked(op: str, x: Any, p: float) -> Any:
    check_probability(op, p)
    x = as_tensor(op, x)
    if x.dtype.kind in "biu":
        raise DTypeError(f"{op}: input must be floating, got {x.dtype}; write x.astype('float32')")
    return x


def _kept(x: Any, p: float, shape: tuple[int, ...], generator: Any) -> Any:
    return random.bernoulli(1 - p, shape, device=x.device, generator=generator)


def _zeroed(x: Any, p: float, shape: tuple[int, ...], generator: Any) -> Any:
    return where(_kept(x, p, shape, generator), x * (1 / (1 - p) if p < 1 else 1.0), 0)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None) -> Any:
    """Each element 0 with probability p, the others divided by 1 - p; the input itself unless ``training``.

    input: floating, any shape. ArgumentError unless 0 <= p <= 1. Srivastava et al., Dropout, 2014. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.dropout import dropout
    >>> dropout(ag.ones(4), 0.5, generator=ag.random.Generator(0))
    tensor([2., 0., 0., 0.])
    """
    x = _checked("dropout", input, p)
    return _zeroed(x, p, x.shape, generator) if training and p else x


def _of_channels(op: str, input: Any, ndim: int, p: float, training: bool, generator: Any) -> Any:
    x = _checked(op, input, p)
    if len(x.shape) not in (ndim + 1, ndim + 2):
        raise ShapeError(f"{op}: input must be (N, C, ...) or (C, ...) with {ndim} axes after C, got shape {x.shape}")
    return _zeroed(x, p, (*x.shape[:-ndim], *(1,) * ndim), generator) if training and p else x


def dropout1d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L). Arguments as for ``dropout``. Tompson et al., 2015. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.dropout import dropout1d
    >>> dropout1d(ag.ones((2, 2)), 0.5, generator=ag.random.Generator(0))
    tensor([[2., 2.],
            [0., 0.]])
    """
    return _of_channels("dropout1d", input, 1, p, training, generator)


def dropout2d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """Dropout of whole channels of (N, C, H, W) or (C, H, W). Arguments as for ``dropout``. Tompson et al., 2015."""
    return _of_channels("dropout2d", input, 2, p, training, generator)


def dropout3d(
    input: Any, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W). Arguments as for ``dropout``. PyTorch."""
    return _of_channels("dropout3d", input, 3, p, training, generator)


def _to_lowest(x: Any, p: float, shape: tuple[int, ...], generator: Any) -> Any:
    if p == 1:
        return x * 0
    a = 1 / math.sqrt((1 - p) * (1 + p * _SELU_LOWEST**2))
    return where(_kept(x, p, shape, generator), x, _SELU_LOWEST) * a - a * p * _SELU_LOWEST


def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Any:
    """Dropout for SELU networks: each element SELU's lowest value s = -1.7581 with probability p, then y = a x + b.

    a = ((1 - p) (1 + p s^2))^(-1/2) and b = -a p s keep mean 0 and variance 1. The input itself unless ``training``,
    zeros for p = 1. Arguments as for ``dropout``. Klambauer et al., Self-normalizing neural networks, 2017. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.dropout import alpha_dropout
    >>> ag.round(alpha_dropout(ag.zeros(4), 0.5, training=True, generator=ag.random.Generator(0)), decimals=4)
    tensor([ 0.7792, -0.7792, -0.7792, -0.7792])
    """
    x = _checked("alpha_dropout", input, p)
    return _to_lowest(x, p, x.shape, generator) if training and p else x


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Any:
    """``alpha_dropout`` of whole channels of (N, C, ...). ShapeError for less than two axes. PyTorch."""
    x = _checked("feature_alpha_dropout", input, p)
    if len(x.shape) < 2:
        raise ShapeError(f"feature_alpha_dropout: input must be (N, C, ...), got shape {x.shape}")
    shape = (*x.shape[:2], *(1,) * (len(x.shape) - 2))
    return _to_lowest(x, p, shape, generator) if training and p else x

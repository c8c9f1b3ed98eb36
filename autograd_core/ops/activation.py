"""Activation functions of neural networks, under PyTorch's names, arguments and defaults."""

from __future__ import annotations

from typing import Any

from ..primitive import bind, elementwise
from ._apply import unary

__all__ = []

sigmoid_p = elementwise("sigmoid", lambda xp, x: 1.0 / (1.0 + xp.exp(-x)), partials=(lambda y: y * (1 - y),))


def sigmoid(x: Any, /) -> Any:
    """Logistic function: y = 1 / (1 + e^-x). Integers as float32.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.activation import sigmoid
    >>> sigmoid(ag.tensor([0.0, 100.0]))
    tensor([0.5, 1. ])
    """
    return unary(sigmoid_p, x, floating=True)


where_positive_p = elementwise(
    "where_positive",
    lambda xp, c, x: xp.where(x > 0, c, 0),
    partials=(lambda g, x: bind(where_positive_p, (g, x), {}), 0),
    signals=False,
)
relu_p = elementwise(
    "relu",
    lambda xp, x: xp.maximum(x, 0),
    partials=(lambda g, y: bind(where_positive_p, (g, y), {}),),
    signals=False,
)


def relu(x: Any, /) -> Any:
    """Rectified linear unit: y = max(x, 0), with slope 0 at 0.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.activation import relu
    >>> relu(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return unary(relu_p, x)

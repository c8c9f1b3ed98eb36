"""Arithmetic: the four operations, powers of two operands, remainders, signs."""

from __future__ import annotations

from typing import Any

from ..primitive import elementwise
from ._apply import binary, unary

add_p = elementwise("add", lambda xp, x1, x2: x1 + x2, partials=(1, 1), signals=False)


def add(x1: Any, x2: Any, /) -> Any:
    """Element-wise sum: y = x1 + x2.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.add(ag.tensor([1.0, 2.0]), 3.0)
    tensor([4., 5.])
    """
    return binary(add_p, x1, x2)


subtract_p = elementwise("subtract", lambda xp, x1, x2: x1 - x2, partials=(1, -1), signals=False)


def subtract(x1: Any, x2: Any, /) -> Any:
    """Element-wise difference: y = x1 - x2.

    x1, x2: numeric dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.subtract(ag.tensor([1.0, 2.0]), 3.0)
    tensor([-2., -1.])
    """
    return binary(subtract_p, x1, x2)


multiply_p = elementwise(
    "multiply", lambda xp, x1, x2: x1 * x2, partials=(lambda x2: x2, lambda x1: x1), signals=False
)


def multiply(x1: Any, x2: Any, /) -> Any:
    """Element-wise product: y = x1 * x2.

    x1, x2: any dtype; shapes broadcast. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.multiply(ag.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """
    return binary(multiply_p, x1, x2)


divide_p = elementwise(
    "divide", lambda xp, x1, x2: x1 / x2, partials=(lambda x2: 1 / x2, lambda x2, y: -y / x2)
)


def divide(x1: Any, x2: Any, /) -> Any:
    """Element-wise quotient: y = x1 / x2; integers are divided as float32.

    x1, x2: numeric dtype; shapes broadcast; x / 0 is infinite or NaN as in IEEE 754. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.divide(ag.tensor([1.0, 2.0]), 4.0)
    tensor([0.25, 0.5 ])
    """
    return binary(divide_p, x1, x2, floating=True)


negative_p = elementwise("negative", lambda xp, x: -x, partials=(-1,), signals=False)


def negative(x: Any, /) -> Any:
    """Element-wise negation: y = -x.

    x: numeric dtype. Python array API standard.

    >>> import autograd_core as ag
    >>> ag.negative(ag.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return unary(negative_p, x)

"""Two tensors mixed into one, and products added to a tensor: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from ._apply import as_tensors
from .arithmetic import abs, add, divide, multiply, subtract
from .selection import where

__all__ = ["lerp", "addcmul", "addcdiv"]


def lerp(start: Any, end: Any, weight: Any, /) -> Any:
    """Linear interpolation: y = start + weight (end - start); exactly ``end`` for weight 1, as it is ``start`` for 0.

    start, end, weight: floating or complex; shapes broadcast. Differentiable in all three. PyTorch.

    >>> import autograd_core as ag
    >>> ag.lerp(ag.tensor([0.0, 10.0]), ag.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.25, 12.5 ])
    """
    start, end = as_tensors("lerp", start, end)
    difference = subtract(end, start)
    from_start = add(start, multiply(weight, difference))
    from_end = subtract(end, multiply(difference, subtract(1, weight)))
    if isinstance(weight, (int, float)):
        return from_start if weight < 0.5 else from_end
    return where(abs(weight) < 0.5, from_start, from_end)


def addcmul(input: Any, tensor1: Any, tensor2: Any, /, *, value: Any = 1) -> Any:
    """y = input + value tensor1 tensor2, element by element; shapes broadcast. PyTorch.

    >>> import autograd_core as ag
    >>> ag.addcmul(ag.tensor([1.0]), ag.tensor([2.0]), ag.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    return add(input, multiply(value, multiply(tensor1, tensor2)))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, /, *, value: Any = 1) -> Any:
    """y = input + value tensor1 / tensor2, element by element; shapes broadcast. PyTorch.

    >>> import autograd_core as ag
    >>> ag.addcdiv(ag.tensor([1.0]), ag.tensor([3.0]), ag.tensor([2.0]), value=2)
    tensor([4.])
    """
    return add(input, multiply(value, divide(tensor1, tensor2)))

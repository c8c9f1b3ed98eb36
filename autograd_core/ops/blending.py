"""Two tensors mixed into one, and products added to a tensor: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from ._apply import promoted
from .arithmetic import abs, divide, multiply
from .selection import where

__all__ = ["lerp", "addcmul", "addcdiv"]


def lerp(start: Any, end: Any, weight: Any, /) -> Any:
    """Linear interpolation: y = start + weight (end - start); exactly ``end`` for weight 1, as it is ``start`` for 0.

    start, end, weight: numeric dtype, integers as float32; shapes broadcast. Differentiable in all three. PyTorch.

    >>> import autograd_core as ag
    >>> ag.lerp(ag.tensor([0.0, 10.0]), ag.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.25, 12.5 ])
    """
    if isinstance(weight, (int, float)):  # a number known now
        start, end = promoted("lerp", (start, end), floating=True)
        return start + weight * (end - start) if weight < 0.5 else end - (1 - weight) * (end - start)
    start, end, weight = promoted("lerp", (start, end, weight), floating=True)
    difference = end - start
    return where(abs(weight) < 0.5, start + weight * difference, end - (1 - weight) * difference)


def addcmul(input: Any, tensor1: Any, tensor2: Any, /, *, value: Any = 1) -> Any:
    """y = input + value tensor1 tensor2, element by element.

    input, tensor1, tensor2: numeric dtype; shapes broadcast. value: a number, or a tensor. PyTorch.

    >>> import autograd_core as ag
    >>> ag.addcmul(ag.tensor([1.0]), ag.tensor([2.0]), ag.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    return _added("addcmul", multiply, input, tensor1, tensor2, value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, /, *, value: Any = 1) -> Any:
    """y = input + value tensor1 / tensor2, element by element.

    input, tensor1, tensor2: numeric dtype, integers as float32; shapes broadcast. value: a number or tensor. PyTorch.

    >>> import autograd_core as ag
    >>> ag.addcdiv(ag.tensor([1.0]), ag.tensor([3.0]), ag.tensor([2.0]), value=2)
    tensor([4.])
    """
    return _added("addcdiv", divide, input, tensor1, tensor2, value)


def _added(op: str, combine: Any, input: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    input, tensor1, tensor2, value = promoted(op, (input, tensor1, tensor2, value), floating=combine is divide)
    return input + value * combine(tensor1, tensor2)

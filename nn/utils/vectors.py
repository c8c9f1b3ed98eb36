"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from autograd_core.errors import ShapeError
from autograd_core.ops.joining import concat
from autograd_core.tensor import Tensor, Variable


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all ``parameters``, one after the other: (n,).

    >>> from autograd_core import nn
    >>> nn.utils.parameters_to_vector(nn.Linear(2, 3).parameters()).shape
    (9,)
    """
    return concat([parameter.reshape(-1) for parameter in parameters], axis=0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Variable]) -> None:
    """Give ``parameters`` the values of a vector that ``parameters_to_vector`` made. ShapeError if it does not fit."""
    parameters = list(parameters)
    sizes = [prod(parameter.shape) for parameter in parameters]
    if vec.shape != (sum(sizes),):
        raise ShapeError(f"vector_to_parameters: the parameters hold {sum(sizes)} elements, vec has shape {vec.shape}")
    for parameter, piece in zip(parameters, vec.detach().split(sizes), strict=True):
        parameter.assign_(piece.reshape(parameter.shape).astype(parameter.dtype))

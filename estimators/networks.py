"""From the constructor arguments of an estimator to its network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from autograd_core import nn
from autograd_core.errors import ArgumentError

from .checks import whole

Factory = Callable[[int, int], nn.Module]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "identity": nn.Identity,
}


def multilayer_perceptron(
    in_features: int,
    out_features: int,
    hidden_sizes: Sequence[int] = (100,),
    activation: str | Callable[[], nn.Module] = "relu",
    dropout: float = 0.0,
) -> nn.Sequential:
    """Linear layers of the given sizes, each but the last followed by the activation and, if asked for, dropout.

    x: (N, in_features); result: (N, out_features). Without hidden sizes a linear model.

    >>> multilayer_perceptron(4, 3, hidden_sizes=(8,), activation="tanh")
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """
    make = ACTIVATIONS.get(activation) if isinstance(activation, str) else activation
    if not callable(make) or isinstance(make, nn.Module):
        raise ArgumentError(
            f"activation must be one of {sorted(ACTIVATIONS)} or a function that makes a module, as nn.ELU does; "
            f"got {activation!r}"
        )
    if not isinstance(hidden_sizes, tuple | list):
        raise ArgumentError(f"hidden_sizes must be a tuple of layer sizes, as in (100,), got {hidden_sizes!r}")
    layers: list[nn.Module] = []
    width = in_features
    for i, size in enumerate(hidden_sizes):
        whole("multilayer_perceptron", f"hidden_sizes[{i}]", size, 1)
        layers += [nn.Linear(width, int(size)), make()]
        if dropout:
            layers.append(nn.Dropout(float(dropout)))
        width = int(size)
    return nn.Sequential(*layers, nn.Linear(width, out_features))


def built(module: nn.Module | Factory, in_features: int, out_features: int) -> nn.Module:
    """The network that ``module`` stands for: a copy of it, or what it makes."""
    if isinstance(module, nn.Module):
        return copy.deepcopy(module)
    if not callable(module):
        raise ArgumentError(
            "module must be None, a module, or a function (in_features, out_features) -> module; "
            f"got {type(module).__name__}"
        )
    network = module(in_features, out_features)
    if not isinstance(network, nn.Module):
        raise ArgumentError(
            f"module must make an nn.Module for {in_features} features and {out_features} outputs, it returned "
            f"{type(network).__name__}"
        )
    return network

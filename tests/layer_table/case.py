"""LayerCase: a layer built with the same words in ``nn`` and in ``torch.nn``, and inputs for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

Inputs = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class LayerCase:
    """One way of making a layer.

    name: its class, with a variant after a slash: ``"Linear/no-bias"``.
    build: takes the module ``nn`` or ``torch.nn``, returns the layer.
    inputs: takes a NumPy Generator, returns the inputs: arrays in float64 or integers, or what is no tensor as it is.
    wrt: positions of the inputs whose gradients are compared, beside those of the parameters.
    draws: whether the layer is random in training, which then is not compared.
    """

    name: str
    build: Callable[[Any], Any]
    inputs: Inputs
    wrt: tuple[int, ...] = (0,)
    draws: bool = False

    @property
    def layer(self) -> str:
        """The class that this is a case of."""
        return self.name.partition("/")[0]


def case(
    name: str,
    build: Callable[[Any], Any] | None,
    *shapes: Any,
    of: Inputs | None = None,
    wrt: tuple[int, ...] = (0,),
    draws: bool = False,
) -> LayerCase:
    """A case with normal inputs of these shapes, or what ``of`` draws; without ``build``, the layer's defaults."""
    layer = name.partition("/")[0]
    return LayerCase(
        name,
        build or (lambda n: getattr(n, layer)()),
        of or (lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)),
        wrt,
        draws,
    )


def weights(n: Any, *values: float) -> Any:
    """A constant tensor of the package that ``n`` belongs to."""
    return import_module(n.__name__.partition(".")[0]).tensor(values)

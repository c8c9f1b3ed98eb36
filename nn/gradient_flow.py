"""How much gradient arrives at each layer: what vanishes on its way down, and what explodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor

from .module import Module
from .parameter import Parameter

BAR = 24  # characters of the longest bar


@dataclass
class LayerGradient:
    """What a gradient flow says of one layer: of the gradients of its own parameters, taken together.

    norm: square root of the sum of squares; rms: of their mean; largest: the largest absolute value; weight_norm: the
    norm of the parameters themselves. All are None where no parameter of the layer has a gradient.
    """

    path: str
    type: str
    parameters: int
    norm: float | None = None
    rms: float | None = None
    largest: float | None = None
    weight_norm: float | None = None

    @property
    def relative(self) -> float | None:
        """norm / weight_norm: by which part of itself a step with learning rate 1 would change the layer."""
        if self.norm is None or self.weight_norm is None:
            return None
        return self.norm / self.weight_norm if self.weight_norm else float("inf")


@dataclass
class GradientFlow:
    """What ``gradient_flow`` returns: ``layers``, in the order of the model. ``print`` it for a table.

    The bar is the logarithm of ``rms``: a whole bar for the largest, none for what is 2**-24 of it or less.
    """

    layers: list[LayerGradient]

    def __str__(self) -> str:
        header = ("layer", "type", "parameters", "norm", "rms", "of weights", "")
        table = [header, *zip(*self._columns(), self._bars(), strict=True)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if 2 <= i <= 5 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])

    def _columns(self) -> list[list[str]]:
        return [
            [layer.path or "(model)" for layer in self.layers],
            [layer.type for layer in self.layers],
            [f"{layer.parameters:,}" for layer in self.layers],
            *([_number(getattr(layer, name)) for layer in self.layers] for name in ("norm", "rms", "relative")),
        ]

    def _bars(self) -> list[str]:
        sizes = np.array([layer.rms or 0.0 for layer in self.layers])
        top = max(sizes[np.isfinite(sizes)], default=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            lengths = np.rint(BAR + np.log2(sizes / top))
        return ["#" * int(np.clip(n, 0, BAR)) if np.isfinite(n) else "" for n in lengths]


def gradient_flow(model: Module) -> GradientFlow:
    """The size of the gradient at every layer that has parameters, after a backward pass.

    Where gradients shrink from layer to layer towards the input they vanish: the first layers do not learn. Where they
    grow they explode. Reads ``.grad`` as it is, summed over backward passes if there were several, before or after
    clipping; changes nothing. A parameter that layers share counts in the first one. NaN and infinity show as such.

    ArgumentError when ``model`` is no module, has no parameters, or none of them has a gradient.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten())
    >>> model(ag.tensor([[3.0, 4.0]])).sum().backward()
    >>> [(layer.path, layer.norm) for layer in nn.gradient_flow(model).layers]
    [('0', 5.0)]
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"gradient_flow: model must be an nn.Module, got {type(model).__name__}")
    seen: set[int] = set()
    layers = []
    for path, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        if own:
            layers.append(_layer(path, module, own))
    if not layers:
        raise ArgumentError(f"gradient_flow: {type(model).__name__} has no parameters")
    if all(layer.norm is None for layer in layers):
        raise ArgumentError(
            "gradient_flow: no parameter has a gradient; call loss.backward() first, and zero_grad() only afterwards"
        )
    return GradientFlow(layers)


def _layer(path: str, module: Module, parameters: Sequence[Parameter]) -> LayerGradient:
    found = LayerGradient(path, type(module).__name__, sum(p.size for p in parameters))
    learning = [(p, p.grad) for p in parameters if p.grad is not None]
    if learning:
        weight, gradient = (_sizes(tensors) for tensors in zip(*learning, strict=True))
        found.norm = float(np.sqrt((gradient**2).sum()))
        found.rms = float(np.sqrt((gradient**2).mean()))
        found.largest = float(gradient.max())
        found.weight_norm = float(np.sqrt((weight**2).sum()))
    return found


def _sizes(tensors: Sequence[Tensor]) -> np.ndarray:
    """Absolute values of all elements, in double precision: squares of small gradients must not underflow."""
    arrays = [x.detach().numpy().ravel() for x in tensors]
    return np.concatenate([np.abs(a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)) for a in arrays])


def _number(value: float | None) -> str:
    return "no gradient" if value is None else f"{value:.2e}"

"""What the rules of several optimizers share: the gradient to go against, and means that fade."""

from __future__ import annotations

from typing import Any

from autograd_core.tensor import Tensor

Group = dict[str, Any]


def downhill(param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """The gradient to go against: of the loss (of -loss with ``maximize``) plus weight_decay/2 * |param|^2."""
    d = -grad if group["maximize"] else grad
    return d + param * group["weight_decay"] if group["weight_decay"] else d


def decayed(param: Tensor, grad: Tensor, group: Group) -> tuple[Tensor, Tensor]:
    """The parameter, shrunk where the decay of weights is decoupled, and the gradient to go against."""
    if not group["decoupled_weight_decay"]:
        return param, downhill(param, grad, group)
    d = -grad if group["maximize"] else grad
    return param * (1.0 - group["lr"] * group["weight_decay"]).astype(param.dtype), d


def running_mean(mean: Tensor, value: Tensor, weight: float) -> Tensor:
    """weight * mean + (1 - weight) * value, from whichever of them counts for more: with weight 0 exactly value."""
    return value + (mean - value) * weight if weight < 0.5 else mean + (value - mean) * (1.0 - weight)

"""RMSprop: the gradient over the root of its running mean square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .half_precision import visible
from .optimizer import Group, Optimizer
from .rules import downhill, running_mean


class RMSprop(Optimizer):
    """RMSprop: each element's step is its gradient over the root of a running mean of the gradient's square.

    d = grad + weight_decay * param;  v = alpha v + (1 - alpha) d^2;  r = sqrt(v) + eps, or, ``centered``,
    m = alpha m + (1 - alpha) d and r = sqrt(v - m^2) + eps;  b = momentum * b + d / r;  param = param - lr * b.

    maximize: climb instead, along -grad. State: ``square_avg`` (v), ``momentum_buffer`` (b) where momentum is not 0 and
    ``grad_avg`` (m) where centered, of the parameter's shape; ``step``, 0-d float32. Parameters of any floating or
    complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Sources: Tieleman and Hinton,
    Lecture 6.5, 2012; Graves, Generating sequences with recurrent neural networks, 2013 (centered).

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = RMSprop([w], lr=0.05)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_range(options, "alpha", low=0.0, high=1.0)
        for name in ("eps", "weight_decay", "momentum"):
            self.check_range(options, name, low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        state = {"step": creation.zeros((), device=param.device), "square_avg": creation.zeros_like(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = creation.zeros_like(param)
        if group["centered"]:
            state["grad_avg"] = creation.zeros_like(param)
        return state

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        d = downhill(param, grad, group)
        square_avg = variance = running_mean(state["square_avg"], d * d, group["alpha"])
        new_state = {"step": state["step"] + 1, "square_avg": square_avg}
        if group["centered"]:
            new_state["grad_avg"] = mean = running_mean(state["grad_avg"], d, group["alpha"])
            variance = square_avg - mean * mean
        update = d / (ag.sqrt(variance) + visible(group["eps"], param.dtype))
        if group["momentum"] > 0:
            new_state["momentum_buffer"] = update = state["momentum_buffer"] * group["momentum"] + update
        return param - group["lr"].astype(param.dtype) * update, new_state

"""Adagrad: steps shrink with the sum of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .half_precision import visible
from .optimizer import Group, Optimizer
from .rules import downhill


class Adagrad(Optimizer):
    """Adagrad: an element that has seen large gradients moves less from then on.

    d = grad + weight_decay * param;  s = s + d^2;  param = param - lr / (1 + (t - 1) lr_decay) * d / (sqrt(s) + eps),
    with t the parameter's step from 1.

    initial_accumulator_value: s before the first step. maximize: climb instead, along -grad.
    State: ``sum`` (s) of the parameter's shape, ``step`` (t), 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Duchi et al.,
    Adaptive subgradient methods for online learning and stochastic optimization, 2011.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            self.check_range(options, name, low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        start = group["initial_accumulator_value"]
        # the squares of real and imaginary parts are summed apart
        fill = complex(start, start) if param.dtype.kind == "c" else start
        return {"step": creation.zeros((), device=param.device), "sum": creation.full_like(param, fill)}

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        d = downhill(param, grad, group)
        rate = group["lr"] / (1.0 + state["step"].astype(ag.float64) * group["lr_decay"])
        total = state["sum"] + d * d
        new_param = param - rate.astype(param.dtype) * d / (ag.sqrt(total) + visible(group["eps"], param.dtype))
        return new_param, {"step": state["step"] + 1, "sum": total}

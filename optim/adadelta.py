"""Adadelta: steps in the units of the parameter, from running means alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer
from .rules import downhill, running_mean


class Adadelta(Optimizer):
    """Adadelta: the gradient scaled by the ratio of two running means, of squared updates and of squared gradients.

    d = grad + weight_decay * param;  v = rho v + (1 - rho) d^2;  u = sqrt(a + eps) / sqrt(v + eps) * d;
    a = rho a + (1 - rho) u^2;  param = param - lr * u.

    maximize: climb instead, along -grad. State: ``square_avg`` (v) and ``acc_delta`` (a) of the parameter's shape;
    ``step``, 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Zeiler, ADADELTA: an
    adaptive learning rate method, 2012.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Adadelta([w], lr=0.1, eps=1.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.83096915, -1.7519305 ])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_range(options, "rho", low=0.0, high=1.0)
        self.check_range(options, "eps", low=0.0)
        self.check_range(options, "weight_decay", low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
            "square_avg": creation.zeros_like(param),
            "acc_delta": creation.zeros_like(param),
        }

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        rho, eps = group["rho"], group["eps"]
        d = downhill(param, grad, group)
        square_avg = running_mean(state["square_avg"], d * d, rho)
        update = ag.sqrt(state["acc_delta"] + eps) / ag.sqrt(square_avg + eps) * d
        acc_delta = running_mean(state["acc_delta"], update * update, rho)
        new_param = param - group["lr"].astype(param.dtype) * update
        return new_param, {"step": state["step"] + 1, "square_avg": square_avg, "acc_delta": acc_delta}

"""Adamax: Adam by the largest gradient instead of the mean square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .half_precision import visible
from .optimizer import Group, Optimizer
from .rules import downhill, running_mean


class Adamax(Optimizer):
    """Adamax: Adam in the infinity norm, steps scaled by a fading maximum of the gradient's size.

    d = grad + weight_decay * param;  m = b1 m + (1 - b1) d;  u = max(b2 u, |d| + eps);
    param = param - lr / (1 - b1^t) * m / u,  with t the parameter's step from 1.

    maximize: climb instead, along -grad. State: ``exp_avg`` (m) and ``exp_inf`` (u) of the parameter's shape; ``step``
    (t), 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Kingma and Ba, Adam, 2015,
    section 7.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Adamax([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_betas(options)
        self.check_range(options, "eps", low=0.0)
        self.check_range(options, "weight_decay", low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
            "exp_avg": creation.zeros_like(param),
            "exp_inf": creation.zeros_like(param),
        }

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1, beta2 = group["betas"]
        d = downhill(param, grad, group)
        step = state["step"] + 1
        exp_avg = running_mean(state["exp_avg"], d, beta1)
        exp_inf = ag.maximum(state["exp_inf"] * beta2, ag.abs(d) + visible(group["eps"], param.dtype))
        rate = group["lr"] / (1.0 - beta1 ** step.astype(ag.float64))
        new_param = param - rate.astype(param.dtype) * exp_avg / exp_inf
        return new_param, {"step": step, "exp_avg": exp_avg, "exp_inf": exp_inf}

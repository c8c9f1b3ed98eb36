"""Lion: steps of one size, in the direction of a sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer
from .rules import decayed, running_mean


class Lion(Optimizer):
    """Lion: every element moves by lr, against the sign of a mix of its gradient and their running mean.

    c = b1 m + (1 - b1) grad;  param = (1 - lr * weight_decay) param - lr * sign(c);  m = b2 m + (1 - b2) grad.

    It takes a learning rate some 3 to 10 times smaller than AdamW's, and a weight decay as much larger. maximize: climb
    instead, along -grad. State: ``exp_avg`` (m) of the parameter's shape. Parameters of any floating or complex dtype
    (real and imaginary parts move apart).

    The arguments and defaults are those of the authors. Raises ArgumentError for arguments out of range. Source: Chen
    et al., Symbolic discovery of optimization algorithms, 2023.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Lion([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_betas(options)
        self.check_range(options, "weight_decay", low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {"exp_avg": creation.zeros_like(param)}

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1, beta2 = group["betas"]
        param, d = decayed(param, grad, {**group, "decoupled_weight_decay": True})
        direction = ag.sign(running_mean(state["exp_avg"], d, beta1))
        return param - group["lr"].astype(param.dtype) * direction, {
            "exp_avg": running_mean(state["exp_avg"], d, beta2)
        }

"""NAdam: Adam with Nesterov's look ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .half_precision import visible
from .optimizer import Group, Optimizer
from .rules import decayed, running_mean


class NAdam(Optimizer):
    """NAdam: Adam whose step already counts the momentum of the next one.

    d = grad + weight_decay * param;  m = b1 m + (1 - b1) d;  v = b2 v + (1 - b2) d^2;
    mu_t = b1 (1 - 0.96^(t momentum_decay) / 2);  p_t = mu_1 mu_2 ... mu_t;
    param = param - lr * (mu_(t+1) m / (1 - p_(t+1)) + (1 - mu_t) d / (1 - p_t)) / (sqrt(v / (1 - b2^t)) + eps),
    with t the parameter's step from 1.

    decoupled_weight_decay: shrink the parameter by lr * weight_decay instead of adding to the gradient. maximize:
    climb instead, along -grad. State: ``exp_avg`` (m) and ``exp_avg_sq`` (v) of the parameter's shape; ``step`` (t) and
    ``mu_product`` (p), 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Dozat, Incorporating
    Nesterov momentum into Adam, 2016.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.47177416, -1.4717741 ])
    """

    younger_options = frozenset({"decoupled_weight_decay"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_betas(options)
        for name in ("eps", "weight_decay", "momentum_decay"):
            self.check_range(options, name, low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
            "mu_product": creation.ones((), device=param.device),
            "exp_avg": creation.zeros_like(param),
            "exp_avg_sq": creation.zeros_like(param),
        }

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1, beta2 = group["betas"]
        param, d = decayed(param, grad, group)
        step = state["step"] + 1
        t = step.astype(ag.float64)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * group["momentum_decay"]))
        mu_product = state["mu_product"] * mu.astype(ag.float32)
        product = mu_product.astype(ag.float64)

        exp_avg = running_mean(state["exp_avg"], d, beta1)
        exp_avg_sq = running_mean(state["exp_avg_sq"], d * d, beta2)
        scale = ag.sqrt(1.0 - beta2**t).astype(param.dtype)
        of_gradient = (group["lr"] * (1.0 - mu) / (1.0 - product)).astype(param.dtype)
        of_mean = (group["lr"] * mu_next / (1.0 - product * mu_next)).astype(param.dtype)
        root = ag.sqrt(exp_avg_sq) / scale + visible(group["eps"], param.dtype)
        new_param = param - (of_gradient * d + of_mean * exp_avg) / root
        return new_param, {"step": step, "mu_product": mu_product, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}

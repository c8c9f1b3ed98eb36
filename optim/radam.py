"""RAdam: Adam that waits until it knows the variance of its scaling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .half_precision import visible
from .optimizer import Group, Optimizer
from .rules import decayed, running_mean


class RAdam(Optimizer):
    """RAdam: plain momentum in the first steps, then Adam times a factor that corrects the variance of its scaling.

    d = grad + weight_decay * param;  m = b1 m + (1 - b1) d;  v = b2 v + (1 - b2) d^2;
    n = 2 / (1 - b2) - 1;  n_t = n - 2 t b2^t / (1 - b2^t);  m' = m / (1 - b1^t);
    param = param - lr * m'  while n_t <= 5, else  param - lr * m' * sqrt(1 - b2^t) / (sqrt(v) + eps) * r,
    r^2 = (n_t - 4) (n_t - 2) n / ((n - 4) (n - 2) n_t),  with t the parameter's step from 1.

    decoupled_weight_decay: shrink the parameter by lr * weight_decay instead of adding to the gradient. maximize:
    climb instead, along -grad. State: ``exp_avg`` (m) and ``exp_avg_sq`` (v) of the parameter's shape; ``step`` (t),
    0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Liu et al., On the variance
    of the adaptive learning rate and beyond, 2020.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8, -1.6])
    """

    younger_options = frozenset({"decoupled_weight_decay"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_betas(options)
        self.check_range(options, "eps", low=0.0)
        self.check_range(options, "weight_decay", low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
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
        exp_avg = running_mean(state["exp_avg"], d, beta1)
        exp_avg_sq = running_mean(state["exp_avg_sq"], d * d, beta2)

        known = 1.0 - beta2**t
        # a beta2 whose means never reach further than 5 steps is never rectified
        longest = max(2.0 / (1.0 - beta2) - 1.0, 5.0)
        length = longest - 2.0 * t * beta2**t / known
        is_rectified = length > 5.0
        # where it is not rectified the length stands at 5, so that no root is taken of a number below 0
        reached = ag.maximum(length, 5.0)
        ratio = (reached - 4.0) * (reached - 2.0) * longest / (reached * (longest - 4.0) * (longest - 2.0))
        rate = group["lr"] / (1.0 - beta1**t) * ag.where(is_rectified, ag.sqrt(ratio * known), 1.0)
        scale = ag.where(is_rectified, ag.sqrt(exp_avg_sq) + visible(group["eps"], param.dtype), 1.0)
        new_param = param - rate.astype(param.dtype) * exp_avg / scale
        return new_param, {"step": step, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}

"""ASGD: stochastic gradient descent whose result is the mean of where it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer
from .rules import downhill


class ASGD(Optimizer):
    """Averaged SGD: steps of a falling rate, and a mean of the parameters they led to.

    d = grad + weight_decay * param;  param = (1 - lambd * eta_t) param - eta_t * d;  eta_1 = lr,
    eta_(t+1) = lr / (1 + lambd lr t)^alpha;  ax = ax + mu_t (param - ax),  mu_1 = 1, mu_(t+1) = 1 / max(1, t - t0),
    with t the parameter's step from 1. Until step t0 the mean is the parameter itself.

    The mean is ``optimizer.state[param]["ax"]``: assign it to the parameters when the training is over. maximize: climb
    instead, along -grad. State: ``ax`` of the parameter's shape; ``step`` (t), ``eta`` and ``mu`` of the next step, 0-d
    float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Polyak and Juditsky,
    Acceleration of stochastic approximation by averaging, 1992.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = ASGD([w], lr=0.1, lambd=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8, -1.6])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name in ("lambd", "alpha", "t0", "weight_decay"):
            self.check_range(options, name, low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
            "eta": creation.zeros((), device=param.device),
            "mu": creation.ones((), device=param.device),
            "ax": creation.zeros_like(param),
        }

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        lr, lambd = group["lr"], group["lambd"]
        eta = ag.where(state["step"] == 0, lr.astype(ag.float32), state["eta"]).astype(ag.float64)
        shrink, rate = (1.0 - lambd * eta).astype(param.dtype), eta.astype(param.dtype)
        new_param = param * shrink - rate * downhill(param, grad, group)
        ax = state["ax"] + (new_param - state["ax"]) * state["mu"].astype(param.dtype)
        step = state["step"] + 1
        t = step.astype(ag.float64)
        new_eta = (lr / (1.0 + lambd * lr * t) ** group["alpha"]).astype(ag.float32)
        new_mu = (1.0 / ag.maximum(t - group["t0"], 1.0)).astype(ag.float32)
        return new_param, {"step": step, "eta": new_eta, "mu": new_mu, "ax": ax}

"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from autograd_core.ops import creation
from autograd_core.ops.optimizer_updates import adam_update_p
from autograd_core.primitive import bind
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer


class Adam(Optimizer):
    """Adam: each element's step is scaled by running means of its gradient and of the gradient's square.

    d = grad + weight_decay * param;  m = b1 m + (1 - b1) d;  v = b2 v + (1 - b2) d^2;
    param = param - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps),  with t the parameter's step from 1.

    amsgrad: use the largest v so far. maximize: climb instead, along -grad. decoupled_weight_decay: shrink the
    parameter by lr * weight_decay instead of adding to the gradient (as ``AdamW`` does).
    State: ``exp_avg`` (m), ``exp_avg_sq`` (v) and, with amsgrad, ``max_exp_avg_sq``, of the parameter's shape; ``step``
    (t), 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Sources: Kingma and Ba, Adam, 2015;
    Reddi et al., On the convergence of Adam and beyond, 2018.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    younger_options = frozenset({"decoupled_weight_decay"})

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_betas(options)
        self.check_range(options, "eps", low=0.0)
        self.check_range(options, "weight_decay", low=0.0)

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        state = {
            "step": creation.zeros((), device=param.device),
            "exp_avg": creation.zeros_like(param),
            "exp_avg_sq": creation.zeros_like(param),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = creation.zeros_like(param)
        return state

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        beta1, beta2 = group["betas"]
        static = {
            "beta1": beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "decoupled_weight_decay": group["decoupled_weight_decay"],
            "maximize": group["maximize"],
        }
        operands = [param, grad, group["lr"], state["exp_avg"], state["exp_avg_sq"], state["step"]]
        if group["amsgrad"]:
            operands.append(state["max_exp_avg_sq"])
        new_param, exp_avg, exp_avg_sq, step, *peak = bind(adam_update_p, operands, static)
        new_state = {"step": step, "exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
        if peak:
            (new_state["max_exp_avg_sq"],) = peak
        return new_param, new_state


class AdamW(Adam):
    """Adam with weight decay decoupled from the gradient: param = (1 - lr * weight_decay) * param, then Adam's step.

    Arguments, state and errors as for ``Adam``; weight_decay is 0.01 unless given. PyTorch's maths and arguments.
    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.85, -1.8 ])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)

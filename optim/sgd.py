"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.ops.optimizer_updates import sgd_update_p
from autograd_core.primitive import bind
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    d = grad + weight_decay * param;  b = momentum * b + (1 - dampening) * d  (b = d at a parameter's first step);
    param = param - lr * (b, or d + momentum * b with ``nesterov``).

    maximize: climb instead, along -grad. State: ``momentum_buffer`` of the parameter's shape, where momentum is not 0
    (and ``step``, 0-d, where dampening is not 0). Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Sutskever et al.,
    On the importance of initialization and momentum in deep learning, 2013.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.8, -1.6])
    """

    # A saved momentum buffer without a count was written after the first step.
    assumed_state = {"step": 1.0}

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_range(options, "momentum", low=0.0)
        self.check_range(options, "dampening", low=float("-inf"))
        self.check_range(options, "weight_decay", low=0.0)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError("SGD: nesterov=True needs a momentum above 0 and dampening=0; give momentum=0.9, say")

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        if group["momentum"] == 0:
            return {}
        state = {"momentum_buffer": creation.zeros_like(param)}
        if group["dampening"] != 0:
            state["step"] = creation.zeros((), device=param.device)
        return state

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        static = {
            "momentum": group["momentum"],
            "dampening": group["dampening"],
            "weight_decay": group["weight_decay"],
            "nesterov": group["nesterov"],
            "maximize": group["maximize"],
        }
        operands = [param, grad, group["lr"]]
        names = [name for name in ("momentum_buffer", "step") if name in state]
        operands += [state[name] for name in names]
        new_param, *new_state = bind(sgd_update_p, operands, static)
        return new_param, dict(zip(names, new_state))

"""Rprop: steps by the signs of whole-batch gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer


class Rprop(Optimizer):
    """Rprop: each element has its own step size, which grows while the gradient's sign stays and shrinks when it turns.

    s = clip(s * (etas[1] where grad and prev agree in sign, etas[0] where they disagree, else 1), *step_sizes);
    param = param - s * sign(grad), but 0 where they disagree, and there the next step has nothing to compare with.

    lr: s before the first step; later changes of it have no effect. For gradients of the whole data set: noise in the
    sign of small batches stops it. maximize: climb instead, along -grad. State: ``prev`` (the last gradient) and
    ``step_size`` (s) of the parameter's shape; ``step``, 0-d float32. Parameters of any floating or complex dtype.

    PyTorch's maths and arguments. Raises ArgumentError for arguments out of range. Source: Riedmiller and Braun, A
    direct adaptive method for faster backpropagation learning, 1993.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([1.0, -2.0]))
    >>> optimizer = Rprop([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5, -1.5])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ):
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        for name, example in (("etas", "(0.5, 1.2)"), ("step_sizes", "(1e-6, 50.0)")):
            if not isinstance(options[name], (tuple, list)) or len(options[name]) != 2:
                raise ArgumentError(f"Rprop: {name} must be two numbers, such as {example}, got {options[name]!r}")
            for i, value in enumerate(options[name]):
                self.check_range({f"{name}[{i}]": value}, f"{name}[{i}]", low=0.0)
        if not 0.0 < options["etas"][0] < 1.0 < options["etas"][1]:
            raise ArgumentError(f"Rprop: etas must be below 1 and above 1, such as (0.5, 1.2), got {options['etas']!r}")
        if not options["step_sizes"][0] <= options["step_sizes"][1]:
            raise ArgumentError(f"Rprop: step_sizes must be (least, largest), got {options['step_sizes']!r}")

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {
            "step": creation.zeros((), device=param.device),
            "prev": creation.zeros_like(param),
            "step_size": creation.zeros_like(param),
        }

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        shrink, grow = group["etas"]
        d = -grad if group["maximize"] else grad
        agreement = ag.sign(d) * ag.sign(state["prev"])
        before = ag.where(state["step"] == 0, group["lr"].astype(param.dtype), state["step_size"])
        changed = ag.where(agreement > 0, before * grow, ag.where(agreement < 0, before * shrink, before))
        step_size = ag.clip(changed, *group["step_sizes"])
        d = ag.where(agreement < 0, 0.0, d)
        return param - ag.sign(d) * step_size, {"step": state["step"] + 1, "prev": d, "step_size": step_size}

"""Muon: momentum made orthogonal, for the matrices inside a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from .optimizer import Group, Optimizer
from .rules import running_mean


class Muon(Optimizer):
    """Muon: steps along the orthogonal matrix nearest to the momentum, so that all directions move alike.

    b = momentum * b + (1 - momentum) grad;  u = b, or (1 - momentum) grad + momentum * b with ``nesterov``;
    param = (1 - lr * weight_decay) param - lr * c * orthogonal(u),  param: (rows, columns).

    orthogonal: ``ns_steps`` Newton-Schulz steps from x = u / max(|u|, eps), x = a x + (b x xT + c (x xT)^2) x with
    a, b, c = ns_coefficients, which bring all singular values near 1. adjust_lr_fn: c is sqrt(max(1, rows / columns))
    for None and "original", 0.2 sqrt(max(rows, columns)) for "match_rms_adamw", which takes AdamW's learning rates.
    For the matrices inside a network: give embeddings, the last layer, biases and gains to AdamW.
    State: ``momentum_buffer`` (b). Parameters: real matrices.

    PyTorch's maths and arguments, but the steps are in the parameter's precision (float32 for 16-bit ones), where
    PyTorch rounds to bfloat16; what a device may round its products to is said by ``ag.math_mode``. Raises
    ArgumentError for arguments out of range and parameters that are not matrices. Sources: Jordan et al., Muon: an
    optimizer for hidden layers in neural networks, 2024; Liu et al., Muon is scalable for LLM training, 2025.

    >>> from autograd_core import nn
    >>> w = nn.Parameter(ag.tensor([[1.0, 0.0], [0.0, 3.0]]))
    >>> optimizer = Muon([w], lr=0.1, weight_decay=0.0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> [round(x, 1) for x in (w[0, 0].item(), w[1, 1].item())]
    [0.9, 2.9]
    """

    complex_parameters = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        self.check_range(options, "weight_decay", low=0.0)
        self.check_range(options, "momentum", low=0.0)
        self.check_range(options, "eps", low=0.0)
        self.check_range(options, "ns_steps", low=0, high=100)
        if not isinstance(options["ns_steps"], int):
            raise ArgumentError(f"Muon: ns_steps must be an int, got {options['ns_steps']!r}")
        coefficients = options["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise ArgumentError(f"Muon: ns_coefficients must be three numbers, got {coefficients!r}")
        for i, value in enumerate(coefficients):
            self.check_range({f"ns_coefficients[{i}]": value}, f"ns_coefficients[{i}]", low=float("-inf"))
        if options["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got {options['adjust_lr_fn']!r}"
            )

    def check_parameter(self, where: str, p: Any) -> None:
        super().check_parameter(where, p)
        if p.ndim != 2:
            raise ArgumentError(
                f"Muon: parameter {where} has shape {p.shape}; it is for matrices: give other parameters to AdamW"
            )

    def init_single(self, param: Tensor, group: Group) -> dict[str, Tensor]:
        return {"momentum_buffer": creation.zeros_like(param)}

    def apply_single(
        self, param: Tensor, grad: Tensor, state: Mapping[str, Tensor], group: Group
    ) -> tuple[Tensor, dict[str, Tensor]]:
        buffer = running_mean(state["momentum_buffer"], grad, group["momentum"])
        update = running_mean(buffer, grad, group["momentum"]) if group["nesterov"] else buffer
        rows, columns = param.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1.0, rows / columns)) if columns else 1.0
        direction = orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        keep = (1.0 - group["lr"] * group["weight_decay"]).astype(param.dtype)
        return param * keep - (group["lr"] * ratio).astype(param.dtype) * direction, {"momentum_buffer": buffer}


def orthogonal(u: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """About the nearest matrix to ``u`` whose singular values are equal, by Newton-Schulz steps: (rows, columns)."""
    a, b, c = coefficients
    x = u.astype(ag.float32) if u.dtype.itemsize == 2 else u
    if is_tall := u.shape[0] > u.shape[1]:
        x = x.mT
    x = x / ag.maximum(ag.sqrt((x * x).sum()), eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = x * a + (gram * b + (gram @ gram) * c) @ x
    return (x.mT if is_tall else x).astype(u.dtype)

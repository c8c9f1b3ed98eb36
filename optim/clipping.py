"""Gradient clipping: by the norm of all gradients together, or by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from autograd_core import context
from autograd_core.errors import ArgumentError, GradientError
from autograd_core.ops import casting, creation, selection
from autograd_core.ops.optimizer_updates import global_norm_p, scaled_p
from autograd_core.primitive import bind
from autograd_core.scalars import is_real
from autograd_core.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients so that their norm, as one vector, is at most ``max_norm``; returns the norm before.

    total = (sum |g|^norm_type)^(1/norm_type);  g = g * min(1, max_norm / (total + 1e-6)).

    parameters: those without a gradient are passed over; if none has one, the norm is 0. norm_type: above 0; infinity
    takes the largest |g|. A norm that is infinite or NaN makes gradients NaN, as in PyTorch, unless error_if_nonfinite
    asks for a GradientError before any changes; that looks at the value, so it waits for the device. Raises
    ArgumentError for max_norm below 0 or norm_type not above 0.
    Source: Pascanu et al., On the difficulty of training recurrent neural networks, 2013.

    >>> import autograd_core as ag
    >>> w = ag.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0)
    tensor(10.)
    >>> w.grad
    tensor([0.59999996, 0.79999995])
    """
    check_norm(max_norm, norm_type)
    owners = _with_gradient("clip_grad_norm_", parameters)
    if not owners:
        return creation.zeros(())
    device = owners[0].device
    with context.scope(recording=False):
        total = _norm([p.grad for p in owners], float(norm_type), device)
        if error_if_nonfinite and not math.isfinite(value := float(total)):
            raise GradientError(
                f"clip_grad_norm_: the norm of the gradients is {value}; look for the first operation that gave "
                "infinity "
                "or NaN, or leave error_if_nonfinite out to go on with NaN"
            )
        factor = selection.minimum(max_norm / (total + 1e-6), 1.0)
        for p in owners:
            p.grad = bind(scaled_p, (p.grad, casting.transfer(factor, p.device)), {})
    return total


def check_norm(max_norm: Any, norm_type: Any) -> None:
    """ArgumentError unless a norm of this type can be limited to that number."""
    if not is_real(max_norm) or not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must be a number and not negative, got {max_norm!r}")
    if not is_real(norm_type) or not norm_type > 0:
        raise ArgumentError(
            f"clip_grad_norm_: norm_type must be a number above 0 (math.inf takes the largest), got {norm_type!r}"
        )


def _norm(gradients: list[Tensor], order: float, device: Any) -> Tensor:
    """One reduction a device, then one over their results."""
    by_device: dict[Any, list[Tensor]] = {}
    for g in gradients:
        by_device.setdefault(g.device, []).append(g)
    norms = [casting.transfer(bind(global_norm_p, gs, {"order": order}), device) for gs in by_device.values()]
    return norms[0] if len(norms) == 1 else bind(global_norm_p, norms, {"order": order})


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient: g = min(max(g, -clip_value), clip_value).

    parameters: those without a gradient are passed over. Raises ArgumentError for clip_value below 0.

    >>> import autograd_core as ag
    >>> w = ag.tensor([3.0, 0.25], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([1. , 0.5])
    """
    if not is_real(clip_value) or not clip_value >= 0:
        raise ArgumentError(f"clip_grad_value_: clip_value must be a number and not negative, got {clip_value!r}")
    with context.scope(recording=False):
        for p in _with_gradient("clip_grad_value_", parameters):
            p.grad = selection.clip(p.grad, -clip_value, clip_value)


def _with_gradient(op: str, parameters: Any) -> list[Any]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    if not isinstance(given, Iterable):
        raise ArgumentError(f"{op}: parameters must be tensors, got a {type(given).__name__}; write model.parameters()")
    listed = list(given)
    for p in listed:
        if not isinstance(p, Tensor):
            raise ArgumentError(f"{op}: parameters must be tensors, got a {type(p).__name__}; write model.parameters()")
    return [p for p in listed if p.grad is not None]

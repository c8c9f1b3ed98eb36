"""Cases of optimizer updates, checked against the textbook recursions, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import optimizer_updates
from autograd_core.primitive import Primitive, bind

from .case import OpCase, normal, operands, uniform

RATE = uniform(0.05, 0.2)


def count(value: int) -> Callable[[np.random.Generator], np.ndarray]:
    """A 0-d count of steps."""
    return lambda rng: np.asarray(value)


def update(primitive: Primitive, variant: str, draws: Any, reference: Callable[..., Any], **params: Any) -> OpCase:
    return OpCase(
        f"{primitive.name}/{variant}",
        lambda *xs: bind(primitive, xs, params),
        operands(*draws),
        reference,
        no_torch="the tests of the optimizers compare whole runs with torch.optim",
        differentiable=(),
        why_not="an update is applied, not differentiated",
    )


def sgd(variant: str, *draws: Any, **changes: Any) -> OpCase:
    defaults = {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
    params = defaults | changes

    def one(p: float, g: float, b: float, lr: float, damp: float) -> tuple[float, float]:
        g = (-g if params["maximize"] else g) + params["weight_decay"] * p
        b = params["momentum"] * b + (1 - damp) * g
        return p - lr * (g + params["momentum"] * b if params["nesterov"] else b), b

    def reference(p: np.ndarray, g: np.ndarray, lr: np.ndarray, b: Any = None, step: Any = None) -> tuple[Any, ...]:
        damp = 0.0 if step is None or step == 0 else params["dampening"]
        buffer = np.zeros_like(p) if b is None else b
        pairs = [one(*values, float(lr), damp) for values in zip(p.flat, g.flat, buffer.flat, strict=True)]
        new, moved = (np.reshape(column, p.shape) for column in zip(*pairs, strict=True))
        return ((new,), (new, moved), (new, moved, None if step is None else step + 1))[
            (b is not None) + (step is not None)
        ]

    return update(
        optimizer_updates.sgd_update_p, variant, (normal(2, 3), normal(2, 3), RATE, *draws), reference, **params
    )


def adam(variant: str, step: int, *draws: Any, **changes: Any) -> OpCase:
    defaults = {"eps": 1e-3, "weight_decay": 0.0, "decoupled_weight_decay": False, "maximize": False}
    params = {"beta1": 0.8, "beta2": 0.9} | defaults | changes
    beta1, beta2, decay = params["beta1"], params["beta2"], params["weight_decay"]

    def one(p: float, g: float, m: float, v: float, largest: float, t: int, lr: float) -> tuple[float, ...]:
        g = -g if params["maximize"] else g
        if params["decoupled_weight_decay"]:
            p = p - lr * decay * p
        else:
            g = g + decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        largest = max(v, largest)
        second = largest if draws else v
        corrected = (m / (1 - beta1**t)) / (math.sqrt(second / (1 - beta2**t)) + params["eps"])
        return p - lr * corrected, m, v, largest

    def reference(p: Any, g: Any, lr: Any, m: Any, v: Any, step: Any, largest: Any = None) -> tuple[Any, ...]:
        most = np.zeros_like(p) if largest is None else largest
        rows = [
            one(*xs, int(step) + 1, float(lr)) for xs in zip(p.flat, g.flat, m.flat, v.flat, most.flat, strict=True)
        ]
        new, m, v, most = (np.reshape(column, p.shape) for column in zip(*rows, strict=True))
        return (new, m, v, step + 1) if largest is None else (new, m, v, step + 1, most)

    state = (normal(4), uniform(0.0, 2.0, 4), count(step))
    first = (normal(4), normal(4), RATE)
    return update(optimizer_updates.adam_update_p, variant, (*first, *state, *draws), reference, **params)


def norm(order: float, *draws: Any) -> OpCase:
    def reference(*xs: np.ndarray) -> Any:
        magnitudes = [abs(value) for x in xs for value in x.flat]
        return max(magnitudes) if order == math.inf else sum(m**order for m in magnitudes) ** (1 / order)

    return update(optimizer_updates.global_norm_p, f"{order}", draws, reference, order=order)


CASES = [
    sgd("plain"),
    sgd("weight decay", weight_decay=0.3),
    sgd("upwards", maximize=True, weight_decay=0.3),
    sgd("momentum", normal(2, 3), momentum=0.9),
    sgd("Nesterov", normal(2, 3), momentum=0.9, nesterov=True, weight_decay=0.1),
    sgd("dampened, first step", normal(2, 3), count(0), momentum=0.9, dampening=0.4),
    sgd("dampened, later", normal(2, 3), count(3), momentum=0.9, dampening=0.4),
    adam("first step", 0),
    adam("later", 5),
    adam("weight decay", 5, weight_decay=0.2),
    adam("decoupled weight decay", 5, weight_decay=0.2, decoupled_weight_decay=True),
    adam("upwards", 5, maximize=True),
    adam("AMSGrad", 5, uniform(0.0, 2.0, 4)),
    norm(2, normal(2, 3), normal(4)),
    norm(1.0, normal(2, 3)),
    norm(3.0, normal(2, 3), normal(4), normal()),
    norm(math.inf, normal(2, 3), normal(0), normal(2)),
    update(
        optimizer_updates.scaled_p,
        "by a number",
        (normal(2, 3), uniform(0.2, 0.9)),
        lambda x, factor: np.array([value * factor for value in x.flat]).reshape(2, 3),
    ),
]

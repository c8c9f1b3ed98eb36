"""Cases of softmax and its logarithm, checked against the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import philox, softmax
from autograd_core.primitive import bind

from .case import OpCase, normal, operands
from .random import CALL, SEED, generator


def by_definition(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def gumbel(*shape: int) -> np.ndarray:
    u = philox.uniform_float64(np, SEED, CALL, int(np.prod(shape)))
    return -np.log(-np.log(1 - u)).reshape(shape)


def case(name: str, *shape: int, axis: int = -1, scale: float = 1.0) -> OpCase:
    function = name.partition("/")[0]

    def reference(x: np.ndarray) -> Any:
        y = by_definition(x, axis)
        return y if function == "softmax" else np.log(y)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return scale * normal(*shape)(rng)

    fn: Callable[..., Any] = lambda x: getattr(softmax, function)(x, axis=axis)  # noqa: E731
    return OpCase(name, fn, operands(draw), reference, lambda torch, x: getattr(torch, function)(x, dim=axis))


def slope(name: str, reference: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> OpCase:
    """Slopes times the Jacobian."""
    return OpCase(
        name,
        lambda *xs: bind(getattr(softmax, f"{name}_p"), xs, {"axis": 1}),
        operands(normal(2, 3), normal(2, 3)),
        lambda slopes, y: np.array([reference(*row) for row in zip(slopes, y)]).reshape(y.shape),
        no_torch="an inner step of the rules",
    )


CASES = [
    slope("softmax_slope", lambda g, y: (np.diag(y) - np.outer(y, y)) @ g),
    slope("log_softmax_slope", lambda g, y: g @ (np.eye(3) - np.exp(y))),
    *(
        case(name + variant, *shape, **arguments)
        for name in ("softmax", "log_softmax")
        for variant, shape, arguments in [
            ("", (3, 4), {}),
            ("/axis", (3, 4), {"axis": 0}),
            ("/inner axis", (2, 3, 2), {"axis": -2}),
            ("/vector", (5,), {}),
            ("/one class", (3, 1), {}),
            ("/far apart", (2, 3), {"scale": 30.0}),
            ("/no rows", (0, 3), {}),
            ("/no classes", (2, 0), {}),
        ]
    ),
]
CASES += [
    OpCase(
        "softmin",
        lambda x: softmax.softmin(x, 0),
        operands(normal(3, 4)),
        lambda x: by_definition(-x, 0),
        lambda torch, x: torch.nn.functional.softmin(x, 0),
    ),
    OpCase(
        "gumbel_softmax",
        lambda x: softmax.gumbel_softmax(x, 0.7, generator=generator()),
        operands(normal(3, 4)),
        lambda x: by_definition((x + gumbel(3, 4)) / 0.7, -1),
        no_torch="PyTorch draws other numbers",
        no_jax="JAX draws other numbers",
    ),
    OpCase(
        "gumbel_softmax/hard",
        lambda x: softmax.gumbel_softmax(x, hard=True, dim=0, generator=generator()),
        operands(normal(3, 4)),
        lambda x: (x + gumbel(3, 4) == (x + gumbel(3, 4)).max(axis=0)).astype(x.dtype),
        no_torch="PyTorch draws other numbers",
        no_jax="JAX draws other numbers",
        differentiable=(),
        why_not="its derivative is that of the softmax, by intent, not that of the corner it rounds to",
    ),
]

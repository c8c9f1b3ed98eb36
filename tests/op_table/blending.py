"""Cases of interpolation and of products added to a tensor."""

from __future__ import annotations

import autograd_core as ag

from .arithmetic import away_from_zero
from .case import OpCase, complex_normal, normal, operands

TORCH = "a function of PyTorch's that JAX does not have"

CASES = [
    OpCase(
        "lerp",
        ag.lerp,
        operands(normal(2, 3), normal(2, 3), normal(2, 3)),
        lambda a, b, w: (1 - w) * a + w * b,
        lambda torch, a, b, w: torch.lerp(a, b, w),
        no_jax=TORCH,
        elementwise=3,
    ),
    OpCase(
        "lerp/number",
        lambda a, b: ag.lerp(a, b, 0.75),
        operands(normal(2, 3), normal(3)),
        lambda a, b: 0.25 * a + 0.75 * b,
        lambda torch, a, b: torch.lerp(a, b.expand(2, 3), 0.75),
        no_jax=TORCH,
    ),
    OpCase(
        "lerp/complex",
        lambda a, b: ag.lerp(a, b, 0.25),
        operands(complex_normal(3), complex_normal(3)),
        lambda a, b: 0.75 * a + 0.25 * b,
        lambda torch, a, b: torch.lerp(a, b, 0.25),
        no_jax=TORCH,
    ),
    OpCase(
        "addcmul",
        lambda x, a, b: ag.addcmul(x, a, b, value=0.5),
        operands(normal(2, 3), normal(2, 1), normal(3)),
        lambda x, a, b: x + 0.5 * a * b,
        lambda torch, x, a, b: torch.addcmul(x, a, b, value=0.5),
        no_jax=TORCH,
    ),
    OpCase(
        "addcdiv",
        lambda x, a, b: ag.addcdiv(x, a, b, value=2.0),
        operands(normal(2, 3), normal(2, 1), away_from_zero(3)),
        lambda x, a, b: x + 2 * a / b,
        lambda torch, x, a, b: torch.addcdiv(x, a, b, value=2.0),
        no_jax=TORCH,
    ),
]

"""Cases for ``autograd_core.ops.complex_numbers``."""

import numpy as np

import autograd_core as ag

from .case import OpCase, normal, operands

CASES = [
    OpCase("conj", ag.conj, operands(normal(3)), np.conj, torch=lambda torch, x: torch.conj(x)),
    OpCase(
        "conj/complex",
        ag.conj,
        lambda rng: (rng.standard_normal(3) + 1j * rng.standard_normal(3),),
        np.conj,
        torch=lambda torch, x: torch.conj(x).resolve_conj(),
        differentiable=(),
        why_not="check_grads takes real arguments",
    ),
]

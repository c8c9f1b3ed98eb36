"""Cases of casting: dtype, device and history."""

from __future__ import annotations

import numpy as np

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.ops.casting import alias_p, astype_p, transfer
from autograd_core.primitive import bind

from .case import OpCase, integers, normal, operands


def unchanged(x: np.ndarray) -> np.ndarray:
    return x


CASES = [
    OpCase(
        "astype",
        lambda x: ag.astype(x, "float32"),
        operands(normal(2, 3)),
        lambda x: x.astype(np.float32),
        lambda torch, x: x.to(torch.float32),
        differentiable=(),
        why_not="rounding to float32 is coarser than finite differences",
    ),
    OpCase(
        "astype/primitive",
        lambda x: bind(astype_p, (x,), {"dtype": x.dtype}),
        operands(normal(2, 3)),
        unchanged,
        lambda torch, x: x.clone(),
    ),
    OpCase(
        "astype/to-integers",
        lambda x: ag.astype(x, "int64"),
        operands(normal(2, 3)),
        lambda x: x.astype(np.int64),
        lambda torch, x: x.to(torch.int64),
        differentiable=(),
        why_not="truncation stops gradients",
    ),
    OpCase(
        "astype/from-integers",
        lambda x: ag.astype(x, "float64"),
        operands(integers(-3, 4, 5)),
        lambda x: x.astype(np.float64),
        lambda torch, x: x.to(torch.float64),
        differentiable=(),
        why_not="integers have no derivative",
    ),
    OpCase(
        "astype/to-booleans",
        lambda x: ag.astype(x, "bool"),
        operands(integers(0, 2, 5)),
        lambda x: x.astype(bool),
        lambda torch, x: x.to(torch.bool),
        differentiable=(),
        why_not="integers have no derivative",
    ),
    OpCase(
        "detach",
        ag.detach,
        operands(normal(2, 3)),
        unchanged,
        lambda torch, x: x.detach(),
        differentiable=(),
        why_not="its purpose is to have no derivative",
    ),
    OpCase(
        "detach/one-factor",
        lambda x, y: x * ag.detach(y),
        operands(normal(2, 3), normal(2, 3)),
        np.multiply,
        lambda torch, x, y: x * y.detach(),
        differentiable=(0,),
    ),
    OpCase("alias", lambda x: bind(alias_p, (x,), {}), operands(normal(3)), unchanged, lambda torch, x: x.view_as(x)),
    OpCase(
        "transfer",
        lambda x: transfer(transfer(x, get_device("numpy")), x.device) * 1.0,
        operands(normal(2, 3)),
        unchanged,
        no_torch="PyTorch has one kind of host array",
    ),
]

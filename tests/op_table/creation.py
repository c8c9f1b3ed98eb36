"""Cases of creation: functions of no tensor, and of one that only lends its shape."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag

from .case import OpCase, normal, operands

NO_OPERANDS = "there is no operand to differentiate with respect to"
SHAPE_ALONE = "only the operand's shape and dtype are used"


def made(name: str, fn: Any, reference: Any, torch: Any) -> OpCase:
    """A function of no tensor: float64 throughout."""
    return OpCase(
        name,
        lambda: fn(),
        operands(),
        lambda: reference(),
        lambda torch_: torch(torch_),
        differentiable=(),
        why_not=NO_OPERANDS,
    )


def like(name: str, fn: Any, reference: Any, torch: Any) -> OpCase:
    return OpCase(name, fn, operands(normal(2, 3)), reference, torch, differentiable=(), why_not=SHAPE_ALONE)


CASES = [
    OpCase(
        "asarray",
        lambda x: ag.asarray(x, dtype="float32"),
        operands(normal(2, 3)),
        lambda x: np.asarray(x, dtype=np.float32),
        lambda torch, x: torch.asarray(x, dtype=torch.float32),
        differentiable=(),
        why_not="rounding to float32 is coarser than finite differences",
    ),
    made(
        "full",
        lambda: ag.full((2, 3), 1.5, dtype="float64"),
        lambda: np.full((2, 3), 1.5),
        lambda t: t.full((2, 3), 1.5, dtype=t.float64),
    ),
    OpCase(
        "full/tensor",
        lambda x: ag.full((2, 3), x),
        operands(normal()),
        lambda x: np.full((2, 3), x),
        lambda torch, x: x.expand(2, 3),
    ),
    made("full/integer", lambda: ag.full(2, 7), lambda: np.full(2, 7), lambda t: t.full((2,), 7)),
    made(
        "zeros",
        lambda: ag.zeros((2, 0), dtype="float64"),
        lambda: np.zeros((2, 0)),
        lambda t: t.zeros((2, 0), dtype=t.float64),
    ),
    made("ones", lambda: ag.ones(3, dtype="float64"), lambda: np.ones(3), lambda t: t.ones(3, dtype=t.float64)),
    made(
        "empty",
        lambda: ag.empty((2, 2), dtype="float64"),
        lambda: np.zeros((2, 2)),
        lambda t: t.zeros((2, 2), dtype=t.float64),
    ),
    made("arange", lambda: ag.arange(5), lambda: np.arange(5), lambda t: t.arange(5)),
    made("arange/step", lambda: ag.arange(7, 1, -2), lambda: np.arange(7, 1, -2), lambda t: t.arange(7, 1, -2)),
    made(
        "arange/floats",
        lambda: ag.arange(0.5, 2.0, 0.25, dtype="float64"),
        lambda: np.array([0.5, 0.75, 1.0, 1.25, 1.5, 1.75]),
        lambda t: t.arange(0.5, 2.0, 0.25, dtype=t.float64),
    ),
    made("arange/none", lambda: ag.arange(3, 1), lambda: np.arange(0), lambda t: t.arange(0)),
    made(
        "linspace",
        lambda: ag.linspace(-1.0, 2.0, 7, dtype="float64"),
        lambda: np.array([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]),
        lambda t: t.linspace(-1.0, 2.0, 7, dtype=t.float64),
    ),
    made(
        "linspace/open",
        lambda: ag.linspace(0.0, 1.0, 4, endpoint=False, dtype="float64"),
        lambda: np.arange(4) / 4,
        lambda t: t.arange(4, dtype=t.float64) / 4,
    ),
    made("eye", lambda: ag.eye(3, dtype="float64"), lambda: np.eye(3), lambda t: t.eye(3, dtype=t.float64)),
    made(
        "eye/diagonal",
        lambda: ag.eye(2, 4, k=1, dtype="float64"),
        lambda: np.eye(2, 4, 1),
        lambda t: t.diag(t.ones(4, dtype=t.float64), 1)[:2, :4],
    ),
    like(
        "full_like",
        lambda x: ag.full_like(x, 2.0),
        lambda x: np.full_like(x, 2.0),
        lambda torch, x: torch.full_like(x, 2.0),
    ),
    like("zeros_like", ag.zeros_like, np.zeros_like, lambda torch, x: torch.zeros_like(x)),
    like("ones_like", ag.ones_like, np.ones_like, lambda torch, x: torch.ones_like(x)),
    like("empty_like", ag.empty_like, np.zeros_like, lambda torch, x: torch.zeros_like(x)),
]

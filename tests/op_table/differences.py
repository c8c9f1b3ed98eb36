"""Cases of differences of neighbours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import autograd_core as ag

from .case import OpCase, integers, normal, operands
from .comparison import booleans


def loop(x: np.ndarray) -> np.ndarray:
    """Differences along the last axis, an element at a time."""
    rows = x.reshape(-1, x.shape[-1])
    return np.array([[b - a for a, b in pairwise(row)] for row in rows]).reshape(*x.shape[:-1], -1)


CASES = [
    OpCase("diff", ag.diff, operands(normal(3, 4)), loop, lambda torch, x: torch.diff(x)),
    OpCase(
        "diff/axis",
        lambda x: ag.diff(x, axis=0),
        operands(normal(3, 4)),
        lambda x: loop(x.T).T,
        lambda torch, x: torch.diff(x, dim=0),
    ),
    OpCase(
        "diff/twice",
        lambda x: ag.diff(x, n=2),
        operands(normal(2, 5)),
        lambda x: loop(loop(x)),
        lambda torch, x: torch.diff(x, n=2),
    ),
    OpCase("diff/never", lambda x: ag.diff(x, n=0), operands(normal(3)), lambda x: x, lambda torch, x: x + 0),
    OpCase(
        "diff/ends",
        lambda x, first, last: ag.diff(x, prepend=first, append=last),
        operands(normal(2, 3), normal(2, 1), normal(2, 2)),
        lambda x, first, last: loop(np.concatenate([first, x, last], axis=-1)),
        lambda torch, x, first, last: torch.diff(x, prepend=first, append=last),
    ),
    OpCase(
        "diff/nothing left",
        lambda x: ag.diff(x, n=3),
        operands(normal(3, 2)),
        lambda x: np.zeros((3, 0)),
        lambda torch, x: torch.diff(x, n=3),
    ),
    OpCase(
        "diff/integers",
        ag.diff,
        operands(integers(-9, 9, 6)),
        loop,
        lambda torch, x: torch.diff(x),
        differentiable=(),
        why_not="integers",
    ),
    OpCase(
        "diff/booleans",
        ag.diff,
        operands(booleans(6)),
        lambda x: x[1:] ^ x[:-1],
        lambda torch, x: torch.diff(x),
        differentiable=(),
        why_not="booleans",
    ),
]

"""Cases of padding beyond those that stand with the other shapes: removed ends, and complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.padding import pad

from .case import OpCase, complex_normal, normal, operands

Pairs = tuple[tuple[int, int], ...]


def mirrored(x: np.ndarray, pairs: Pairs, mode: str) -> np.ndarray:
    """The ends added first, then those removed; a wrap brings nothing back that was removed."""
    shape = x.shape
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(shape, pairs))
    x = x[kept] if mode == "circular" else x
    added = [(max(a, 0), max(b, 0)) for a, b in pairs]
    padded = np.pad(x, added, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])
    ends = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(padded.shape, pairs)]
    return padded if mode == "circular" else padded[tuple(ends)]


def case(variant: str, shape: tuple[int, ...], pairs: Pairs, mode: str) -> OpCase:
    """pairs: of the last axes; PyTorch takes them from the last one backwards."""
    full = ((0, 0),) * (len(shape) - len(pairs)) + pairs
    flat = tuple(n for pair in reversed(pairs) for n in pair)

    def theirs(torch: Any, x: Any) -> Any:
        return torch.nn.functional.pad(x, flat, mode=mode)

    return OpCase(
        f"pad/{variant}",
        lambda x: pad(x, full, mode=mode),
        operands(normal(*shape)),
        lambda x: mirrored(x, full, mode),
        torch=theirs,
        no_jax="JAX removes nothing in this mode" if min(flat) < 0 else "",
    )


CASES = [
    case("reflect-plane", (1, 2, 3, 2), ((1, 2), (1, 0)), "reflect"),
    case("replicate-volume", (1, 1, 2, 1, 2), ((1, 0), (0, 2), (1, 1)), "replicate"),
    case("circular-plane", (1, 2, 2, 3), ((2, 0), (1, 3)), "circular"),
    case("reflect-negative", (1, 2, 5), ((-1, 2),), "reflect"),
    case("replicate-negative", (1, 1, 3, 4), ((1, -2), (-1, 1)), "replicate"),
    case("circular-negative", (1, 2, 5), ((2, -2),), "circular"),
    OpCase(
        "pad/complex",
        lambda x: pad(x, (1, 2), constant_value=1 - 2j),
        operands(complex_normal(3)),
        lambda x: np.array([1 - 2j, *x, 1 - 2j, 1 - 2j]),
        no_torch="PyTorch pads by real numbers alone",
    ),
]

"""Padding counted from the last axis, as PyTorch writes it; ``padding`` counts from the first, as NumPy does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from . import padding
from ._apply import as_tensor

__all__ = ["pad"]

_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Elements added at the ends of the last axes; ``ag.pad`` takes all axes, first to last.

    pad: (before, after) of the last axis, then of the one before it, and so on; negative numbers remove elements.
    mode: "constant" (``value``; None: 0), "reflect", "replicate", "circular". ArgumentError for other modes and odd
    lengths. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.pad(ag.ones((2, 3)), (1, 1)).shape, F.pad(ag.ones((2, 3)), (0, 0, 2, 0)).shape
    ((2, 5), (4, 3))
    """
    x = as_tensor("pad", input)
    if mode not in _MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * len(x.shape):
        raise ArgumentError(
            f"pad: pad must hold two numbers for each of the last axes, at most {2 * len(x.shape)} for "
            f"shape {x.shape}; got {tuple(pad)}"
        )
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
    return padding.pad(x, widths, mode=_MODES[mode], constant_value=0.0 if value is None else value)

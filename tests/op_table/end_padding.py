"""Cases of padding counted from the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops import end_padding

from .case import OpCase, normal, operands

NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def case(variant: str, shape: tuple[int, ...], widths: tuple[int, ...], mode: str, **arguments: Any) -> OpCase:
    pairs = list(zip(widths[::2], widths[1::2]))[::-1]
    constants = {"constant_values": arguments["value"]} if "value" in arguments else {}
    return OpCase(
        f"pad/of the last axes, {variant}",
        lambda x: end_padding.pad(x, widths, mode, **arguments),
        operands(normal(*shape)),
        lambda x: np.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, NUMPY_MODES[mode], **constants),
        lambda torch, x: torch.nn.functional.pad(x, widths, mode, **arguments),
        no_jax="JAX counts axes from the first",
        not_empty="" if mode == "constant" else "there is nothing to repeat",
    )


CASES = [
    case("one axis", (2, 3), (1, 2), "constant"),
    case("two axes", (2, 3), (1, 0, 0, 2), "constant", value=1.5),
    case("reflected", (1, 2, 4), (2, 1), "reflect"),
    case("replicated", (1, 2, 3, 2), (1, 0, 2, 1), "replicate"),
    case("in a circle", (1, 2, 3), (2, 1), "circular"),
]

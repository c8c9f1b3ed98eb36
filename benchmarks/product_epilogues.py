"""Matrix products that take over what follows them, beside products with a loop kernel after them, by dtype and mode.

What ``product_fusion.RULES`` are to be follows from this. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

import autograd_core as ag
from autograd_core import nn
from autograd_core.backends.cuda.product_fusion import REAL, RULES

from .usable import DEVICE

CAPTURED = 4  # calls after which a compiled function is captured
LAYERS = {  # of the suite's rows: rows of the input, features in and out
    "mlp_784_256_128_10_b128, first": (128, 784, 256),
    "transformer_d128_l2_t64_b16, heads": (1024, 128, 384),
    "transformer_d512_l4_t128_b64, heads": (8192, 512, 1536),
    "mlp_1024_4096x3_1000_b1024, second": (1024, 4096, 4096),
}
MODES = (  # dtype, math mode
    ("float32", "fp32"),
    ("float32", "tf32"),
    ("float32", "bf16"),
    ("float16", "fp32"),
    ("bfloat16", "fp32"),
)
linear, relu = nn.functional.linear, nn.functional.relu
KINDS: dict[str, Callable[..., Any]] = {  # of input, weight, bias, and an array that lies as the result does
    "bias": lambda x, w, b, r: linear(x, w, b),
    "added": lambda x, w, b, r: r + linear(x, w),
    "bias and added": lambda x, w, b, r: r + linear(x, w, b),
    "relu": lambda x, w, b, r: relu(linear(x, w, b)),
}


def epilogues(quick: bool) -> dict[str, dict[str, float]]:
    """Seconds between events on the stream, steps, how far from float64, relative to the largest result, and of ReLU
    whether NaN stays NaN (1) or becomes 0.
    """
    rows = {}
    for layer, (n, k, m) in ({"small": (16, 8, 16)} if quick else LAYERS).items():
        rng = np.random.default_rng(0)
        drawn = [ag.asarray(rng.standard_normal(s), device=DEVICE) for s in ((n, k), (m, k), (m,), (n, m))]
        for dtype, mode in MODES[:1] if quick else MODES:
            operands = [x.astype(dtype) for x in drawn]
            for kind, f in KINDS.items():
                exact = f(*(x.astype("float64") for x in operands))
                for how, rules in (("taken over", dict.fromkeys(RULES, REAL)), ("apart", dict.fromkeys(RULES, ()))):
                    with patch.dict(RULES, rules), ag.math_mode(mode), ag.no_grad():
                        compiled = ag.compile(f)
                        for _ in range(CAPTURED):
                            y = compiled(*operands)
                        steps = list(compiled.report())
                        figures = {
                            "seconds": sum(step.seconds for step in steps),
                            "steps": float(len(steps)),
                            "error": (ag.max(abs(y.astype("float64") - exact)) / ag.max(abs(exact))).item(),
                        }
                        if kind == "relu":
                            spoilt = compiled(ag.full_like(operands[0], float("nan")), *operands[1:])
                            figures["NaN"] = float(ag.isnan(spoilt).all().item())
                    rows[f"{layer}, {kind}, {dtype} {mode}, {how}"] = figures
    return rows

"""Attention and its gradients on a GPU by several cuts: how far the estimate that chooses one of them is right.

Not yet run on hardware.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.backends.cuda.attention_kernels import Layout, problem_of
from autograd_core.backends.cuda.launching import Launcher
from autograd_core.backends.cuda.native.attention import CUTS, cycles, fits, render
from autograd_core.compiler.space import row_major
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.primitive import bind

from .kernels import seconds
from .usable import DEVICE

SIZES = {  # of the suite's rows, and a long one: leading axes, length, features of a head
    "transformer_d128_l2_t64_b16": ((16, 4), 64, 32),
    "transformer_d512_l4_t128_b64": ((64, 8), 128, 64),
    "one of 4096": ((1, 8), 4096, 64),
}
FIRST = {"fp32": 3, "tf32": 3, "bf16": 1}  # cuts by mode, those first that the estimate takes for fastest


def attention(quick: bool) -> dict[str, dict[str, float]]:
    """Seconds of a launch between events on the stream, the estimate's clock cycles, and how far from float64 the
    values, or the queries' gradient, are, relative to the largest.
    """
    rows: dict[str, dict[str, float]] = {}
    for name, (lead, length, size) in ({"small": ((1, 1), 16, 16)} if quick else SIZES).items():
        rng = np.random.default_rng(0)
        q, k, v, g = (ag.asarray(rng.standard_normal((*lead, length, size), np.float32), device=DEVICE) for _ in "qkvg")
        params: dict[str, Any] = {"has": ("q", "k", "v"), "scale": size**-0.5, "causal": False, "keep_scale": 1.0}
        wanted = {**params, "wanted": ("q", "k", "v")}
        wide = [x.astype("float64") for x in (q, k, v)]
        exact = bind(attention_p, wide, params)
        slopes = bind(attention_vjp_p, [g.astype("float64"), *exact, *wide], wanted)
        y, sums = (x.astype("float32") for x in exact)
        for mode, count in {"fp32": 1}.items() if quick else FIRST.items():
            measure = partial(_measured, count=count, mode=mode)
            told = f"{name}, {mode}"
            rows |= measure(f"{told}, values", attention_p, [q, k, v], params, [y, sums], exact[0])
            rows |= measure(f"{told}, gradients", attention_vjp_p, [g, y, sums, q, k, v], wanted, [q, k, v], slopes[0])
    return rows


def _measured(
    name: str, primitive: Any, operands: Any, params: Any, like: Any, exact: Any, *, count: int, mode: str
) -> dict[str, dict[str, float]]:
    """like: what results are to have the shapes of; exact: the first result."""
    cupy, device = import_module("cupy"), get_device(DEVICE)
    backend: Any = device.backend
    layouts = [Layout(x.shape, x.dtype, row_major(x.shape)) for x in operands]
    problem = problem_of(primitive, layouts, params, mode)
    cuts = sorted((cut for cut in CUTS if fits(problem, cut)), key=lambda cut: (cycles(problem, cut), cut))
    rows = {}
    for cut in cuts[:count]:
        source = render(problem, primitive.name, cut)
        with backend.queue(device.index):
            launcher = Launcher(cupy)
            results = [cupy.empty(x.shape, "float32") for x in like]
            arguments = [*(x.data for x in operands), *results, cupy.empty(source.workspace, "uint8")]

        def launch(launcher: Any = launcher, source: Any = source, arguments: Any = arguments) -> None:
            with backend.queue(device.index):
                launcher(source, arguments)

        each = seconds(launch)
        found = ag.asarray(results[0], device=device).astype("float64")
        kind = f"{cut.down} rows by {cut.across}{', keys and values apart' if cut.apart else ''}"
        rows[f"{name}, {kind}"] = {
            "seconds": each,
            "flops a second": 2 * problem.products / each,
            "cycles, estimated": cycles(problem, cut),
            "error": (ag.max(abs(found - exact)) / ag.max(abs(exact))).item(),
        }
    return rows

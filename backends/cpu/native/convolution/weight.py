"""The weight's gradient of a convolution: for each tap, channel and output the sum over all pixels of x * g."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np

from autograd_core.ops._windows import Windows

from ..engine import KernelSpec
from ..machine import default_threads
from .image_layout import Layout
from .shape import shape_of
from .sums import WeightGradient
from .weight_direct import DirectWeight, DirectWeightPlan
from .weight_winograd import WinogradWeight, WinogradWeightPlan, suits


def convolution_weight(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    x_layout: Layout = "NCHW",
    g_layout: Layout = "NCHW",
    bias: bool = False,
    threads: int | None = None,
) -> KernelSpec:
    """The gradient of <g, x * w> with respect to w. Operands: x (N, C_in, H, W), g (N, C_out, H', W'), the result
    (C_out, C_in/groups, kH, kW) and, if ``bias``, the sums of g over images and pixels, (C_out,). threads: in so many
    parts the work is divided, whoever does them; by default as many as a team has.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, x_layout == g_layout == "NHWC")
    problem = WeightGradient(np.dtype(dtype), shape, x_layout, g_layout, bias, threads or default_threads())
    key = ("convolution_weight", problem)
    fast = suits(shape)
    kernel, plan = (WinogradWeight, WinogradWeightPlan) if fast else (DirectWeight, DirectWeightPlan)
    name = "convolution_weight_winograd" if fast else "convolution_weight"
    height, width = shape.windows.size
    x, g = n * c_in * height * width, n * c_out * shape.windows.outputs
    w = c_out * shape.channels * shape.taps
    return KernelSpec(
        f"{name}_{n}x{c_in}x{height}x{width}_{c_out}_{crc32(repr(key).encode()):08x}",
        key,
        4 if bias else 3,
        lambda builder, machine: kernel(builder, machine, problem).emit(),
        plan(problem, 64 // problem.dtype.itemsize, 1).scratch,
        shape.flops,
        (x + g + w) * problem.dtype.itemsize,
    )

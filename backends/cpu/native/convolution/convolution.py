"""Convolution and its input's gradient, which are one kernel with different positions and packing.

Which kernel computes them, what it is told, and which convolutions there is one for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from autograd_core.ops._windows import Windows

from ..engine import KernelSpec
from ..machine import default_threads
from .correlation import Correlation, Epilogue, Fusion, Weights
from .direct import Direct, DirectPlan
from .image_layout import Layout
from .shape import Shape, forward_passes, input_passes, shape_of
from .winograd import Winograd, WinogradPlan, suits

__all__ = ["Epilogue", "Fusion", "convolution", "convolution_input", "supports"]


def supports(dtype: Any, n: int, c_in: int, c_out: int, windows: Windows, groups: int) -> bool:
    """Whether these kernels compute such a convolution and its gradients, and well.

    Not volumes, nor groups of fewer channels than half a register: nearly all of each register would be idle.
    """
    if np.dtype(dtype) not in (np.float32, np.float64) or len(windows.size) > 2:
        return False
    if 0 in (n, c_in, c_out, *windows.size):
        return False
    return groups == 1 or min(c_in, c_out) // groups >= 8


def convolution(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    x_layout: Layout = "NCHW",
    y_layout: Layout = "NCHW",
    bias: bool = False,
    fusion: Fusion | None = None,
    threads: int | None = None,
) -> KernelSpec:
    """y = x * w (+ b). Operands: x (N, C_in, H, W), w (C_out, C_in/groups, kH, kW), b (C_out,) if ``bias``, those of
    the fusion, y (N, C_out, H', W'). The layouts say how x and y lie in memory; w is contiguous as written.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, x_layout == y_layout == "NHWC")
    per_output = shape.channels * shape.taps
    correlation = Correlation(
        np.dtype(dtype),
        shape.n,
        groups,
        shape.channels,
        shape.outputs,
        _pair(shape.windows.size),
        _pair(shape.windows.output),
        tuple(forward_passes(shape.windows)),
        Weights(shape.outputs * per_output, shape.taps, per_output, shape.windows.kernel[1]),
        x_layout,
        y_layout,
        threads or default_threads(),
        bias,
        False,
    )
    return _spec("convolution", correlation, shape, fusion)


def convolution_input(
    dtype: Any,
    n: int,
    c_in: int,
    c_out: int,
    windows: Windows,
    groups: int = 1,
    *,
    g_layout: Layout = "NCHW",
    x_layout: Layout = "NCHW",
    fusion: Fusion | None = None,
    threads: int | None = None,
) -> KernelSpec:
    """The gradient of <g, x * w> with respect to x. Operands: g (N, C_out, H', W'), w, those of the fusion, and the
    result (N, C_in, H, W). An epilogue is not called for positions that no window sees: they are zero.
    """
    shape = shape_of(n, c_in, c_out, windows, groups, g_layout == x_layout == "NHWC")
    per_output = shape.channels * shape.taps
    correlation = Correlation(
        np.dtype(dtype),
        shape.n,
        groups,
        shape.outputs,
        shape.channels,
        _pair(shape.windows.output),
        _pair(shape.windows.size),
        tuple(input_passes(shape.windows)),
        Weights(shape.outputs * per_output, per_output, shape.taps, shape.windows.kernel[1]),
        g_layout,
        x_layout,
        threads or default_threads(),
        False,
        True,
    )
    return _spec("convolution_input", correlation, shape, fusion)


def _pair(lengths: Sequence[int]) -> tuple[int, int]:
    height, width = lengths
    return height, width


def _spec(name: str, correlation: Correlation, shape: Shape, fusion: Fusion | None) -> KernelSpec:
    key = (name, correlation, fusion and (fusion.key, fusion.operands))
    operands = 3 + correlation.bias + (fusion.operands if fusion else 0)
    size, target = correlation.source, correlation.target
    sizes = f"{shape.n}x{shape.channels * shape.groups}x{size[0]}x{size[1]}_{shape.outputs * shape.groups}"
    moved = shape.n * shape.groups * (correlation.channels * size[0] * size[1])
    moved += shape.n * shape.groups * correlation.outputs * target[0] * target[1]
    moved += shape.groups * shape.channels * shape.outputs * shape.taps
    fast = suits(correlation)
    kernel, plan = (Winograd, WinogradPlan) if fast else (Direct, DirectPlan)
    # vectors' widths differ between machines, and with them the padding of packed weights
    scratch = plan(correlation, 64 // correlation.dtype.itemsize, 1).scratch
    return KernelSpec(
        f"{name}_{'winograd_' if fast else ''}{sizes}_{crc32(repr(key).encode()):08x}",
        key,
        operands,
        lambda builder, machine: kernel(builder, machine, correlation, fusion).emit(),
        scratch,
        shape.flops,
        moved * correlation.dtype.itemsize,
    )

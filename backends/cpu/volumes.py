"""Volumes as planes: a convolution over three axes is one over two, with the kernel's depth among the channels.

Plane t of the output sees kD planes of the input. Side by side as channels they make one input plane of kD C channels
for each output plane, so that what convolves planes convolves volumes, at the cost of kD copies of the input (unfolding
all axes would take kD kH kW).
"""

from __future__ import annotations

import numpy as np

from autograd_core.ops._windows import Windows


def across(windows: Windows) -> Windows:
    """The windows within a plane."""
    return Windows._make(field[1:] for field in windows)


def input_planes(x: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    """(N, C, D, H, W) -> (N D', groups kD C/groups, H, W): for each output plane all that it sees."""
    (before, after), n, c = windows.padding[0], x.shape[0], x.shape[1]
    if before or after:
        x = np.pad(x, ((0, 0), (0, 0), (before, after), (0, 0), (0, 0)))
    parts = x.reshape(n, groups, c // groups, *x.shape[2:])
    sample, group, channel, plane, row, column = parts.strides
    kernel, output = windows.kernel[0], windows.output[0]
    seen = np.lib.stride_tricks.as_strided(
        parts,
        (n, output, groups, kernel, c // groups, *x.shape[3:]),
        (sample, plane * windows.stride[0], group, plane * windows.dilation[0], channel, row, column),
        writeable=False,
    )
    return seen.reshape(n * output, c * kernel, *x.shape[3:])


def add_input_planes(planes: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    """The transpose of ``input_planes``."""
    kernel, output, stride, dilation = windows.kernel[0], windows.output[0], windows.stride[0], windows.dilation[0]
    n, channels = planes.shape[0] // output, planes.shape[1] // (groups * kernel)
    parts = planes.reshape(n, output, groups, kernel, channels, *planes.shape[2:])
    x = np.zeros((n, groups, channels, windows.padded[0], *planes.shape[2:]), planes.dtype)
    for k in range(kernel):
        x[:, :, :, k * dilation :: stride][:, :, :, :output] += np.moveaxis(parts[:, :, :, k], 1, 3)
    before = windows.padding[0][0]
    return x[:, :, :, before : before + windows.size[0]].reshape(n, groups * channels, *windows.size)


def output_planes(v: np.ndarray) -> np.ndarray:
    """(N, O, D', H', W') -> (N D', O, H', W')."""
    return np.swapaxes(v, 1, 2).reshape(v.shape[0] * v.shape[2], v.shape[1], *v.shape[3:])


def from_output_planes(planes: np.ndarray, windows: Windows) -> np.ndarray:
    """The inverse of ``output_planes``."""
    stacked = planes.reshape(-1, windows.output[0], *planes.shape[1:])
    return np.ascontiguousarray(np.swapaxes(stacked, 1, 2))


def weight_planes(w: np.ndarray) -> np.ndarray:
    """(O, C/groups, kD, kH, kW) -> (O, kD C/groups, kH, kW)."""
    return np.swapaxes(w, 1, 2).reshape(w.shape[0], w.shape[1] * w.shape[2], *w.shape[3:])


def from_weight_planes(planes: np.ndarray, windows: Windows) -> np.ndarray:
    """The inverse of ``weight_planes``."""
    stacked = planes.reshape(planes.shape[0], windows.kernel[0], -1, *planes.shape[2:])
    return np.ascontiguousarray(np.swapaxes(stacked, 1, 2))

"""Transposed convolution: the gradient of a convolution with respect to its input, as an operation of its own.

Each input element puts a copy of the kernel, times itself, into the output; copies lie a stride apart and are added.
Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 4.
"""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..primitive import bind
from ._apply import promoted
from ._windows import AXIS_NAMES, Windows, per_axis
from .convolution import convolution_input_p

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _check_channels(op: str, ndim: int, x: tuple[int, ...], w: tuple[int, ...], groups: int) -> None:
    axes = ", ".join(AXIS_NAMES[ndim])
    if len(x) not in (ndim + 1, ndim + 2):
        hint = "; insert the axis of channels, x[None]" if len(x) == ndim else ""
        raise ShapeError(f"{op}: input must be (N, C_in, {axes}) or (C_in, {axes}), got shape {x}{hint}")
    taps = ", ".join(f"k{name}" for name in AXIS_NAMES[ndim])
    if len(w) != ndim + 2 or 0 in w:
        raise ShapeError(f"{op}: weight must be (C_in, C_out/groups, {taps}), nowhere empty, got shape {w}")
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError(f"{op}: groups must be an int of at least 1, got {groups!r}")
    if w[0] % groups:
        raise ShapeError(
            f"{op}: weight {w} has {w[0]} input channels, which do not divide into groups={groups}; "
            f"use a multiple of {groups}, or fewer groups"
        )
    channels = x[-ndim - 1]
    if channels != w[0]:
        message = (
            f"{op}: input {x} has {channels} channels, but weight {w} takes {w[0]} "
            f"(weight is (C_in, C_out/groups, {taps}): input channels come first, other than in conv{ndim}d)"
        )
        if channels == w[1] * groups and groups == 1:
            raise ShapeError(f"{message}. Write weight.swapaxes(0, 1) if its output channels come first.")
        raise ShapeError(f"{message}. Give the weight {channels} input channels (in_channels={channels} in a layer).")


def _windows(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Windows:
    """The windows of the convolution that this one is the transpose of: over our output, one for each input element."""
    output = []
    for name, n, k, s, p, o, d in zip(
        AXIS_NAMES[len(size)], size, kernel, stride, padding, output_padding, dilation, strict=True
    ):
        if o >= max(s, d):
            raise ArgumentError(
                f"{op}: output_padding {o} must be less than stride {s} or dilation {d} along {name}: it tells apart "
                "outputs of one input size; for more zeros pad the output"
            )
        length = (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        if n < 1 or length < 1:
            raise ShapeError(
                f"{op}: input of {n} along {name} with kernel {k}, stride {s}, padding {p}, dilation {d} and "
                f"output_padding {o} gives an output of {length if n else 0}; "
                "use a larger input or kernel, or less padding"
            )
        output.append(length)
    pairs = tuple((p, p) for p in padding)
    return Windows(tuple(output), kernel, stride, pairs, dilation, size)


def _transposed(
    ndim: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    op = f"conv_transpose{ndim}d"
    operands = promoted(op, (input, weight) if bias is None else (input, weight, bias), floating=True)
    x, w = operands[:2]
    _check_channels(op, ndim, x.shape, w.shape, groups)
    channels = w.shape[1] * groups
    if bias is not None and operands[2].shape != (channels,):
        raise ShapeError(
            f"{op}: bias has shape {operands[2].shape}, weight {w.shape} with groups={groups} gives {channels} "
            f"channels: bias must have shape ({channels},)"
        )
    where = _windows(
        op,
        x.shape[-ndim:],
        w.shape[2:],
        per_axis(op, "stride", stride, ndim, least=1),
        per_axis(op, "padding", padding, ndim, least=0),
        per_axis(op, "output_padding", output_padding, ndim, least=0),
        per_axis(op, "dilation", dilation, ndim, least=1),
    )
    batched = len(x.shape) == ndim + 2
    y = bind(convolution_input_p, (x if batched else x.reshape((1, *x.shape)), w), {"windows": where, "groups": groups})
    if bias is not None:
        y = y + operands[2].reshape((channels, *(1,) * ndim))
    return y if batched else y.reshape(y.shape[1:])


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along one axis: y[n, o, s t + d k - p] += w[c, o, k] x[n, c, t].

    Arguments as for ``conv_transpose2d``: input (N, C_in, L) or (C_in, L), weight (C_in, C_out/groups, kL).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.transposed_convolution import conv_transpose1d
    >>> conv_transpose1d(ag.tensor([[1.0, 2.0]]), ag.tensor([[[1.0, 10.0, 100.0]]]), stride=2)
    tensor([[  1.,  10., 102.,  20., 200.]])
    """
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution: y[n, o, s t + d k - p, s u + d l - p] += w[c, o, k, l] x[n, c, t, u], plus b[o].

    input: (N, C_in, H, W) or (C_in, H, W). weight: (C_in, C_out/groups, kH, kW). bias: (C_out,) or None.
    stride s, padding p (taken off both ends of the output), output_padding q (added at its end, less than s or d),
    dilation d: an int, or one for each axis. groups: channels are split into so many independent parts.
    Returns (N, C_out, H', W') with H' = (H - 1) s - 2p + d (kH - 1) + q + 1, in the operands' common floating dtype.
    It is the gradient of ``conv2d`` with respect to its input, for the same weight and arguments.
    ShapeError when channels, groups or sizes do not fit; ArgumentError for other values. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.transposed_convolution import conv_transpose2d
    >>> conv_transpose2d(ag.ones((1, 16, 4, 4)), ag.ones((16, 3, 3, 3)), stride=2, padding=1, output_padding=1).shape
    (1, 3, 8, 8)
    """
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution along three axes; arguments as for ``conv_transpose2d``.

    input: (N, C_in, D, H, W) or (C_in, D, H, W). weight: (C_in, C_out/groups, kD, kH, kW).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.transposed_convolution import conv_transpose3d
    >>> conv_transpose3d(ag.ones((1, 2, 2, 2, 2)), ag.ones((2, 5, 3, 3, 3))).shape
    (1, 5, 4, 4, 4)
    """
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)

"""Windows as columns and back, and space as channels and back: images cut into blocks and put together."""

from __future__ import annotations

from math import prod
from typing import Any

from ..aval import Aval
from ..errors import ArgumentError, ShapeError
from ..primitive import Multilinear, bind, multilinear
from ._apply import as_tensor
from ._windows import Windows, per_axis, planes, run_folded, windows
from .shaping import permute_dims

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


# ----------------------------------------------------------------------------------------- windows


def _unfold(xp: Any, x: Any, *, windows: Windows) -> Any:
    view = windows.view(xp, windows.pad(xp, x))
    return view.reshape(x.shape[0], x.shape[1] * windows.taps, windows.outputs)


def _fold(xp: Any, v: Any, *, windows: Windows) -> Any:
    columns = v.reshape(v.shape[0], v.shape[1] // windows.taps, *windows.kernel, *windows.output)
    x = xp.zeros((*columns.shape[:2], *windows.padded), dtype=v.dtype)
    for tap, positions in windows.slices():
        x[positions] += columns[(slice(None), slice(None), *tap)]
    return x[windows.interior]


unfold_p: Multilinear = multilinear(
    "unfold",
    _unfold,
    transposes=(lambda g, windows: bind(fold_p, (g,), {"windows": windows}),),
    shape=lambda x, *, windows: Aval((x.shape[0], x.shape[1] * windows.taps, windows.outputs), x.dtype),
    batch=lambda xs, batched, size, **params: run_folded(unfold_p, xs, batched, size, params),
)

fold_p: Multilinear = multilinear(
    "fold",
    _fold,
    transposes=(lambda g, windows: bind(unfold_p, (g,), {"windows": windows}),),
    shape=lambda v, *, windows: Aval((v.shape[0], v.shape[1] // windows.taps, *windows.size), v.dtype),
    batch=lambda xs, batched, size, **params: run_folded(fold_p, xs, batched, size, params),
)


def _windows(op: str, size: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Windows:
    kernel, strides, dilations = (
        per_axis(op, name, value, 2, least=1)
        for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    pairs = tuple((n, n) for n in per_axis(op, "padding", padding, 2, least=0))
    return windows(op, size, kernel, strides, pairs, dilations)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Every window of an image as a column: y[n, (c kH + k) kW + l, t W' + u] = x[n, c, s t + d k - p, s u + d l - p].

    input: (N, C, H, W) or (C, H, W). kernel_size, dilation d, padding p (zeros), stride s: an int, or one for each
    axis. Returns (N, C kH kW, H' W') with H' = (H + 2p - d (kH - 1) - 1) // s + 1: a convolution is the product of
    its weight (C_out, C kH kW) with it. ShapeError when no window fits. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.folding import unfold
    >>> unfold(ag.arange(6.0).reshape((1, 2, 3)), (2, 2))
    tensor([[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]])
    """
    x, batched = planes("unfold", 2, as_tensor("unfold", input))
    where = _windows("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    y = bind(unfold_p, (x,), {"windows": where})
    return y if batched else y.reshape(y.shape[1:])


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns put back as windows of an image, where they overlap added: the transpose of ``unfold``.

    input: (N, C kH kW, H' W') or (C kH kW, H' W'). output_size: (H, W), an int for both; other arguments as for
    ``unfold``, whose windows of an image of that size the columns are. Returns (N, C, H, W). ShapeError when there are
    not as many columns as windows, or their length is no multiple of kH kW. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.folding import fold
    >>> fold(ag.ones((4, 2)), (2, 3), (2, 2))
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    x = as_tensor("fold", input)
    if len(x.shape) not in (2, 3):
        raise ShapeError(f"fold: input must be (N, C kH kW, L) or (C kH kW, L), got shape {x.shape}")
    where = _windows(
        "fold", per_axis("fold", "output_size", output_size, 2, least=1), kernel_size, dilation, padding, stride
    )
    rows, columns = x.shape[-2:]
    if rows % where.taps:
        raise ShapeError(
            f"fold: input {x.shape} has {rows} rows, which are no multiple of the {where.taps} elements of a window "
            f"of kernel_size {where.kernel}: axis {len(x.shape) - 2} must be C * {where.taps}"
        )
    if columns != where.outputs:
        raise ShapeError(
            f"fold: input {x.shape} has {columns} columns, but an image of size {where.size} has {where.output} = "
            f"{where.outputs} windows of kernel_size {where.kernel} at this stride, padding and dilation; "
            "give what unfold was given"
        )
    batched = len(x.shape) == 3
    y = bind(fold_p, (x if batched else x.reshape((1, *x.shape)),), {"windows": where})
    return y if batched else y.reshape(y.shape[1:])


# ---------------------------------------------------------------------------------------- channels


def _factor(op: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ArgumentError(f"{op}: {name} must be an int of at least 1, got {value!r}")
    return int(value)


def _image(op: str, input: Any) -> Any:
    x = as_tensor(op, input)
    if len(x.shape) < 3:
        raise ShapeError(f"{op}: input must be (..., C, H, W), got shape {x.shape}")
    return x


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels as finer pixels: y[..., c, h r + i, w r + j] = x[..., (c r + i) r + j, h, w], r = ``upscale_factor``.

    input: (..., C r^2, H, W), any dtype. Returns (..., C, H r, W r). ShapeError when the channels are no multiple of
    r^2. Shi et al., Real-time single image and video super-resolution, 2016. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.folding import pixel_shuffle
    >>> pixel_shuffle(ag.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    r, x = _factor("pixel_shuffle", "upscale_factor", upscale_factor), _image("pixel_shuffle", input)
    *lead, channels, h, w = x.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: input {x.shape} has {channels} channels, no multiple of upscale_factor^2 = {r * r}"
        )
    c, n = channels // (r * r), len(lead)
    x = permute_dims(x.reshape((*lead, c, r, r, h, w)), (*range(n + 1), n + 3, n + 1, n + 4, n + 2))
    return x.reshape((*lead, c, h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Pixels as channels: y[..., (c r + i) r + j, h, w] = x[..., c, h r + i, w r + j], r = ``downscale_factor``.

    input: (..., C, H r, W r), any dtype. Returns (..., C r^2, H, W): the inverse of ``pixel_shuffle``. ShapeError when
    the sizes are no multiples of r. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.folding import pixel_unshuffle
    >>> pixel_unshuffle(ag.ones((2, 3, 4, 6)), 2).shape
    (2, 12, 2, 3)
    """
    r, x = _factor("pixel_unshuffle", "downscale_factor", downscale_factor), _image("pixel_unshuffle", input)
    *lead, c, h, w = x.shape
    if h % r or w % r:
        raise ShapeError(f"pixel_unshuffle: input {x.shape} has size {(h, w)}, no multiple of downscale_factor {r}")
    n = len(lead)
    x = permute_dims(x.reshape((*lead, c, h // r, r, w // r, r)), (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return x.reshape((*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels of all groups in turn: y[n, j groups + i, ...] = x[n, i (C / groups) + j, ...].

    input: (N, C, ...) of at least 3 axes, any dtype. ShapeError when the channels do not divide into groups. Zhang et
    al., ShuffleNet, 2017. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.folding import channel_shuffle
    >>> channel_shuffle(ag.arange(6).reshape((1, 6, 1)), 2).reshape(6)
    tensor([0, 3, 1, 4, 2, 5])
    """
    groups, x = _factor("channel_shuffle", "groups", groups), as_tensor("channel_shuffle", input)
    if len(x.shape) < 3:
        raise ShapeError(f"channel_shuffle: input must be (N, C, ...) with axes after C, got shape {x.shape}")
    n, channels, rest = x.shape[0], x.shape[1], prod(x.shape[2:])
    if channels % groups:
        raise ShapeError(
            f"channel_shuffle: input {x.shape} has {channels} channels, which do not divide into groups={groups}"
        )
    return x.reshape((n, groups, channels // groups, rest)).swapaxes(1, 2).reshape(x.shape)

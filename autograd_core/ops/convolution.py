"""Convolution over one or more spatial axes: the operation, and its two gradients.

With <., .> the sum of products, all three are the one trilinear form

    <v, convolution(x, w)> = <convolution_input(v, w), x> = <convolution_weight(x, v), w>,

each the transpose of the others, so derivatives of every order stay among the three. (Of complex operands the one
that stays is conjugated.)
Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..aval import Aval
from ..errors import ArgumentError, ShapeError
from ..primitive import Multilinear, bind, general, multilinear
from ._apply import promoted
from ._windows import AXIS_NAMES, Windows, per_axis, windows
from .complex_numbers import conj
from .shaping import moveaxis, swapaxes

__all__ = ["conv1d", "conv2d", "conv3d"]


def _grouped(a: Any, lead: tuple[int, ...], groups: int) -> Any:
    """(*lead, channels, ...) -> (*lead, groups, channels / groups, all the rest)."""
    channels, *rest = a.shape[len(lead) :]
    return a.reshape(*lead, groups, channels // groups, prod(rest))


def _columns(xp: Any, x: Any, windows: Windows, groups: int) -> Any:
    """What each output sees: (N, C, *size) -> (N, groups, C/groups * taps, outputs)."""
    view = windows.view(xp, windows.pad(xp, x))
    return view.reshape(x.shape[0], groups, x.shape[1] // groups * windows.taps, windows.outputs)


def _forward(xp: Any, x: Any, w: Any, *, windows: Windows, groups: int) -> Any:
    y = xp.matmul(_grouped(w, (), groups), _columns(xp, x, windows, groups))
    return y.reshape(x.shape[0], w.shape[0], *windows.output)


def _input(xp: Any, v: Any, w: Any, *, windows: Windows, groups: int) -> Any:
    n, channels = v.shape[0], w.shape[1] * groups
    columns = xp.matmul(xp.swapaxes(_grouped(w, (), groups), -1, -2), _grouped(v, (n,), groups))
    columns = columns.reshape(n, channels, *windows.kernel, *windows.output)
    x = xp.zeros((n, channels, *windows.padded), dtype=v.dtype)
    for tap, positions in windows.slices():
        x[positions] += columns[(slice(None), slice(None), *tap)]
    return x[windows.interior]


def _weight(xp: Any, x: Any, v: Any, *, windows: Windows, groups: int) -> Any:
    columns = _columns(xp, x, windows, groups)
    w = xp.matmul(_grouped(v, (x.shape[0],), groups), xp.swapaxes(columns, -1, -2)).sum(axis=0)
    return w.reshape(v.shape[1], x.shape[1] // groups, *windows.kernel)


# ------------------------------------------------------------------------------------------- batches
# A batch axis becomes part of N where the weight is shared. Where each example has its own, examples become groups:
# one grouped convolution, which is how the gradient of a weight for every example is computed too.


def _into_samples(x: Any) -> Any:
    """(B, N, C, ...) -> (B N, C, ...)."""
    return x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))


def _out_of_samples(y: Any, size: int) -> Any:
    return y.reshape((size, y.shape[0] // size, *y.shape[1:]))


def _into_groups(x: Any) -> Any:
    """(B, N, C, ...) -> (N, B C, ...)."""
    x = swapaxes(x, 0, 1)
    return x.reshape((x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _out_of_groups(y: Any, size: int) -> Any:
    return swapaxes(y.reshape((y.shape[0], size, y.shape[1] // size, *y.shape[2:])), 0, 1)


def _beside(a: Any, axis: int, groups: int) -> Any:
    """The batch axis within each group of channels: (B, ..., groups n, ...) -> (..., groups B n, ...)."""
    size, channels = a.shape[0], a.shape[axis]
    split = a.reshape((*a.shape[:axis], groups, channels // groups, *a.shape[axis + 1 :]))
    moved = moveaxis(split, 0, axis)
    return moved.reshape((*a.shape[1:axis], size * channels, *a.shape[axis + 1 :]))


def _apart(a: Any, axis: int, groups: int, size: int) -> Any:
    """Undoes ``_beside``."""
    channels = a.shape[axis] // size
    split = a.reshape((*a.shape[:axis], groups, size, channels // groups, *a.shape[axis + 1 :]))
    moved = moveaxis(split, axis + 1, 0)
    return moved.reshape((size, *a.shape[:axis], channels, *a.shape[axis + 1 :]))


def _forward_batched(xs: Any, batched: Any, size: int, *, windows: Windows, groups: int) -> Any:
    (x, w), (x_batched, w_batched) = xs, batched
    if not w_batched:
        return _out_of_samples(_bind(convolution_p, _into_samples(x), w, windows, groups), size)
    if not x_batched:
        return _apart(_bind(convolution_p, x, _beside(w, 1, groups), windows, groups), 1, groups, size)
    return _out_of_groups(_bind(convolution_p, _into_groups(x), _into_samples(w), windows, size * groups), size)


def _input_batched(xs: Any, batched: Any, size: int, *, windows: Windows, groups: int) -> Any:
    (v, w), (v_batched, w_batched) = xs, batched
    if not w_batched:
        return _out_of_samples(_bind(convolution_input_p, _into_samples(v), w, windows, groups), size)
    if not v_batched:
        return _apart(_bind(convolution_input_p, v, _beside(w, 2, 1), windows, groups), 1, groups, size)
    return _out_of_groups(_bind(convolution_input_p, _into_groups(v), _into_samples(w), windows, size * groups), size)


def _weight_batched(xs: Any, batched: Any, size: int, *, windows: Windows, groups: int) -> Any:
    (x, v), (x_batched, v_batched) = xs, batched
    if x_batched and v_batched:
        w = _bind(convolution_weight_p, _into_groups(x), _into_groups(v), windows, size * groups)
        return _out_of_samples(w, size)
    if x_batched:
        return _apart(_bind(convolution_weight_p, _beside(x, 2, groups), v, windows, groups), 1, 1, size)
    return _apart(_bind(convolution_weight_p, x, _beside(v, 2, groups), windows, groups), 0, groups, size)


# ---------------------------------------------------------------------------------------- primitives


def _output_aval(x: Aval, w: Aval, *, windows: Windows, groups: int) -> Aval:
    return Aval((x.shape[0], w.shape[0], *windows.output), x.dtype)


convolution_p: Multilinear = multilinear(
    "convolution",
    _forward,
    transposes=(
        lambda g, w, windows, groups: _bind(convolution_input_p, g, conj(w), windows, groups),
        lambda g, x, windows, groups: _bind(convolution_weight_p, conj(x), g, windows, groups),
    ),
    shape=_output_aval,
    batch=_forward_batched,
)

convolution_input_p: Multilinear = multilinear(
    "convolution_input",
    _input,
    transposes=(
        lambda g, w, windows, groups: _bind(convolution_p, g, conj(w), windows, groups),
        lambda g, v, windows, groups: _bind(convolution_weight_p, g, conj(v), windows, groups),
    ),
    shape=lambda v, w, *, windows, groups: Aval((v.shape[0], w.shape[1] * groups, *windows.size), v.dtype),
    batch=_input_batched,
)

convolution_weight_p: Multilinear = multilinear(
    "convolution_weight",
    _weight,
    transposes=(
        lambda g, v, windows, groups: _bind(convolution_input_p, conj(v), g, windows, groups),
        lambda g, x, windows, groups: _bind(convolution_p, conj(x), g, windows, groups),
    ),
    shape=lambda x, v, *, windows, groups: Aval((v.shape[1], x.shape[1] // groups, *windows.kernel), x.dtype),
    batch=_weight_batched,
)


def _forward_bias(xp: Any, x: Any, w: Any, b: Any, *, windows: Windows, groups: int) -> Any:
    y = _forward(xp, x, w, windows=windows, groups=groups)
    y += b.reshape(-1, *(1,) * len(windows.size))
    return y


# one primitive with the bias: adding it afterwards would read and write a large output once more
convolution_bias_p = general(
    "convolution_bias",
    _forward_bias,
    lambda x, w, b, *, windows, groups: _output_aval(x, w, windows=windows, groups=groups),
    vjp=(
        lambda g, w, windows, groups: _bind(convolution_input_p, g, conj(w), windows, groups),
        lambda g, x, windows, groups: _bind(convolution_weight_p, conj(x), g, windows, groups),
        lambda g: g.sum(axis=(0, *range(2, len(g.shape)))),
    ),
    composed=lambda x, w, b, *, windows, groups: (
        _bind(convolution_p, x, w, windows, groups) + b.reshape((-1, *(1,) * len(windows.size)))
    ),
    signals=False,
)


def _bind(primitive: Any, x1: Any, x2: Any, windows: Windows, groups: int) -> Any:
    return bind(primitive, (x1, x2), {"windows": windows, "groups": groups})


def _convolve(
    ndim: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    op = f"conv{ndim}d"
    operands = promoted(op, (input, weight) if bias is None else (input, weight, bias), floating=True)
    x, w = operands[:2]
    batched = len(x.shape) != ndim + 1
    _check_channels(op, ndim, x.shape, w.shape, groups)
    if bias is not None and operands[2].shape != w.shape[:1]:
        raise ShapeError(
            f"{op}: bias has shape {operands[2].shape}, weight {w.shape} gives {w.shape[0]} channels: "
            f"bias must have shape ({w.shape[0]},)"
        )
    stride = per_axis(op, "stride", stride, ndim, least=1)
    dilation = per_axis(op, "dilation", dilation, ndim, least=1)
    pairs = _pairs(op, padding, w.shape[2:], stride, dilation)
    params = {
        "windows": windows(op, x.shape[-ndim:], w.shape[2:], stride, pairs, dilation),
        "groups": groups,
    }
    if not batched:
        operands[0] = x.reshape((1, *x.shape))
    y = bind(convolution_p if bias is None else convolution_bias_p, operands, params)
    return y if batched else y.reshape(y.shape[1:])


def _check_channels(op: str, ndim: int, x: tuple[int, ...], w: tuple[int, ...], groups: int) -> None:
    axes = ", ".join(AXIS_NAMES[ndim])
    if len(x) not in (ndim + 1, ndim + 2):
        hint = "; insert the axis of channels, x[None]" if len(x) == ndim else ""
        raise ShapeError(f"{op}: input must be (N, C_in, {axes}) or (C_in, {axes}), got shape {x}{hint}")
    taps = ", ".join(f"k{name}" for name in AXIS_NAMES[ndim])
    if len(w) != ndim + 2 or 0 in w:
        raise ShapeError(f"{op}: weight must be (C_out, C_in/groups, {taps}), nowhere empty, got shape {w}")
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError(f"{op}: groups must be an int of at least 1, got {groups!r}")
    if w[0] % groups:
        raise ShapeError(
            f"{op}: weight {w} has {w[0]} output channels, which do not divide into groups={groups}; "
            f"use a multiple of {groups}, or fewer groups"
        )
    channels, last = x[-ndim - 1], len(x) - 1
    if channels != w[1] * groups:
        message = (
            f"{op}: input {x} has {channels} channels, but weight {w} with groups={groups} takes {w[1] * groups} "
            f"(weight is (C_out, C_in/groups, {taps}))"
        )
        if x[-1] == w[1] * groups:
            order = (*range(last - ndim), last, *range(last - ndim, last))
            raise ShapeError(f"{message}. The channels seem to come last: write input.permute{order}.")
        if channels and not channels % w[1] and not w[0] % (channels // w[1]):
            raise ShapeError(f"{message}. This input and weight fit with groups={channels // w[1]}.")
        raise ShapeError(f"{message}. Give the weight {channels} input channels (in_channels={channels} in a layer).")


def _pairs(
    op: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after, for each axis."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        if max(stride) > 1:
            raise ArgumentError(f"{op}: padding='same' keeps the size only at stride 1, got stride {stride}; give ints")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, str):
        raise ArgumentError(f"{op}: padding must be an int, a tuple of ints, 'same' or 'valid', got {padding!r}")
    return tuple((n, n) for n in per_axis(op, "padding", padding, len(kernel), least=0))


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation along one axis: y[n, o, t] = b[o] + sum_c,k w[o, c, k] x[n, c, s t + d k - p].

    Arguments as for ``conv2d`` with one spatial axis: input (N, C_in, L) or (C_in, L), weight (C_out, C_in/groups, kL).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.convolution import conv1d
    >>> conv1d(ag.tensor([[1.0, 2.0, 4.0]]), ag.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation: y[n, o, t, u] = b[o] + sum_c,k,l w[o, c, k, l] x[n, c, s t + d k - p, s u + d l - p].

    input: (N, C_in, H, W) or (C_in, H, W). weight: (C_out, C_in/groups, kH, kW). bias: (C_out,) or None.
    stride s, padding p, dilation d: an int, or one for each axis; padding may be 'valid' (none) or 'same' (the output
    has the input's size; stride 1 only). groups: input and output channels are split into so many independent parts.
    Returns (N, C_out, H', W') with H' = (H + 2p - d (kH - 1) - 1) // s + 1, in the operands' common floating dtype
    (integers become float32). ShapeError when channels, groups or sizes do not fit; ArgumentError for other values.
    Signature and layout as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.convolution import conv2d
    >>> conv2d(ag.ones((1, 3, 8, 8)), ag.ones((16, 3, 3, 3)), stride=2, padding=1).shape
    (1, 16, 4, 4)
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation along three axes; arguments as for ``conv2d``.

    input: (N, C_in, D, H, W) or (C_in, D, H, W). weight: (C_out, C_in/groups, kD, kH, kW).

    >>> import autograd_core as ag
    >>> from autograd_core.ops.convolution import conv3d
    >>> conv3d(ag.ones((1, 2, 4, 4, 4)), ag.ones((5, 2, 3, 3, 3))).shape
    (1, 5, 2, 2, 2)
    """
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)

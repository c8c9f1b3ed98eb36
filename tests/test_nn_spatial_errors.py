"""What bad input to spatial functions and layers is told, word for word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F

zeros, ones = ag.zeros, ag.ones

IMAGE = ones((2, 3, 8, 8))

ERRORS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    (
        "conv: channels",
        lambda: F.conv2d(IMAGE, ones((4, 5, 3, 3))),
        ag.ShapeError,
        "conv2d: input (2, 3, 8, 8) has 3 channels, but weight (4, 5, 3, 3) with groups=1 takes 5 (weight is (C_out, "
        "C_in/groups, kH, kW)). Give the weight 3 input channels (in_channels=3 in a layer).",
    ),
    (
        "conv: channels last",
        lambda: F.conv3d(ones((2, 4, 8, 8, 3)), ones((4, 3, 3, 3, 3))),
        ag.ShapeError,
        "conv3d: input (2, 4, 8, 8, 3) has 4 channels, but weight (4, 3, 3, 3, 3) with groups=1 takes 3 (weight is "
        "(C_out, C_in/groups, kD, kH, kW)). The channels seem to come last: write input.permute(0, 4, 1, 2, 3).",
    ),
    (
        "conv: axes",
        lambda: F.conv3d(ones((3, 8, 8)), ones((4, 3, 3, 3, 3))),
        ag.ShapeError,
        "conv3d: input must be (N, C_in, D, H, W) or (C_in, D, H, W), got shape (3, 8, 8); insert the axis of channels"
        ", x[None]",
    ),
    (
        "conv: kernel larger than the padded input",
        lambda: F.conv2d(ones((1, 3, 2, 8)), ones((4, 3, 5, 3)), padding=1),
        ag.ShapeError,
        "conv2d: a kernel of 5 spans 5 along H, more than the input's 2 with 1 + 1 of padding; use a smaller kernel, "
        "more padding or a larger input",
    ),
    (
        "transposed conv: channels",
        lambda: F.conv_transpose2d(IMAGE, ones((5, 3, 3, 3))),
        ag.ShapeError,
        "conv_transpose2d: input (2, 3, 8, 8) has 3 channels, but weight (5, 3, 3, 3) takes 5 (weight is (C_in, "
        "C_out/groups, kH, kW): input channels come first, other than in conv2d). Write weight.swapaxes(0, 1) if its "
        "output channels come first.",
    ),
    (
        "transposed conv: groups",
        lambda: F.conv_transpose1d(ones((1, 4, 5)), ones((4, 2, 3)), groups=3),
        ag.ShapeError,
        "conv_transpose1d: weight (4, 2, 3) has 4 input channels, which do not divide into groups=3; use a multiple of "
        "3, or fewer groups",
    ),
    (
        "transposed conv: bias",
        lambda: F.conv_transpose1d(ones((1, 4, 5)), ones((4, 2, 3)), ones(2), groups=2),
        ag.ShapeError,
        "conv_transpose1d: bias has shape (2,), weight (4, 2, 3) with groups=2 gives 4 channels: bias must have shape "
        "(4,)",
    ),
    (
        "transposed conv: output_padding",
        lambda: F.conv_transpose2d(IMAGE, ones((3, 4, 3, 3)), stride=2, output_padding=2),
        ag.ArgumentError,
        "conv_transpose2d: output_padding 2 must be less than stride 2 or dilation 1 along H: it tells apart outputs "
        "of one input size; for more zeros pad the output",
    ),
    (
        "transposed conv: nothing left",
        lambda: F.conv_transpose2d(ones((1, 3, 1, 1)), ones((3, 4, 3, 3)), padding=2),
        ag.ShapeError,
        "conv_transpose2d: input of 1 along H with kernel 3, stride 1, padding 2, dilation 1 and output_padding 0 "
        "gives an output of -1; use a larger input or kernel, or less padding",
    ),
    (
        "transposed layer: output size",
        lambda: nn.ConvTranspose2d(3, 4, 3, stride=2)(IMAGE, output_size=(20, 17)),
        ag.ArgumentError,
        "in ConvTranspose2d: ConvTranspose2d: output_size (20, 17) cannot come from input (2, 3, 8, 8): it can be "
        "(17, 17) to (18, 18)",
    ),
    (
        "transposed layer: padding mode",
        lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"),
        ag.ArgumentError,
        "ConvTranspose2d: padding_mode must be 'zeros': padding is taken off here; got 'reflect'",
    ),
    (
        "max_pool: a window of nothing",
        lambda: F.max_pool1d(ones((1, 1, 1)), 2, padding=1, dilation=2),
        ag.ShapeError,
        "max_pool1d: with padding 1 and dilation 2 a window along L meets nothing of the input's 1; use less padding "
        "or a smaller dilation",
    ),
    (
        "max_pool: padding",
        lambda: F.max_pool3d(ones((1, 1, 4, 4, 4)), 2, padding=2),
        ag.ArgumentError,
        "max_pool3d: padding (2, 2, 2) is more than half of kernel_size (2, 2, 2): a window could see nothing but "
        "padding; pad the input itself for more",
    ),
    (
        "max_pool: complex",
        lambda: F.max_pool2d(ones((1, 4, 4), dtype="complex64"), 2),
        ag.DTypeError,
        "max_pool2d: input has dtype complex64, which has no order; write x.astype('float32') first",
    ),
    (
        "avg_pool: no elements",
        lambda: F.avg_pool2d(zeros((1, 3, 0, 4)), 2),
        ag.ShapeError,
        "avg_pool2d: input (1, 3, 0, 4) has no elements along H; give at least one",
    ),
    (
        "pooling: axes",
        lambda: F.lp_pool2d(ones((8, 8)), 2, 2),
        ag.ShapeError,
        "lp_pool2d: input must be (N, C, H, W) or (C, H, W), got shape (8, 8); insert the axis of channels, x[None]",
    ),
    (
        "adaptive: sizes",
        lambda: F.adaptive_max_pool2d(IMAGE, (1, 2, 3)),
        ag.ArgumentError,
        "adaptive_max_pool2d: output_size must be an int or 2 of them, got (1, 2, 3)",
    ),
    (
        "fractional: size and ratio",
        lambda: F.fractional_max_pool2d(IMAGE, 2),
        ag.ArgumentError,
        "fractional_max_pool2d: takes output_size or output_ratio, one of the two; got None, None",
    ),
    (
        "fractional: too many windows",
        lambda: F.fractional_max_pool2d(IMAGE, 3, 7),
        ag.ShapeError,
        "fractional_max_pool2d: 7 windows of 3 along H need at least 9 elements, input has 8; use a smaller kernel or "
        "output",
    ),
    (
        "unpool: index",
        lambda: F.max_unpool1d(ones((1, 2)), ag.tensor([[1, 4]]), 2),
        ag.DataError,
        "max_unpool1d: indices go from 1 to 4, but the output of size (4,) has places 0 to 3; give output_size, that "
        "of the pooling's input",
    ),
    (
        "unpool: shapes",
        lambda: F.max_unpool1d(ones((1, 2)), ag.tensor([[1]]), 2),
        ag.ShapeError,
        "max_unpool1d: input has shape (1, 2), indices (1, 1): they must be equal, one index for each maximum",
    ),
    (
        "unpool: output size",
        lambda: F.max_unpool2d(ones((1, 2, 2)), ag.tensor([[[1, 2], [8, 9]]]), 2, output_size=(4, 6)),
        ag.ArgumentError,
        "max_unpool2d: output_size (4, 6) is not near (4, 4), what input of size (2, 2), kernel_size (2, 2), stride "
        "(2, 2) and padding (0, 0) come from; each length may differ by less than the stride",
    ),
    (
        "lp_pool: norm",
        lambda: F.lp_pool1d(ones((1, 4)), float("inf"), 2),
        ag.ArgumentError,
        "lp_pool1d: norm_type must be a positive number, got inf; max_pool1d is the limit of large ones",
    ),
    (
        "fold: columns",
        lambda: F.fold(ones((1, 12, 9)), (4, 4), (2, 3)),
        ag.ShapeError,
        "fold: input (1, 12, 9) has 9 columns, but an image of size (4, 4) has (3, 2) = 6 windows of kernel_size (2, 3)"
        " at this stride, padding and dilation; give what unfold was given",
    ),
    (
        "fold: rows",
        lambda: F.fold(ones((1, 10, 6)), (4, 4), (2, 3)),
        ag.ShapeError,
        "fold: input (1, 10, 6) has 10 rows, which are no multiple of the 6 elements of a window of kernel_size (2, 3)"
        ": axis 1 must be C * 6",
    ),
    (
        "pixel_shuffle",
        lambda: F.pixel_shuffle(IMAGE, 2),
        ag.ShapeError,
        "pixel_shuffle: input (2, 3, 8, 8) has 3 channels, no multiple of upscale_factor^2 = 4",
    ),
    (
        "pixel_unshuffle",
        lambda: F.pixel_unshuffle(IMAGE, 3),
        ag.ShapeError,
        "pixel_unshuffle: input (2, 3, 8, 8) has size (8, 8), no multiple of downscale_factor 3",
    ),
    (
        "channel_shuffle",
        lambda: F.channel_shuffle(IMAGE, 2),
        ag.ShapeError,
        "channel_shuffle: input (2, 3, 8, 8) has 3 channels, which do not divide into groups=2",
    ),
    (
        "interpolate: size and factor",
        lambda: F.interpolate(IMAGE, 4, 2.0),
        ag.ArgumentError,
        "interpolate: takes size or scale_factor, one of the two; got size=4 and scale_factor=2.0",
    ),
    (
        "interpolate: mode for other axes",
        lambda: F.interpolate(IMAGE, 4, mode="linear"),
        ag.ArgumentError,
        "interpolate: mode 'linear' does not take input (2, 3, 8, 8) with 2 axes after C; write mode='bilinear'",
    ),
    (
        "interpolate: unbatched",
        lambda: F.interpolate(ones((3, 8)), 4),
        ag.ShapeError,
        "interpolate: input must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), got shape (3, 8); write input[None] to "
        "add the axis N",
    ),
    (
        "interpolate: corners",
        lambda: F.interpolate(IMAGE, 4, align_corners=True),
        ag.ArgumentError,
        "interpolate: align_corners is for the modes 'linear', 'bilinear', 'bicubic', 'trilinear'; leave it out for "
        "'nearest'",
    ),
    (
        "grid_sample: shapes",
        lambda: F.grid_sample(IMAGE, zeros((2, 4, 4, 3))),
        ag.ShapeError,
        "grid_sample: takes input (N, C, H, W) with grid (N, H', W', 2), or (N, C, D, H, W) with (N, D', H', W', 3); "
        "got input (2, 3, 8, 8) and grid (2, 4, 4, 3)",
    ),
    (
        "affine_grid: theta",
        lambda: F.affine_grid(zeros((2, 3, 3)), (2, 3, 8, 8)),
        ag.ShapeError,
        "affine_grid: theta must have shape (2, 2, 3) for size (2, 3, 8, 8), got (2, 3, 3)",
    ),
    (
        "pad: reflection",
        lambda: F.pad(ones((1, 1, 3)), (3, 0), "reflect"),
        ag.ShapeError,
        "pad: mode 'reflect' can add 0 to 2 elements at an end of axis 2 of shape (1, 1, 3), asked for 3 and 0; pad "
        "less, or with another mode",
    ),
    (
        "pad: value",
        lambda: ag.pad(ag.tensor([1, 2]), 1, constant_value=0.5),
        ag.DTypeError,
        "pad: constant_value 0.5 is no value of dtype int64; write x.astype('float32')",
    ),
    (
        "padding layer: ends",
        lambda: nn.ReflectionPad2d((1, 2, 3)),
        ag.ArgumentError,
        "ReflectionPad2d: padding must be an int or 4 of them, before and after the last axis, then those before it; "
        "got (1, 2, 3)",
    ),
    (
        "padding layer: axes",
        lambda: nn.CircularPad1d(1)(ones(3)),
        ag.ShapeError,
        "in CircularPad1d: CircularPad1d: input must have 2 or 3 axes, got shape (3,)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_bad_input_is_told_what_to_write_instead(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message

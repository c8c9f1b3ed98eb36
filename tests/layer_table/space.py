"""Padding, resampling, and blocks of images."""

from __future__ import annotations

from .case import case

CASES = [
    case("ConstantPad1d", lambda n: n.ConstantPad1d((1, 2), 3.5), (2, 3, 4)),
    case("ConstantPad2d", lambda n: n.ConstantPad2d((1, -1, 0, 2), 3.5), (2, 3, 4)),
    case("ConstantPad3d", lambda n: n.ConstantPad3d(1, -2.0), (2, 1, 2, 3, 2)),
    case("ZeroPad1d", lambda n: n.ZeroPad1d(2), (2, 3)),
    case("ZeroPad2d", lambda n: n.ZeroPad2d((1, 0, 2, 3)), (2, 3, 4, 2)),
    case("ZeroPad3d", lambda n: n.ZeroPad3d((1, 0, 2, 3, -1, 2)), (2, 3, 4, 2)),
    case("ReflectionPad1d", lambda n: n.ReflectionPad1d((3, 1)), (2, 3, 4)),
    case("ReflectionPad2d", lambda n: n.ReflectionPad2d((2, 0, 1, 1)), (3, 3, 4)),
    case("ReflectionPad3d", lambda n: n.ReflectionPad3d((2, 0, 1, 1, 0, 1)), (2, 1, 2, 3, 4)),
    case("ReplicationPad1d", lambda n: n.ReplicationPad1d(5), (2, 3, 4)),
    case("ReplicationPad2d", lambda n: n.ReplicationPad2d((2, 0, 1, 6)), (2, 3, 3, 4)),
    case("ReplicationPad3d", lambda n: n.ReplicationPad3d(2), (2, 2, 3, 1)),
    case("CircularPad1d", lambda n: n.CircularPad1d((4, 1)), (2, 3, 4)),
    case("CircularPad2d", lambda n: n.CircularPad2d((2, 0, 1, 3)), (2, 3, 3, 4)),
    case("CircularPad3d", lambda n: n.CircularPad3d((1, 0, 2, 1, 0, 2)), (2, 1, 2, 3, 2)),
    case("Upsample", lambda n: n.Upsample(scale_factor=2), (2, 3, 4)),
    case("Upsample/size", lambda n: n.Upsample((5, 3)), (2, 3, 4, 2)),
    case("Upsample/bilinear", lambda n: n.Upsample(scale_factor=(1.5, 2.0), mode="bilinear"), (2, 3, 4, 2)),
    case("Upsample/bicubic", lambda n: n.Upsample(size=7, mode="bicubic", align_corners=True), (2, 2, 4, 3)),
    case("Upsample/trilinear", lambda n: n.Upsample(scale_factor=2, mode="trilinear"), (1, 2, 2, 3, 2)),
    case(
        "Upsample/recomputed",
        lambda n: n.Upsample(scale_factor=1.7, mode="linear", recompute_scale_factor=True),
        (2, 3, 4),
    ),
    case("UpsamplingNearest2d", lambda n: n.UpsamplingNearest2d(scale_factor=3), (2, 2, 2, 3)),
    case("UpsamplingBilinear2d", lambda n: n.UpsamplingBilinear2d(size=(5, 6)), (2, 2, 4, 3)),
    case("Unfold", lambda n: n.Unfold((2, 3)), (2, 3, 4, 5)),
    case("Unfold/arguments", lambda n: n.Unfold(2, 2, 1, (2, 1)), (2, 3, 4, 5)),
    case("Fold", lambda n: n.Fold((4, 5), (2, 3)), (2, 12, 9)),
    case("Fold/arguments", lambda n: n.Fold(4, 2, dilation=2, padding=1, stride=2), (2, 8, 4)),
    case("PixelShuffle", lambda n: n.PixelShuffle(2), (2, 8, 3, 2)),
    case("PixelUnshuffle", lambda n: n.PixelUnshuffle(2), (2, 3, 4, 2)),
    case("ChannelShuffle", lambda n: n.ChannelShuffle(3), (2, 6, 3, 2)),
]

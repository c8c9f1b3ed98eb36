"""Pooling."""

from __future__ import annotations

from .case import case

CASES = [
    case("MaxPool1d", lambda n: n.MaxPool1d(3, 2, 1), (2, 3, 8)),
    case("MaxPool2d", lambda n: n.MaxPool2d(2), (2, 3, 6, 5)),
    case("MaxPool2d/arguments", lambda n: n.MaxPool2d((3, 2), 2, 1, ceil_mode=True), (2, 3, 6, 5)),
    case("AvgPool1d", lambda n: n.AvgPool1d(3, 2, 1, count_include_pad=False), (2, 3, 8)),
    case("AvgPool2d", lambda n: n.AvgPool2d((2, 3)), (2, 3, 6, 6)),
    case("AvgPool2d/arguments", lambda n: n.AvgPool2d(3, 2, 1, True, False), (2, 3, 6, 6)),
    case("AvgPool2d/divisor", lambda n: n.AvgPool2d(2, divisor_override=3), (2, 3, 4, 4)),
    case("AdaptiveAvgPool1d", lambda n: n.AdaptiveAvgPool1d(3), (2, 3, 7)),
    case("AdaptiveAvgPool2d", lambda n: n.AdaptiveAvgPool2d((1, None)), (2, 3, 5, 4)),
]

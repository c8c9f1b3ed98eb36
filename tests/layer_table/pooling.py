"""Pooling."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .case import case


def offsets(n: Any, ndim: int) -> Any:
    """Numbers in [0, 1) for 2 samples and 3 channels, as a tensor of the package that ``n`` belongs to."""
    drawn = np.random.default_rng(5).random((2, 3, ndim)).astype(np.float32)
    return import_module(n.__name__.partition(".")[0]).tensor(drawn)


def maxima(shape: tuple[int, ...], size: tuple[int, ...], *, given: bool = False) -> Callable[..., tuple[Any, ...]]:
    """Values, distinct places for them in planes of ``size``, and the size itself if it is ``given``."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        places = [rng.permutation(int(np.prod(size)))[: int(np.prod(shape[2:]))] for _ in range(shape[0] * shape[1])]
        return (rng.standard_normal(shape), np.array(places).reshape(shape), *[list(size)] * given)

    return draw


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
    case("AdaptiveAvgPool3d", lambda n: n.AdaptiveAvgPool3d((1, None, 3)), (2, 2, 3, 2, 4)),
    case("AdaptiveMaxPool1d", lambda n: n.AdaptiveMaxPool1d(3), (2, 3, 7)),
    case("AdaptiveMaxPool2d", lambda n: n.AdaptiveMaxPool2d((2, None)), (2, 3, 5, 4)),
    case("AdaptiveMaxPool2d/indices", lambda n: n.AdaptiveMaxPool2d((2, 3), return_indices=True), (2, 3, 5, 4)),
    case("AdaptiveMaxPool3d", lambda n: n.AdaptiveMaxPool3d((1, None, 3)), (2, 2, 3, 2, 4)),
    case("MaxPool1d/unbatched", lambda n: n.MaxPool1d(2, dilation=2), (3, 8)),
    case("MaxPool2d/indices", lambda n: n.MaxPool2d(3, 2, 1, return_indices=True), (2, 3, 6, 5)),
    case("MaxPool3d", lambda n: n.MaxPool3d(2), (2, 2, 4, 3, 5)),
    case("MaxPool3d/arguments", lambda n: n.MaxPool3d((2, 3, 1), 2, (1, 1, 0), 1, ceil_mode=True), (2, 2, 4, 3, 5)),
    case("AvgPool3d", lambda n: n.AvgPool3d((2, 1, 3)), (2, 2, 4, 3, 6)),
    case("AvgPool3d/arguments", lambda n: n.AvgPool3d(3, 2, 1, True, False), (2, 2, 4, 3, 5)),
    case("LPPool1d", lambda n: n.LPPool1d(2, 3, 2), (2, 3, 8)),
    case("LPPool2d", lambda n: n.LPPool2d(4, (2, 3), ceil_mode=True), (2, 3, 5, 7)),
    case("LPPool3d", lambda n: n.LPPool3d(2, 2), (2, 2, 4, 4, 2)),
    case("FractionalMaxPool2d", lambda n: n.FractionalMaxPool2d(2, 3, _random_samples=offsets(n, 2)), (2, 3, 6, 5)),
    case(
        "FractionalMaxPool2d/ratio",
        lambda n: n.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7), return_indices=True, _random_samples=offsets(n, 2)),
        (2, 3, 6, 5),
    ),
    case("FractionalMaxPool3d", lambda n: n.FractionalMaxPool3d(2, 2, _random_samples=offsets(n, 3)), (2, 3, 4, 5, 4)),
    case("MaxUnpool1d", lambda n: n.MaxUnpool1d(2), of=maxima((2, 3, 4), (8,))),
    case("MaxUnpool2d", lambda n: n.MaxUnpool2d(3, 2, 1), of=maxima((2, 3, 2, 3), (3, 5))),
    case("MaxUnpool2d/size", lambda n: n.MaxUnpool2d(2), of=maxima((2, 3, 2, 3), (5, 6), given=True)),
    case("MaxUnpool3d", lambda n: n.MaxUnpool3d(2), of=maxima((1, 2, 2, 1, 2), (4, 2, 4))),
]

"""Cases of unfolding and folding, and of pixels and channels exchanged."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import folding as ops

from .case import OpCase, normal, operands

ARGUMENTS = {"dilation": 1, "padding": 0, "stride": 1}


def windows(size: tuple[int, ...], kernel: tuple[int, ...], **arguments: Any) -> list[list[tuple[int, int]]]:
    """For every window the places in the padded image that it covers, in order."""
    given = {name: arguments.get(name, default) for name, default in ARGUMENTS.items()}
    d, p, s = [value if isinstance(value, tuple) else (value, value) for value in given.values()]
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, kernel, d, p, s)]
    return [
        [(s[0] * t + d[0] * k - p[0], s[1] * u + d[1] * m - p[1]) for k, m in product(*map(range, kernel))]
        for t, u in product(*map(range, counts))
    ]


def inside(place: tuple[int, int], size: tuple[int, ...]) -> bool:
    return all(0 <= i < n for i, n in zip(place, size))


def unfold_case(variant: str, shape: tuple[int, ...], kernel: tuple[int, int], **arguments: Any) -> OpCase:
    def reference(x: np.ndarray) -> np.ndarray:
        size = x.shape[-2:]
        columns = [
            [
                x[(..., c, *place)] if inside(place, size) else np.zeros(x.shape[:-3], x.dtype)
                for c in range(x.shape[-3])
                for place in w
            ]
            for w in windows(size, kernel, **arguments)
        ]
        shape = (len(columns), x.shape[-3] * kernel[0] * kernel[1], *x.shape[:-3])
        return np.moveaxis(np.array(columns).reshape(shape), (0, 1), (-1, -2))

    return OpCase(
        f"unfold/{variant}" if variant else "unfold",
        lambda x: ops.unfold(x, kernel, **arguments),
        operands(normal(*shape)),
        reference,
        torch=lambda torch, x: torch.nn.functional.unfold(x, kernel, **arguments),
    )


def fold_case(
    variant: str, lead: tuple[int, ...], channels: int, size: tuple[int, int], kernel: tuple[int, int], **arguments: Any
) -> OpCase:
    where = windows(size, kernel, **arguments)
    taps = len(where[0])

    def reference(v: np.ndarray) -> np.ndarray:
        x = np.zeros((*v.shape[:-2], channels, *size), v.dtype)
        for i, window in enumerate(where):
            for c, (k, place) in product(range(channels), enumerate(window)):
                if inside(place, size):
                    x[(..., c, *place)] += v[..., c * taps + k, i]
        return x

    return OpCase(
        f"fold/{variant}" if variant else "fold",
        lambda v: ops.fold(v, size, kernel, **arguments),
        operands(normal(*lead, channels * taps, len(where))),
        reference,
        torch=lambda torch, v: torch.nn.functional.fold(v, size, kernel, **arguments),
    )


def shuffled(x: np.ndarray, r: int) -> np.ndarray:
    *lead, channels, h, w = x.shape
    y = np.zeros((*lead, channels // r**2, h * r, w * r), x.dtype)
    for c, i, j in product(range(channels // r**2), range(r), range(r)):
        y[..., c, i::r, j::r] = x[..., (c * r + i) * r + j, :, :]
    return y


def unshuffled(x: np.ndarray, r: int) -> np.ndarray:
    *lead, channels, h, w = x.shape
    y = np.zeros((*lead, channels * r**2, h // r, w // r), x.dtype)
    for c, i, j in product(range(channels), range(r), range(r)):
        y[..., (c * r + i) * r + j, :, :] = x[..., c, i::r, j::r]
    return y


def channels_shuffled(x: np.ndarray, groups: int) -> np.ndarray:
    order = [i * (x.shape[1] // groups) + j for j in range(x.shape[1] // groups) for i in range(groups)]
    return x[:, order]


def shuffle_case(name: str, variant: str, shape: tuple[int, ...], factor: int) -> OpCase:
    reference = {"pixel_shuffle": shuffled, "pixel_unshuffle": unshuffled, "channel_shuffle": channels_shuffled}[name]
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x: getattr(ops, name)(x, factor),
        operands(normal(*shape)),
        lambda x: reference(x, factor),
        torch=lambda torch, x: getattr(torch.nn.functional, name)(x, factor),
    )


CASES = [
    unfold_case("", (2, 2, 3, 2), (2, 2)),
    unfold_case("unbatched", (2, 3, 4), (2, 3)),
    unfold_case("arguments", (1, 2, 4, 3), (2, 2), dilation=(2, 1), padding=1, stride=2),
    unfold_case("padding", (1, 1, 2, 2), (2, 1), padding=(1, 0)),
    fold_case("", (2,), 1, (3, 2), (2, 2)),
    fold_case("unbatched", (), 2, (3, 3), (2, 3)),
    fold_case("arguments", (1,), 1, (4, 3), (2, 2), dilation=(2, 1), padding=1, stride=2),
    fold_case("gaps", (1,), 1, (5, 2), (1, 2), stride=(3, 1)),
    shuffle_case("pixel_shuffle", "", (1, 8, 2, 1), 2),
    shuffle_case("pixel_shuffle", "more-axes", (2, 1, 4, 1, 2), 2),
    shuffle_case("pixel_unshuffle", "", (1, 2, 4, 2), 2),
    shuffle_case("pixel_unshuffle", "unbatched", (1, 3, 6), 3),
    shuffle_case("channel_shuffle", "", (2, 6, 2), 2),
    shuffle_case("channel_shuffle", "two-axes", (1, 6, 2, 2), 3),
]

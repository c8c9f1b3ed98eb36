"""Cases of dropout: which elements fall out is read off the bits of the generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import dropout

from .case import OpCase, normal, operands
from .random import bits, generator

LOWEST = -1.0507009873554805 * 1.6732632423543772


def kept(p: float, *shape: int) -> np.ndarray:
    return np.array([b < round((1 - p) * 2**32) for b in bits(math.prod(shape))]).reshape(shape)


def scaled(p: float, n_axes: int) -> Callable[[np.ndarray], np.ndarray]:
    """Zeros, drawn for the first ``n_axes`` axes; the rest over 1 - p."""

    def reference(x: np.ndarray) -> np.ndarray:
        keep = kept(p, *x.shape[:n_axes]).reshape(x.shape[:n_axes] + (1,) * (x.ndim - n_axes))
        return np.where(keep, x / (1 - p), 0.0)

    return reference


def to_lowest(p: float, n_axes: int) -> Callable[[np.ndarray], np.ndarray]:
    """SELU's lowest value, then scaled and moved so that mean 0 and variance 1 stay what they are."""

    def reference(x: np.ndarray) -> np.ndarray:
        keep = kept(p, *x.shape[:n_axes]).reshape(x.shape[:n_axes] + (1,) * (x.ndim - n_axes))
        mean, second = p * LOWEST, (1 - p) + p * LOWEST**2
        return (np.where(keep, x, LOWEST) - mean) / math.sqrt(second - mean**2)

    return reference


def case(name: str, shape: tuple[int, ...], reference: Callable[..., Any], **arguments: Any) -> OpCase:
    return OpCase(
        name,
        lambda x: getattr(dropout, name.partition("/")[0])(x, training=True, generator=generator(), **arguments),
        operands(normal(*shape)),
        reference,
        no_torch="PyTorch draws other numbers",
        no_jax="JAX draws other numbers",
    )


CASES = [
    case("dropout", (4, 5), scaled(0.5, 2)),
    case("dropout/p", (4, 5), scaled(0.2, 2), p=0.2),
    case("dropout/all", (4, 5), lambda x: 0 * x, p=1.0),
    case("dropout1d", (3, 4, 2), scaled(0.5, 2)),
    case("dropout1d/one sample", (4, 2), scaled(0.5, 1)),
    case("dropout2d", (2, 4, 2, 2), scaled(0.5, 2)),
    case("dropout3d", (2, 4, 1, 2, 2), scaled(0.25, 2), p=0.25),
    case("alpha_dropout", (4, 5), to_lowest(0.5, 2)),
    case("alpha_dropout/p", (4, 5), to_lowest(0.1, 2), p=0.1),
    case("feature_alpha_dropout", (3, 4, 2), to_lowest(0.5, 2)),
]

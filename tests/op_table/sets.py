"""Cases of unique elements."""

from __future__ import annotations

import numpy as np

import autograd_core as ag

from .case import OpCase, integers, operands

NO_DERIVATIVE = "which elements are equal does not change smoothly"


def groups(x: np.ndarray) -> dict[float, list[int]]:
    """Value -> positions in the flattened array, in ascending order of values; NaN never joins another."""
    found: dict[float, list[int]] = {}
    for position, value in enumerate(x.ravel().tolist()):
        key = next((k for k in found if k == value), value)
        found.setdefault(key, []).append(position)
    return dict(sorted(found.items(), key=lambda item: (np.isnan(item[0]), item[0])))


def values(x: np.ndarray) -> np.ndarray:
    return np.array(list(groups(x)), x.dtype)


def indices(x: np.ndarray) -> np.ndarray:
    return np.array([where[0] for where in groups(x).values()], np.int64)


def inverse(x: np.ndarray) -> np.ndarray:
    flat = np.zeros(x.size, np.int64)
    for number, where in enumerate(groups(x).values()):
        flat[where] = number
    return flat.reshape(x.shape)


def counts(x: np.ndarray) -> np.ndarray:
    return np.array([len(where) for where in groups(x).values()], np.int64)


def few_floats(rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1.5, 0.0, 0.25, 7.0], (3, 5))


def with_nan(rng: np.random.Generator) -> np.ndarray:
    return np.array([2.0, np.nan, -1.0, 2.0, np.nan])


def unique(name: str, parts: list, torch: object = None, no_torch: str = "") -> list[OpCase]:
    def case(variant: str, draw: object, torch: object, no_torch: str) -> OpCase:
        return OpCase(
            f"{name}{variant}",
            getattr(ag, name),
            operands(draw),
            lambda x: tuple(part(x) for part in parts),
            torch=torch,
            no_torch=no_torch,
            differentiable=(),
            why_not=NO_DERIVATIVE,
        )

    return [
        case("", few_floats, torch, no_torch),
        case("/integers", integers(-3, 3, 7), torch, no_torch),
        case("/nan", with_nan, torch, no_torch),
        case("/empty", lambda rng: np.zeros((0, 2)), torch, no_torch),
        case("/0-d", lambda rng: np.array(2.5), torch, no_torch),
    ]


CASES = [
    *unique("unique_values", [values], lambda torch, x: torch.unique(x)),
    *unique("unique_counts", [values, counts], lambda torch, x: torch.unique(x, return_counts=True)),
    *unique("unique_inverse", [values, inverse], lambda torch, x: torch.unique(x, return_inverse=True)),
    *unique("unique_all", [values, indices, inverse, counts], no_torch="gives no first positions"),
]

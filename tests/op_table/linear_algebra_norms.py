"""Cases of norms of vectors and matrices, and of condition numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matrix_references as by_hand
import numpy as np
from matrix_references import each

from autograd_core import linalg
from autograd_core.ops import norms

from .case import OpCase, complex_normal, operands
from .linear_algebra_equations import complex_regular, regular
from .linear_algebra_spectra import spread

Draw = Callable[[np.random.Generator], np.ndarray]
ORDERS = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
WRITES_IN_PLACE = "writes over what its own gradient needs"


def away_from_zero(rng: np.random.Generator) -> tuple[np.ndarray]:
    return (rng.uniform(0.3, 2.0, (3, 4)) * rng.choice([-1.0, 1.0], (3, 4)),)


def of_vectors(x: np.ndarray, ord: float, axis: Any, keepdims: bool) -> Any:
    a = np.abs(x)
    if np.isinf(ord):
        return (np.max if ord > 0 else np.min)(a, axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(a > 0, axis=axis, keepdims=keepdims).astype(a.dtype)
    return np.sum(a**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def vector_cases(variant: str, ord: float, axis: Any = None, keepdims: bool = False, **more: Any) -> list[OpCase]:
    def theirs(torch: Any, x: Any) -> Any:
        return torch.linalg.vector_norm(x, ord, dim=axis, keepdim=keepdims)

    if ord == 0:
        more |= {"differentiable": (), "why_not": "a count has no slope"}
    common: dict[str, Any] = {
        "make": away_from_zero,
        "reference": lambda x: of_vectors(x, ord, axis, keepdims),
        "torch": theirs,
    } | more
    return [
        OpCase(f"norm/{variant}", lambda x: norms.norm(x, ord, axis=axis, keepdims=keepdims), **common),
        OpCase(
            f"vector_norm/{variant}", lambda x: linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord), **common
        ),
    ]


def of_matrix(x: np.ndarray, ord: Any) -> Any:
    if ord == "fro":
        return np.sqrt((np.abs(x) ** 2).sum())
    if ord in ("nuc", 2, -2):
        s = by_hand.svd(x)[0]
        return s.sum() if ord == "nuc" else s[0] if ord == 2 else s[-1]
    sums = np.abs(x).sum(axis=0 if abs(ord) == 1 else 1)
    return sums.max() if ord > 0 else sums.min()


def matrix_case(ord: Any, draw: Draw, variant: str = "", keepdims: bool = False) -> OpCase:
    def reference(x: np.ndarray) -> np.ndarray:
        y = each(lambda x: of_matrix(x, ord))(x)
        return y[..., None, None] if keepdims else y

    return OpCase(
        f"matrix_norm/{ord}{variant}",
        lambda x: linalg.matrix_norm(x, ord=ord, keepdims=keepdims),
        operands(draw),
        reference,
        lambda torch, x: torch.linalg.matrix_norm(x, ord, keepdim=keepdims),
    )


def general_case(variant: str, ord: Any, axis: Any, keepdims: bool, reference: Callable[..., Any]) -> OpCase:
    return OpCase(
        f"linalg.norm/{variant}",
        lambda x: linalg.norm(x, ord, axis=axis, keepdims=keepdims),
        operands(spread(2, 3, 2)) if axis is not None else operands(lambda rng: spread(1, 3, 2)(rng)[0]),
        reference,
        lambda torch, x: torch.linalg.norm(x, ord, dim=axis, keepdim=keepdims),
        jax=lambda jax, x: jax.numpy.linalg.norm(x, ord, axis=axis, keepdims=keepdims),
    )


def nuclear_of_middle(x: np.ndarray) -> np.ndarray:
    return each(by_hand.svd)(x.transpose(1, 2, 0))[0].sum(axis=-1)[None, :, None]


def condition(p: Any, draw: Draw, variant: str = "") -> OpCase:
    def reference(x: np.ndarray) -> Any:
        if p in (None, 2, -2):
            s = by_hand.svd(x)[0]
            return s[-1] / s[0] if p == -2 else s[0] / s[-1]
        return of_matrix(x, p) * of_matrix(by_hand.inverse(x), p)

    inverted = p not in (None, 2, -2)
    return OpCase(
        f"cond/{p}{variant}",
        lambda x: linalg.cond(x, p),
        operands(draw),
        each(reference),
        None if inverted else lambda torch, x: torch.linalg.cond(x, p),
        no_torch=WRITES_IN_PLACE if inverted else "",
        no_jax="" if p in (None, 1) else "made of matrix norms, judged by themselves",
    )


CASES = [
    *vector_cases("2", 2),
    *vector_cases("2 axis", 2, axis=1),
    *vector_cases("2 axes keepdims", 2, axis=(0, -1), keepdims=True),
    *vector_cases("1", 1, axis=0),
    *vector_cases("inf", np.inf, axis=-1),
    *vector_cases("-inf", -np.inf),
    *vector_cases("0", 0, axis=0),
    *vector_cases("3", 3, axis=1, keepdims=True),
    *vector_cases("0.5", 0.5),
    *vector_cases("-1.5", -1.5, axis=0),
    *vector_cases("2 complex", 2, axis=0, make=operands(complex_normal(2, 3))),
    *vector_cases("3 complex", 3, axis=1, make=operands(complex_normal(2, 2))),
    *(matrix_case(ord, spread(2, 3, 2)) for ord in ORDERS),
    matrix_case("fro", spread(2, 2, 3), " keepdims", keepdims=True),
    matrix_case("nuc", spread(2, 2, 3), " wide keepdims", keepdims=True),
    matrix_case("nuc", complex_normal(1, 2, 3), " complex"),
    matrix_case(1, complex_normal(1, 2, 3), " complex"),
    general_case("all", None, None, False, lambda x: np.sqrt((np.abs(x) ** 2).sum())),
    general_case("matrix", 1, None, False, lambda x: of_matrix(x, 1)),
    general_case("rows", 3, -1, True, lambda x: of_vectors(x, 3, -1, True)),
    general_case("all along an axis", None, 1, False, lambda x: of_vectors(x, 2, 1, False)),
    general_case("two axes", "nuc", (2, 0), True, nuclear_of_middle),
    *(condition(p, regular(2, 3, 3)) for p in (None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf)),
    *(condition(p, spread(1, 3, 2), " tall") for p in (None, 2, -2)),
    condition("fro", complex_regular(1, 2, 2), " complex"),
]

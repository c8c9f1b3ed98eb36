"""Cases of reductions, running sums and order."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag

from .case import OpCase, distinct, integers, normal, operands

NO_SLOPE = "positions, counts and truth values are piecewise constant"


def case(
    name: str, fn: Any, draw: Any, reference: Any, torch: Any = None, *, no_torch: str = "", discrete: bool = False
) -> OpCase:
    return OpCase(
        name,
        fn,
        operands(draw),
        reference,
        torch,
        no_torch,
        differentiable=() if discrete else None,
        why_not=NO_SLOPE if discrete else "",
    )


def fixed(values: Any) -> Any:
    """A draw of the same values always: zeros, ties and infinities where they matter."""
    return lambda rng: np.array(values, dtype=np.float64)


def logsumexp(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


CASES = [
    case("sum", ag.sum, normal(2, 3), np.sum, lambda torch, x: x.sum()),
    case("sum/axis", lambda x: ag.sum(x, axis=1), normal(2, 3, 2), lambda x: x.sum(1), lambda torch, x: x.sum(1)),
    case(
        "sum/axes",
        lambda x: ag.sum(x, axis=(0, -1), keepdims=True),
        normal(2, 3, 2),
        lambda x: x.sum((0, 2), keepdims=True),
        lambda torch, x: x.sum((0, -1), keepdim=True),
    ),
    case("sum/of-a-number", ag.sum, normal(), lambda x: x, lambda torch, x: x.sum()),
    case(
        "sum/no-elements", lambda x: ag.sum(x, axis=0), normal(0, 3), lambda x: np.zeros(3), lambda torch, x: x.sum(0)
    ),
    case("sum/integers", ag.sum, integers(-5, 5, 7), np.sum, lambda torch, x: x.sum(), discrete=True),
    case("mean", ag.mean, normal(2, 3), np.mean, lambda torch, x: x.mean()),
    case("mean/axis", lambda x: ag.mean(x, axis=-2), normal(2, 3, 2), lambda x: x.mean(1), lambda torch, x: x.mean(-2)),
    case(
        "mean/axes",
        lambda x: ag.mean(x, axis=(0, 2), keepdims=True),
        normal(2, 3, 2),
        lambda x: x.mean((0, 2), keepdims=True),
        lambda torch, x: x.mean((0, 2), keepdim=True),
    ),
    case("var", ag.var, normal(2, 3), np.var, lambda torch, x: x.var(correction=0)),
    case(
        "var/sample",
        lambda x: ag.var(x, axis=0, correction=1, keepdims=True),
        normal(4, 3),
        lambda x: x.var(0, ddof=1, keepdims=True),
        lambda torch, x: x.var(0, keepdim=True),
    ),
    case(
        "var/axes",
        lambda x: ag.var(x, axis=(0, -1)),
        normal(2, 3, 2),
        lambda x: x.var((0, 2)),
        lambda torch, x: x.var((0, 2), correction=0),
    ),
    case("std", ag.std, normal(2, 3), np.std, lambda torch, x: x.std(correction=0)),
    case(
        "std/sample",
        lambda x: ag.std(x, axis=-1, correction=1),
        normal(2, 4),
        lambda x: x.std(1, ddof=1),
        lambda torch, x: x.std(1),
    ),
    case("prod", ag.prod, normal(5), np.prod, lambda torch, x: x.prod()),
    case(
        "prod/axis",
        lambda x: ag.prod(x, axis=1, keepdims=True),
        normal(2, 3, 2),
        lambda x: x.prod(1, keepdims=True),
        lambda torch, x: x.prod(1, keepdim=True),
    ),
    case(
        "prod/axes",
        lambda x: ag.prod(x, axis=(0, -1)),
        normal(2, 2, 3),
        lambda x: x.prod((0, 2)),
        lambda torch, x: x.permute(1, 0, 2).reshape(2, 6).prod(1),
    ),
    case(
        "prod/zeros",
        lambda x: ag.prod(x, axis=1),
        fixed([[0.0, 2.0, -1.5], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.5]]),
        lambda x: x.prod(1),
        lambda torch, x: x.prod(1),
    ),
    case(
        "prod/no-elements", lambda x: ag.prod(x, axis=0), normal(0, 2), lambda x: np.ones(2), lambda torch, x: x.prod(0)
    ),
    case("max", ag.max, distinct(2, 3), np.max, lambda torch, x: x.amax()),
    case("max/axis", lambda x: ag.max(x, axis=-1), distinct(2, 3, 2), lambda x: x.max(-1), lambda torch, x: x.amax(-1)),
    case(
        "max/axes",
        lambda x: ag.max(x, axis=(0, 1), keepdims=True),
        distinct(2, 3, 2),
        lambda x: x.max((0, 1), keepdims=True),
        lambda torch, x: x.amax((0, 1), keepdim=True),
    ),
    case("min", ag.min, distinct(2, 3), np.min, lambda torch, x: x.amin()),
    case(
        "min/axis",
        lambda x: ag.min(x, axis=1, keepdims=True),
        distinct(2, 3, 2),
        lambda x: x.min(1, keepdims=True),
        lambda torch, x: x.amin(1, keepdim=True),
    ),
    case("argmax", ag.argmax, distinct(2, 3), np.argmax, lambda torch, x: x.argmax(), discrete=True),
    case(
        "argmax/axis",
        lambda x: ag.argmax(x, axis=-1, keepdims=True),
        distinct(2, 3),
        lambda x: np.argmax(x, -1, keepdims=True),
        lambda torch, x: x.argmax(-1, keepdim=True),
        discrete=True,
    ),
    case("argmin", ag.argmin, distinct(2, 3), np.argmin, lambda torch, x: x.argmin(), discrete=True),
    case(
        "argmin/axis",
        lambda x: ag.argmin(x, axis=0),
        distinct(2, 3),
        lambda x: np.argmin(x, 0),
        lambda torch, x: x.argmin(0),
        discrete=True,
    ),
    case(
        "any",
        lambda x: ag.any(x > 1),
        normal(2, 3),
        lambda x: (x > 1).any(),
        lambda torch, x: (x > 1).any(),
        discrete=True,
    ),
    case(
        "any/axis",
        lambda x: ag.any(x > 0, axis=-1, keepdims=True),
        normal(4, 2),
        lambda x: (x > 0).any(-1, keepdims=True),
        lambda torch, x: (x > 0).any(-1, keepdim=True),
        discrete=True,
    ),
    case("all", lambda x: ag.all(x), integers(0, 3, 5), np.all, lambda torch, x: x.bool().all(), discrete=True),
    case(
        "all/axes",
        lambda x: ag.all(x > -1, axis=(0, 2)),
        normal(2, 4, 2),
        lambda x: (x > -1).all((0, 2)),
        lambda torch, x: (x > -1).all(2).all(0),
        discrete=True,
    ),
    case(
        "count_nonzero",
        lambda x: ag.count_nonzero(x, axis=1),
        integers(0, 3, 3, 4),
        lambda x: np.count_nonzero(x, axis=1),
        lambda torch, x: torch.count_nonzero(x, dim=1),
        discrete=True,
    ),
    case("logsumexp", ag.logsumexp, normal(2, 3), logsumexp, lambda torch, x: x.logsumexp((0, 1))),
    case(
        "logsumexp/axis",
        lambda x: ag.logsumexp(x, axis=-1, keepdims=True),
        normal(2, 3),
        lambda x: logsumexp(x, -1, True),
        lambda torch, x: x.logsumexp(-1, keepdim=True),
    ),
    case(
        "logsumexp/axes",
        lambda x: ag.logsumexp(x, axis=(0, 2)),
        normal(2, 3, 2),
        lambda x: logsumexp(x, (0, 2)),
        lambda torch, x: x.logsumexp((0, 2)),
    ),
    case("cumulative_sum", ag.cumulative_sum, normal(5), np.cumsum, lambda torch, x: x.cumsum(0)),
    case(
        "cumulative_sum/axis",
        lambda x: ag.cumulative_sum(x, axis=-2),
        normal(2, 3, 2),
        lambda x: x.cumsum(1),
        lambda torch, x: x.cumsum(1),
    ),
    case(
        "cumulative_sum/initial",
        lambda x: ag.cumulative_sum(x, axis=1, include_initial=True),
        normal(2, 3),
        lambda x: np.concatenate([np.zeros((2, 1)), x.cumsum(1)], axis=1),
        lambda torch, x: torch.nn.functional.pad(x.cumsum(1), (1, 0)),
    ),
    case("cumulative_prod", ag.cumulative_prod, normal(5), np.cumprod, lambda torch, x: x.cumprod(0)),
    case(
        "cumulative_prod/zeros",
        lambda x: ag.cumulative_prod(x, axis=1),
        fixed([[2.0, 0.0, -1.5, 3.0], [0.0, 3.0, 0.0, 0.5]]),
        lambda x: x.cumprod(1),
        lambda torch, x: x.cumprod(1),
    ),
    case(
        "cumulative_prod/initial",
        lambda x: ag.cumulative_prod(x, axis=0, include_initial=True),
        normal(3, 2),
        lambda x: np.concatenate([np.ones((1, 2)), x.cumprod(0)]),
        lambda torch, x: torch.cat([torch.ones(1, 2, dtype=x.dtype), x.cumprod(0)]),
    ),
    case("sort", ag.sort, distinct(2, 5), np.sort, lambda torch, x: x.sort().values),
    case(
        "sort/descending",
        lambda x: ag.sort(x, axis=0, descending=True),
        distinct(4, 2),
        lambda x: -np.sort(-x, axis=0),
        lambda torch, x: x.sort(0, descending=True).values,
    ),
    case("argsort", ag.argsort, distinct(2, 5), np.argsort, lambda torch, x: x.argsort(), discrete=True),
    case(
        "argsort/ties",
        lambda x: ag.argsort(x, axis=0, descending=True),
        integers(0, 3, 9),
        lambda x: np.argsort(-x, kind="stable"),
        lambda torch, x: x.argsort(descending=True, stable=True),
        discrete=True,
    ),
]

"""Cases at hard points of the rules: what only a changed sign, limit or branch of a rule would break.

Most stand where there is no derivative, and state the gradients that are given instead (``edge``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.ops import activation, losses, normal_distribution, units
from autograd_core.primitive import bind, guarded, guarded_twice_p

from .arithmetic import by_elements
from .case import OpCase, integers, normal, operands
from .exceptions import COMPLEX, WHOLE

INF, NAN = math.inf, math.nan
STATED = "the gradient that is given here is a choice, which the case states"


def fixed(*values: Any) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """The same operands always."""
    return lambda rng: tuple(np.array(v, dtype=None if np.iscomplexobj(v) else np.float64) for v in values)


def at_edge(
    name: str, fn: Any, values: tuple[Any, ...], result: Any, *gradients: Any, not_in: tuple[str, ...] = ()
) -> OpCase:
    """Results and gradients at operands where there is no derivative, written out."""
    return OpCase(
        name,
        fn,
        fixed(*values),
        lambda *xs: np.array(result, dtype=np.float64),
        no_torch=STATED,
        no_jax=STATED,
        order=0,
        edge=lambda *xs: tuple(np.array(g, dtype=np.float64) for g in gradients),
        not_empty="its reference is a list of these very values",
        not_in=dict.fromkeys((*WHOLE, *COMPLEX, *not_in), STATED),
    )


def negative(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: -rng.uniform(0.5, 2.0, shape)


def far_erfcx(x: float, first: int = 0) -> float:
    """erfcx by its asymptotic series, sum of (-1)^k (2k - 1)!! / (2 x^2)^k over x sqrt(pi), from term ``first`` on."""
    term, total = 1.0, 0.0
    for k in range(12):
        total += term if k >= first else 0.0
        term *= -(2 * k + 1) / (2 * x * x)
    return total / (x * math.sqrt(math.pi))


def far_erfcx_slope(x: float) -> float:
    """2 x erfcx(x) - 2 / sqrt(pi): the series without its first term, which cancels."""
    return 2 * x * far_erfcx(x, first=1)


def put_last(x: np.ndarray, i: np.ndarray, v: np.ndarray) -> np.ndarray:
    result = x.copy()
    result[:, :, i] = v
    return result


def add_last(x: np.ndarray, i: np.ndarray, v: np.ndarray) -> np.ndarray:
    result = x.copy()
    np.add.at(result, (slice(None), slice(None), i), v)
    return result


def every_but_last(torch: Any, x: Any, i: Any) -> tuple[Any, ...]:
    """The indices of PyTorch for x[:, :, i]."""
    ones = [1] * i.ndim
    return torch.arange(x.shape[0]).reshape(-1, 1, *ones), torch.arange(x.shape[1]).reshape(-1, *ones), i


CASES: list[OpCase] = [
    OpCase(
        "copysign/of negative numbers",
        ag.copysign,
        operands(negative(5), normal(5)),
        by_elements(math.copysign),
        lambda torch, x, y: torch.copysign(x, y),
        elementwise=2,
    ),
    at_edge("copysign/of 0", ag.copysign, ([0.0, 0.0], [1.0, -1.0]), [0.0, -0.0], [0.0, 0.0], [0.0, 0.0]),
    at_edge("pow/number 0 of 0", lambda x: x**0, ([0.0, 2.0],), [1.0, 1.0], [0.0, 0.0]),
    at_edge("pow/of 0", ag.pow, ([0.0, 0.0, 0.0], [0.0, 1.0, 2.0]), [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
    at_edge("hypot/at 0", ag.hypot, ([0.0, 3.0], [0.0, 4.0]), [0.0, 5.0], [0.0, 0.6], [0.0, 0.8]),
    at_edge("atan2/at 0", ag.atan2, ([0.0, 0.0], [0.0, 2.0]), [0.0, 0.0], [0.0, 0.5], [0.0, 0.0]),
    OpCase(
        "acosh/left half-plane",
        ag.acosh,
        fixed([-1.5 + 0.5j, -0.25 - 2.0j, -2.0 + 0.1j, 0.5 + 1.0j]),
        np.arccosh,
        lambda torch, x: torch.acosh(x),
        not_in=dict.fromkeys((*WHOLE, "float16", "bfloat16", "float32", "float64"), "it is about complex numbers"),
    ),
    at_edge(
        "xlogy/at 0", ag.xlogy, ([0.0, 0.0, 0.0], [3.0, 1.0, NAN]), [0, 0, NAN], [math.log(3), 0, NAN], [0, 0, NAN]
    ),
    at_edge(
        "xlog1py/at 0",
        ag.xlog1py,
        ([0.0, 0.0, 0.0], [2.0, 0.0, NAN]),
        [0, 0, NAN],
        [math.log(3), 0, NAN],
        [0, 0, NAN],
    ),
    at_edge(
        "std/equal elements",
        lambda x: ag.std(x, axis=1),
        ([[2.0, 2.0], [1.0, 3.0]],),
        [0.0, 1.0],
        [[0.0, 0.0], [-0.5, 0.5]],
    ),
    at_edge("max/ties", lambda x: ag.max(x, axis=1), ([[1.0, 1.0], [0.0, 2.0]],), [1.0, 2.0], [[0.5, 0.5], [0.0, 1.0]]),
    at_edge("min/ties", lambda x: ag.min(x, axis=0), ([[1.0, 0.0], [1.0, 2.0]],), [1.0, 0.0], [[0.5, 1.0], [0.5, 0.0]]),
    at_edge(
        "logsumexp/of nothing but -inf",
        lambda x: ag.logsumexp(x, axis=1),
        ([[-INF, -INF], [0.0, 0.0]],),
        [-INF, math.log(2)],
        [[0.0, 0.0], [0.5, 0.5]],
    ),
    OpCase(
        "softplus/linear from a threshold on",
        lambda x: activation.softplus(x, beta=2.0, threshold=3.0),
        fixed([-2.0, 0.5, 1.4, 1.6, 2.5, 4.0]),
        by_elements(lambda x: x if 2 * x > 3 else math.log1p(math.exp(2 * x)) / 2),
        lambda torch, x: torch.nn.functional.softplus(x, beta=2.0, threshold=3.0),
        elementwise=1,
    ),
    OpCase(
        "elu/far from 0",
        lambda x: units.elu(x, alpha=0.5),
        fixed([-800.0, -2.0, 3.0, 800.0]),
        by_elements(lambda x: x if x > 0 else 0.5 * math.expm1(x)),
        lambda torch, x: torch.nn.functional.elu(x, alpha=0.5),
    ),
    OpCase(
        "mish/far from 0",
        activation.mish,
        fixed([-40.0, 15.0, 25.0, 45.0, 400.0]),
        by_elements(lambda x: x * math.tanh(math.log1p(math.exp(min(x, 300.0))))),
        lambda torch, x: torch.nn.functional.mish(x),
    ),
    OpCase(
        "broadcast_to/axes of length 1 that stay",
        lambda x: ag.broadcast_to(x, (4, 1, 3)),
        operands(normal(1, 3)),
        lambda x: np.broadcast_to(x, (4, 1, 3)),
        lambda torch, x: x.broadcast_to(4, 1, 3),
    ),
    OpCase(
        "broadcast_to/behind an axis of length 1",
        lambda x: ag.broadcast_to(x, (1, 5)),
        operands(normal(1)),
        lambda x: np.broadcast_to(x, (1, 5)),
        lambda torch, x: x.broadcast_to(1, 5),
    ),
    OpCase(
        "broadcast_to/before an axis of length 1",
        lambda x: ag.broadcast_to(x, (3, 2, 1)),
        operands(normal(1, 1)),
        lambda x: np.broadcast_to(x, (3, 2, 1)),
        lambda torch, x: x.broadcast_to(3, 2, 1),
    ),
    OpCase(
        "broadcast_to/itself",
        lambda x: ag.multiply(ag.broadcast_to(x, (2, 3, 2)), ag.broadcast_to(x, (5, 2, 3, 2))),
        operands(normal(2, 1, 2)),
        lambda x: np.broadcast_to(x * x, (5, 2, 3, 2)),
        lambda torch, x: (x * x).broadcast_to(5, 2, 3, 2),
    ),
    OpCase(
        "take/last of three axes",
        lambda x, i: ag.take(x, i, axis=2),
        operands(normal(2, 3, 4), integers(0, 4, 2)),
        lambda x, i: np.take(x, i, axis=2),
        lambda torch, x, i: x[:, :, i],
    ),
    OpCase(
        "take_along_axis/middle of three axes",
        lambda x, i: ag.take_along_axis(x, i, axis=1),
        operands(normal(2, 4, 3), integers(0, 4, 2, 2, 3)),
        lambda x, i: np.take_along_axis(x, i, axis=1),
        lambda torch, x, i: torch.take_along_dim(x, i, 1),
    ),
    OpCase(
        "at/set by indices of the last axis",
        lambda x, i, v: x.at[:, :, i].set(v),
        lambda rng: (
            rng.standard_normal((2, 3, 5)),
            rng.permutation(5)[:4].reshape(2, 2),
            rng.standard_normal((2, 3, 2, 2)),
        ),
        put_last,
        lambda torch, x, i, v: x.index_put(every_but_last(torch, x, i), v),
    ),
    OpCase(
        "at/add by indices of the last axis",
        lambda x, i, v: x.at[:, :, i].add(v),
        operands(normal(2, 3, 4), integers(0, 4, 3, 2), normal(2, 3, 3, 2)),
        add_last,
        lambda torch, x, i, v: x.index_put(every_but_last(torch, x, i), v, accumulate=True),
    ),
    at_edge(
        "erfcx/far from 0",
        lambda x: normal_distribution.erfcx(x) * 1e6,
        ([50.5, 80.0, 400.0],),
        [1e6 * far_erfcx(x) for x in (50.5, 80.0, 400.0)],
        [1e6 * far_erfcx_slope(x) for x in (50.5, 80.0, 400.0)],
        not_in=("float16",),
    ),
    at_edge("xlogy/of a 0", lambda x: ag.xlogy(0.0, x), ([0.0, 3.0],), [0.0, 0.0], [0.0, 0.0]),
    at_edge("xlog1py/of a 0", lambda x: ag.xlog1py(0.0, x), ([-1.0, 3.0],), [0.0, 0.0], [0.0, 0.0]),
    at_edge(
        "vector_norm/at 0",
        lambda x: ag.linalg.vector_norm(x, axis=1),
        ([[0.0, 0.0], [0.6, 0.8]],),
        [0.0, 1.0],
        [[0.0, 0.0], [0.6, 0.8]],
    ),
    at_edge(
        "binary_cross_entropy/certain and wrong",
        lambda x, target: losses.binary_cross_entropy(x, target, reduction="none"),
        ([0.0, 0.25, 1.0], [1.0, 0.0, 0.0]),
        [100.0, -math.log(0.75), 100.0],
        [-1e12, 1 / 0.75, 1e12],
        [100.0, math.log(3), -100.0],
        not_in=("float16", "bfloat16"),
    ),
    at_edge(
        "guarded/closed before infinity",
        lambda gate, x: guarded(gate, x)[1:],
        ([0.0, 3.0], [INF, 2.0]),
        [6.0],
        [0.0, 2.0],
        [0.0, 3.0],
    ),
    OpCase(
        "guarded/complex",
        guarded,
        fixed([1.0 + 2.0j, -0.5j], [0.5 - 1.0j, 2.0 + 1.0j]),
        np.multiply,
        no_torch="an inner product of the rules",
    ),
    OpCase(
        "guarded_twice/complex",
        lambda x, y: bind(guarded_twice_p, (x, y), {}),
        fixed([1.0 + 2.0j, -0.5j], [0.5 - 1.0j, 2.0 + 1.0j]),
        np.multiply,
        no_torch="an inner product of the rules",
    ),
]

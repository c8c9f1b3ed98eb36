"""What derivatives are where they are not obvious: at 0, at ties, at infinity, at masks; the same in every mode.

One table: a function, a point, its gradient there by the convention that the function's documentation states. Where a
slope is infinite the table says so; what is nowhere allowed is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from engine_tools import f64

import autograd_core as ag
from autograd_core.nn import functional as F

inf = math.inf

Case = tuple[str, Callable[[ag.Tensor], ag.Tensor], list, list]


def cosine(x: ag.Tensor) -> ag.Tensor:
    return F.cosine_similarity(x[None], ag.ones((1, 2), dtype="float64"))


def diagonal(*entries: float) -> list[float]:
    return np.diag(entries).ravel().tolist()


def matrix(f: Callable[[ag.Tensor], ag.Tensor]) -> Callable[[ag.Tensor], ag.Tensor]:
    """A function of a square matrix as one of its elements."""

    def g(x: ag.Tensor) -> ag.Tensor:
        n = math.isqrt(x.size)
        return f(x.reshape((n, n)))

    return g


def masked_attention(x: ag.Tensor) -> ag.Tensor:
    """One query that may look at nothing, one that may look at the first key alone."""
    q = x.reshape((2, 1))
    mask = ag.tensor([[False, False], [True, False]])
    return F.scaled_dot_product_attention(q, ag.ones((2, 1), dtype="float64"), q, attn_mask=mask)


AT_ZERO: list[Case] = [
    ("sqrt", ag.sqrt, [0.0, 4.0], [inf, 0.25]),
    ("sqrt behind where", lambda x: ag.where(x > 0, ag.sqrt(x), 0.0), [0.0, -1.0, 4.0], [0.0, 0.0, 0.25]),
    ("sqrt of a square", lambda x: ag.sqrt(x * x + 0.0), [3.0], [1.0]),
    ("log behind where", lambda x: ag.where(x > 0, ag.log(x), x), [0.0, 2.0], [1.0, 0.5]),
    ("division behind where", lambda x: ag.where(x == 0, 1.0, ag.sin(x) / x), [0.0], [0.0]),
    ("0 ** 0 in the base", lambda x: x ** ag.zeros(2, dtype="float64"), [0.0, 2.0], [0.0, 0.0]),
    ("0 ** 0 in the exponent", lambda x: ag.zeros(2, dtype="float64") ** x, [0.0, 2.0], [0.0, 0.0]),
    ("x ** 1 at 0", lambda x: x**1, [0.0], [1.0]),
    ("x ** 2 at 0", lambda x: x**2.0, [0.0], [0.0]),
    ("x ** 0.5 at 0", lambda x: x**0.5, [0.0], [inf]),
    ("abs", ag.abs, [0.0, -2.0], [0.0, -1.0]),
    ("sign", ag.sign, [0.0, -2.0], [0.0, 0.0]),
    ("hypot", lambda x: ag.hypot(x[0], x[1]), [0.0, 0.0], [0.0, 0.0]),
    ("hypot on an axis", lambda x: ag.hypot(x[0], x[1]), [3.0, 0.0], [1.0, 0.0]),
    ("atan2 on the axis", lambda x: ag.atan2(x[0], x[1]), [0.0, 2.0], [0.5, 0.0]),
    ("sinc", ag.sinc, [0.0], [0.0]),
    ("xlogy", lambda x: ag.xlogy(x, 2.0), [0.0], [math.log(2)]),
    ("xlogy at 0, 0", lambda x: ag.xlogy(ag.zeros(1, dtype="float64"), x), [0.0], [0.0]),
    ("relu", F.relu, [0.0, -1.0, 1.0], [0.0, 0.0, 1.0]),
    ("elu", F.elu, [0.0], [1.0]),
    ("softplus", F.softplus, [0.0, 800.0, -800.0], [0.5, 1.0, 0.0]),
    ("cbrt", ag.cbrt, [0.0, 8.0], [inf, 1 / 12]),
]

NORMS: list[Case] = [
    ("norm", ag.linalg.vector_norm, [0.0, 0.0], [0.0, 0.0]),
    ("norm of order 1", lambda x: ag.linalg.vector_norm(x, ord=1), [0.0, -3.0], [0.0, -1.0]),
    ("norm of order 3", lambda x: ag.linalg.vector_norm(x, ord=3), [0.0, 0.0], [0.0, 0.0]),
    ("norm of order inf", lambda x: ag.linalg.vector_norm(x, ord=inf), [2.0, -2.0], [0.5, -0.5]),
    ("frobenius norm", matrix(ag.linalg.matrix_norm), [0.0] * 4, [0.0] * 4),
    ("std of equal values", lambda x: ag.std(x), [2.0, 2.0], [0.0, 0.0]),
    ("distance to itself", lambda x: ag.cdist(x[None], x[None].detach()), [1.0, 2.0], [0.0, 0.0]),
    ("normalized zeros", lambda x: F.normalize(x, dim=0), [0.0, 0.0], [1e12, 1e12]),
    ("cosine of zeros", cosine, [0.0, 0.0], [1e8 / math.sqrt(2)] * 2),
]

TIES: list[Case] = [
    ("max", ag.max, [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
    ("min", ag.min, [1.0, 1.0, 3.0], [0.5, 0.5, 0.0]),
    ("maximum", lambda x: ag.maximum(x, ag.flip(x)), [2.0, 2.0], [1.0, 1.0]),
    ("clip at its limit", lambda x: ag.clip(x, 0.0, 1.0), [0.0, 1.0, 2.0, 0.5], [1.0, 1.0, 0.0, 1.0]),
    ("sort", lambda x: ag.sort(x) * f64([1.0, 10.0, 100.0]), [2.0, 2.0, 1.0], [10.0, 100.0, 1.0]),
    ("prod with a zero", ag.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    ("prod with two zeros", ag.prod, [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    ("cumulative_prod with a zero", ag.cumulative_prod, [2.0, 0.0, 3.0], [1.0, 8.0, 0.0]),
    ("floor", ag.floor, [1.0, 1.5], [0.0, 0.0]),
]

INFINITE: list[Case] = [
    ("logsumexp with -inf", ag.logsumexp, [-inf, 0.0], [0.0, 1.0]),
    ("logsumexp of nothing but -inf", ag.logsumexp, [-inf, -inf], [0.0, 0.0]),
    ("softmax with -inf", lambda x: F.softmax(x, 0) * f64([5.0, 1.0, 0.0]), [-inf, 0.0, 0.0], [0.0, 0.25, -0.25]),
    ("log_softmax with -inf, not taken", lambda x: F.log_softmax(x, 0)[1:], [-inf, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ("logaddexp of -inf", lambda x: ag.logaddexp(x[0], x[1]), [-inf, -inf], [0.5, 0.5]),
    ("sigmoid far out", F.sigmoid, [-1000.0, 1000.0], [0.0, 0.0]),
    ("logsigmoid far out", F.logsigmoid, [-1000.0, 1000.0], [1.0, 0.0]),
    ("tanh far out", ag.tanh, [-1000.0, 1000.0], [0.0, 0.0]),
    ("arccos at 1", ag.acos, [1.0], [-inf]),
    ("attention that sees nothing", masked_attention, [1.0, 2.0], [1.0, 0.0]),
    ("bce with logits far out", lambda x: F.binary_cross_entropy_with_logits(x, f64([1.0])), [-900.0], [-1.0]),
    ("cross entropy far out", lambda x: F.cross_entropy(x[None], ag.tensor([0])), [-900.0, 0.0], [-1.0, 1.0]),
]

MATRICES: list[Case] = [
    ("det of rank n - 1", matrix(ag.linalg.det), diagonal(0.0, 2.0), diagonal(2.0, 0.0)),
    ("det of rank n - 2", matrix(ag.linalg.det), diagonal(0.0, 0.0, 5.0), diagonal(0.0, 0.0, 0.0)),
    ("det of zeros", matrix(ag.linalg.det), [0.0], [1.0]),
    ("sum of equal eigenvalues", matrix(ag.linalg.eigvalsh), diagonal(2.0, 2.0), diagonal(1.0, 1.0)),
    ("sum of equal singular values", matrix(ag.linalg.svdvals), diagonal(3.0, 3.0), diagonal(1.0, 1.0)),
    ("trace", matrix(ag.linalg.trace), diagonal(1.0, 1.0), diagonal(1.0, 1.0)),
]

CASES = [*AT_ZERO, *NORMS, *TIES, *INFINITE, *MATRICES]
every_case = pytest.mark.parametrize(("f", "x", "slope"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])

MODES: dict[str, Callable] = {
    "reverse": ag.grad,
    "forward": ag.jacfwd,
    "batched": lambda f: lambda x: ag.vmap(ag.grad(f))(ag.stack([x, x]))[1],
    "recorded": lambda f: lambda x: ag.vjp(lambda z: ag.grad(f)(z), x)[0],
    "checkpointed": lambda f: ag.grad(ag.checkpoint(f)),
}


@every_case
@pytest.mark.parametrize("mode", MODES)
def test_the_slope_is_what_is_documented(mode: str, f: Callable, x: list, slope: list) -> None:
    found = MODES[mode](lambda x: f(x).sum())(f64(x)).numpy()
    np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-12)


# Where the slope is finite, its own derivative is not NaN either, but for these.
NO_SECOND = {
    "sum of equal eigenvalues": "the slope of eigenvectors divides by differences of eigenvalues, as documented",
    "sum of equal singular values": "the slope of singular vectors divides by differences of singular values",
}
SECOND = [c for c in CASES if np.isfinite([*c[2], *c[3]]).all() and c[0] not in NO_SECOND]


@pytest.mark.parametrize(("f", "x"), [c[1:3] for c in SECOND], ids=[c[0] for c in SECOND])
@pytest.mark.parametrize("outer", [ag.jacfwd, ag.jacrev])
def test_the_second_derivative_is_a_number(outer: Callable, f: Callable, x: list) -> None:
    found = outer(ag.grad(lambda x: f(x).sum()))(f64(x)).numpy()
    assert not np.isnan(found).any(), found

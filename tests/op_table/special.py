"""Cases of special functions, against sums, integrals and products that define them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import special

from .arithmetic import by_elements
from .case import OpCase, operands, uniform


def case(
    name: str, draw: Callable, reference: Callable[[float], float], torch: Callable | None = None, no_torch: str = ""
) -> OpCase:
    """A function of one operand, compared element by element; in PyTorch it is among the special functions."""
    function = name.partition("/")[0]
    return OpCase(
        name,
        getattr(special, function, None) or getattr(ag, function),
        operands(draw),
        by_elements(reference),
        None if no_torch else torch or (lambda torch, x: getattr(torch.special, function)(x)),
        no_torch=no_torch,
        elementwise=1,
    )


def integral(f: Callable[[float], float], low: float, high: float) -> float:
    """Gauss's formula on 60 pieces: exact to the last digits for smooth functions."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(low, high, 61)
    half = (edges[1] - edges[0]) / 2
    return sum(half * w * f(a + half * (1 + t)) for a in edges[:-1] for t, w in zip(nodes, weights, strict=True))


def bessel(n: int) -> Callable[[float], float]:
    return lambda x: sum((x / 2) ** (2 * k + n) / (math.factorial(k) * math.factorial(k + n)) for k in range(60))


def bisected(f: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where the rising function f takes the value."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < value else (low, middle)
    return middle


def digamma(x: float) -> float:
    """The logarithm at a distance, with Stirling's series, and the steps back."""
    if x < 0:
        return digamma(1 - x) - math.pi / math.tan(math.pi * x)
    far = x + 30
    series = 1 / 12 / far**2 - 1 / 120 / far**4 + 1 / 252 / far**6 - 1 / 240 / far**8
    return math.log(far) - 0.5 / far - series - sum(1 / (x + k) for k in range(30))


def polygamma(n: int) -> Callable[[float], float]:
    """The sum that defines it, the rest of it by the summation formula."""

    def value(x: float) -> float:
        s, far = n + 1, x + 400
        rest = far**-n / n + far**-s / 2 + s * far ** (-s - 1) / 12 - s * (s + 1) * (s + 2) * far ** (-s - 3) / 720
        return (-1) ** s * math.factorial(n) * (math.fsum((x + k) ** -s for k in range(400)) + rest)

    return value


def below_zero(n: int) -> Callable[[float], float]:
    """By steps to the right, where it is a sum."""
    return lambda x: (
        polygamma(n)(x + 8) - (-1) ** n * math.factorial(n) * math.fsum((x + k) ** -(n + 1) for k in range(8))
    )


def cumulative(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


INEXACT = "its trigamma has nine digits"


def away_from_poles(rng: np.random.Generator) -> np.ndarray:
    """Negative values away from the poles."""
    return rng.integers(-6, 0, 8) + rng.uniform(0.1, 0.9, 8)


def of_torch(name: str) -> Callable[..., Any]:
    return lambda torch, *xs: getattr(torch, name)(*xs)


CASES = [
    case("i0", uniform(-7.0, 7.0, 3, 4), bessel(0)),
    case("i0/large", uniform(8.5, 20.0, 3, 4), bessel(0)),
    case("i0e", uniform(-12.0, 12.0, 3, 4), lambda x: bessel(0)(x) * math.exp(-abs(x))),
    case("i1", uniform(-7.0, 7.0, 3, 4), bessel(1)),
    case("i1/large", uniform(8.5, 20.0, 3, 4), bessel(1)),
    case("i1e", uniform(-12.0, 12.0, 3, 4), lambda x: bessel(1)(x) * math.exp(-abs(x))),
    case("sinc", uniform(-3.0, 3.0, 3, 4), lambda x: math.sin(math.pi * x) / (math.pi * x)),
    OpCase(
        "sinc/at 0",
        ag.sinc,
        lambda rng: (np.array([0.0, 1e-9, -1e-3]),),
        by_elements(lambda x: 1 - (math.pi * x) ** 2 / 6),
        lambda torch, x: torch.sinc(x.double()),
        differentiable=(),
        why_not="PyTorch's slope near 0 has few digits; ours is tested apart",
    ),
    case("lgamma", uniform(0.1, 9.0, 3, 4), math.lgamma, of_torch("lgamma")),
    case(
        "lgamma/negative",
        away_from_poles,
        math.lgamma,
        of_torch("lgamma"),
    ),
    case("digamma", uniform(0.1, 9.0, 3, 4), digamma, no_torch=INEXACT),
    case("digamma/negative", away_from_poles, digamma, no_torch=INEXACT),
    *[
        OpCase(
            f"polygamma/{n}",
            lambda x, n=n: ag.polygamma(n, x),
            operands(uniform(0.5, 6.0, 3, 4)),
            by_elements(polygamma(n)),
            None if n == 1 else lambda torch, x, n=n: torch.polygamma(n, x),
            no_torch=INEXACT if n == 1 else "",
            elementwise=1,
        )
        for n in (1, 2, 3)
    ],
    *[
        OpCase(
            f"polygamma/{n}, negative",
            lambda x, n=n: ag.polygamma(n, x),
            lambda rng: (rng.integers(-6, 0, 8) + rng.uniform(0.2, 0.8, 8),),
            by_elements(below_zero(n)),
            no_torch="gives other values there: it sums over poles",
        )
        for n in (1, 2)
    ],
    OpCase(
        "multigammaln",
        lambda x: special.multigammaln(x, 3),
        operands(uniform(1.5, 6.0, 3, 4)),
        by_elements(lambda x: math.lgamma(x) + math.lgamma(x - 0.5) + math.lgamma(x - 1) + 1.5 * math.log(math.pi)),
        lambda torch, x: torch.special.multigammaln(x, 3),
        elementwise=1,
    ),
    case("erfinv", uniform(-0.95, 0.95, 3, 4), lambda x: bisected(math.erf, x, -6.0, 6.0)),
    case("erfcx", uniform(-2.0, 20.0, 3, 4), lambda x: math.exp(x * x) * math.erfc(x)),
    case(
        "erfcx/large",
        uniform(30.0, 90.0, 3, 4),
        lambda x: integral(lambda t: 2 / math.sqrt(math.pi) * math.exp(-t * t - 2 * x * t), 0.0, 1.0),
    ),
    case("ndtr", uniform(-4.0, 4.0, 3, 4), cumulative),
    case("ndtri", uniform(0.02, 0.98, 3, 4), lambda p: bisected(cumulative, p, -9.0, 9.0)),
    case(
        "log_ndtr",
        uniform(-8.0, 4.0, 3, 4),
        lambda x: math.log(cumulative(x)) if x < 0 else math.log1p(-cumulative(-x)),
    ),
    case("entr", uniform(0.1, 2.0, 3, 4), lambda x: -x * math.log(x)),
    case("logit", uniform(0.05, 0.95, 3, 4), lambda x: math.log(x) - math.log(1 - x)),
    OpCase(
        "logit/eps",
        lambda x: ag.logit(x, 0.2),
        lambda rng: (np.array([0.1, 0.3, 0.6, 0.95]),),
        by_elements(lambda x: math.log(min(max(x, 0.2), 0.8) / (1 - min(max(x, 0.2), 0.8)))),
        lambda torch, x: torch.logit(x, 0.2),
        no_jax="its logit takes no eps",
        elementwise=1,
    ),
    OpCase(
        "xlog1py",
        ag.xlog1py,
        operands(uniform(-2.0, 2.0, 3, 4), uniform(-0.8, 3.0, 3, 4)),
        lambda x, y: x * np.log1p(y),
        lambda torch, x, y: torch.special.xlog1py(x, y),
        elementwise=2,
    ),
]

"""Cases of arithmetic."""

from __future__ import annotations

import math

import numpy as np

import autograd_core as ag
from autograd_core.primitive import bind, guarded, guarded_twice_p

from .case import OpCase, complex_normal, integers, normal, operands, uniform


def away_from_zero(*shape: int):
    """Draws values of both signs with magnitudes in [0.5, 2)."""
    return lambda rng: rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def away_from_integers(*shape: int):
    """Draws values at least 0.1 from every whole number."""
    return lambda rng: rng.integers(-4, 4, shape) + rng.uniform(0.1, 0.9, shape)


def by_elements(f):
    """A scalar function of the standard library, element by element."""
    return np.vectorize(f, otypes=[np.float64])


def power_case(exponent: float, draw=None) -> OpCase:
    return OpCase(
        f"pow/number {exponent}",
        lambda x: x**exponent,
        operands(draw or uniform(0.3, 2.0, 3, 4)),
        by_elements(lambda x: math.pow(x, exponent)),
        lambda torch, x: x**exponent,
        elementwise=1,
    )


CASES = [
    OpCase("add", ag.add, operands(normal(2, 3), normal(2, 3)), np.add, lambda torch, x, y: x + y, elementwise=2),
    OpCase("add/broadcast", ag.add, operands(normal(2, 1, 3), normal(4, 1)), np.add, lambda torch, x, y: x + y),
    OpCase("add/scalar", lambda x: 2.5 + x, operands(normal(3)), lambda x: x + 2.5, lambda torch, x: x + 2.5),
    OpCase(
        "subtract",
        ag.subtract,
        operands(normal(2, 3), normal(2, 3)),
        np.subtract,
        lambda torch, x, y: x - y,
        elementwise=2,
    ),
    OpCase(
        "subtract/broadcast", ag.subtract, operands(normal(3), normal(2, 3)), np.subtract, lambda torch, x, y: x - y
    ),
    OpCase("subtract/scalar", lambda x: 2.5 - x, operands(normal(3)), lambda x: 2.5 - x, lambda torch, x: 2.5 - x),
    OpCase(
        "multiply",
        ag.multiply,
        operands(normal(2, 3), normal(2, 3)),
        np.multiply,
        lambda torch, x, y: x * y,
        elementwise=2,
    ),
    OpCase("multiply/broadcast", ag.multiply, operands(normal(), normal(2, 3)), np.multiply, lambda torch, x, y: x * y),
    OpCase("multiply/same operand twice", lambda x: x * x, operands(normal(2, 3)), np.square, lambda torch, x: x * x),
    OpCase(
        "divide",
        ag.divide,
        operands(normal(2, 3), away_from_zero(2, 3)),
        np.divide,
        lambda torch, x, y: x / y,
        elementwise=2,
    ),
    OpCase(
        "divide/broadcast",
        ag.divide,
        operands(normal(4, 1), away_from_zero(3)),
        np.divide,
        lambda torch, x, y: x / y,
    ),
    OpCase("divide/by a number", lambda x: x / 3, operands(normal(2, 3)), lambda x: x / 3, lambda torch, x: x / 3),
    OpCase(
        "divide/of a number", lambda x: 3 / x, operands(away_from_zero(2, 3)), lambda x: 3 / x, lambda torch, x: 3 / x
    ),
    OpCase(
        "floor_divide",
        ag.floor_divide,
        operands(away_from_integers(2, 3), lambda rng: rng.choice([-1.0, 1.0], (2, 3))),
        lambda x, y: np.floor(x / y),
        no_torch="PyTorch's floor_divide has no derivative; here it is 0",
        elementwise=2,
    ),
    OpCase(
        "floor_divide/integers",
        ag.floor_divide,
        operands(integers(-9, 9, 5), lambda rng: rng.choice([-3, 2], 5)),
        lambda x, y: np.floor(x / y).astype(np.int64),
        lambda torch, x, y: x // y,
        differentiable=(),
        why_not="integers",
    ),
    OpCase(
        "remainder",
        ag.remainder,
        operands(away_from_integers(2, 3), lambda rng: rng.choice([-1.0, 1.0], (2, 3))),
        lambda x, y: x - y * np.floor(x / y),
        lambda torch, x, y: torch.remainder(x, y),
        elementwise=2,
    ),
    OpCase("negative", ag.negative, operands(normal(2, 3)), np.negative, lambda torch, x: -x, elementwise=1),
    OpCase("positive", ag.positive, operands(normal(2, 3)), np.positive, lambda torch, x: +x, elementwise=1),
    OpCase("abs", ag.abs, operands(away_from_zero(2, 3)), np.fabs, lambda torch, x: abs(x), elementwise=1),
    OpCase("abs/at 0", ag.abs, operands(lambda rng: np.zeros(2)), np.fabs, lambda torch, x: abs(x), order=0),
    OpCase("sign", ag.sign, operands(away_from_zero(2, 3)), np.sign, lambda torch, x: torch.sign(x), elementwise=1),
    OpCase(
        "copysign",
        ag.copysign,
        operands(away_from_zero(2, 3), away_from_zero(2, 3)),
        by_elements(math.copysign),
        lambda torch, x, y: torch.copysign(x, y),
        elementwise=2,
    ),
    OpCase(
        "square", ag.square, operands(normal(2, 3)), lambda x: x * x, lambda torch, x: torch.square(x), elementwise=1
    ),
    OpCase(
        "reciprocal",
        ag.reciprocal,
        operands(away_from_zero(2, 3)),
        lambda x: x**-1.0,
        lambda torch, x: torch.reciprocal(x),
        elementwise=1,
    ),
    OpCase(
        "pow",
        ag.pow,
        operands(uniform(0.3, 2.0, 2, 3), normal(2, 3)),
        by_elements(math.pow),
        lambda torch, x, y: torch.pow(x, y),
        elementwise=2,
    ),
    OpCase(
        "pow/broadcast",
        ag.pow,
        operands(uniform(0.3, 2.0, 2, 1), normal(3)),
        by_elements(math.pow),
        lambda torch, x, y: torch.pow(x, y),
    ),
    OpCase(
        "pow/negative base",
        lambda x: ag.pow(x, ag.tensor([1.0, 2.0, 3.0, -2.0], dtype="float64")),
        operands(away_from_zero(2, 4)),
        lambda x: np.stack([x[:, 0], x[:, 1] ** 2, x[:, 2] ** 3, 1 / x[:, 3] ** 2], 1),
        lambda torch, x: torch.pow(x, torch.tensor([1.0, 2.0, 3.0, -2.0], dtype=torch.float64)),
    ),
    OpCase(
        "pow/of a number",
        lambda x: 3**x,
        operands(normal(2, 3)),
        lambda x: np.exp(x * np.log(3)),
        lambda torch, x: 3**x,
    ),
    OpCase(
        "float_power",
        ag.float_power,
        operands(uniform(0.3, 2.0, 2, 3), normal(3)),
        by_elements(math.pow),
        lambda torch, x, y: torch.float_power(x, y),
        own_dtype="its results are in double precision",
    ),
    OpCase(
        "float_power/number",
        lambda x: ag.float_power(x, -2),
        operands(integers(1, 5, 4)),
        by_elements(lambda x: x**-2.0),
        lambda torch, x: torch.float_power(x, -2),
        differentiable=(),
        why_not="integers",
        own_dtype="its results are in double precision",
    ),
    OpCase(
        "sgn",
        ag.sgn,
        operands(away_from_zero(2, 3)),
        np.sign,
        lambda torch, x: torch.sgn(x),
        jax=lambda jax, x: jax.numpy.sign(x),
        elementwise=1,
    ),
    OpCase(
        "sgn/complex",
        ag.sgn,
        operands(complex_normal(2, 3)),
        lambda z: z / np.sqrt(z.real**2 + z.imag**2),
        lambda torch, x: torch.sgn(x),
        no_jax="the slope of z / |z| is 0 in JAX",
    ),
    OpCase(
        "pow/integers",
        ag.pow,
        operands(integers(-4, 4, 5), integers(0, 4, 5)),
        lambda x, y: np.array([a**b for a, b in zip(x.tolist(), y.tolist(), strict=True)]),
        lambda torch, x, y: x**y,
        differentiable=(),
        why_not="integers",
    ),
    *(power_case(exponent, away_from_zero(3, 4)) for exponent in (0, 1, 2, 3, 4, 5, -1, -2, -3, 3.0)),
    *(power_case(exponent) for exponent in (0.5, -0.5, 1.5, 2.7, -1.3)),
    OpCase(
        "hypot",
        ag.hypot,
        operands(away_from_zero(2, 3), away_from_zero(2, 3)),
        by_elements(math.hypot),
        lambda torch, x, y: torch.hypot(x, y),
        elementwise=2,
    ),
    OpCase(
        "guarded",
        guarded,
        operands(away_from_zero(2, 3), normal(2, 3)),
        np.multiply,
        no_torch="an inner product of the rules",
    ),
    OpCase(
        "guarded_twice",
        lambda x, y: bind(guarded_twice_p, (x, y), {}),
        operands(away_from_zero(2, 3), away_from_zero(2, 3)),
        np.multiply,
        no_torch="an inner product of the rules",
    ),
]

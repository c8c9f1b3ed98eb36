"""Cases of linear equations, determinants, powers and exponentials of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matrix_references as by_hand
import numpy as np
from matrix_references import each

import autograd_core as ag
from autograd_core import linalg
from autograd_core.ops import determinants
from autograd_core.primitive import bind

from .case import OpCase, complex_normal, normal, operands

Draw = Callable[[np.random.Generator], np.ndarray]
INNER = "an inner step of other operations"
ONE_SHAPE = "it adds a constant of its shape"


def regular(*shape: int) -> Draw:
    """Matrices near twice the identity."""
    return lambda rng: 0.4 * rng.standard_normal(shape) + 2 * np.eye(shape[-1])


def complex_regular(*shape: int) -> Draw:
    return lambda rng: 0.3 * complex_normal(*shape)(rng) + 2 * np.eye(shape[-1])


def singular(rank: int, *shape: int) -> Draw:
    n = shape[-1]
    return lambda rng: rng.standard_normal((*shape[:-1], rank)) @ rng.standard_normal((*shape[:-2], rank, n))


def twice_one(xp: Any, like: Any, *shape: int) -> Any:
    """Twice the identity under another shape: what is near it is regular, however it lies in memory."""
    n = shape[0] if shape[0] ** 2 == math.prod(shape) else shape[0] * shape[1]
    return (2 * xp.eye(n, dtype=like.dtype)).reshape(shape)


def triangular(upper: bool, unitriangular: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    def kept(x: np.ndarray) -> np.ndarray:
        x = np.triu(x) if upper else np.tril(x)
        unit = np.eye(x.shape[-1], dtype=bool)
        return np.where(unit, 1, x) if unitriangular else x

    return kept


def equations(variant: str, a: Draw, b: Draw, **more: Any) -> OpCase:
    def reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        y = each(by_hand.solution)(a, b[:, None] if b.ndim == 1 else b)
        return y[..., 0] if b.ndim == 1 else y

    return OpCase(
        f"solve{variant}",
        linalg.solve,
        operands(a, b),
        reference,
        lambda torch, a, b: torch.linalg.solve(a, b),
        **more,
    )


def triangle(
    variant: str, a: Draw, b: Draw, *, upper: bool, left: bool = True, unitriangular: bool = False, **more: Any
) -> OpCase:
    options = {"upper": upper, "left": left, "unitriangular": unitriangular}

    def reference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a = triangular(upper, unitriangular)(a)
        return each(by_hand.solution)(a, b) if left else each(lambda a, b: b @ by_hand.inverse(a))(a, b)

    return OpCase(
        f"solve_triangular{variant}",
        lambda a, b: linalg.solve_triangular(a, b, **options),
        operands(a, b),
        reference,
        lambda torch, a, b: torch.linalg.solve_triangular(a, b, **options),
        no_jax="jax.scipy.linalg.solve_triangular does not broadcast, and has no right-hand form",
        **more,
    )


def from_factor(variant: str, upper: bool, factor: Draw, b: Draw) -> OpCase:
    def reference(b: np.ndarray, factor: np.ndarray) -> np.ndarray:
        f = triangular(upper)(factor)
        a = by_hand.adjoint(f) @ f if upper else f @ by_hand.adjoint(f)
        return each(by_hand.solution)(a, b)

    def ours(b: Any, factor: Any) -> Any:
        return linalg.cholesky_solve(b, factor, upper=upper)

    def theirs(torch: Any, b: Any, factor: Any) -> Any:  # whose gradient is not confined to the triangle
        return torch.cholesky_solve(b, factor.triu() if upper else factor.tril(), upper=upper)

    def in_jax(jax: Any, b: Any, factor: Any) -> Any:
        f = jax.numpy.triu(factor) if upper else jax.numpy.tril(factor)
        solve = jax.scipy.linalg.cho_solve
        return jax.vmap(lambda f, b: solve((f, not upper), b))(f, b) if b.ndim > 2 else solve((f, not upper), b)

    return OpCase(f"cholesky_solve{variant}", ours, operands(b, factor), reference, theirs, jax=in_jax)


def determinant(variant: str, draw: Draw, **more: Any) -> OpCase:
    return OpCase(
        f"det{variant}",
        linalg.det,
        operands(draw),
        each(by_hand.det),
        **({"torch": lambda torch, x: torch.linalg.det(x)} | more),
    )


def signed(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d = each(by_hand.det)(x)
    return d / np.abs(d), np.log(np.abs(d))


def power(n: int, draw: Draw, **more: Any) -> OpCase:
    def reference(x: np.ndarray) -> np.ndarray:
        y = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
        for _ in range(abs(n)):
            y = y @ (each(by_hand.inverse)(x) if n < 0 else x)
        return y

    return OpCase(
        f"matrix_power/{n}",
        lambda x: linalg.matrix_power(x, n),
        operands(draw),
        reference,
        lambda torch, x: torch.linalg.matrix_power(x, n),
        **more,
    )


def exponential(variant: str, draw: Draw, no_jax: str = "JAX takes seconds for it; one case is judged") -> OpCase:
    return OpCase(
        f"matrix_exp{variant}",
        linalg.matrix_exp,
        operands(draw),
        each(by_hand.exponential),
        lambda torch, x: torch.linalg.matrix_exp(x),
        jax=lambda jax, x: jax.scipy.linalg.expm(x),
        no_jax=no_jax,
    )


def cofactor_change(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The sum of what each element of t moves, by removing its row and column twice."""
    n = len(x)
    y = np.zeros_like(x)
    for i, j in np.ndindex(n, n):
        rest, moved = (np.delete(np.delete(z, i, 0), j, 1) for z in (x, t))
        y[i, j] = (-1) ** (i + j) * (by_hand.cofactors(rest) * moved).sum()
    return y


CASES = [
    OpCase(
        "inv",
        linalg.inv,
        operands(regular(2, 3, 3)),
        each(by_hand.inverse),
        lambda torch, x: torch.linalg.inv(x),
    ),
    OpCase(
        "inv/complex",
        linalg.inv,
        operands(complex_regular(2, 2, 2)),
        each(by_hand.inverse),
        lambda torch, x: torch.linalg.inv(x),
    ),
    equations("", regular(2, 3, 3), normal(2, 3, 2)),
    equations("/vector", regular(2, 3, 3), normal(3), no_jax="jax.numpy takes the vector for a stack of numbers"),
    OpCase(
        "solve/one matrix",
        lambda a, b: linalg.solve(a + twice_one(ag, a, 2, 2), b),
        operands(normal(2, 2), normal(2, 2, 3)),
        lambda a, b: each(by_hand.solution)(a + 2 * np.eye(2), b),
        lambda torch, a, b: torch.linalg.solve(a + twice_one(torch, a, 2, 2), b),
        not_empty=ONE_SHAPE,
    ),
    equations("/one right-hand side", regular(2, 2, 2), normal(2, 3)),
    equations("/broadcast stacks", regular(2, 1, 2, 2), normal(3, 2, 1)),
    equations("/complex", complex_regular(2, 2, 2), complex_normal(2, 2, 2)),
    triangle("/upper", regular(2, 3, 3), normal(2, 3, 2), upper=True),
    triangle("/lower", regular(2, 3, 3), normal(2, 3, 2), upper=False),
    triangle("/right", regular(2, 3, 3), normal(2, 2, 3), upper=True, left=False),
    triangle("/unit diagonal", normal(2, 3, 3), normal(3, 2), upper=False, unitriangular=True),
    triangle("/unit diagonal on the right", normal(2, 2), normal(2, 1, 2), upper=True, unitriangular=True, left=False),
    triangle("/complex", complex_regular(2, 2, 2), complex_normal(2, 2, 2), upper=True),
    from_factor("/lower", False, regular(2, 3, 3), normal(2, 3, 2)),
    from_factor("/upper", True, regular(2, 2, 2), normal(2, 2, 2)),
    from_factor("/lower complex", False, complex_regular(1, 2, 2), complex_normal(1, 2, 2)),
    from_factor("/upper complex", True, complex_regular(1, 2, 2), complex_normal(1, 2, 2)),
    OpCase(
        "tensorsolve",
        lambda a, b: linalg.tensorsolve(a + twice_one(ag, a, 2, 2, 4), b),
        operands(normal(2, 2, 4), normal(2, 2)),
        lambda a, b: by_hand.solution(a.reshape(4, 4) + 2 * np.eye(4), b.reshape(4, 1)).reshape(4),
        lambda torch, a, b: torch.linalg.tensorsolve(a + twice_one(torch, a, 2, 2, 4), b),
        not_empty=ONE_SHAPE,
    ),
    OpCase(
        "tensorsolve/axes",
        lambda a, b: linalg.tensorsolve(a + twice_one(ag, a, 4, 2, 2), b, axes=(0,)),
        operands(normal(4, 2, 2), normal(2, 2)),
        lambda a, b: by_hand.solution((a.reshape(4, 4) + 2 * np.eye(4)).T, b.reshape(4, 1)).reshape(4),
        lambda torch, a, b: torch.linalg.tensorsolve(a + twice_one(torch, a, 4, 2, 2), b, dims=(0,)),
        not_empty=ONE_SHAPE,
    ),
    OpCase(
        "tensorinv",
        lambda a: linalg.tensorinv(a + twice_one(ag, a, 4, 2, 2), ind=1),
        operands(normal(4, 2, 2)),
        lambda a: by_hand.inverse(a.reshape(4, 4) + 2 * np.eye(4)).reshape(2, 2, 4),
        lambda torch, a: torch.linalg.tensorinv(a + twice_one(torch, a, 4, 2, 2), ind=1),
        not_empty=ONE_SHAPE,
    ),
    determinant("", regular(2, 3, 3)),
    determinant("/number", normal(2, 1, 1)),
    determinant("/one rank missing", singular(2, 2, 3, 3), torch=None, no_torch="its gradient there is 0"),
    determinant("/rank one", singular(1, 1, 3, 3), torch=None, no_torch="its gradient there is 0"),
    determinant("/zeros", lambda rng: np.zeros((2, 2, 2)), torch=None, no_torch="its gradient there is NaN"),
    determinant("/identity", lambda rng: np.eye(3)[None]),
    determinant("/complex", complex_normal(2, 2, 2)),
    OpCase(
        "cofactors",
        lambda x: bind(determinants.cofactors_p, (x,), {}),
        operands(normal(2, 3, 3)),
        each(by_hand.cofactors),
        no_torch=INNER,
    ),
    OpCase(
        "cofactor_change",
        lambda x, t: bind(determinants.cofactor_change_p, (x, t), {}),
        operands(regular(2, 3, 3), normal(2, 3, 3)),
        each(cofactor_change),
        no_torch=INNER,
        not_empty="both operands have one shape",
    ),
    OpCase(
        "cofactor_change/complex",
        lambda x, t: bind(determinants.cofactor_change_p, (x, t), {}),
        operands(complex_regular(1, 2, 2), complex_normal(1, 2, 2)),
        each(cofactor_change),
        no_torch=INNER,
        not_empty="both operands have one shape",
    ),
    OpCase(
        "slogdet",
        linalg.slogdet,
        operands(regular(2, 3, 3)),
        signed,
        lambda torch, x: torch.linalg.slogdet(x),
    ),
    OpCase(
        "slogdet/complex",
        linalg.slogdet,
        operands(complex_regular(2, 2, 2)),
        signed,
        lambda torch, x: torch.linalg.slogdet(x),
    ),
    OpCase(
        "logdet",
        linalg.logdet,
        operands(regular(2, 3, 3)),
        lambda x: np.log(each(by_hand.det)(x)),
        lambda torch, x: torch.logdet(x),
        jax=lambda jax, x: jax.numpy.linalg.slogdet(x)[1],
    ),
    power(3, normal(2, 2, 2)),
    power(6, normal(1, 2, 2)),
    power(1, normal(2, 2, 2)),
    power(-2, regular(2, 2, 2)),
    power(0, normal(2, 2, 2), differentiable=(), why_not="1, whatever x is"),
    exponential("", normal(2, 3, 3), no_jax=""),
    exponential("/large norm", lambda rng: 4 * normal(2, 2, 2)(rng)),
    exponential("/nilpotent", lambda rng: np.triu(normal(1, 3, 3)(rng), 1)),
    exponential("/complex", complex_normal(1, 2, 2)),
]

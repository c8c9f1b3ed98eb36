"""OpCase: one record an operation, the contract between its author and every check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autograd_core.aval import is_inexact


@dataclass(frozen=True)
class OpCase:
    """One way of calling one public function.

    name: the public function, with a variant after a slash: ``"sum/axis"``.
    fn: takes the operands as tensors, returns a tensor or a tuple of tensors.
    make: takes a NumPy Generator, returns the operands as a tuple of NumPy arrays; floating ones as float64 or
        complex128 and away from points where the derivative does not exist.
    reference: the same function of the NumPy arrays, by other means than ``fn`` (NumPy, SciPy, plain loops).
    torch: the same function, called with the torch module and torch tensors; or None, with the reason in ``no_torch``.
    differentiable: positions of the operands with a derivative; None for all floating ones, () for no derivative.
    why_not: the reason for every ``()``.
    edge: where there is no derivative (``order=0``), what is given for the gradients of the sum of the results instead,
        one for each differentiable operand, as a function of the NumPy arrays.
    order: highest order of derivative that exists and is checked.
    elementwise: how many operands broadcast, for the checks in which Hypothesis draws shapes and dtypes; 0 if not so.
    jax: the same function, called with the jax module and JAX's arrays; None where ``fn`` itself can be read in JAX's
        names (see ``op_jax``); ``no_jax``: the reason why JAX is not asked.
    no_vmap: the reason why vmap refuses it.
    not_in: dtype -> the reason why the case means nothing in it.
    not_empty: the reason why operands without elements mean nothing to the case.
    own_dtype: the reason why results have a dtype of their own, whatever that of the operands.
    """

    name: str
    fn: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    reference: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    no_torch: str = ""
    differentiable: tuple[int, ...] | None = None
    why_not: str = ""
    edge: Callable[..., Any] | None = None
    order: int = 2
    elementwise: int = 0
    jax: Callable[..., Any] | None = None
    no_jax: str = ""
    no_vmap: str = ""
    not_in: dict[str, str] = field(default_factory=dict, hash=False)
    not_empty: str = ""
    own_dtype: str = ""

    @property
    def function(self) -> str:
        """The public function that this is a case of."""
        return self.name.partition("/")[0]

    def argnums(self, operands: tuple[np.ndarray, ...]) -> tuple[int, ...]:
        """Positions of the operands to differentiate with respect to."""
        if self.differentiable is not None:
            return self.differentiable
        return tuple(i for i, x in enumerate(operands) if is_inexact(x.dtype))


def normal(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws standard normal values."""
    return lambda rng: rng.standard_normal(shape)


def complex_normal(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws complex values with standard normal parts."""
    return lambda rng: rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def uniform(low: float, high: float, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws uniform values in [low, high)."""
    return lambda rng: rng.uniform(low, high, shape)


def integers(low: int, high: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws integers in [low, high)."""
    return lambda rng: rng.integers(low, high, shape)


def distinct(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws values at least 0.1 apart, so that maxima and orders do not change under small steps."""
    return lambda rng: (rng.permutation(int(np.prod(shape))) * 0.1).reshape(shape) - 0.5


def operands(*draws: Callable[[np.random.Generator], np.ndarray]) -> Callable[..., tuple[np.ndarray, ...]]:
    """A ``make`` from one draw an operand."""
    return lambda rng: tuple(draw(rng) for draw in draws)

"""A row in JAX: one jitted function for the whole step, with Adam written out over the tree of parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..workloads import Workload
from .contestant import Contestant, norm
from .jax_rows import GRADIENTS, TRAINED, Loss


def build(row: Workload, *, device: str, compiled: bool, threads: int) -> Contestant:
    """``threads`` is obeyed through the cores that the worker may run on: XLA makes a thread for each."""
    data, parameters = row.problem()
    if row.trains:
        return _training(*TRAINED[row.name](data, parameters))
    return _gradients(*GRADIENTS[row.name](data, parameters))


def _training(loss: Loss, parameters: Any) -> Contestant:
    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        value, g = jax.value_and_grad(loss)(p)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

        return jax.tree.map(moved, p, m, v), m, v, t, value

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, jnp.zeros(())]

    def step() -> Any:
        nonlocal state
        *state, value = update(*state)
        return value.block_until_ready()

    return Contestant(step, lambda value: [float(value)])


def _gradients(loss: Loss, operands: tuple[Any, ...], others: tuple[Any, ...]) -> Contestant:
    """The gradients of ``loss(*operands, *others)`` with respect to the operands."""
    positions = tuple(range(len(operands)))
    operands = jax.tree.map(jnp.asarray, (*operands, *others))
    gradient = jax.jit(jax.grad(loss, positions))

    def values(gradients: Any) -> list[float]:
        norms = [norm(g) for g in jax.tree.leaves(gradients)]
        return [float(jax.jit(loss)(*operands)), *norms]

    return Contestant(lambda: jax.block_until_ready(gradient(*operands)), values)

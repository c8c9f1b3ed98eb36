"""A row in JAX: one jitted function for the whole step, with Adam written out over the tree of parameters."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp

from ..workloads import Workload
from ..workloads.workload import Arrays
from .contestant import HOSTS, Contestant, norm
from .jax_rows import GRADIENTS, TRAINED, TRAINED_BY_CUDNN, Loss

PRECISIONS = {"fp32": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}


def build(row: Workload, *, device: str, compiled: bool, threads: int, math: str = "fp32") -> Contestant:
    """``threads`` is obeyed through the cores that the worker may run on: XLA makes a thread for each.

    On a GPU products, convolutions and cuDNN's LSTM obey ``math``, but for bfloat16, of which that LSTM has none.
    """
    data, parameters = row.problem()
    trained = TRAINED
    device_bytes = None
    if device not in HOSTS:
        gpu = jax.devices("gpu")[0]
        jax.config.update("jax_default_device", gpu)
        jax.config.update("jax_default_matmul_precision", PRECISIONS[math])
        if math != "bf16":
            trained = {**TRAINED, **TRAINED_BY_CUDNN}
        device_bytes = lambda: int((gpu.memory_stats() or {}).get("peak_bytes_in_use", 0))  # noqa: E731
    if row.trains:
        contestant = _training(*trained[row.name](data, parameters), row.batches())
    else:
        contestant = _gradients(*GRADIENTS[row.name](data, parameters))
    if device in HOSTS:
        step = contestant.step
        return contestant._replace(step=lambda: jax.block_until_ready(step()))
    return contestant._replace(wait=jax.block_until_ready, device_bytes=device_bytes)


def _training(loss: Loss, parameters: Any, batches: list[Arrays]) -> Contestant:
    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any, *batch: Any) -> tuple[Any, ...]:
        value, g = jax.value_and_grad(loss)(p, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)

        return jax.tree.map(moved, p, m, v), m, v, t, value

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = [parameters, zeros, zeros, jnp.zeros(())]
    given: list[tuple[Any, ...]] = [(jax.tree.map(jnp.asarray, batch),) for batch in batches]
    turn = cycle(given or [()])

    def step() -> Any:
        nonlocal state
        *state, value = update(*state, *next(turn))
        return value

    return Contestant(step, lambda value: [float(value)])


def _gradients(loss: Loss, operands: tuple[Any, ...], others: tuple[Any, ...]) -> Contestant:
    """The gradients of ``loss(*operands, *others)`` with respect to the operands."""
    positions = tuple(range(len(operands)))
    operands = jax.tree.map(jnp.asarray, (*operands, *others))
    gradient = jax.jit(jax.grad(loss, positions))

    def values(gradients: Any) -> list[float]:
        norms = [norm(g) for g in jax.tree.leaves(gradients)]
        return [float(jax.jit(loss)(*operands)), *norms]

    return Contestant(lambda: gradient(*operands), values)

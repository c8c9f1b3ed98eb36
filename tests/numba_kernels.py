"""Kernels in Numba's CUDA Python beside their formulas: users' programs, as tests run them.

As a command, in a process whose Numba simulates CUDA (NUMBA_ENABLE_CUDASIM=1), it runs each on small grids and compares
with the formula's values in NumPy.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag
from autograd_core import nn

if __name__ == "__main__":
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

cuda: Any = None
with suppress(ImportError):  # tests that need it skip
    from numba import cuda


def huber_kernel(x: Any, y: Any, loss: Any) -> None:
    i = cuda.grid(1)
    if i < loss.size:
        error = abs(x[i] - y[i])
        loss[i] = error * error / 2 if error < 1 else error - x.dtype.type(0.5)


def huber(x: Any, y: Any) -> Any:
    error = ag.abs(x - y)
    return ag.where(error < 1, error * error / 2, error - 0.5)


def softmax_kernel(x: Any, y: Any, largest: Any) -> None:
    """One thread a row; the others have nothing to do."""
    row = cuda.grid(1)
    if row < x.shape[0]:
        most, total = x[row, 0], x.dtype.type(0)
        for j in range(x.shape[1]):
            if x[row, j] > most:
                most = x[row, j]
        for j in range(x.shape[1]):
            total += math.exp(x[row, j] - most)
        for j in range(x.shape[1]):
            y[row, j] = math.exp(x[row, j] - most) / total
        largest[row] = most


def softmax(x: Any) -> Any:
    return nn.functional.softmax(x, axis=-1), ag.max(x, axis=-1)


def total_kernel(x: Any, weight: Any, y: Any) -> None:
    """A block sums by way of shared memory."""
    partial = cuda.shared.array(64, np.float64)
    i = cuda.threadIdx.x
    mine = 0.0
    for k in range(i, x.size, 64):
        mine += x[k]
    partial[i] = mine
    cuda.syncthreads()
    half = 32
    while half:
        if i < half:
            partial[i] += partial[i + half]
        cuda.syncthreads()
        half //= 2
    if i == 0:
        y[()] = partial[0] * weight[()]


def total(x: Any, weight: Any) -> Any:
    return ag.sum(x) * weight


def counts_kernel(x: Any, limits: Any, below: Any) -> None:
    i = cuda.grid(1)
    if i < below.size:
        count = 0
        for k in range(x.size):
            if x[k] < limits[i]:
                count += 1
        below[i] = count


def counts(x: Any, limits: Any) -> Any:
    return ag.sum(ag.expand_dims(x, 0) < ag.expand_dims(limits, 1), axis=1)


class Program(NamedTuple):
    """A kernel with its formula. operands: by a generator."""

    kernel: Callable[..., None]
    formula: Callable[..., Any]
    operands: Callable[[np.random.Generator], list[np.ndarray]]
    threads: int = 64


def _draw(shape: Any, dtype: Any = np.float32) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: rng.standard_normal(shape).astype(dtype)


def _each(*draws: Callable[[np.random.Generator], np.ndarray]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [draw(rng) for draw in draws]


PROGRAMS = {
    "huber": Program(huber_kernel, huber, _each(_draw(100), _draw(100))),
    "huber, float64": Program(huber_kernel, huber, _each(_draw(70, np.float64), _draw(70, np.float64)), 32),
    "softmax with its maxima": Program(softmax_kernel, softmax, _each(_draw((5, 9)))),
    "a block's total": Program(total_kernel, total, _each(_draw(150, np.float64), _draw((), np.float64))),
    "counts": Program(counts_kernel, counts, _each(_draw(40), _draw(10))),
}


def expected(program: Program, operands: list[np.ndarray]) -> list[np.ndarray]:
    """The formula's values on the CPU."""
    y = program.formula(*map(ag.tensor, operands))
    return [t.numpy() for t in (y if isinstance(y, tuple) else (y,))]


def simulate() -> None:
    for name, program in PROGRAMS.items():
        operands = program.operands(np.random.default_rng(0))
        results = [np.full_like(a, 77) for a in expected(program, operands)]
        blocks = -(-results[0].size // program.threads)
        cuda.jit(program.kernel)[blocks, program.threads](*operands, *results)
        for y, declared in zip(results, expected(program, operands), strict=True):
            np.testing.assert_allclose(y, declared, rtol=1e-5, atol=1e-6, err_msg=name)
        print(name)


if __name__ == "__main__":
    sys.exit(simulate())

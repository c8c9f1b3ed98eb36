"""Native sums over alignments: the formula's losses and gradients, for sequences and labels of any lengths."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check

import autograd_core as ag
from autograd_core import nn
from autograd_core.ops.ctc import ctc_alignment_p, ctc_alignment_slope_p

SIZES = [(1, 1, 1), (1, 3, 3), (6, 2, 1), (9, 4, 7), (30, 5, 33), (12, 3, 16), (5, 40, 17)]
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def operands(number: int, dtype: str) -> list[np.ndarray]:
    """Log-probabilities of states, leaps, steps, lengths of labels; some sequences have no alignment, some no steps."""
    (steps, n, states), rng = SIZES[number], np.random.default_rng(number)
    e = np.log(rng.dirichlet(np.ones(states + 1), (steps, n))[..., :states])
    e[rng.random(e.shape) < 0.05] = -np.inf
    leaps = rng.random((n, states)) < 0.4
    leaps[:, :2] = False
    given = rng.integers(0, steps + 1, n), rng.integers(0, (states - 1) // 2 + 1, n)
    return [e.astype(dtype), leaps, *given]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("number", range(len(SIZES)))
def test_losses_and_gradients_are_the_formulas(number: int, dtype: str) -> None:
    level, threads = LEVELS[(number + (dtype == "float64")) % 3], THREADS[number // 2 % 3]
    given, how = operands(number, dtype), {"level": level, "threads": threads, "rtol": TOLERANCE[dtype]}
    g = np.random.default_rng(0).standard_normal(len(given[2])).astype(dtype)
    with np.errstate(over="ignore"):
        for impossible in (np.inf, 0.0):
            check(ctc_alignment_p, given, {"impossible": impossible}, **how)
        check(ctc_alignment_slope_p, [g, *given], {}, **how, atol=TOLERANCE[dtype])


def test_a_compiled_loss_of_sequences_needs_no_numpy() -> None:
    loss = nn.CTCLoss()

    def step(x: ag.Tensor, labels: ag.Tensor, steps: ag.Tensor, lengths: ag.Tensor) -> tuple[ag.Tensor, ...]:
        return ag.value_and_grad(lambda x: loss(nn.functional.log_softmax(x, 2), labels, steps, lengths))(x)

    with ag.default_device("cpu"):
        compiled, rng = ag.compile(step), np.random.default_rng(1)
        for _ in range(4):
            given = [
                ag.tensor(rng.standard_normal((150, 6, 12)).astype(np.float32)),
                ag.tensor(rng.integers(1, 12, (6, 20))),
                ag.tensor(rng.integers(100, 151, 6)),
                ag.tensor(rng.integers(1, 21, 6)),
            ]
            for found, expected in zip(compiled(*given), step(*given), strict=True):
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=2e-4, atol=1e-6)
        assert len(compiled.variants) == 1
        assert_native(compiled)

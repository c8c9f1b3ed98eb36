"""Activation functions where their formulas meet, at 0 and beside it: values and slopes are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn import functional as F

SINGLE = 3e-6  # PyTorch's slopes hold constants of single precision

torch = pytest.importorskip("torch")

# function and arguments -> where two formulas meet
MEETINGS: dict[tuple[str, tuple[float, ...]], list[float]] = {
    ("relu", ()): [0.0],
    ("relu6", ()): [0.0, 6.0],
    ("leaky_relu", (0.3,)): [0.0],
    ("rrelu", (0.2, 0.4)): [0.0],
    ("threshold", (0.5, -7.0)): [0.5],
    ("hardtanh", (-0.5, 2.0)): [-0.5, 2.0],
    ("hardswish", ()): [-3.0, 0.0, 3.0],
    ("elu", (0.7,)): [0.0],
    ("selu", ()): [0.0],
    ("celu", (0.7,)): [0.0],
    ("hardshrink", (0.5,)): [-0.5, 0.5],
    ("softshrink", (0.5,)): [-0.5, 0.5],
    ("softplus", (2.0, 4.0)): [2.0],
    ("softsign", ()): [0.0],
    ("tanhshrink", ()): [0.0],
    ("gelu", ()): [0.0],
    ("silu", ()): [0.0],
    ("mish", ()): [0.0],
    ("logsigmoid", ()): [0.0],
}


def both(name: str, arguments: tuple[Any, ...], points: np.ndarray) -> list[tuple[Any, Any]]:
    results = []
    for package, functions in ((ag, F), (torch, torch.nn.functional)):
        x = package.tensor(points, requires_grad=True)
        y = getattr(functions, name)(x, *arguments)
        y.sum().backward()
        results.append((y.detach().numpy(), x.grad.numpy()))
    return results


@pytest.mark.parametrize(("name", "arguments"), MEETINGS)
def test_values_and_slopes_are_pytorchs(name: str, arguments: tuple[Any, ...]) -> None:
    at = np.array(MEETINGS[name, arguments])
    points = np.concatenate([at, at + 1e-9, at - 1e-9, -at, [-100.0, 100.0]])
    ours, theirs = both(name, arguments, points)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=SINGLE if name in ("celu", "hardswish") else 1e-12, atol=1e-300)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gelu_has_slope_one_half_at_the_smallest_numbers(approximate: str, dtype: str) -> None:
    least = np.finfo(dtype).smallest_subnormal
    x = ag.tensor(np.array([least, -least, 0], dtype), requires_grad=True)
    F.gelu(x, approximate).sum().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0.5]


def test_a_learnt_slope_counts_at_0() -> None:
    gradients = []
    for package, functions in ((ag, F), (torch, torch.nn.functional)):
        x, w = (package.tensor(np.array(v), requires_grad=True) for v in ([[0.0, -2.0, 2.0]], [0.25]))
        functions.prelu(x, w).sum().backward()
        gradients.append([x.grad.numpy().tolist(), w.grad.numpy().tolist()])
    assert gradients[0] == gradients[1]


@pytest.mark.parametrize("name", ["relu", "elu", "selu", "celu", "silu", "mish", "leaky_relu", "relu6", "hardswish"])
def test_inplace_is_taken_and_changes_nothing(name: str) -> None:
    x = ag.tensor([-1.0, 2.0])
    assert getattr(F, name)(x, inplace=True).tolist() == getattr(F, name)(input=x).tolist()
    assert x.tolist() == [-1.0, 2.0]

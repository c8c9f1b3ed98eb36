"""The compiled updates give the formulas' numbers, whatever the arrays look like."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from autograd_core.ops.optimizer_updates import adam_update_p, sgd_update_p

pytest.importorskip("numba")

from autograd_core.backends.cpu.optimizer_kernels import KERNELS

SGD_OPTIONS = {"momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
ADAM_OPTIONS = {
    "beta1": 0.9,
    "beta2": 0.99,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decoupled_weight_decay": False,
    "maximize": False,
}
LR = np.array(0.1)


def arrays(dtype: str, *shape: int, count: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.asarray(np.abs(rng.standard_normal(shape)), dtype) for _ in range(count)]


def assert_agree(primitive: Any, operands: list[Any], options: dict[str, Any]) -> None:
    before = [np.array(x, copy=True) for x in operands]
    found = KERNELS[primitive](*operands, **options)
    with np.errstate(all="ignore"):
        expected = primitive.forward(np, *operands, **options)
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_array_max_ulp(x, y, maxulp=1)
    for x, y in zip(operands, before, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("decay", "maximize", "nesterov"), [*product([0, 0.1], [False, True], [False, True])])
def test_sgd(dtype: str, decay: float, maximize: bool, nesterov: bool) -> None:
    param, grad, buffer = arrays(dtype, 3, 70, count=3)
    options = {**SGD_OPTIONS, "weight_decay": decay, "maximize": maximize, "nesterov": nesterov}
    assert_agree(sgd_update_p, [param, grad, LR, buffer], options)


def test_sgd_without_momentum_and_with_dampening() -> None:
    param, grad, buffer = arrays("float32", 20, count=3)
    assert_agree(sgd_update_p, [param, grad, LR], {**SGD_OPTIONS, "momentum": 0})
    for step in (0.0, 1.0):
        operands = [param, grad, LR, buffer, np.array(step, np.float32)]
        assert_agree(sgd_update_p, operands, {**SGD_OPTIONS, "dampening": 0.5})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("decay", "decoupled", "maximize", "amsgrad"), [*product([0, 0.1], *[[False, True]] * 3)])
def test_adam(dtype: str, decay: float, decoupled: bool, maximize: bool, amsgrad: bool) -> None:
    param, grad, m, v, peak = arrays(dtype, 3, 70)
    options = {**ADAM_OPTIONS, "weight_decay": decay, "decoupled_weight_decay": decoupled, "maximize": maximize}
    operands = [param, grad, LR, m, v, np.array(4, np.float32), *([peak] if amsgrad else [])]
    assert_agree(adam_update_p, operands, options)


def test_adam_whose_mean_forgets_fast() -> None:
    operands = [*arrays("float32", 3, 70)[:2], LR, *arrays("float32", 3, 70)[2:4], np.array(4, np.float32)]
    for beta1 in (0.0, 0.25):
        assert_agree(adam_update_p, operands, {**ADAM_OPTIONS, "beta1": beta1})


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.T,
        lambda x: x[::-1, ::2],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x[:0],
        lambda x: x[0, 0],
        lambda x: np.asarray(x[0, 0]),
        lambda x: x.astype("float16"),
        lambda x: x.astype(">f4"),
    ],
    ids=["transposed", "strided", "broadcast", "empty", "scalar", "0-d", "half", "big-endian"],
)
def test_any_layout_and_dtype(look: Any) -> None:
    param, grad, m, v, _ = [np.asarray(look(x)) for x in arrays("float32", 6, 8)]
    assert_agree(sgd_update_p, [param, grad, LR, m], SGD_OPTIONS)
    assert_agree(adam_update_p, [param, grad, LR, m, v, np.array(0, np.float32)], ADAM_OPTIONS)


def test_state_of_another_dtype_than_the_parameter() -> None:
    param, grad, m, v, _ = arrays("float32", 6)
    m, v = m.astype("float64"), v.astype("float64")
    assert_agree(adam_update_p, [param, grad, LR, m, v, np.array(0, np.float32)], ADAM_OPTIONS)


def test_enough_elements_for_several_threads() -> None:
    param, grad, m, v, peak = arrays("float32", 150_001)
    assert_agree(sgd_update_p, [param, grad, LR, m], SGD_OPTIONS)
    assert_agree(adam_update_p, [param, grad, LR, m, v, np.array(9, np.float32), peak], ADAM_OPTIONS)


def test_not_a_number_stays_one() -> None:
    param, grad, m, v, peak = arrays("float32", 4)
    grad[0], v[1], m[2], peak[3] = np.nan, np.nan, np.inf, np.inf
    assert_agree(adam_update_p, [param, grad, LR, m, v, np.array(9, np.float32), peak], ADAM_OPTIONS)
    assert_agree(sgd_update_p, [param, grad, LR, m], {**SGD_OPTIONS, "weight_decay": 0.1})

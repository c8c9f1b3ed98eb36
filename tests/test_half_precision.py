"""Halves are stored, and computed in float32; dtypes that change by themselves can be refused."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim

HALVES = ("float16", "bfloat16")
halves = pytest.mark.parametrize("dtype", HALVES)


def test_bfloat16_is_a_dtype_of_this_name() -> None:
    assert str(ag.bfloat16) == "bfloat16"
    assert ag.ones(2, dtype=ag.bfloat16).dtype is ag.ones(2, dtype="bfloat16").dtype
    with pytest.raises(AttributeError, match="has no attribute 'bfloat17'"):
        _ = ag.bfloat17


@halves
def test_sums_do_not_stand_still(dtype: str) -> None:
    assert ag.ones(40000, dtype=dtype).sum().item() == pytest.approx(40000, rel=4e-3)
    assert ag.full((5000,), 0.01, dtype=dtype).mean().item() == pytest.approx(0.01, rel=4e-3)


@halves
def test_each_operation_rounds_once(dtype: str) -> None:
    x = ag.tensor(np.random.default_rng(0).standard_normal((8, 16)), dtype=dtype)
    for f in (ag.exp, ag.var, lambda x: x @ x.mT, lambda x: nn.functional.softmax(x, -1), nn.functional.gelu):
        assert f(x).dtype == x.dtype
        assert f(x).tolist() == f(x.float()).astype(dtype).tolist()


@halves
def test_gradients_come_in_the_same_dtype(dtype: str) -> None:
    x = ag.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    (x * x).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (x.dtype, [2.0, 4.0, 6.0])


def test_what_two_dtypes_become() -> None:
    b, h, f, i = (ag.ones(2, dtype=d) for d in ("bfloat16", "float16", "float32", "int64"))
    assert (b + h).dtype == (h + b).dtype == np.float32
    assert (b + f).dtype == np.float32
    assert (b + i).dtype == (i + b).dtype == ag.bfloat16
    assert (b + 1).dtype == (2.0 * b).dtype == ag.bfloat16
    assert (b > 0).dtype == np.bool_


@halves
def test_a_network_trains(dtype: str) -> None:
    with ag.random.fork(0):
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)
        x = ag.random.normal((32, 4)).astype(dtype)
    labels = ag.argmax(x[:, :3], axis=1)
    opt = optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), labels)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


# Strict dtypes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (lambda: ag.ones(2) + ag.ones(2, dtype="float64"), "add: .* float32 and float64 would become float64"),
        (lambda: ag.ones(2, dtype="int64") * 0.5, "multiply: .* int64 would become float32; cast one: x.astype"),
        (lambda: ag.exp(ag.arange(2)), "int64 would become float32"),
        (lambda: ag.where(ag.ones(2) > 0, ag.ones(2), ag.arange(2)), "where: .* float32 and int64"),
        (lambda: ag.ones((2, 2)) @ ag.ones(2, dtype="float16"), "matmul: .* float32 and float16"),
        (lambda: ag.concat([ag.ones(2), ag.ones(2, dtype="float64")]), "concat: .* float32 and float64"),
    ],
)
def test_a_dtype_that_would_change_by_itself(f, text: str) -> None:
    f()
    with ag.strict_dtypes(), pytest.raises(ag.DTypeError, match=text):
        f()


def test_numbers_and_explicit_casts_are_free() -> None:
    with ag.strict_dtypes():
        x = ag.tensor([1.0, 2.0], requires_grad=True)
        y = ag.exp(-(x * 2 + 1.5) / 3) @ ag.arange(2).astype("float32")
        y.backward()
    assert x.grad.dtype == np.float32


def test_a_training_step_changes_no_dtype() -> None:
    with ag.random.fork(0), ag.strict_dtypes():
        model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        opt = optim.Adam(model.parameters())
        loss = nn.functional.cross_entropy(model(ag.random.normal((5, 4))), ag.tensor([0, 1, 2, 0, 1]))
        loss.backward()
        opt.step()

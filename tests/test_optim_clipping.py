"""Gradients are clipped as PyTorch clips them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optim_tools import give_gradients, parameters, values

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter

SHARED = Parameter(np.ones(2))


@pytest.mark.parametrize("norm_type", [1, 2, 2.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e3, 0.0])
def test_clipping_by_norm_is_pytorchs(norm_type: float, max_norm: float) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(params)]
    for p, g in zip(theirs, give_gradients(params, 0), strict=True):
        p.grad = torch.tensor(g)
    if norm_type == float("inf"):  # PyTorch has no largest element of an empty gradient
        params, theirs = params[:3], theirs[:3]
    total = optim.clip_grad_norm_(params, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(total.numpy(), expected.numpy(), rtol=1e-12)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


def test_clipping_by_value() -> None:
    w, v = Parameter(np.zeros(3)), Parameter(np.zeros(1))
    w.grad = ag.tensor(np.array([-3.0, 0.5, 3.0]))
    optim.clip_grad_value_([w, v], 1.0)
    assert w.grad.tolist() == [-1.0, 0.5, 1.0]
    assert v.grad is None


def test_the_norm_of_no_gradients_is_zero() -> None:
    assert optim.clip_grad_norm_([Parameter(np.zeros(2))], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite_is_an_error_only_if_asked() -> None:
    w = Parameter(np.zeros(2))
    w.grad = ag.tensor(np.array([np.inf, 1.0]))
    with pytest.raises(ag.GradientError, match="the norm of the gradients is inf"):
        optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [np.inf, 1.0]
    optim.clip_grad_norm_([w], 1.0)
    assert np.isnan(w.grad.numpy()[0])


def test_half_precision_gradients_are_summed_in_single() -> None:
    w = Parameter(np.zeros(2, np.float16))
    w.grad = ag.tensor(np.array([300.0, 400.0], np.float16))
    assert optim.clip_grad_norm_(w, 5.0).item() == pytest.approx(500.0)
    assert w.grad.dtype == ag.float16
    assert w.grad.tolist() == pytest.approx([3.0, 4.0], rel=1e-3)


def test_gradients_on_two_devices_are_clipped_together() -> None:
    w = Parameter(np.zeros(1))
    with ag.default_device("numpy"):
        v = Parameter(np.zeros(1))
        v.grad = ag.tensor(np.array([4.0]))
    w.grad = ag.tensor(np.array([3.0]))
    total = optim.clip_grad_norm_([w, v], 1.0)
    assert (total.item(), str(total.device), str(v.grad.device)) == (5.0, str(w.device), "numpy")
    assert (w.grad.item(), v.grad.item()) == (pytest.approx(0.6), pytest.approx(0.8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.clip_grad_norm_([SHARED], -1.0), "max_norm must be a number and not negative, got -1.0"),
        (lambda: optim.clip_grad_norm_([SHARED], "a"), "max_norm must be a number and not negative, got 'a'"),
        (lambda: optim.clip_grad_norm_([SHARED], 1.0, 0), "norm_type must be a number above 0"),
        (lambda: optim.clip_grad_norm_([SHARED], 1.0, "inf"), r"norm_type must be a number above 0 \(math.inf takes"),
        (lambda: optim.clip_grad_value_([SHARED], -1.0), "clip_value must be a number and not negative"),
        (lambda: optim.clip_grad_value_([SHARED], None), "clip_value must be a number and not negative, got None"),
        (lambda: optim.clip_grad_norm_([np.ones(2)], 1.0), r"got a ndarray; write model.parameters\(\)"),
        (lambda: optim.clip_grad_value_(3, 1.0), r"got a int; write model.parameters\(\)"),
    ],
)
def test_clipping_refuses_nonsense(call: Any, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        call()

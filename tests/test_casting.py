"""A tensor that moves to another device keeps its values, and its derivatives come back."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.ops.casting import transfer

BOTH_WAYS = pytest.mark.parametrize(("here", "there"), [("cpu", "numpy"), ("numpy", "cpu")])
VALUES = np.array([1.0, -2.0, 3.0])


@BOTH_WAYS
def test_values_arrive_and_gradients_come_back(here: str, there: str) -> None:
    x = ag.tensor(VALUES, device=here, requires_grad=True)
    y = x.to(there)
    assert y.device is get_device(there)
    assert y.tolist() == VALUES.tolist()
    (y**3).sum().backward()
    assert x.grad.device is get_device(here)
    assert x.grad.tolist() == (3 * VALUES**2).tolist()


@BOTH_WAYS
def test_second_derivatives_come_back(here: str, there: str) -> None:
    x = ag.tensor(VALUES, device=here)
    slope = ag.grad(lambda x: ag.grad(lambda x: (x.to(there) ** 3).sum())(x).sum())(x)
    assert slope.device is get_device(here)
    assert slope.tolist() == (6 * VALUES).tolist()


@BOTH_WAYS
def test_what_is_there_already_is_not_copied(here: str, there: str) -> None:
    x = ag.tensor(VALUES, device=here)
    assert transfer(x, get_device(here)) is x
    assert transfer(x, get_device(there)) is not x

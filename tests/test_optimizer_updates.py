"""Updates and norms for every example of a batch at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.ops.optimizer_updates import global_norm_p
from autograd_core.primitive import bind


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, math.inf])
def test_norms_of_half_precision_gradients_are_taken_in_single_precision(order: float) -> None:
    # their squares, and the first norm of one row, exceed the largest number of 16 bits
    x = np.array([[3e4, 4e4, -5e4], [1.0, -2.0, 2.0]], "float16")
    y = np.array([[[1.0], [2.0]], [[3.0], [-4.0]]], "float32")
    found = ag.vmap(lambda x, y: bind(global_norm_p, (x, y), {"order": order}))(ag.tensor(x), ag.tensor(y))
    assert found.dtype == "float32"
    rows = np.concatenate([x.astype(float), y.reshape(2, -1)], axis=1)
    np.testing.assert_allclose(found.numpy(), [np.linalg.norm(row, order) for row in rows], rtol=1e-5)
    only_half = ag.vmap(lambda x: bind(global_norm_p, (x,), {"order": order}))(ag.tensor(x))
    assert only_half.dtype == "float32"
    np.testing.assert_allclose(only_half.numpy(), [np.linalg.norm(row, order) for row in x.astype(float)], rtol=1e-5)

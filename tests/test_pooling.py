"""Derivatives of maxima over windows, for every example of a batch at once."""

from __future__ import annotations

import numpy as np

import autograd_core as ag
from autograd_core.ops.pooling import max_pool2d


def test_slopes_of_every_example_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    x, t = (ag.tensor(rng.standard_normal((3, 2, 2, 4, 6))) for _ in range(2))

    def slope(x: ag.Tensor, t: ag.Tensor) -> ag.Tensor:
        return ag.jvp(lambda x: max_pool2d(x, 2), (x,), (t,))[1]

    together = ag.vmap(slope)(x, t).numpy()
    for i in range(3):
        values, moved = (np.asarray(v.numpy()[i]).reshape(2, 2, 2, 2, 3, 2).swapaxes(3, 4) for v in (x, t))
        at = values.reshape(2, 2, 2, 3, 4).argmax(axis=-1)[..., None]
        expected = np.take_along_axis(moved.reshape(2, 2, 2, 3, 4), at, axis=-1)[..., 0]
        np.testing.assert_array_equal(together[i], expected)

"""Compiled derivatives of eigenvectors and other bases with arbitrary phases: what is the same, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import linalg

Vectors = Callable[[ag.Tensor], ag.Tensor]

# The columns of each are arbitrary up to a factor exp(it), or the last of them up to a rotation.
VECTORS: dict[str, tuple[Vectors, str]] = {
    "eigh": (lambda x: linalg.eigh(x + x.mH)[1][:, :1], "eigh: .*phases of complex eigenvectors"),
    "eig": (lambda x: linalg.eig(x)[1][:, :1], "eig: .*phases of complex eigenvectors"),
    "svd": (lambda x: linalg.svd(x, full_matrices=False)[0][:, :1], "phases of complex singular vectors"),
    "qr": (lambda x: linalg.qr(x[:, :2], mode="complete")[0][:, 2:], "span of the columns that complete"),
}


def draw(seed: int, *shape: int) -> ag.Tensor:
    rng = np.random.default_rng(seed)
    return ag.tensor(rng.standard_normal((*shape, 4, 4)) + 1j * rng.standard_normal((*shape, 4, 4)))


def loss(vectors: Vectors) -> Callable[[ag.Tensor, ag.Tensor], ag.Tensor]:
    """Of projections, which no phase and no rotation changes; and, times ``share``, of the vectors as they are."""

    def f(x: ag.Tensor, share: ag.Tensor) -> ag.Tensor:
        v = vectors(x)
        return (ag.real(v @ v.mH) * ag.arange(16.0).reshape(4, 4)).sum() + share * ag.imag(v).sum()

    return f


@pytest.mark.parametrize("name", VECTORS)
def test_gradients_that_no_phase_changes(device: str, name: str) -> None:
    f = loss(VECTORS[name][0])
    gradient, none = ag.grad(f), ag.tensor(0.0, dtype="float64")
    inside, outside = ag.compile(gradient), ag.grad(ag.compile(f))
    for seed in range(4):
        x = draw(seed)
        expected = gradient(x, none).numpy()
        assert np.abs(expected).max() > 1e-3
        for found in (inside, outside):
            np.testing.assert_allclose(found(x, none).numpy(), expected, rtol=1e-9, atol=1e-9)
    assert len(inside.variants) == 1


@pytest.mark.parametrize("name", VECTORS)
def test_one_that_phases_do_change_is_refused_in_the_call_that_has_it(device: str, name: str) -> None:
    vectors, message = VECTORS[name]
    compiled = ag.compile(ag.grad(loss(vectors)))
    x, none, some = draw(0), ag.tensor(0.0, dtype="float64"), ag.tensor(1.0, dtype="float64")
    expected = ag.grad(loss(vectors))(x, none).numpy()
    for _ in range(4):
        np.testing.assert_allclose(compiled(x, none).numpy(), expected, rtol=1e-9, atol=1e-9)
        with pytest.raises(ag.GradientError, match=message):
            compiled(x, some)
    assert len(compiled.variants) == 1


@pytest.mark.parametrize("name", ["eigh", "svd"])
def test_second_derivatives_and_batches(device: str, name: str) -> None:
    f = loss(VECTORS[name][0])
    none, direction = ag.tensor(0.0, dtype="float64"), draw(9)

    def curvature(x: ag.Tensor) -> Any:
        return ag.jvp(lambda x: ag.grad(f)(x, none), (x,), (direction,))[1]

    x = draw(1, 3)
    expected = ag.vmap(curvature)(x).numpy()
    assert np.abs(expected).max() > 1e-3
    compiled = ag.compile(ag.vmap(curvature))
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).numpy(), expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())

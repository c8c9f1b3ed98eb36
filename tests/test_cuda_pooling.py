"""Pooling on CUDA devices: its CUDA C run on the host against the formulas. Not yet run on hardware."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_offline import ARCHITECTURES, compiled, needs_nvrtc
from cuda_tools import POOLING, fake_devices

import autograd_core as ag
from autograd_core import nn
from autograd_core.backends.cuda.pooling_kernels import CODE

F = nn.functional


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    """On which the CUDA C is run, not what stands in for it."""
    cuda_host.needs_compiler()
    with fake_devices() as machine:
        for name in POOLING:
            del machine.bodies[name]
        yield machine


def draw(*shape: int) -> np.ndarray:
    """Some numbers are equal, one is not a number, one plane has nothing but minus infinity."""
    values = np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32)
    values[0, 0].flat[[1, 3]] = np.nan
    values[0, 1] = -np.inf
    return values


CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "max": (lambda x: F.max_pool2d(x, 2), (2, 3, 4, 6)),
    "max overlapping": (lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), (2, 3, 6, 5)),
    "max dilated, one axis": (lambda x: F.max_pool1d(x, 3, 1, 1, 2, return_indices=True), (2, 3, 9)),
    "max of volumes, ceil": (lambda x: F.max_pool3d(x, 2, 2, ceil_mode=True), (1, 2, 3, 4, 5)),
    "mean": (lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 3, 6, 5)),
    "mean of what is there": (lambda x: F.avg_pool2d(x, (2, 3), 1, 1, count_include_pad=False), (2, 3, 5, 4)),
    "mean, one axis, ceil": (lambda x: F.avg_pool1d(x, 3, 2, 1, ceil_mode=True), (2, 3, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_formulas(machine: fake_cupy.Machine, name: str) -> None:
    f, shape = CASES[name]
    results = []
    for device in ("cuda", "numpy"):
        x = ag.tensor(draw(*shape), device=device, requires_grad=True)
        found = f(x)
        y, *index = found if isinstance(found, tuple) else (found,)
        g = ag.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(np.float32), device=device)
        y.backward(g)
        results.append([v.numpy() for v in (y, *index, x.grad)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    kind = "max_pool" if name.startswith("max") else "window_sums"
    assert machine.launches[f"{kind}_float"] == 1
    assert machine.launches["window_shares_float"] == (kind == "window_sums")


def test_other_dtypes_and_empty_arrays_go_by_the_formulas(machine: fake_cupy.Machine) -> None:
    for x in (np.arange(16).reshape(1, 1, 4, 4), np.zeros((0, 2, 4, 4), np.float32)):
        y = F.max_pool2d(ag.asarray(x, device="cuda"), 2)
        np.testing.assert_array_equal(y.numpy(), F.max_pool2d(ag.asarray(x, device="numpy"), 2).numpy())
    assert not any(name.startswith("max_pool") for name in machine.launches)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile_and_keep_all_in_registers(architecture: str) -> None:
    needs_nvrtc()
    found = compiled(CODE, architecture)
    assert set(found) == set(POOLING)
    assert not any(kernel.spilled or kernel.stack for kernel in found.values())

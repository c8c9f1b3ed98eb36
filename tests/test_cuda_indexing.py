"""Sums by index on CUDA: the kernel's CUDA C run on the host, in order, and what is built on it over the fake CuPy."""

from __future__ import annotations

from collections.abc import Iterator

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_offline import ARCHITECTURES, compiled, needs_nvrtc
from cuda_tools import fake_devices

import autograd_core as ag
from autograd_core.backends.cuda.sums_by_index import CODE, SumsByIndex


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


def added(values: np.ndarray, indices: np.ndarray, length: int) -> np.ndarray:
    """One addend after another: np.add.at."""
    sums = np.zeros((values.shape[0], length, values.shape[2]), values.dtype)
    np.add.at(sums, (slice(None), indices), values)
    return sums


@pytest.mark.parametrize(("n", "dtype"), [(23, np.float64), (1025, np.float32), (3100, np.float32)])
def test_the_kernels_add_in_order(machine: fake_cupy.Machine, n: int, dtype: type) -> None:
    cuda_host.needs_compiler()
    machine.bodies.clear()
    outer, inner, length = 2, 3, 7
    rng = np.random.default_rng(0)
    values = rng.standard_normal((outer, n, inner)).astype(dtype)
    indices = rng.integers(0, length - 1, n)  # nothing in the last row
    indices[[3, 17]] = -1, length  # which are left out
    within = (indices >= 0) & (indices < length)
    device = ag.asarray(values, device="cuda").data, ag.asarray(indices, device="cuda").data
    backend = ag.backend.get_device("cuda").backend
    with backend.queue(0):
        sums = SumsByIndex(backend._cupy)(*device, outer, length, inner)
    expected = added(values[:, within], indices[within], length)
    assert backend.to_numpy(sums).tobytes() == expected.tobytes()
    assert machine.launches["merge_runs"] == {23: 0, 1025: 1, 3100: 2}[n]
    assert not machine.synchronizations["Stream.synchronize"] > 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernel_compiles_and_keeps_its_sums_in_registers(architecture: str) -> None:
    needs_nvrtc()
    found = compiled(CODE, architecture)
    sums = {f"sum_by_index_{kind}" for kind in ("brain", "double", "float", "half")}
    assert set(found) == sums | {"find_starts", "merge_runs", "sort_runs"} | {f"pick_{n}" for n in (1, 2, 4, 8, 16)}
    assert not any(kernel.spilled or kernel.stack for kernel in found.values())


def test_gradients_of_picked_rows_have_the_bits_of_sums_in_order(machine: fake_cupy.Machine) -> None:
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal((5, 4)).astype(np.float32), rng.standard_normal((50, 4)).astype(np.float32)
    rows = rng.integers(-5, 5, 50)
    y, pull = ag.vjp(lambda v: v[ag.asarray(rows, device="cuda")], ag.asarray(x, device="cuda"))
    (found,) = pull(ag.asarray(g, device="cuda"))
    assert y.numpy().tobytes() == x[rows].tobytes()
    np.testing.assert_allclose(found.numpy(), added(g[None], rows % 5, 5)[0], rtol=1e-6)
    assert machine.launches["sum_by_index_float"] == 1
    assert not machine.launches["add.at"]


def test_whole_numbers_are_added_by_atomics(machine: fake_cupy.Machine) -> None:
    rows = ag.tensor([0, 2, 2], device="cuda")
    found = ag.scatter_add(ag.zeros(3, dtype="int64", device="cuda"), 0, rows, ag.tensor([1, 2, 3], device="cuda"))
    assert found.numpy().tolist() == [1, 0, 5]
    assert machine.launches["add.at"] == 1

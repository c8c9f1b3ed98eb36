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
from autograd_core.backends.cuda.sums_by_index import CODE


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


def added(values: np.ndarray, indices: np.ndarray, length: int) -> np.ndarray:
    """One addend after another: np.add.at."""
    sums = np.zeros((values.shape[0], length, values.shape[2]), values.dtype)
    np.add.at(sums, (slice(None), indices), values)
    return sums


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("double", np.float64)])
def test_the_kernel_adds_in_order(machine: fake_cupy.Machine, kind: str, dtype: type) -> None:
    cuda_host.needs_compiler()
    import cupy

    outer, n, inner, length = 2, 23, 3, 7
    entry = f"""
    extern "C" __global__ void entry(const {kind} *v, const long long *order, const long long *starts, {kind} *y)
    {{
        sum_by_index<{kind}>(v, order, starts, y, {n}, {length}, {inner}, {outer * length * inner});
    }}
    """
    kernel = cupy.RawModule(code=CODE + entry).get_function("entry")  # its sizes are known, as the host asks
    rng = np.random.default_rng(0)
    values = rng.standard_normal((outer, n, inner)).astype(dtype)
    indices = rng.integers(0, length - 1, n)  # nothing in the last row
    order = np.argsort(indices, kind="stable")
    starts = np.searchsorted(indices[order], np.arange(length + 1))
    sums = cupy.full((outer, length, inner), np.nan, dtype)
    for blocks, threads in ((1, 64), (2, 32), (1, 32)):
        kernel((blocks,), (threads,), (*map(cupy.asarray, (values, order, starts)), sums))
        assert sums.get().tobytes() == added(values, indices, length).tobytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernel_compiles_and_keeps_its_sums_in_registers(architecture: str) -> None:
    needs_nvrtc()
    found = compiled(CODE, architecture)
    assert sorted(found) == ["sum_by_index_double", "sum_by_index_float"]
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

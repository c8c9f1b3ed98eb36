"""Sums by index on CUDA: the kernel's CUDA C run on the host, in order, and what is built on it over the fake CuPy."""

from __future__ import annotations

from collections.abc import Iterator

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_offline import ARCHITECTURES, compiled, needs_nvrtc
from cuda_tools import SUMS_BY_INDEX, fake_devices

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda.sums_by_index import CODE, PACKS, SumsByIndex


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


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int32", "int64"])
def test_rows_are_picked_by_indices_of_any_whole_dtype(machine: fake_cupy.Machine, dtype: str) -> None:
    """Negative ones count from the back; those out of range wrap around, so that no memory beside is read."""
    cuda_host.needs_compiler()
    machine.bodies.clear()
    outer, length, inner = 3, 5, 4
    rng = np.random.default_rng(0)
    indices = np.array([4, 0, 3, 3, 7, 12] if dtype[0] == "u" else [4, 0, -1, -5, -8, 12]).astype(dtype)
    backend = ag.backend.get_device("cuda").backend
    by_index = SumsByIndex(backend._cupy)
    on_device = ag.asarray(indices, device="cuda").data
    for pack in PACKS:
        x = rng.integers(0, 256, (outer, length, inner * pack), np.uint8)
        y = ag.zeros((outer, len(indices), inner * pack), dtype="uint8", device="cuda")
        with backend.queue(0):
            flat = ag.asarray(x, device="cuda").data.reshape(-1), on_device, y.data.reshape(-1)
            by_index.pick(*flat, outer, length, inner * pack, pack)
        np.testing.assert_array_equal(y.numpy(), x[:, indices.astype(int) % length])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_halves_are_made_in_float32(machine: fake_cupy.Machine, dtype: str) -> None:
    cuda_host.needs_compiler()
    machine.bodies.clear()
    values = np.random.default_rng(0).standard_normal((1, 40, 3)).astype(dtype)
    indices = np.arange(40) % 4 - 2  # counted from the back
    backend = ag.backend.get_device("cuda").backend
    sums = ag.zeros((1, 4, 3), dtype=dtype, device="cuda")
    with backend.queue(0):
        workspace = backend._cupy.empty(SumsByIndex.workspace(40, 4), "uint8")
        flat = [ag.asarray(a, device="cuda").data.reshape(-1) for a in (values, indices.astype("int32"))]
        SumsByIndex(backend._cupy).into(sums.data.reshape(-1), *flat, 4, 3, workspace, from_back=True)
    expected = added(values.astype("float32"), indices % 4, 4).astype(dtype)
    assert sums.numpy().tobytes() == expected.tobytes()


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


# ------------------------------------------------------------------------------------------- in compiled functions


def picked(x: ag.Tensor, rows: ag.Tensor, g: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
    """Elements along an axis, and the cotangent of what they are picked from."""
    y, pull = ag.vjp(lambda v: ag.take(v, rows, axis=1), x)
    return y, pull(g)[0]


@pytest.mark.parametrize(
    ("dtype", "indices"), [("float32", "int64"), ("float64", "uint8"), ("complex64", "int32"), ("bfloat16", "int64")]
)
def test_compiled_functions_pick_and_add_without_kernel_calls(
    machine: fake_cupy.Machine, dtype: str, indices: str
) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0 if indices[0] == "u" else -5, 5, (4, 6)).astype(indices)
    arrays = [ag.tensor(rng.standard_normal(size), dtype=dtype).numpy() for size in ((3, 5, 2), (3, 4, 6, 2))]
    x, g = (ag.asarray(a, device="cuda") for a in arrays)
    on_device = ag.asarray(rows, device="cuda")
    compiled = ag.compile(picked)
    expected = picked(*(ag.asarray(a, device="numpy") for a in (arrays[0], rows, arrays[1])))
    for _ in range(8):
        machine.forget()
        found = compiled(x, on_device, g)
        for mine, theirs in zip(found, expected, strict=True):
            limit = 2e-2 if dtype == "bfloat16" else 1e-6
            np.testing.assert_allclose(
                *(v.numpy().astype("complex128") for v in (mine, theirs)), rtol=0, atol=4 * limit
            )
    assert (machine.launches["graph"], machine.launches.total(), machine.allocations) == (1, 1, 0)
    report = compiled.report()
    assert [row.name for row in report.rows if "copy" not in row.name] == ["take", "add_at"]
    assert all(row.native for row in report.rows)


def test_compiled_functions_look_at_indices_once(machine: fake_cupy.Machine) -> None:
    """In calls that are enqueued op by op; one out of range is an error, and nothing is added."""

    def called(last: list[int]) -> None:
        """As often as it takes until a call is enqueued op by op and nothing else."""
        words = nn.Embedding(5, 4).to("cuda")
        optimizer = optim.SGD(words.parameters(), lr=0.1)

        def step(rows: ag.Tensor) -> None:
            optimizer.zero_grad()
            ag.square(words.weight[rows]).sum().backward()
            optimizer.step()

        compiled = ag.compile(step)
        for rows in ([1, 1, -1],) * 3 + (last,):
            on_device = ag.tensor(rows, device="cuda")
            machine.forget()
            compiled(on_device)

    called([1, 1, -1])
    assert dict(machine.synchronizations) == {"Stream.synchronize": 1}  # the gradient's sum does not look again
    assert machine.launches["pick_16"] == machine.launches["sum_by_index_float"] == 1
    with pytest.raises(ag.errors.IndexingError, match=r"index 5 is out of range for an axis of length 5; use -5 to 4"):
        called([0, 4, 5])
    assert not machine.launches["sum_by_index_float"]


@pytest.mark.parametrize("on_host", [False, True], ids=["stand-in", "CUDA C"])
def test_gradients_of_maxima_that_overlap_are_sums_by_index(machine: fake_cupy.Machine, on_host: bool) -> None:
    if on_host:
        cuda_host.needs_compiler()
        for name in SUMS_BY_INDEX:
            del machine.bodies[name]
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6)).astype(np.float32)

    def gradient(v: ag.Tensor) -> ag.Tensor:
        y, pull = ag.vjp(lambda v: nn.functional.max_pool2d(v, 3, stride=2, padding=1), v)
        return pull(y)[0]

    compiled, on_device = ag.compile(gradient), ag.asarray(x, device="cuda")
    expected = gradient(ag.asarray(x, device="numpy")).numpy()
    for _ in range(3):
        np.testing.assert_allclose(compiled(on_device).numpy(), expected, rtol=1e-6, atol=1e-6)
    assert "pool_scatter" in [row.name for row in compiled.report().rows if row.native]

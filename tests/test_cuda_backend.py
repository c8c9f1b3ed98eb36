"""The CUDA backend over the fake CuPy: one stream a device, when the host waits, copies, memory, what is missing.

Nothing here has run on hardware.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices

import autograd_core as ag
from autograd_core import nn
from autograd_core.backend import get_device
from autograd_core.backends.cuda.availability import availability
from autograd_core.diagnostics.live import live_tensors


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


@pytest.fixture
def cp(machine: fake_cupy.Machine) -> ModuleType:
    import cupy

    return cupy


def device_of(machine: fake_cupy.Machine) -> list[tuple[int, bool]]:
    """Where work went: the devices, and whether to a non-blocking stream."""
    return sorted((queue.device_id, queue.non_blocking) for queue in machine.work)


# What is missing -------------------------------------------------------------------------------------------------


def reason(**changes: Any) -> str:
    """Why CUDA cannot be used with a CuPy of which something is otherwise."""
    with fake_cupy.installed():
        import cupy

        for name, value in changes.items():
            setattr(cupy if name.startswith("__") else cupy.cuda.runtime, name, value)
        answer = availability()
        assert answer.available == (not answer.reason)
        return answer.reason


def raising(name: str) -> Any:
    def call(*args: Any) -> Any:
        raise fake_cupy.CUDARuntimeError(name, "as the driver says")

    return call


def test_two_devices_are_there(machine: fake_cupy.Machine) -> None:
    assert reason() == ""
    assert [row.name for row in ag.devices() if row.available and "cuda" in row.name] == ["cuda", "cuda:1"]
    assert ag.cuda.is_available()
    assert ag.cuda.device_count() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"__version__": "13.6.0"}, "CuPy 13.6.0 is too old, 14 or newer is needed: pip install 'autograd_core"),
        (
            {"getDeviceCount": raising("cudaErrorInsufficientDriver"), "driverGetVersion": lambda: 0},
            "no NVIDIA driver is installed (cudaErrorInsufficientDriver",
        ),
        (
            {"getDeviceCount": raising("cudaErrorInsufficientDriver"), "driverGetVersion": lambda: 11040},
            "the NVIDIA driver is too old: it knows CUDA 11.4, this CuPy needs 13.0; update the driver",
        ),
        ({"getDeviceCount": raising("cudaErrorNoDevice")}, "CuPy found no NVIDIA GPU: cudaErrorNoDevice"),
        ({"getDeviceCount": lambda: 0}, "no NVIDIA GPU is in this machine"),
        (
            {"getDeviceProperties": lambda i: {"major": 6, "minor": 1}},
            "a GPU of compute capability 6.1 is too old, 7.0 or newer is needed",
        ),
    ],
)
def test_what_is_missing_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    assert reason(**changes).startswith(words)


def test_without_cuda_questions_are_answered_or_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_devices():
        monkeypatch.setitem(sys.modules, "cupy", None)
        assert not ag.cuda.is_available()
        assert ag.cuda.device_count() == 0
        for ask in (ag.cuda.synchronize, ag.cuda.memory_stats, ag.cuda.waits):
            with pytest.raises(ag.BackendUnavailableError, match="CuPy is not installed: pip install"):
                ask()


# Streams and waiting ---------------------------------------------------------------------------------------------


def test_all_work_goes_to_one_stream_of_each_device(machine: fake_cupy.Machine) -> None:
    """Also what the engine asks of the namespace itself: the third cotangent of x is added in place."""
    for device in ("cuda", "cuda:1"):
        x = ag.tensor([1.0, 2.0], device=device, requires_grad=True)
        (x * x + x * x + x * x + x.exp()).sum().backward()
        assert x.grad.device == device
    assert device_of(machine) == [(0, True), (1, True)]
    assert len(machine.work) == 2


def test_threads_share_the_stream_of_a_device(machine: fake_cupy.Machine) -> None:
    x = ag.ones((8, 8), device="cuda:1")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: (x * float(k)).sum().item(), range(16)))
    assert found == [64.0 * k for k in range(16)]
    assert device_of(machine) == [(1, True)]


def test_compiled_functions_run_on_the_second_device(machine: fake_cupy.Machine) -> None:
    run = ag.compile(lambda x: (x * 2.0).tanh().sum())
    x = ag.ones((4, 4), device="cuda:1")
    assert [run(x).device == "cuda:1" for _ in range(4)] == [True] * 4
    assert run(x).item() == pytest.approx(16 * np.tanh(2.0), rel=1e-6)
    assert set(device_of(machine)) == {(1, True)}


def test_the_host_waits_only_where_it_must(machine: fake_cupy.Machine) -> None:
    x = ag.tensor(np.ones((4, 4), np.float32), device="cuda", requires_grad=True)
    before = ag.cuda.waits()
    loss = (x @ x).tanh().sum()
    loss.backward()
    assert ag.cuda.waits() == before
    assert not machine.synchronizations
    loss.item()
    assert ag.cuda.waits() == before + 1
    ag.cuda.synchronize()
    assert machine.synchronizations == {"Stream.synchronize": 2}


def test_indices_are_looked_at_once(machine: fake_cupy.Machine) -> None:
    x = ag.tensor(np.ones((5, 2), np.float32), device="cuda", requires_grad=True)
    rows = ag.tensor([0, -1, 3, 3], device="cuda")
    machine.forget()
    for _ in range(3):
        x[rows].sum().backward()
    assert machine.synchronizations == {"Stream.synchronize": 1}
    assert x.grad.numpy()[:, 0].tolist() == [3, 0, 0, 6, 3]
    machine.forget()
    ag.take(x[:4], rows, axis=0)  # a shorter axis: looked at again
    assert machine.synchronizations == {"Stream.synchronize": 1}
    with pytest.raises(ag.IndexingError, match="index 3 is out of range for an axis of length 3; use -3 to 2"):
        ag.take(x[:3], rows, axis=0)


def test_labels_out_of_range_are_refused_before_anything_happens(machine: fake_cupy.Machine) -> None:
    scores, labels = ag.ones((2, 3), device="cuda"), ag.tensor([0, 3], device="cuda")
    machine.forget()
    with pytest.raises(ag.AutogradError, match="3"):
        nn.functional.cross_entropy(scores, labels)
    assert machine.synchronizations == {"Stream.synchronize": 1}


def test_a_number_is_not_asked_of_the_device(machine: fake_cupy.Machine) -> None:
    x = ag.ones((8, 8), device="cuda")
    machine.forget()
    nn.functional.dropout(x, 0.5)
    assert not machine.synchronizations


def test_singular_matrices_are_refused(machine: fake_cupy.Machine) -> None:
    singular = ag.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]], device="cuda")
    with pytest.raises(ag.LinAlgError, match="inv"):
        ag.linalg.inv(singular)
    with pytest.raises(ag.LinAlgError, match="cholesky"):
        ag.linalg.cholesky(-ag.linalg.solve(singular[0], singular[0]))
    with pytest.raises(ag.LinAlgError, match="svd"):
        ag.linalg.svd(singular * float("nan"))
    assert ag.linalg.det(singular).numpy().tolist() == [1, 0]


# Arrays ----------------------------------------------------------------------------------------------------------


def test_random_numbers_have_the_bits_of_the_cpu(machine: fake_cupy.Machine) -> None:
    def draws(device: str) -> list[np.ndarray]:
        generator = ag.random.Generator(7)
        options = {"device": device, "generator": generator}
        return [
            ag.random.normal((1000,), **options).numpy(),
            ag.random.normal((31,), dtype="float64", **options).numpy(),
            ag.random.uniform((1000,), **options).numpy(),
            ag.random.bernoulli(0.3, (1000,), **options).numpy(),
            ag.random.integers(0, 10**12, (100,), **options).numpy(),
            ag.random.permutation(100, **options).numpy(),
        ]

    for found, expected in zip(draws("cuda"), draws("cpu"), strict=True):
        assert found.tobytes() == expected.tobytes()


def test_copies_to_the_device_are_not_waited_for(machine: fake_cupy.Machine) -> None:
    host = np.arange(6.0).reshape(2, 3)
    x = ag.asarray(host, device="cpu").to("cuda")
    host[...] = 0  # the copy has gone by way of memory of its own
    assert not machine.synchronizations
    assert machine.copies == {"to device": 1}
    assert x.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x.to("cuda") is x


def test_copies_between_devices_are_waited_for_by_streams_alone(machine: fake_cupy.Machine) -> None:
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]], device="cuda", requires_grad=True)
    y = (x.mT * 2).to("cuda:1")
    assert not machine.local.entered
    assert y.device == "cuda:1"
    assert not machine.synchronizations
    assert machine.copies["between devices"] == 1
    (y * y).sum().backward()
    assert x.grad.device == "cuda"
    assert x.grad.numpy().tolist() == [[8, 16], [24, 32]]
    with pytest.raises(ag.DeviceError, match="on cuda"):
        x + y


def test_arrays_of_other_code_are_waited_for(cp: ModuleType) -> None:
    """CuPy's null stream and ours do not wait for each other by themselves."""
    theirs = cp.arange(3.0)
    x = ag.asarray(theirs, device="cuda") * 2
    assert x.numpy().tolist() == [0, 2, 4]
    with cp.cuda.Stream(non_blocking=True):
        y = ag.from_dlpack(cp.arange(3.0)) + x
        assert y.numpy().tolist() == [0, 3, 6]


def test_what_goes_out_by_dlpack_is_a_copy_made_after_our_work(cp: ModuleType) -> None:
    x = ag.tensor([1.0, 2.0], device="cuda:1") * 2
    assert x.__dlpack_device__() == (2, 1)
    back = ag.from_dlpack(x, copy=True)
    assert back.device == "cuda:1"
    assert back.numpy().tolist() == [2, 4]
    with pytest.raises(BufferError, match="copies"):
        x.__dlpack__(copy=False)


def test_anomalies_are_seen_on_the_device(machine: fake_cupy.Machine) -> None:
    x = ag.tensor([0.0, 1.0], device="cuda", requires_grad=True)
    with ag.detect_anomaly(), pytest.raises(ag.AnomalyError, match="log"):
        (x.log() * 0).sum()


def test_questions_name_devices_by_name_index_and_object(machine: fake_cupy.Machine) -> None:
    x = ag.ones((4, 1024), device="cuda:1")
    for device in (1, "cuda:1", x.device):
        assert ag.cuda.memory_stats(device).in_use == x.nbytes
        ag.cuda.synchronize(device)
    assert ag.cuda.memory_stats().in_use == 0
    assert ag.cuda.memory_stats(1).total == machine.device_memory
    with pytest.raises(ag.DeviceError, match="'cpu' is no cuda device"):
        ag.cuda.memory_stats("cpu")
    with pytest.raises(ag.DeviceError, match="'cuda:2' does not exist"):
        ag.cuda.synchronize(2)


# Memory ----------------------------------------------------------------------------------------------------------


def test_memory_is_freed_with_the_last_tensor(machine: fake_cupy.Machine) -> None:
    x = ag.ones((256, 256), device="cuda", dtype="float32").requires_grad_()
    held = ag.cuda.memory_stats().in_use
    loss = (x @ x).tanh().sum()
    assert ag.cuda.memory_stats().in_use > held
    loss.backward()
    del loss
    assert ag.cuda.memory_stats().in_use == held + x.grad.nbytes
    assert ag.cuda.memory_stats().reserved >= ag.cuda.memory_stats().in_use


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(256, 256), nn.Tanh())

    def forward(self, x: Any) -> Any:
        return self.encoder(x)


def test_without_memory_the_error_lists_who_holds_it(cp: ModuleType) -> None:
    model = Wide().to("cuda")
    x = ag.ones((256, 256), device="cuda")
    with ag.record_origins():
        y = model(x)
    with cp.cuda.Device(0):
        cp.get_default_memory_pool().set_limit(size=ag.cuda.memory_stats().in_use + 1024)
    with pytest.raises(ag.OutOfMemoryError) as caught:
        model(y)
    text = str(caught.value)
    first, usage, head, *rows = text.splitlines()
    assert first.startswith("in encoder.0 (Linear): cuda: out of memory in linear of float32[256, 256], ")
    assert "test_cuda_backend.py" in first
    assert "in module encoder.0 (Linear): Out of memory allocating" in first
    assert "are in use" in usage
    assert head.startswith("The largest of")
    assert any("parameter encoder.0.weight" in row and "256.0 KiB" in row for row in rows)
    assert any("result of tanh" in row and "in module encoder.1 (Tanh)" in row for row in rows)
    assert rows[-1].startswith("Make the batch smaller")
    with pytest.raises(ag.OutOfMemoryError, match=r"a copy of float64\[1000\] to the device"):
        ag.tensor(np.zeros(1000), device="cuda")
    assert isinstance(caught.value, MemoryError)
    with cp.cuda.Device(0):
        cp.get_default_memory_pool().set_limit(size=0)
    assert model(y).shape == y.shape  # and work goes on


def test_what_an_unfinished_capture_made_is_not_alive() -> None:
    kept: list[Any] = []

    @ag.compile
    def unfinished(x: Any) -> Any:
        kept.append(ag.linalg.inv(x).exp())  # which has no value afterwards either: there is no inverse
        raise KeyError("the end")

    with pytest.raises(KeyError):
        unfinished(ag.tensor([[0.0, 0.0], [0.0, 0.0]], requires_grad=True, device="numpy"))
    assert kept
    assert all(isinstance(t.nbytes, int) for t in live_tensors(get_device("numpy")))


def test_live_tensors_are_named_by_what_they_are() -> None:
    """Parameters, gradients, results, what is kept for a derivative; memory that is shared counts once."""
    device = get_device("numpy")
    layer = nn.Linear(31, 23).to("numpy")
    x = ag.ones((10, 31), device="numpy")
    y = (layer(x) * 2.0).sin()
    part = x[:5]
    total = layer(x).exp().sum()
    (layer(x).sum() * 1.0).backward()
    found = {(t.what, t.shape): t for t in live_tensors(device)}
    assert found["parameter weight", (23, 31)].nbytes == 23 * 31 * 4
    assert ("gradient of parameter weight", (23, 31)) in found
    assert ("result of sin", (10, 23)) in found
    assert ("kept by exp for its derivative", (10, 23)) in found
    assert sum(shape in (x.shape, part.shape) for _, shape in found) == 1
    assert (y.shape, total.shape) == ((10, 23), ())

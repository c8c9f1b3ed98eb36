"""Compiled functions on CUDA devices, over the fake CuPy: the CPU's numbers, and one CUDA graph a step. Not yet run on
hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt

DEVICE = "cuda"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    cuda_host.needs_compiler()
    with fake_devices() as machine:
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        yield machine


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def affine(x: Any) -> Any:
    return 2 * x + 1


class Training:
    """A perceptron with dropout, trained by Adam, from the same numbers on every device: one at a time."""

    def __init__(self, device: str, *, compiled: bool = True):
        ag.random.seed(0)
        self.device = device
        self.model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4)).to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.run = ag.compile(self.step) if compiled else self.step

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = nn.functional.mse_loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def __call__(self, seed: int, batch: int = 8) -> Any:
        with ag.default_device(self.device):
            x, y = (ag.asarray(draw(batch, n, seed=seed)) for n in (5, 4))
            return self.run(x, y)


def test_a_step_is_one_graph_and_nothing_waits(machine: fake_cupy.Machine) -> None:
    on_gpu, losses = Training(DEVICE), []
    for seed in range(9):
        x, y = (ag.asarray(draw(8, n, seed=seed), device=DEVICE) for n in (5, 4))
        machine.forget()
        loss = on_gpu.run(x, y)
        launches, waits, allocations = (
            dict(machine.launches),
            sum(machine.synchronizations.values()),
            machine.allocations,
        )
        losses.append(loss.item())
    # the batch and the random key go to their places, the key comes from the host
    assert launches == {"graph": 1, "memcpy": 3, "copy to device": 1}
    assert (waits, allocations) == (0, 1)
    on_cpu = Training("numpy", compiled=False)
    np.testing.assert_allclose(losses, [on_cpu(seed).item() for seed in range(9)], rtol=1e-5)
    for mine, theirs in zip(on_gpu.model.parameters(), on_cpu.model.parameters(), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_who_keeps_losses_parameters_and_gradients_sees_no_change(machine: fake_cupy.Machine) -> None:
    on_gpu, losses, kept = Training(DEVICE), [], []
    weight = on_gpu.model[0].weight
    for seed in range(15):
        losses.append(on_gpu(seed))
        if seed in (4, 7):
            kept += [(t, t.numpy()) for t in (weight.detach(), weight.grad)]
    on_cpu = Training("numpy", compiled=False)
    expected = [on_cpu(seed).item() for seed in range(15)]
    np.testing.assert_allclose([loss.item() for loss in losses], expected, rtol=1e-5)
    for tensor, values in kept:
        np.testing.assert_array_equal(tensor.numpy(), values)
    assert not np.array_equal(weight.numpy(), kept[0][1])
    assert "one CUDA graph" in str(on_gpu.run.report())


def test_gradients_that_are_added_to_need_no_copy(machine: fake_cupy.Machine) -> None:
    w = ag.tensor(draw(4), device=DEVICE, requires_grad=True)

    def add_gradient(x: Any) -> None:
        (w * x).sum().backward()

    run, x = ag.compile(add_gradient), ag.asarray(draw(4, seed=1), device=DEVICE)
    for _ in range(9):
        machine.forget()
        run(x)
    assert (machine.launches, machine.allocations) == ({"graph": 1}, 0)
    np.testing.assert_allclose(w.grad.numpy(), 9 * draw(4, seed=1), rtol=1e-6)


def test_one_program_reads_what_another_updates(machine: fake_cupy.Machine) -> None:
    training = Training(DEVICE)
    layer = training.model[3]
    weight = ag.compile(lambda x: layer(x).sum())
    x = ag.asarray(draw(2, 16), device=DEVICE)
    for seed in range(9):
        training(seed)
        machine.forget()
        with ag.no_grad():
            found = weight(x)
        launches = dict(machine.launches)
        expected = draw(2, 16) @ layer.weight.numpy().T + layer.bias.numpy()
        np.testing.assert_allclose(found.numpy(), expected.sum(), rtol=1e-4, atol=1e-5)
    assert launches == {"graph": 1}


def test_a_compiled_model_is_differentiated_from_outside(machine: fake_cupy.Machine) -> None:
    results = []
    for device in (DEVICE, "numpy"):
        ag.random.seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(device)
        forward = ag.compile(model)
        for seed in range(5):
            y = forward(ag.asarray(draw(6, 3, seed=seed), device=device))
            (y * y).sum().backward()
        results.append([p.grad.numpy() for p in model.parameters()])
        report = str(forward.report())
        assert ("op by op, since results are in new memory in each call" in report) is (device == DEVICE)
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_constants_of_what_is_differentiated_from_outside(machine: fake_cupy.Machine) -> None:
    run = ag.compile(lambda x, w: ag.tanh(2 * x * w) + 2 * w)
    w = ag.tensor(draw(2, 3), device=DEVICE, requires_grad=True)
    for _ in range(3):
        w.grad = None
        run(ag.asarray(draw(2, 3, seed=1), device=DEVICE), w).sum().backward()
    x = draw(2, 3, seed=1)
    np.testing.assert_allclose(w.grad.numpy(), 2 * x / np.cosh(2 * x * w.numpy()) ** 2 + 2, rtol=1e-4, atol=1e-6)


def test_report_and_source(machine: fake_cupy.Machine) -> None:
    on_gpu = Training(DEVICE)
    for seed in range(4):
        on_gpu(seed)
    before = [p.numpy() for p in on_gpu.model.parameters()]
    with ag.math_mode("tf32"):
        report = on_gpu.run.report()
    assert "until the same arrays come again" in str(report)
    assert "cuda, tf32" in str(report)
    assert {"linear", "matmul", "random_bernoulli"} < {row.name for row in report}
    assert all(row.native and row.bytes for row in report)
    for p, values in zip(on_gpu.model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), values)
    source = on_gpu.run.source()
    assert 'extern "C" __global__' in source
    assert ": linear, by a library" in source
    with pytest.raises(ag.errors.ArgumentError, match="no kernel is called 'gelu'; there are linear, "):
        on_gpu.run.source("gelu")
    with pytest.raises(ag.errors.ArgumentError, match="leave it out to read CUDA C"):
        on_gpu.run.source(assembly=True)


def test_other_shapes_are_other_programs(machine: fake_cupy.Machine) -> None:
    run = ag.compile(affine)
    for size in (4, 6, 4, 6, 6, 4):
        found = run(ag.asarray(draw(size), device=DEVICE))
        np.testing.assert_allclose(found.numpy(), 2 * draw(size) + 1, rtol=1e-6)


def test_what_is_read_where_it_lies_is_read_anew(machine: fake_cupy.Machine) -> None:
    """The same array again and again needs no copy; when another one comes, it is taken."""
    run = ag.compile(affine)
    x = ag.asarray(draw(4), device=DEVICE)
    for _ in range(7):
        machine.forget()
        y = run(x)
    assert machine.launches == {"graph": 1}
    assert machine.allocations == 0
    for seed in (1, 2, 3, 4, 5):
        y = run(ag.asarray(draw(4, seed=seed), device=DEVICE))
        np.testing.assert_allclose(y.numpy(), 2 * draw(4, seed=seed) + 1, rtol=1e-6)


def test_a_report_when_nobody_holds_the_arguments_any_more(machine: fake_cupy.Machine) -> None:
    for calls in range(2, 6):
        run = ag.compile(affine)
        for seed in range(calls):
            run(ag.asarray(draw(4, seed=seed), device=DEVICE))
        assert [row.operations for row in run.report()] == [("multiply", "add")]


def test_arrays_with_gaps_and_off_boundaries_are_copied(machine: fake_cupy.Machine) -> None:
    run = ag.compile(affine)
    whole = ag.asarray(draw(9), device=DEVICE)
    for part in (whole[1:5], whole[::2][:4], whole[5:], whole[1:5]):
        np.testing.assert_allclose(run(part).numpy(), 2 * part.numpy() + 1, rtol=1e-6)


def test_results_that_are_all_kept_are_copies(machine: fake_cupy.Machine) -> None:
    run = ag.compile(affine)
    xs = [ag.asarray(draw(4, seed=seed), device=DEVICE) for seed in range(7)]
    kept = []
    for x in xs:
        machine.forget()
        kept.append(run(x))
    assert machine.launches["graph"] == 1
    for seed, y in enumerate(kept):
        np.testing.assert_allclose(y.numpy(), 2 * draw(4, seed=seed) + 1, rtol=1e-6)


@pytest.mark.parametrize("result", [lambda x: (x, x.mT), lambda x: (x + 1, (x + 1).mT)], ids=["inputs", "results"])
def test_results_that_are_views(machine: fake_cupy.Machine, result: Callable[..., Any]) -> None:
    run = ag.compile(result)
    kept = [(seed, run(ag.asarray(draw(2, 3, seed=seed), device=DEVICE))) for seed in range(5)]
    for seed, results in kept:
        for found, expected in zip(results, result(draw(2, 3, seed=seed)), strict=True):
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_what_cannot_be_captured_is_named(machine: fake_cupy.Machine, caplog: pytest.LogCaptureFixture) -> None:
    def solution(a: Any, b: Any) -> Any:
        return ag.linalg.solve(a, b) * 2

    run = ag.compile(solution)
    matrix, vectors = draw(3, 3) + 3 * np.eye(3, dtype=np.float32), draw(3, 2)
    a, b = (ag.asarray(v, device=DEVICE) for v in (matrix, vectors))
    with caplog.at_level(logging.WARNING, "autograd_core.compile"):
        for _ in range(5):
            found = run(a, b)
    np.testing.assert_allclose(found.numpy(), 2 * np.linalg.solve(matrix, vectors), rtol=1e-4)
    told = [r.message for r in caplog.records if r.name == "autograd_core.compile"]
    (line,) = told
    assert line.startswith("solution: enqueued by itself, since a CUDA graph cannot have it: solve (")
    assert "replayed as one CUDA graph; by itself, since a graph cannot have it: solve (" in str(run.report())
    machine.forget()
    run(a, b)
    assert machine.launches["graph"] == 1
    with pytest.raises(np.linalg.LinAlgError):
        run(ag.zeros((3, 3), device=DEVICE), b)


def test_each_math_mode_has_a_graph_of_its_own(machine: fake_cupy.Machine) -> None:
    run = ag.compile(lambda x: x @ x)
    x = ag.asarray(draw(4, 4), device=DEVICE)
    for mode in ("fp32", "tf32", "fp32", "tf32"):
        for _ in range(5):
            with ag.math_mode(mode):
                machine.forget()
                y = run(x)
        assert machine.launches == {"graph": 1}
        np.testing.assert_allclose(y.numpy(), draw(4, 4) @ draw(4, 4), rtol=1e-4, atol=1e-5)


def test_convolutions_are_captured(machine: fake_cupy.Machine) -> None:
    """Their kernels write where their results are to lie."""

    def slopes(x: Any, weight: Any) -> Any:
        return ag.grad(lambda x, w: (nn.functional.conv2d(x, w, stride=2) ** 2).sum(), argnums=(0, 1))(x, weight)

    run = ag.compile(slopes)
    x, weight = (ag.asarray(draw(*s), device=DEVICE) for s in ((2, 3, 5, 5), (3, 3, 3, 3)))
    for _ in range(7):
        machine.forget()
        found = run(x, weight)
    assert machine.launches == {"graph": 1}
    for mine, theirs in zip(found, slopes(x, weight), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5)
    report = run.report()
    assert {"convolution", "convolution_input", "convolution_weight"} < {row.name for row in report}
    assert all(row.native for row in report)
    assert "gathered<convolution_sizes>" in run.source("convolution")


def test_two_devices(machine: fake_cupy.Machine) -> None:
    run = ag.compile(affine)
    for _ in range(4):
        for device in ("cuda:1", "cuda"):
            y = run(ag.asarray(draw(4), device=device))
            assert str(y.device) == device
            np.testing.assert_allclose(y.numpy(), 2 * draw(4) + 1, rtol=1e-6)
    assert machine.launches["graph"] >= 2
    assert all(queue.non_blocking for queue in machine.work)


def test_other_threads_go_on_during_a_capture(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def elsewhere() -> None:
        seen.append((ag.asarray(draw(3), device=DEVICE) * 3).numpy())

    begin = fake_cupy.runtime.Stream.begin_capture

    def begin_beside(stream: Any, mode: int | None = None) -> None:
        begin(stream, mode)
        thread = Thread(target=elsewhere)
        thread.start()
        thread.join()

    monkeypatch.setattr(fake_cupy.runtime.Stream, "begin_capture", begin_beside)
    run = ag.compile(affine)
    x = ag.asarray(draw(4), device=DEVICE)
    for _ in range(7):
        y = run(x)
    assert len(seen) == 2
    for found in seen:
        np.testing.assert_array_equal(found, draw(3) * 3)
    np.testing.assert_allclose(y.numpy(), 2 * draw(4) + 1, rtol=1e-6)


def test_memory_that_is_not_there(machine: fake_cupy.Machine) -> None:
    run = ag.compile(affine)
    x = ag.asarray(draw(4), device=DEVICE)
    kept = [run(x), run(x)]
    machine.limits[0] = machine.used[0]
    with pytest.raises(ag.errors.OutOfMemoryError, match="out of memory in affine: Out of memory allocating"):
        run(x)
    del kept[-1]
    np.testing.assert_allclose(run(x).numpy(), 2 * draw(4) + 1, rtol=1e-6)
    np.testing.assert_allclose(kept[0].numpy(), 2 * draw(4) + 1, rtol=1e-6)

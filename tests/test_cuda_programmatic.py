"""Kernels of a captured step that are launched so that they may begin before those before them have ended.

Over a libcuda of the fake's, which reads the structures that ctypes hands it where cuda.h has their members. Not yet
run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from ctypes import sizeof
from typing import Any

import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cupy.driver import ATTRIBUTE, CONFIG, Driver

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import programmatic as module
from autograd_core.backends.cuda import trials
from autograd_core.backends.cuda.launching import Launcher
from autograd_core.backends.cuda.native import Launch, Source
from autograd_core.backends.cuda.native.source import WAIT
from autograd_core.backends.cuda.programmatic import Programmatic, Unsupported, programmatic

ADDED = """extern "C" __global__ void added(const float *__restrict__ a0, float *__restrict__ a1) {{
    {}
    a1[0] += a0[0];
}}
"""


def added(begin: str = WAIT) -> Source:
    return Source(ADDED.format(begin), (Launch("added", 1, 32),), (4, 4))


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as made:
        made.host_code = lambda kernel, settings: lambda grid, block, a: np.add(a[0], a[1], out=a[1])
        yield made


@pytest.fixture
def cp(machine: fake_cupy.Machine) -> Any:
    import cupy

    return cupy


def captured(cp: Any, work: Any) -> Any:
    stream = cp.cuda.Stream(non_blocking=True)
    cp.cuda.Device().synchronize()
    with stream:
        stream.begin_capture()
        try:
            work()
        finally:
            graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    return graph


def test_structures_are_of_the_drivers_sizes() -> None:
    assert (sizeof(module._Config), sizeof(module._Attribute)) == (CONFIG, ATTRIBUTE)
    assert [getattr(module._Config, n).offset for n in ("stream", "attributes", "count")] == [32, 40, 48]
    assert module._Attribute.value.offset == 8


def test_kernels_after_a_kernel_may_begin_early(cp: Any) -> None:
    driver, launcher = Driver(), Launcher(cp)
    early = Programmatic(driver)
    x, y = cp.ones(3, "float32"), cp.zeros(3, "float32")

    def work() -> None:
        launcher(added(), [x, y], early)  # what a graph begins with comes after nothing
        launcher(added(), [x, y], early)
        y[...] = x
        launcher(added(), [x, y], early)  # after a copy
        launcher(added(), [x, y], early)

    captured(cp, work)
    assert driver.refusals == []
    assert driver.early == ["added"] * 2
    assert y.get().tolist() == [3, 3, 3]


def test_what_joins_branches_comes_after_all_of_them(cp: Any) -> None:
    driver, launcher = Driver(), Launcher(cp)
    early = Programmatic(driver)
    x, y, z = (cp.ones(3, "float32") for _ in range(3))
    beside = cp.cuda.Stream(non_blocking=True)

    def work() -> None:
        stream = cp.cuda.get_current_stream()
        launcher(added(), [x, y], early)
        beside.wait_event(stream.record())
        with beside:
            launcher(added(), [x, z], early)
        launcher(added(), [x, y], early)
        stream.wait_event(beside.record())
        launcher(added(), [z, y], early)

    captured(cp, work)
    assert driver.refusals == []
    assert driver.early == ["added"]  # the one behind the first on its own stream
    assert y.get().tolist() == [5, 5, 5]


def test_outside_of_captures_all_is_as_usual(cp: Any) -> None:
    driver = Driver()
    x, y = cp.ones(3, "float32"), cp.ones(3, "float32")
    for _ in range(2):
        Launcher(cp)(added(), [x, y], Programmatic(driver))
    assert (driver.early, y.get().tolist()) == ([], [3, 3, 3])


def test_a_kernel_that_does_not_wait_is_refused(cp: Any) -> None:
    driver, launcher = Driver(), Launcher(cp)
    x, y = cp.ones(3, "float32"), cp.ones(3, "float32")

    def work() -> None:
        for _ in range(2):
            launcher(added("a1[1] = 0;"), [x, y], Programmatic(driver))

    with pytest.raises(RuntimeError, match="cuLaunchKernelEx of added: status 1"):
        captured(cp, work)
    assert driver.refusals == ["added may begin before the one before it has ended, and does not wait for it"]


def test_structures_of_other_sizes_are_refused(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Short(module.Structure):
        _fields_ = [f for f in module._Config._fields_ if f[0] != "shared"]

    monkeypatch.setattr(module, "_Config", lambda grid, block, shared, *rest: Short(grid, block, *rest))
    early = Programmatic(Driver())
    early._library.cuLaunchKernelEx.argtypes = None
    x, y = cp.ones(3, "float32"), cp.ones(3, "float32")
    with pytest.raises(RuntimeError, match="status 1"):
        captured(cp, lambda: [Launcher(cp)(added(), [x, y], early) for _ in range(2)])


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (lambda: Driver(version=12020), "the driver knows CUDA 12.2, not 12.3"),
        (lambda: Driver(missing=("cuLaunchKernelEx",)), "the driver has no cuLaunchKernelEx"),
        (lambda: Driver(missing=("cuStreamGetCaptureInfo_v3",)), "the driver has no cuStreamGetCaptureInfo_v3"),
    ],
)
def test_an_old_driver_launches_as_usual(driver: Any, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        Programmatic(driver())


def test_what_is_missing_is_said_once(
    cp: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise OSError("libcuda.so.1: no such file")

    monkeypatch.setattr(module, "load", none)
    with caplog.at_level(logging.INFO, "autograd_core.cuda"):
        assert [programmatic(cp, 0) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert "libcuda.so.1: no such file" in caplog.text
    module._found.cache_clear()
    monkeypatch.setattr(cp.cuda.runtime, "getDeviceProperties", lambda index: {"major": 8})
    assert programmatic(cp, 0) is None


def test_nothing_is_launched_early_unless_asked_for() -> None:
    with fake_devices(driver := Driver()):
        step = ag.compile(lambda x: ag.sum(ag.exp(x - ag.max(x)) @ x.mT))
        x = ag.ones((32, 32), device="cuda")
        for _ in range(9):
            step(x)
        assert "launched early" not in str(step.report())
    assert driver.early == []


def test_compiled_steps_try_both_and_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rendered kernel of a training step, launched early wherever it comes after a kernel."""
    monkeypatch.setattr(trials, "TRIES_EARLY", True)
    found = {}
    for driver in (None, Driver()):
        with fake_devices(driver) as machine, ag.random.fork(0):
            model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 4)).to("cuda")
            optimizer = optim.Adam(model.parameters(), lr=0.01)

            @ag.compile
            def step(x: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
                optimizer.zero_grad()
                loss = (model(x) ** 2).mean()
                loss.backward()
                optimizer.step()
                return loss

            rng = np.random.default_rng(0)
            batches = [ag.asarray(rng.standard_normal((5, 8)).astype("float32"), device="cuda") for _ in range(16)]
            losses = [step(x).item() for x in batches]
            assert machine.launches["graph"] > 0
            found[driver] = (losses, [p.numpy().tobytes() for p in model.parameters()], str(step.report()))
    (usual, *before), (early, *after) = ((d, *f) for d, f in found.items())
    assert usual is None
    assert before[:2] == after[:2]
    assert early.refusals == []
    assert len(set(early.early)) >= 2
    assert "launched early" in after[2]
    assert "launched early" not in before[2]


def test_no_kernel_of_another_module_asks_for_it() -> None:
    """Recurrent launches are cooperative, and neither wait nor let others begin."""
    from autograd_core.backends.cuda import pooling_kernels, sums_by_index
    from autograd_core.backends.cuda.native import recurrent

    problem = recurrent.Recurrence("lstm", "forward", 4, 8, 64)
    cut = recurrent.best_cut(problem, multiprocessors=132, shared=227 << 10)
    assert cut is not None
    for text in (pooling_kernels.CODE, sums_by_index.CODE, recurrent.render(problem, cut).text):
        assert WAIT not in text

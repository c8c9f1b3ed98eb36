"""CUDA where CuPy, a driver or a library is missing: the table of devices and every error say which, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import autograd_core as ag
from autograd_core import backend as registry
from autograd_core.backends import conformance
from autograd_core.errors import BackendUnavailableError


@pytest.fixture(autouse=True)
def _nobody_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BACKENDS", {k: v for k, v in registry._BACKENDS.items() if k != "cuda"})
    monkeypatch.setattr(registry, "_DEVICES", dict(registry._DEVICES))


class CUDARuntimeError(RuntimeError):
    pass


def fake_cupy(count: Callable[[], int]) -> ModuleType:
    cupy = ModuleType("cupy")
    cupy.__spec__ = SimpleNamespace()
    cupy.__version__ = "14.2.0"
    cupy.cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError),
    )
    return cupy


def no_driver() -> int:
    raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")


def test_cuda_without_cupy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    (row,) = [row for row in ag.devices() if row.name == "cuda"]
    assert not row.available
    assert row.reason.startswith("CuPy is not installed: pip install 'autograd_core[cuda13]'")
    with pytest.raises(BackendUnavailableError, match="device 'cuda:1' cannot be used here: CuPy is not installed"):
        ag.zeros(2, device="cuda:1")
    assert conformance.run("cuda").ok


def test_cuda_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(no_driver))
    (row,) = [row for row in ag.devices() if row.name == "cuda"]
    assert not row.available
    assert row.reason.startswith("no NVIDIA driver is installed (cudaErrorInsufficientDriver")
    assert conformance.run("cuda").ok


def test_cuda_whose_cupy_does_not_load_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.13: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    (row,) = [row for row in ag.devices() if row.name == "cuda"]
    assert not row.available
    assert "CuPy does not load: libnvrtc.so.13: cannot open shared object file" in row.reason
    assert conformance.run("cuda").ok

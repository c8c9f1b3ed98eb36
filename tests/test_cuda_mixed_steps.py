"""Training steps in half precision on CUDA devices, over the fake CuPy: one graph, no waits, no allocations, and no
kernel calls. What kernels compute is not looked at here. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt

F = nn.functional
CALLS = 9  # after which both of a step's graphs have been captured
CLASSES = 10


class Tagger(nn.Module):
    """A class for every word of some sequences, by what is put between embedding and output."""

    def __init__(self, middle: nn.Module, features: tuple[int, int]):
        super().__init__()
        self.embedding = nn.Embedding(12, features[0])
        self.middle = middle
        self.output = nn.Linear(features[1], CLASSES)

    def forward(self, words: ag.Tensor) -> ag.Tensor:
        x = self.middle(self.embedding(words))
        return self.output(x[0] if isinstance(x, tuple) else x).reshape(-1, CLASSES)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, CLASSES))


def convolutional() -> nn.Module:
    first = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(16, 16, 3, padding=1, groups=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(4)
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(16, CLASSES))


def recurrent() -> nn.Module:
    return Tagger(nn.LSTM(8, 32), (8, 32))


def transformer() -> nn.Module:
    return Tagger(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True), (16, 16))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (perceptron, (4, 12)),
    "convolutional": (convolutional, (4, 3, 8, 8)),
    "recurrent": (recurrent, (3, 4)),
    "transformer": (transformer, (2, 6)),
}


class Training:
    """bfloat16 with float32 masters; float16 with a scale beside, and clipped gradients."""

    def __init__(self, model: nn.Module, dtype: str):
        self.model = model.to(dtype)
        self.optimizer = optim.MasterWeights(optim.AdamW(model.parameters(), lr=1e-3))
        self.scaler = optim.GradScaler(init_scale=1024.0) if dtype == "float16" else None

    def step(self, x: ag.Tensor, labels: ag.Tensor) -> ag.Tensor:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), labels)
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
            return loss
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        self.optimizer.clip_grad_norm_(1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss


def examples(shape: tuple[int, ...], dtype: str) -> tuple[ag.Tensor, ag.Tensor]:
    rng = np.random.default_rng(0)
    if len(shape) == 2 and shape[0] < 4:  # words
        return ag.tensor(rng.integers(0, 12, shape)), ag.tensor(rng.integers(0, CLASSES, shape[0] * shape[1]))
    return ag.tensor(rng.standard_normal(shape), dtype=dtype), ag.tensor(rng.integers(0, CLASSES, shape[0]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each network in one of the two, in both with ``--every-case``."""
    every = [(name, dtype) for name in NETWORKS for dtype in ("float16", "bfloat16")]
    chosen = every if metafunc.config.getoption("--every-case") else every[::3] + every[5:6]
    metafunc.parametrize(("name", "dtype"), chosen)


def test_a_step_is_one_graph_of_kernels(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> None:
        """In place of a kernel: what is asked here is what is launched."""

    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    make, shape = NETWORKS[name]
    with np.errstate(all="ignore"), fake_devices() as machine, ag.default_device("cuda"):
        machine.bodies.clear()
        machine.host_code = lambda kernel, settings: nothing
        training = Training(make(), dtype)
        step, (x, labels) = ag.compile(training.step), examples(shape, dtype)
        for _ in range(CALLS):
            machine.forget()
            step(x, labels)
        assert dict(machine.launches) == {"graph": 1}
        assert (sum(machine.synchronizations.values()), machine.allocations) == (0, 0)
        report = step.report()
    (how,) = report.remarks
    assert how.startswith("replayed as one CUDA graph")
    assert "by itself" not in how
    assert all(row.native for row in report.rows), report  # no kernel call

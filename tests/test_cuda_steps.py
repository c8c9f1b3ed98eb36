"""Training steps on CUDA arrays, over the fake CuPy: the losses of the CPU; the host waits for labels alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        yield machine


class Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 6)
        self.states = kind(6, 8, batch_first=True)
        self.scores = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        return self.scores(self.states(self.words(x))[0][:, -1])


def vectors(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal((8, *shape)).astype(np.float32)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[np.random.Generator], np.ndarray]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Dropout(0.3), nn.LayerNorm(16), nn.Linear(16, 4)),
        lambda rng: vectors(rng, 5),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 4)
        ),
        lambda rng: vectors(rng, 1, 8, 8),
    ),
    "LSTM": (lambda: Recurrent(nn.LSTM), lambda rng: rng.integers(0, 10, (8, 5))),
    "GRU": (lambda: Recurrent(nn.GRU), lambda rng: rng.integers(0, 10, (8, 5))),
    "attention": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(24, 4)),
        lambda rng: vectors(rng, 3, 8),
    ),
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.01),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.01, amsgrad=True),
}


KERNELS = ("loop", "segments", "convolution", "lstm", "gru", "sum_by")  # parts of a step, all in its one graph


class Training:
    """A network, trained on one batch, from the same numbers on every device."""

    def __init__(self, network: str, optimizer: str, device: str, *, compiled: bool):
        ag.random.seed(0)
        make, data = NETWORKS[network]
        self.device = device
        self.model = make().to(device)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.x = ag.asarray(data(np.random.default_rng(0)), device=device)
        self.labels = ag.asarray(np.arange(8) % 4, device=device)
        self.run = ag.compile(self.step) if compiled else self.step

    def step(self, x: Any, labels: Any) -> Any:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), labels)
        loss.backward()
        optim.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss

    def losses(self, steps: int = 5) -> list[float]:
        with ag.default_device(self.device):
            return [self.run(self.x, self.labels).item() for _ in range(steps)]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("network", "optimizer"),
    [(network, "Adam") for network in NETWORKS] + [("perceptron", "SGD"), ("perceptron", "AdamW")],
)
def test_losses_are_those_of_the_cpu(machine: fake_cupy.Machine, network: str, optimizer: str, compiled: bool) -> None:
    on_gpu = Training(network, optimizer, "cuda", compiled=compiled)
    found = on_gpu.losses()
    if compiled:
        with ag.default_device("cuda"):
            for _ in range(3):  # results take turns in two places, with a graph for each
                machine.forget()
                on_gpu.run(on_gpu.x, on_gpu.labels)
        assert machine.launches["graph"] == 1
        assert sum(machine.synchronizations.values()) == 0
        assert not any(name.startswith(KERNELS) for name in machine.launches)
    np.testing.assert_allclose(found, Training(network, optimizer, "numpy", compiled=compiled).losses(), rtol=1e-5)
    assert found[-1] < found[0]
    assert all(queue.non_blocking for queue in machine.work)


def test_a_step_waits_for_labels_and_new_indices_alone(machine: fake_cupy.Machine) -> None:
    """The embedding's indices are looked at in the first step, the labels by the loss in each."""
    training = Training("LSTM", "Adam", "cuda", compiled=False)
    with ag.default_device("cuda"):
        for _ in range(2):
            machine.forget()
            training.step(training.x, training.labels)
    assert sum(machine.synchronizations.values()) <= 2
    assert not {queue for queue in machine.work if not queue.non_blocking}

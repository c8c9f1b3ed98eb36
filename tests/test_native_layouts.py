"""Networks whose images lie channels last between kernels: trained compiled as eagerly, by native kernels alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from compile_steps import agree
from native_lowered import assert_native

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cpu.native import compiler, team
from autograd_core.compiler.layout import with_layouts

R = np.random.default_rng(3)
F = nn.functional


@pytest.fixture(autouse=True, params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = team.threads()
    team.set_threads(request.param)
    with ag.default_device("cpu"):
        yield
    team.set_threads(before)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layouts of what is compiled."""
    found: list[Any] = []

    def noted(*args: Any) -> Any:
        plan = with_layouts(*args)
        found.append(plan.layouts)
        return plan

    monkeypatch.setattr(compiler, "with_layouts", noted)
    return found


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        return F.relu(x + self.norm(self.second(F.relu(self.first(x)))))


class Joined(nn.Module):
    """Channels of two convolutions side by side."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, 7, 3, padding=1), nn.Conv2d(channels, 9, 1)

    def forward(self, x: Any) -> Any:
        return ag.concat([self.first(x), F.gelu(self.second(x))], axis=1)


NETWORKS: dict[str, Callable[[], list[nn.Module]]] = {
    "pooled": lambda: [
        nn.Conv2d(3, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 6 * 6, 5),
    ],
    "normalized": lambda: [
        nn.Conv2d(3, 20, 3, padding=1, bias=False),
        nn.BatchNorm2d(20),
        nn.ReLU(),
        nn.Conv2d(20, 8, 3, stride=2),
        nn.GroupNorm(2, 8),
        nn.Tanh(),
    ],
    "residual": lambda: [nn.Conv2d(3, 16, 3, padding=1), Residual(16), nn.AvgPool2d(2), nn.Conv2d(16, 4, 3, groups=1)],
    "joined": lambda: [Joined(3), nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(16, 4, 2), nn.AdaptiveAvgPool2d(1)],
    "averaged": lambda: [
        nn.Conv2d(3, 16, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 20, 3),
        nn.AdaptiveAvgPool2d(1),
    ],
    "dropped": lambda: [nn.Conv2d(3, 16, 3), nn.Dropout(0.4), nn.GELU(), nn.Conv2d(16, 16, 3), nn.MaxPool2d(2)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_training_is_as_it_was(name: str, chosen: list[Any]) -> None:
    def make() -> Any:
        model = nn.Sequential(*NETWORKS[name]())
        optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            y = model(x)
            loss = ag.square(y).mean()
            loss.backward()
            optimizer.step()
            return loss, y

        return [model], optimizer, step

    batches = [R.standard_normal((4, 3, 16, 16)).astype(np.float32) for _ in range(6)]
    run = agree(make, lambda i: [ag.tensor(batches[i])], {"float32": 1e-5, "float64": 1e-10})
    assert chosen
    assert chosen[-1]
    assert_native(run.step)

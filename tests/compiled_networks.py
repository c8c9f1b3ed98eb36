"""What the tests of compiled functions share: data, and a network with a bit of everything."""

from __future__ import annotations

import numpy as np

import autograd_core as ag
from autograd_core import nn


def draw(*shape: int, seed: int = 0) -> ag.Tensor:
    return ag.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def network() -> nn.Module:
    with ag.random.fork(0):
        return nn.Sequential(
            nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
        )


def called_often(f, *args) -> None:
    for _ in range(20):
        f(*args)

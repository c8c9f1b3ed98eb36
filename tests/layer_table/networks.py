"""Layers together."""

from __future__ import annotations

from .case import case

CASES = [
    case(
        "a network",
        lambda n: n.Sequential(
            n.Conv2d(1, 4, 3, padding=1, bias=False),
            n.BatchNorm2d(4),
            n.ReLU(),
            n.MaxPool2d(2),
            n.Flatten(),
            n.Linear(36, 5),
            n.LogSoftmax(dim=1),
        ),
        (3, 1, 6, 6),
    ),
]

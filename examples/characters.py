"""What the language models share: Python's own sources as text, and a learner in this library or in PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import Characters, DataLoader, python_sources, streams

BETAS, WARM_UP, CLIP = (0.9, 0.99), 100, 1.0


def corpus(quick: bool) -> tuple[Characters, np.ndarray, np.ndarray]:
    """The characters, and the text in numbers: what is trained on, and the end, of which 131,072 are predicted."""
    text = python_sources(["heapq"])[: 5 * 2**11 + 2] if quick else python_sources()
    predicted = 2**11 if quick else 2**17
    characters = Characters(text)
    numbers = characters.encode(text)
    return characters, numbers[: -predicted - 1], numbers[-predicted - 1 :]


def described(text: np.ndarray, test: np.ndarray) -> str:
    """The corpus, in the table's words."""
    total = (len(text) + len(test)) / 1e6
    return f"{total:.2f} million characters of the standard library's sources, the last {len(test) - 1:,} predicted"


class Learner:
    """A language model that learns step by step; ``lib`` is autograd_core or torch, whose names agree.

    forward: (symbols, state) -> (scores, state), the state a tuple of tensors; optimizer: of PyTorch's interface.
    """

    def __init__(self, lib: Any, model: Any, forward: Callable[..., Any], optimizer: Any, clip: Callable[..., Any]):
        self.lib, self.model, self.forward, self.optimizer = lib, model, forward, optimizer
        self.device = next(iter(model.parameters())).device
        self.take = step_of(lib, forward, optimizer, lambda: clip(model.parameters(), CLIP))
        self.state: Any = ()
        self.losses: list[Any] = []
        self.seconds: list[float] = []

    def learn(self, batch: Iterable[np.ndarray], rate: float) -> None:
        x, y = (self.lib.asarray(part, device=self.device) for part in batch)
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, self.state = self.take(x, y, self.state)
        self.losses.append(loss)
        self.seconds.append(time.perf_counter() - start)

    def curve(self) -> list[float]:
        """Bits per character in training, means over a hundred parts of equal length."""
        losses = np.array([float(loss) for loss in self.losses]) / math.log(2)
        return [float(part.mean()) for part in np.array_split(losses, min(100, len(losses)))]

    def bits(self, text: np.ndarray, state: Any) -> float:
        """Bits per character of a text that is read in 8 streams, with the state carried on in each."""
        total, loader = 0.0, DataLoader(streams(text, 8, 256), batch_size=8)
        with self.lib.no_grad():
            for batch in loader:
                x, y = (self.lib.asarray(part, device=self.device) for part in batch)
                scores, state = self.forward(x, state)
                total += float(self.lib.nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten()))
        return total / len(loader) / math.log(2)


def step_of(lib: Any, forward: Callable[..., Any], optimizer: Any, clip: Callable[[], Any]) -> Callable[..., Any]:
    def step(x: Any, y: Any, state: Any) -> tuple[Any, Any]:
        """The loss, and the state to carry on, cut off from what led to it."""
        optimizer.zero_grad()
        scores, state = forward(x, state)
        loss = lib.nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())
        loss.backward()
        clip()
        optimizer.step()
        return loss.detach(), tuple(s.detach() for s in state)

    return step


def learner(model: nn.Module, forward: Callable[..., Any], compile: bool) -> Learner:
    """A learner in this library, whose step is compiled."""
    made = Learner(ag, model, forward, optim.Adam(model.parameters(), betas=BETAS), optim.clip_grad_norm_)
    if compile:
        made.take = ag.compile(made.take)
    return made


def train(
    learners: Mapping[str, Learner], loader: DataLoader, epochs: int, rate: float, begin: Callable[[Learner], Any]
) -> None:
    """All learners take the same steps. begin: the state of a learner at the beginning of the text."""
    total = epochs * len(loader)
    schedule = optim.schedules.warmup_cosine(rate, min(WARM_UP, total // 2), total, min=rate / 20)
    number = 0
    for _ in range(epochs):
        for each in learners.values():
            each.state = begin(each)
        for batch in loader:
            for each in learners.values():
                each.learn(batch, schedule(number))
            number += 1
            if number % max(1, total // 20) == 0:
                recent = {
                    name: np.mean([float(loss) for loss in each.losses[-100:]]) for name, each in learners.items()
                }
                shown = ", ".join(f"{name} {loss / math.log(2):.3f}" for name, loss in recent.items())
                print(f"step {number}/{total}: bits per character in training: {shown}", flush=True)

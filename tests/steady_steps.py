"""Ordinary steps that are repeated in place, and how often they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.compiler.steady import Steady

CALLS = 9
CAPTURED = 3  # the first makes gradients and the state of optimizers, and two must be the same


def watched(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call of compiled code that might be repeated from now on: whether it was."""
    seen: list[bool] = []
    original = Steady.repeated

    def repeated(self: Steady, leaves: Any) -> Any:
        results = original(self, leaves)
        seen.append(results is not None)
        return results

    monkeypatch.setattr(Steady, "repeated", repeated)
    return seen


Step = tuple[nn.Module, Callable[..., Any]]


def network(*layers: nn.Module, make: Any = optim.Adam, loss: Any = None) -> Step:
    model = nn.Sequential(*layers)
    optimizer = make(model.parameters(), lr=0.05)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        y = loss(model, x) if loss else model(x).square().mean()
        y.backward()
        optimizer.step()
        return y

    return model, step


def convolutions() -> Step:
    return network(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 2)
    )


def plain_sgd() -> Step:
    return network(nn.Flatten(), nn.Linear(72, 8), nn.Tanh(), nn.Linear(8, 3), make=optim.SGD)


def momentum() -> Step:
    return network(
        nn.Flatten(),
        nn.Linear(72, 8),
        nn.BatchNorm1d(8),
        nn.Linear(8, 3),
        make=lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
    )


def dropout() -> Step:
    return network(nn.Flatten(), nn.Linear(72, 8), nn.Dropout(0.5), nn.Linear(8, 3))


def recurrent() -> Step:
    """Its two biases have one gradient."""
    return network(nn.LSTM(6, 5), loss=lambda model, x: model[0](x[0])[0].square().mean())


def clipped() -> Step:
    model = nn.Linear(6, 3)
    optimizer = optim.AdamW(model.parameters(), lr=0.05)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        norm = optim.clip_grad_norm_(list(model.parameters()), 0.1)
        optimizer.step()
        return loss, norm

    return model, step


def gathering() -> Step:
    model = nn.Linear(6, 3)

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        return loss

    return model, step


def clearing_at_the_end() -> Step:
    model = nn.Linear(6, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.05)

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return model, step


def noncontiguous() -> Step:
    model = nn.Linear(6, 3)
    model.weight.assign_(ag.tensor(np.asfortranarray(np.random.default_rng(0).standard_normal((3, 6), np.float32))))

    def step(x: Any) -> Any:
        return model(x).detach().sum()

    return model, step


def reshaped_gradients() -> Step:
    model = nn.Sequential(nn.Linear(6, 4))

    def step(x: Any) -> Any:
        weight, bias = model[0].parameters()
        weight.grad = bias.grad = None
        loss = (weight.reshape(24) * 3.0).sum() + (ag.expand_dims(bias, 0) * 2.0).sum() + x.sum()
        loss.backward()
        return loss

    return model, step


def with_a_host_call() -> Step:
    model = nn.Linear(6, 3)
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean() + ag.linalg.svdvals(model.weight)[0]
        loss.backward()
        optimizer.step()
        return loss

    return model, step


STEPS = [
    convolutions,
    plain_sgd,
    momentum,
    dropout,
    recurrent,
    clipped,
    gathering,
    clearing_at_the_end,
    noncontiguous,
    reshaped_gradients,
    with_a_host_call,
]


def seen_beside_eager(make: Callable[[], Step], batch: Callable[[int], Any], holding: bool) -> list[dict[str, Any]]:
    """What parameters, gradients and results are after some steps, eager and compiled; holding: somebody holds all that
    is written, now and then.
    """
    seen = []
    held: list[Any] = []
    for wrap in (lambda f: f, ag.compile):
        with ag.random.fork(0):
            model, step = make()
            run = wrap(step)
            results = []
            for i in range(CALLS):
                results.append(run(batch(i)))
                if holding and i % 3 != 1:
                    held[:] = [x.data for x in model.state_dict().values()]
                    held += [p.grad for p in model.parameters()]
        gradients = {f"gradient of {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
        losses = {f"result {i}": (y[0] if isinstance(y, tuple) else y).detach() for i, y in enumerate(results)}
        seen.append({n: x.numpy() for n, x in {**model.state_dict(), **gradients, **losses}.items()})
    return seen

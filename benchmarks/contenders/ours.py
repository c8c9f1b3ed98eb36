"""A row in autograd_core, run operation by operation or as one compiled step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backend import get_device
from autograd_core.tensor import Tensor

from ..allocations import Allocations
from ..workloads import Workload
from .contestant import HOSTS, Contestant, norm

WATCHED = 12  # first steps, after which all is captured and pools have what they need; to count costs time


def build(row: Workload, *, device: str, compiled: bool, threads: int, math: str = "fp32") -> Contestant:
    """``threads`` is obeyed through the environment that the worker was started with."""
    if device in HOSTS:
        run, values, _ = stated(row, device=device, compiled=compiled, math=math)
        return Contestant(run, values)
    target, allocations = get_device(device), Allocations()
    with allocations:
        run, values, whole = stated(row, device=device, compiled=compiled, math=math)
    watched = iter(range(WATCHED))

    def step() -> Any:
        if next(watched, None) is None:
            return run()
        with allocations:
            return run()

    def how() -> dict[str, Any]:
        with ag.math_mode(math):
            return {"remarks": list(whole.report().remarks)}

    return Contestant(
        step,
        values,
        lambda _: target.synchronize(),
        lambda: allocations.reserved,
        None if whole is None else how,
    )


def stated(
    row: Workload, *, device: str, compiled: bool, math: str = "fp32"
) -> tuple[Callable[[], Any], Callable[[Any], list[float]], Any]:
    """The step, the values of what it returns, and what ``ag.compile`` made: None if not compiled as a whole."""
    arrays, parameters = row.problem()
    data = {name: ag.tensor(x, device=device, requires_grad=name in row.leaves) for name, x in arrays.items()}
    with ag.default_device(device):
        model = row.model(ag)
    trained: list[Tensor] = []
    if model is not None:
        _copy_into(model, parameters)
        trained = list(model.parameters())
    leaves = [data[name] for name in row.leaves] + trained
    optimizer = optim.Adam(trained, lr=1e-3) if row.trains else None

    def step(batch: dict[str, Tensor] | None = None) -> Any:
        if optimizer is None:
            for leaf in leaves:
                leaf.grad = None
        else:
            optimizer.zero_grad()
        loss = row.loss(ag, model, data if batch is None else {**data, **batch})
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        return loss

    if compiled and row.new_graph_every_step:
        row.around = ag.compile
    whole = ag.compile(step) if compiled and not row.new_graph_every_step else None

    def values(loss: Any) -> list[float]:
        gradients = [] if row.trains else [leaf.grad for leaf in leaves]
        return [loss.item(), *(norm(g.numpy()) for g in gradients if g is not None)]

    run: Callable[..., Any] = step if whole is None else whole
    if batches := [{name: ag.tensor(x, device=device) for name, x in batch.items()} for batch in row.batches()]:
        run = _by_turns(run, batches)
    return _on(device, math, run), values, whole


def _by_turns(step: Callable[..., Any], batches: list[dict[str, Tensor]]) -> Callable[[], Any]:
    turn = cycle(batches)
    return lambda: step(next(turn))


def _on(device: str, math: str, step: Callable[[], Any]) -> Callable[[], Any]:
    """The step on ``device`` in that math mode; where both are what they are anyway, nothing is put around it."""
    if get_device(device) is get_device(None) and math == ag.get_math_mode():
        return step

    def run() -> Any:
        with ag.default_device(device), ag.math_mode(math):
            return step()

    return run


def _copy_into(model: nn.Module, parameters: dict[str, np.ndarray]) -> None:
    """By name, all of them; buffers stay as they are."""
    own = dict(model.named_parameters())
    if own.keys() != parameters.keys():
        raise ValueError(f"the model has the parameters {sorted(own)}, the row draws {sorted(parameters)}")
    model.load_state_dict({**model.state_dict(), **parameters})

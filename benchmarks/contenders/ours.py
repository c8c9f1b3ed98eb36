"""A row in autograd_core, run operation by operation or as one compiled step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backend import get_device
from autograd_core.tensor import Tensor

from ..workloads import Workload
from .contestant import Contestant, norm


def build(row: Workload, *, device: str, compiled: bool, threads: int) -> Contestant:
    """``threads`` is obeyed through the environment that the worker was started with."""
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

    def step() -> Any:
        if optimizer is None:
            for leaf in leaves:
                leaf.grad = None
        else:
            optimizer.zero_grad()
        loss = row.loss(ag, model, data)
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        return loss

    if compiled and row.new_graph_every_step:
        row.around = ag.compile
    run = _on(device, ag.compile(step) if compiled and not row.new_graph_every_step else step)

    def values(loss: Any) -> list[float]:
        gradients = [] if row.trains else [leaf.grad for leaf in leaves]
        return [loss.item(), *(norm(g.numpy()) for g in gradients if g is not None)]

    return Contestant(run, values)


def _on(device: str, step: Callable[[], Any]) -> Callable[[], Any]:
    """The step on ``device``, done when it returns; on the default device nothing is put around it."""
    target = get_device(device)
    if target is get_device(None):
        return step

    def run() -> Any:
        with ag.default_device(device):
            loss = step()
        target.synchronize()
        return loss

    return run


def _copy_into(model: nn.Module, parameters: dict[str, np.ndarray]) -> None:
    """By name, all of them; buffers stay as they are."""
    own = dict(model.named_parameters())
    if own.keys() != parameters.keys():
        raise ValueError(f"the model has the parameters {sorted(own)}, the row draws {sorted(parameters)}")
    model.load_state_dict({**model.state_dict(), **parameters})

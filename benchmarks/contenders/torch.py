"""A row in PyTorch, from the text that ours is read from; compiled, the loss alone or a function of gradients whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..workloads import Workload
from .contestant import Contestant, norm


def build(row: Workload, *, device: str, compiled: bool, threads: int) -> Contestant:
    """Adam stays outside of what is compiled, as PyTorch's own guides write it."""
    torch.set_num_threads(threads)
    arrays, parameters = row.problem()
    data = {name: torch.from_numpy(x).to(device).requires_grad_(name in row.leaves) for name, x in arrays.items()}
    model = row.model(torch)
    trained: list[torch.Tensor] = []
    if model is not None:
        _copy_into(model.to(device), parameters)
        trained = list(model.parameters())
    step = _training(row, model, data, compiled) if row.trains else _gradients(row, model, data, compiled)
    leaves = [data[name] for name in row.leaves] + trained

    def values(loss: torch.Tensor) -> list[float]:
        gradients = [] if row.trains else [leaf.grad for leaf in leaves]
        return [loss.item(), *(norm(g.cpu()) for g in gradients if g is not None)]

    return Contestant(step, values)


def _training(row: Workload, model: Any, data: dict[str, torch.Tensor], compiled: bool) -> Any:
    def loss_of() -> torch.Tensor:
        return row.loss(torch, model, data)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    forward = torch.compile(loss_of) if compiled else loss_of

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _gradients(row: Workload, model: Any, data: dict[str, torch.Tensor], compiled: bool) -> Any:
    leaves = [data[name] for name in row.leaves] + ([] if model is None else list(model.parameters()))

    def step() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        loss = row.loss(torch, model, data)
        loss.backward()
        return loss

    return torch.compile(step) if compiled else step


def _copy_into(model: torch.nn.Module, parameters: dict[str, np.ndarray]) -> None:
    """By name, all of them; buffers stay as they are."""
    own = dict(model.named_parameters())
    if own.keys() != parameters.keys():
        raise ValueError(f"the model has the parameters {sorted(own)}, the row draws {sorted(parameters)}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.from_numpy(parameters[name]))

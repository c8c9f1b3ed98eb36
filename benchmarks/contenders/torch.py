"""A row in PyTorch, from the text that ours is read from; compiled, the loss alone or a function of gradients whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import cycle
from typing import Any

import numpy as np
import torch

from ..workloads import Workload
from .contestant import HOSTS, Contestant, norm

PRECISIONS = {"fp32": "highest", "tf32": "high", "bf16": "high"}
GRAPHS = "reduce-overhead"  # the mode of torch.compile that makes CUDA graphs


def build(row: Workload, *, device: str, compiled: bool, threads: int, math: str = "fp32") -> Contestant:
    """Adam stays outside of what is compiled, as PyTorch's own guides write it; on a GPU it is then the fused one."""
    torch.set_num_threads(threads)
    on_gpu = device not in HOSTS
    if on_gpu:
        _prepare_gpu(math)
    arrays, parameters = row.problem()
    data = {name: torch.from_numpy(x).to(device).requires_grad_(name in row.leaves) for name, x in arrays.items()}
    model = row.model(torch)
    trained: list[torch.Tensor] = []
    if model is not None:
        _copy_into(model.to(device), parameters)
        trained = list(model.parameters())

    def loss_of(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16) if on_gpu and math == "bf16" else nullcontext():
            return row.loss(torch, model, {**data, **batch})

    batches = [{name: torch.from_numpy(x).to(device) for name, x in batch.items()} for batch in row.batches()]
    turn = cycle(batches or [{}])

    made_faster = _compiler(on_gpu) if compiled else None
    leaves = [data[name] for name in row.leaves] + trained
    if row.trains:
        optimizer = torch.optim.Adam(trained, lr=1e-3, fused=True if on_gpu and compiled else None)
        step = _training(loss_of, turn, optimizer, made_faster)
    else:
        step = _gradients(lambda: loss_of({}), leaves, made_faster)
    if on_gpu and compiled:
        step = _beginning(step)

    def values(loss: torch.Tensor) -> list[float]:
        gradients = [] if row.trains else [leaf.grad for leaf in leaves]
        return [loss.item(), *(norm(g.cpu()) for g in gradients if g is not None)]

    if not on_gpu:
        return Contestant(step, values)
    return Contestant(step, values, lambda _: torch.cuda.synchronize(), torch.cuda.max_memory_reserved)


def _prepare_gpu(math: str) -> None:
    if not torch.cuda.is_available():
        raise RuntimeError(f"this PyTorch ({torch.__version__}, CUDA {torch.version.cuda}) finds no GPU")
    torch.set_float32_matmul_precision(PRECISIONS[math])
    torch.backends.cudnn.allow_tf32 = math != "fp32"
    torch.backends.cudnn.benchmark = True


def _compiler(on_gpu: bool) -> Callable[[Any], Any]:
    return lambda function: torch.compile(function, mode=GRAPHS if on_gpu else None)


def _training(
    loss_of: Callable[..., torch.Tensor],
    turn: Iterator[dict[str, torch.Tensor]],
    optimizer: Any,
    compiler: Callable[[Any], Any] | None,
) -> Any:
    forward = loss_of if compiler is None else compiler(loss_of)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = forward(next(turn))
        loss.backward()
        optimizer.step()
        return loss

    return step


def _gradients(
    loss_of: Callable[[], torch.Tensor], leaves: list[torch.Tensor], compiler: Callable[[Any], Any] | None
) -> Any:
    def step() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        loss = loss_of()
        loss.backward()
        return loss

    return step if compiler is None else compiler(step)


def _beginning(step: Callable[[], Any]) -> Callable[[], Any]:
    """Results of the last step may be written over from here on, as CUDA graphs have it."""

    def run() -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return step()

    return run


def _copy_into(model: torch.nn.Module, parameters: dict[str, np.ndarray]) -> None:
    """By name, all of them; buffers stay as they are."""
    own = dict(model.named_parameters())
    if own.keys() != parameters.keys():
        raise ValueError(f"the model has the parameters {sorted(own)}, the row draws {sorted(parameters)}")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.from_numpy(parameters[name]))

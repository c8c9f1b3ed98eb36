"""Kernels that memory bounds: bytes a second of what compiled steps consist of, over those of a copy in the same run.

A kernel is timed between events on the stream, on arrays so large that the host is far ahead; the whole step as it is
replayed. Not yet run on hardware.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backend import get_device

from .measure import machine, table, write_json
from .usable import DEVICE, facts, need_device, tried

CAPTURED = 8  # calls after which a step is captured
ROUNDS, CALLS = 7, 5
WORTH = 1 << 25  # bytes: kernels that move less are listed, but say nothing about memory
GOAL = 0.85


def add_arguments(command: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(args: argparse.Namespace) -> None:
    """SystemExit 1 if a step failed; the others are written all the same."""
    need_device("kernels")
    report: dict[str, Any] = {"machine": machine(), "gpu": facts(DEVICE), "goal": GOAL, "steps": {}}
    copy = report["copy"] = copied_bytes_per_second(args.quick)
    print(f"copy: {copy / 1e9:.1f} GB/s, read and written", flush=True)
    with ag.default_device(DEVICE):
        for name, made in STEPS.items():
            found = report["steps"][name] = tried(partial(_made_and_measured, made, args.quick, copy))
            print("\n" + shown(name, found), flush=True)
            write_json(args.json, report)
    if failed := [name for name, found in report["steps"].items() if "error" in found]:
        raise SystemExit(f"kernels: failed: {', '.join(failed)}")


def copied_bytes_per_second(quick: bool) -> float:
    """Of an array that no cache holds, by the driver's copy; the best of some rounds."""
    device = get_device(DEVICE)
    a, b = (ag.zeros(1 << 12 if quick else 1 << 28, device=device) for _ in range(2))
    copy = device.backend.xp.copyto
    return 8 * a.size / seconds(lambda: copy(b.data, a.data))


def seconds(step: Callable[[], Any]) -> float:
    """Of a call: the best of some rounds of several, between events on the stream."""
    device = get_device(DEVICE)
    backend: Any = device.backend
    queue, cuda = backend.queue(device.index), import_module("cupy").cuda
    best = np.inf
    step()
    for _ in range(ROUNDS):
        with queue:
            start = queue.stream.record(cuda.Event())
        for _ in range(CALLS):
            step()
        with queue:
            end = queue.stream.record(cuda.Event())
        device.synchronize()
        best = min(best, 1e-3 * cuda.get_elapsed_time(start, end) / CALLS)
    return float(best)


def _made_and_measured(made: Callable[[bool], Step], quick: bool, copy: float) -> dict[str, Any]:
    return measured(*made(quick), copy)


def measured(compiled: Any, operands: tuple[ag.Tensor, ...], copy: float) -> dict[str, Any]:
    """Of a compiled step on the same operands: each kernel, and all of it as it is replayed."""
    for _ in range(CAPTURED):
        compiled(*operands)
    replayed = seconds(lambda: compiled(*operands))
    report = compiled.report()
    kernels = [
        {
            "name": row.name,
            "seconds": row.seconds,
            "bytes": row.bytes,
            "share_of_copy": row.bytes / row.seconds / copy if row.seconds else None,
            "counts": row.native and row.bytes >= WORTH,
        }
        for row in report
    ]
    return {
        "math": report.math,
        "how": list(report.remarks),
        "seconds": replayed,
        "bytes": report.bytes,
        "share_of_copy": report.bytes / replayed / copy,
        "kernels": kernels,
    }


def shown(name: str, found: dict[str, Any]) -> str:
    if "error" in found:
        return f"{name}: {found['error']}"
    rows = {}
    for at, kernel in enumerate(found["kernels"]):
        share = kernel["share_of_copy"]
        rows[f"{at + 1} {kernel['name']}"] = {
            "us": f"{1e6 * kernel['seconds']:.1f}",
            "MB": f"{kernel['bytes'] / 1e6:.1f}",
            "of copy": f"{share:.0%}" if share is not None and kernel["counts"] else "-",
        }
    rows["the step, replayed"] = {
        "us": f"{1e6 * found['seconds']:.1f}",
        "MB": f"{found['bytes'] / 1e6:.1f}",
        "of copy": f"{found['share_of_copy']:.0%}",
    }
    return table(f"{name} ({', '.join(found['how'])})", ["us", "MB", "of copy"], rows)


# ------------------------------------------------------------------------------------------ the steps

Step = tuple[Any, tuple[ag.Tensor, ...]]  # what ``ag.compile`` made, and what it is called with


def _drawn(*shape: int) -> ag.Tensor:
    return ag.tensor(np.random.default_rng(0).standard_normal(shape, np.float32))


def _with_gradients(loss: Callable[..., ag.Tensor], *operands: ag.Tensor) -> Step:
    """The loss and the gradients of all operands, as one compiled step."""
    return ag.compile(ag.value_and_grad(loss, tuple(range(len(operands))))), operands


def elementwise(quick: bool) -> Step:
    x = _drawn(1 << 6 if quick else 1 << 26)
    return ag.compile(lambda x: nn.functional.gelu(x, approximate="tanh") * x.sigmoid() + x), (x,)


def layer_norm(quick: bool) -> Step:
    rows, width = (4, 8) if quick else (1 << 15, 1 << 10)
    x, residual, weight, bias = _drawn(rows, width), _drawn(rows, width), _drawn(width), _drawn(width)

    def loss(x: ag.Tensor, weight: ag.Tensor, bias: ag.Tensor) -> ag.Tensor:
        return ag.square(nn.functional.layer_norm(x + residual, (width,), weight, bias)).sum()

    return _with_gradients(loss, x, weight, bias)


def cross_entropy(quick: bool) -> Step:
    rows, classes = (4, 8) if quick else (1 << 13, 1 << 12)
    labels = ag.tensor(np.random.default_rng(1).integers(0, classes, rows))
    return _with_gradients(lambda x: nn.functional.cross_entropy(x, labels), _drawn(rows, classes))


def batch_norm(quick: bool) -> Step:
    shape = (2, 3, 4, 4) if quick else (128, 64, 56, 56)
    x, weight, bias = _drawn(*shape), _drawn(shape[1]), _drawn(shape[1])

    def loss(x: ag.Tensor, weight: ag.Tensor, bias: ag.Tensor) -> ag.Tensor:
        return ag.square(nn.functional.relu(nn.functional.batch_norm(x, None, None, weight, bias, training=True))).sum()

    return _with_gradients(loss, x, weight, bias)


def adam(quick: bool) -> Step:
    size = 8 if quick else 1 << 22
    parameters = [nn.Parameter(_drawn(size)) for _ in range(2 if quick else 16)]
    for p in parameters:
        p.grad = _drawn(size)
    optimizer = optim.Adam(parameters)
    return ag.compile(optimizer.step), ()


STEPS: dict[str, Callable[[bool], Step]] = {
    "elementwise": elementwise,
    "layer norm with residual, forward and backward": layer_norm,
    "softmax cross entropy, forward and backward": cross_entropy,
    "batch norm and ReLU, forward and backward": batch_norm,
    "Adam": adam,
}

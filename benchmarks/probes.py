"""What a GPU does here: copies, products by math mode, launches, recurrent layers in one launch.

Every figure stands beside what it is compared with, from the same run. Not yet run on hardware.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from operator import neg
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn

from .measure import interleaved, machine, table, write_json
from .usable import DEVICE, facts, need_device, tried

Rows = dict[str, dict[str, float]]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(args: argparse.Namespace) -> None:
    """SystemExit 1 if a probe failed; the others are written all the same."""
    need_device("probes")
    report: dict[str, Any] = {"machine": machine(), "gpu": facts(DEVICE), "probes": {}}
    print(report["gpu"])
    for title, probe in PROBES.items():
        rows = report["probes"][title] = tried(partial(probe, args.quick))
        print("\n" + (f"{title}: {rows['error']}" if "error" in rows else shown(title, rows)), flush=True)
        write_json(args.json, report)
    if failed := [title for title, rows in report["probes"].items() if "error" in rows]:
        raise SystemExit(f"probes: failed: {', '.join(failed)}")


def timed(contestants: dict[str, Callable[[], Any]], quick: bool) -> dict[str, float]:
    """Medians, the device waited for after every tenth call, so that launches overlap as they do in a step."""

    def waited(call: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(10):
                call()
            ag.cuda.synchronize()

        return run

    found = interleaved({k: waited(f) for k, f in contestants.items()}, repeats=2 if quick else 15, target=0.02)
    return {name: timing["median"] / 10 for name, timing in found.items()}


def drawn(*shape: int) -> Any:
    return ag.tensor(np.random.default_rng(0).standard_normal(shape, np.float32), device=DEVICE)


def copies(quick: bool) -> dict[str, dict[str, float]]:
    """One elementwise kernel over so many floats: seconds, and bytes a second, read and written."""
    rows = {}
    for n in (1 << 10, 1 << 20) if quick else (1 << 20, 1 << 24, 1 << 27):
        x = drawn(n)
        seconds = timed({"negative": partial(neg, x)}, quick)["negative"]
        rows[f"{n} floats"] = {"seconds": seconds, "bytes a second": 8 * n / seconds}
    return rows


def products(quick: bool) -> dict[str, dict[str, float]]:
    """Square products in each math mode, and how far from float64 they are, relative to its largest element."""
    rows = {}
    for n in (64,) if quick else (1024, 4096, 8192):
        a, b = drawn(n, n), drawn(n, n)
        exact = a.astype("float64") @ b.astype("float64")

        def product(mode: str, a: Any = a, b: Any = b) -> Any:
            with ag.math_mode(mode):
                return a @ b

        seconds = timed({mode: partial(product, mode) for mode in ("fp32", "tf32", "bf16")}, quick)
        for mode, each in seconds.items():
            error = ag.max(abs(product(mode).astype("float64") - exact)) / ag.max(abs(exact))
            rows[f"{n} {mode}"] = {"seconds": each, "flops a second": 2 * n**3 / each, "error": error.item()}
    return rows


def launches(quick: bool) -> dict[str, dict[str, float]]:
    """A step of small operations: one by one, and as it is replayed from its CUDA graph."""
    layers = nn.Sequential(*[nn.Linear(16, 16) for _ in range(4)]).to(DEVICE)
    x = drawn(16, 16)
    compiled = ag.compile(lambda v: ag.tanh(layers(v)).sum())
    for _ in range(6):
        compiled(x)
    with ag.no_grad():
        seconds = timed({"eager": lambda: ag.tanh(layers(x)).sum(), "compiled": lambda: compiled(x)}, quick)
    return {name: {"seconds": each} for name, each in seconds.items()}


def recurrent(quick: bool) -> dict[str, dict[str, float]]:
    """An LSTM layer, forward and backward, by math mode; and by the formula, in float64, whose launches are many."""
    steps, batch, hidden = (4, 8, 20) if quick else (64, 128, 512)  # 20: no launch to compile
    rows = {}
    layer = nn.LSTM(hidden, hidden).to(DEVICE)
    x = drawn(steps, batch, hidden)

    def step(mode: str, layer: Any = layer, x: Any = x) -> Any:
        with ag.math_mode(mode):
            y, _ = layer(x)
            y.sum().backward()
            layer.zero_grad()
            return y

    wide = nn.LSTM(hidden, hidden).to(DEVICE)
    wide.load_state_dict(layer.state_dict())
    wide = wide.to("float64")
    exact = wide(x.astype("float64"))[0]
    contestants: dict[str, Callable[[], Any]] = {mode: partial(step, mode) for mode in ("fp32", "tf32", "bf16")}
    contestants["float64, by the formula"] = partial(step, "fp32", wide, x.astype("float64"))
    flops = 3 * 2 * steps * batch * 8 * hidden**2
    for mode, each in timed(contestants, quick).items():
        rows[mode] = {"seconds": each, "flops a second": flops / each}
        if mode in ("fp32", "tf32", "bf16"):
            rows[mode]["error"] = ag.max(abs(step(mode).astype("float64") - exact)).item()
    return rows


def shown(title: str, rows: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return table(title, columns, {name: {k: f"{v:.3g}" for k, v in row.items()} for name, row in rows.items()})


# title -> row -> figure -> number; times in seconds
PROBES: dict[str, Callable[[bool], Rows]] = {
    "copy": copies,
    "products": products,
    "launch": launches,
    "recurrent": recurrent,
}

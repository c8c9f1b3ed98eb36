"""What a GPU does: copies, products and what they take over, launches, recurrent layers, convolutions, attention.

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
from autograd_core.errors import BackendUnavailableError
from autograd_core.ops._windows import windows
from autograd_core.ops.convolution import convolution_input_p, convolution_p, convolution_weight_p
from autograd_core.primitive import Primitive, bind

from .attention_cuts import attention
from .measure import interleaved, machine, table, write_json
from .product_epilogues import epilogues
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


CAPTURED = 4  # calls after which a compiled function is captured
LAYERS = {  # of the suite's rows, 3 x 3 each: batch, channels in and out, extent, padding
    "cnn_mnist_b64, second": (64, 32, 64, 26, 0),
    "conv_bn_relu_64x32x32_b32": (32, 64, 64, 32, 1),
    "cnn_32x32_64_128_b256, first": (256, 3, 64, 32, 1),
    "cnn_32x32_64_128_b256, second": (256, 64, 64, 32, 1),
    "cnn_32x32_64_128_b256, fourth": (256, 128, 128, 16, 1),
}
KINDS = {"forward": convolution_p, "input": convolution_input_p, "weight": convolution_weight_p}


def convolutions(quick: bool) -> dict[str, dict[str, float]]:
    """Convolutions and their gradients by kernels of our own and by cuDNN, where it is installed: seconds between
    events on the stream, in a compiled function, and how far from float64, relative to the largest result.

    What ``context.DEFAULT_CONVOLUTIONS`` is to be follows from this.
    """
    rows = {}
    libraries = ["own", "cudnn"] if _has_cudnn() else ["own"]
    for layer, (batch, into, out, extent, padding) in ({"small": (2, 3, 4, 5, 1)} if quick else LAYERS).items():
        pairs = ((padding, padding),) * 2
        found = windows("conv2d", (extent, extent), (3, 3), (1, 1), pairs, (1, 1))
        x, w, v = drawn(batch, into, extent, extent), drawn(out, into, 3, 3), drawn(batch, out, *found.output)
        operands = {"forward": (x, w), "input": (v, w), "weight": (x, v)}
        for kind, primitive in KINDS.items():
            convolve = partial(_convolved, primitive, {"windows": found, "groups": 1})
            with ag.cuda.convolutions_by("own"):
                exact = convolve(*(a.astype("float64") for a in operands[kind]))
            for mode in ("fp32",) if quick else ("fp32", "tf32"):
                for library in libraries:
                    with ag.math_mode(mode), ag.cuda.convolutions_by(library):
                        seconds, y = _timed_inside(convolve, operands[kind])
                    rows[f"{layer}, {kind}, {mode}, {library}"] = {
                        "seconds": seconds,
                        "flops a second": 2 * v.size * into * 9 / seconds,
                        "error": (ag.max(abs(y.astype("float64") - exact)) / ag.max(abs(exact))).item(),
                    }
    return rows


def _has_cudnn() -> bool:
    try:
        with ag.cuda.convolutions_by("cudnn"):
            nn.functional.conv2d(drawn(1, 1, 4, 4), drawn(1, 1, 3, 3))
    except BackendUnavailableError as error:
        print(f"convolutions by our own kernels alone: {error}")
        return False
    return True


def _convolved(primitive: Primitive, params: dict[str, Any], *operands: Any) -> Any:
    return bind(primitive, operands, params)


def _timed_inside(f: Callable[..., Any], operands: tuple[Any, ...]) -> tuple[float, Any]:
    """Of the function's kernels, without what a launch costs the host; and its result."""
    compiled = ag.compile(f)
    for _ in range(CAPTURED):
        y = compiled(*operands)
    return sum(row.seconds for row in compiled.report()), y


def shown(title: str, rows: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return table(title, columns, {name: {k: f"{v:.3g}" for k, v in row.items()} for name, row in rows.items()})


# title -> row -> figure -> number; times in seconds
PROBES: dict[str, Callable[[bool], Rows]] = {
    "copy": copies,
    "products": products,
    "epilogues": epilogues,
    "launch": launches,
    "recurrent": recurrent,
    "convolutions": convolutions,
    "attention": attention,
}

"""What a GPU does here: copies, products by math mode, launches, recurrent layers in one launch; and the tests on it.

``make gpu-check`` runs this and writes one JSON report. Every figure stands beside what it is compared with, from the
same run. Without a usable CUDA device it says what is missing and ends with status 2; nothing is written then.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn

from .measure import interleaved, machine, table, write_json

DEVICE = "cuda"
PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "numba-cuda", "torch", "jax", "nvidia-cublas", "nvidia-cuda-nvrtc")
TESTS = {
    "operations": ["tests/test_ops.py", "--device", DEVICE],
    "nn and optim": ["tests", "-k", "test_nn or test_optim", "--device", DEVICE],
}
LISTED = 40  # failures of each run that the report names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tests", metavar="FOLDER", help="a checkout whose tests are run on the device too")
    parser.add_argument("--workers", type=int, default=8, help="processes that tests are shared among")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further tests are begun or go on")


def run(args: argparse.Namespace) -> None:
    missing = unusable()
    if missing:
        print(f"gpu: {missing}", file=sys.stderr)
        raise SystemExit(2)
    report: dict[str, Any] = {"machine": machine(), "gpu": facts()}
    print(report["gpu"])
    report["probes"] = probes(quick=args.quick)
    for title, rows in report["probes"].items():
        print("\n" + shown(title, rows))
    if args.tests:
        end = time.monotonic() + 60 * args.minutes
        report["tests"] = {name: tested(Path(args.tests), given, args.workers, end) for name, given in TESTS.items()}
        for name, counts in report["tests"].items():
            print(f"{name}: {counts}")
    write_json(args.json, report)


def unusable() -> str:
    """Why there is no CUDA device; empty if there is one."""
    (row,) = [row for row in ag.devices() if row.name == DEVICE]
    return "" if row.available else row.reason


def facts() -> dict[str, Any]:
    """The GPU, its driver, and the versions of what is loaded."""
    cuda = ag.zeros(1, device=DEVICE).device.backend.xp.cuda
    properties = cuda.runtime.getDeviceProperties(0)
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "name": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory": properties["totalGlobalMem"],
        "driver": cuda.runtime.driverGetVersion(),
        "runtime": cuda.runtime.runtimeGetVersion(),
        "packages": versions,
    }


# ---------------------------------------------------------------------------------------------------- probes


def probes(*, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """title -> row -> figure -> number; times in seconds."""
    return {
        "copy": copies(quick),
        "products": products(quick),
        "launch": launches(quick),
        "recurrent": recurrent(quick),
    }


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
        seconds = timed({"negative": lambda x=x: -x}, quick)["negative"]
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

        seconds = timed({mode: lambda mode=mode: product(mode) for mode in ("fp32", "tf32", "bf16")}, quick)
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
    contestants = {mode: lambda mode=mode: step(mode) for mode in ("fp32", "tf32", "bf16")}
    contestants["float64, by the formula"] = lambda: step("fp32", wide, x.astype("float64"))
    flops = 3 * 2 * steps * batch * 8 * hidden**2
    for mode, each in timed(contestants, quick).items():
        rows[mode] = {"seconds": each, "flops a second": flops / each}
        if mode in ("fp32", "tf32", "bf16"):
            rows[mode]["error"] = ag.max(abs(step(mode).astype("float64") - exact)).item()
    return rows


def shown(title: str, rows: dict[str, dict[str, float]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return table(title, columns, {name: {k: f"{v:.3g}" for k, v in row.items()} for name, row in rows.items()})


# ---------------------------------------------------------------------------------------------------- tests


def tested(folder: Path, arguments: list[str], workers: int, end: float) -> dict[str, Any]:
    """Counts of a run of pytest in ``folder``, and what failed; stopped at ``end`` of the monotonic clock."""
    with TemporaryDirectory() as place:
        results = Path(place) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), f"--junitxml={results}", *arguments]
        left = end - time.monotonic()
        if left <= 0:
            return {"outcome": "not begun: no time was left"}
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            return {"outcome": f"stopped after {left:.0f} seconds"}
        if not results.exists():
            return {"outcome": f"pytest ended with status {done.returncode}", "output": done.stdout[-2000:]}
        return counted(results)


def counted(results: Path) -> dict[str, Any]:
    """What a JUnit report holds."""
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    failed = [(case, fault) for case in cases for fault in (*case.findall("failure"), *case.findall("error"))]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {
        "outcome": "failed" if failed else "passed",
        "passed": len(cases) - len({id(case) for case, _ in failed}) - skipped,
        "failed": len({id(case) for case, _ in failed}),
        "skipped": skipped,
        "seconds": round(sum(float(case.get("time", 0)) for case in cases), 1),
        "failures": [
            {"test": f"{case.get('classname')}::{case.get('name')}", "message": (fault.get("message") or "")[:300]}
            for case, fault in failed[:LISTED]
        ],
    }

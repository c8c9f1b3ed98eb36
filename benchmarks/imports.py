"""What ``import autograd_core`` costs against ``import numpy``, in fresh processes."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from .measure import machine, table, write_json

# each process times its own import, so that the interpreter's start does not count
CODE = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def _seconds(module: str) -> float:
    # as installed packages are: with bytecode, whatever this shell says
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CODE.format(module=module)]
    result = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    return float(result.stdout)


def run(args: argparse.Namespace) -> None:
    """Print the median import times and their ratio."""
    modules = ("numpy", "autograd_core")
    for module in modules:
        _seconds(module)  # writes the bytecode
    samples: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(2 if args.quick else 21):
        for module in modules:
            samples[module].append(_seconds(module))
    medians = {module: statistics.median(times) for module, times in samples.items()}
    print(table("", ["ms"], {module: {"ms": f"{1e3 * seconds:.1f}"} for module, seconds in medians.items()}))
    print(f"ratio {medians['autograd_core'] / medians['numpy']:.2f}  on {machine()['processor']}")
    write_json(args.json, {"machine": machine(), "seconds": medians})

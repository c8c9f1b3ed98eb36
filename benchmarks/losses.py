"""The losses of every row over some steps: on each device, eager and compiled, beside those of eager steps on the CPU.

Compiled steps on a GPU are also looked at for what must not be in them: waits of the host, and allocations. They run
once more with kernels that begin before those before them have ended, which is not done unless it is asked for. The
exit status is 1 if losses differ by more than 1e-4, or something failed.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.backends.cuda.trials import VARIABLE

from .captures import counted
from .contenders.contestant import HOSTS
from .contenders.ours import stated
from .measure import machine, table, write_json
from .usable import DEVICE, facts, tried, unusable
from .workloads import WORKLOADS

TOLERANCE = 1e-4  # relative
QUICK_STEPS = 5  # in more, small batches are learnt by heart, and nothing is left of the losses to compare
CAPTURED = 8  # calls after which a step is captured
EARLY = "launched early"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rows", metavar="NAME,...", help="only these rows (default: all that a CPU can run)")
    command.add_argument("--devices", metavar="NAME,...", help="(default: the CPU, and a GPU if there is one)")
    command.add_argument("--steps", type=int, default=20, help="(default: 20)")


def run(args: argparse.Namespace) -> None:
    """Print a table of the largest differences. SystemExit 1 as the module says."""
    known = [info.name for info in ag.devices()]
    devices = args.devices.split(",") if args.devices else ["cpu", *([] if unusable() else [DEVICE])]
    names = args.rows.split(",") if args.rows else [name for name, row in WORKLOADS.items() if row.on_hosts_too]
    for kind, wanted, there in (("device", devices, known), ("row", names, WORKLOADS)):
        if unknown := [name for name in wanted if name not in there]:
            raise SystemExit(f"losses: no {kind} is named {', '.join(unknown)}; there are {', '.join(there)}")
    steps = min(args.steps, QUICK_STEPS) if args.quick else args.steps
    report: dict[str, Any] = {"machine": machine(), "steps": steps, "tolerance": TOLERANCE, "rows": {}}
    if DEVICE in devices and not unusable():
        report["gpu"] = facts(DEVICE)
    for name in names:
        report["rows"][name] = row = {"math": ag.get_math_mode(), "contenders": {}, "problems": {}}
        for _ in compared(row, name, devices, steps, args.quick):
            write_json(args.json, report)  # what there is stays, whatever comes next
        print(f"{name}: {_line(row)}", file=sys.stderr, flush=True)
    print(shown(report["rows"]))
    if any(row["problems"] for row in report["rows"].values()):
        raise SystemExit("losses: they differ, or something failed, as told above")


def compared(row: dict[str, Any], name: str, devices: list[str], steps: int, quick: bool) -> Iterator[str]:
    """Losses by contender, how far each is from the reference, and what of it is a problem; whoever is done."""
    kinds = [(device, mode) for device in dict.fromkeys(("cpu", *devices)) for mode in ("eager", "compiled")]
    kinds += [(device, EARLY) for device in devices if device not in HOSTS]
    if WORKLOADS[name].for_gpus and not quick:
        kinds.remove(("cpu", "eager"))  # seconds a step
    expected = None
    for device, mode in kinds:
        who = f"{device} {mode}"
        found = tried(partial(_losses, name, device, mode, steps, quick))
        if expected is None and "losses" in found:
            row["reference"], expected = who, found["losses"]
        if "error" in found:
            row["problems"][who] = found["error"]
        elif expected is not None:
            found["difference"] = difference(found["losses"], expected)
            if not found["difference"] <= TOLERANCE:
                row["problems"][who] = f"differs from {row['reference']} by {found['difference']:.2g}"
                found["difference"] = min(found["difference"], sys.float_info.max)
            found["losses"] = [x if math.isfinite(x) else str(x) for x in found["losses"]]
        row["contenders"][who] = found
        yield who


def difference(losses: list[float], expected: list[float]) -> float:
    """The largest, relative; infinity where a loss is no number."""
    both = zip(losses, expected, strict=True)
    return max(abs(a - b) / abs(b) if math.isfinite(a) and math.isfinite(b) else math.inf for a, b in both)


def _losses(name: str, device: str, mode: str, steps: int, quick: bool) -> dict[str, Any]:
    with _captured_early() if mode == EARLY else nullcontext():
        step, values, whole = stated(WORKLOADS[name](quick), device=device, compiled=mode != "eager")
        found: dict[str, Any] = {"losses": [values(step())[0] for _ in range(steps)]}
        if whole is not None and device not in HOSTS:
            for _ in range(CAPTURED):
                step()
            found["captured"] = tried(lambda: counted(step, whole, get_device(device), quick=quick))
    return found


@contextmanager
def _captured_early() -> Iterator[None]:
    """Steps that are captured inside have kernels that begin early, where the GPU knows how."""
    before, os.environ[VARIABLE] = os.environ.get(VARIABLE), "branches=1,programmatic=1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def shown(rows: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row["contenders"]))
    cells: dict[str, dict[str, str]] = {}
    for name, row in rows.items():
        cells[f"{name} {row['math']}"] = {
            who: f"{found['difference']:.1e}" for who, found in row["contenders"].items() if "difference" in found
        }
    lines = [table("largest relative difference of the losses", names, cells)]
    for name, row in rows.items():
        lines += [f"{name}: {who}: {problem}" for who, problem in row["problems"].items()]
        lines += [
            f"{name}: {who}: {captured(found['captured'])}"
            for who, found in row["contenders"].items()
            if "captured" in found
        ]
    return "\n".join(lines)


def captured(figures: dict[str, Any]) -> str:
    if "error" in figures:
        return f"not counted: {figures['error']}"
    return (
        f"in {figures['calls']} calls the host waited {figures['waits']} times, was ahead: {figures['host_ahead']}; "
        f"{figures['allocations']} allocations, {figures['reservations']} from the device; "
        f"{figures['kernels']} kernels and {len(figures['kernel_calls'])} kernel calls, {', '.join(figures['how'])}"
    )


def _line(row: dict[str, Any]) -> str:
    worst = [found["difference"] for found in row["contenders"].values() if "difference" in found]
    problems = "; ".join(f"{who} {problem}" for who, problem in row["problems"].items())
    return problems or f"equal to {np.max(worst):.1e}"

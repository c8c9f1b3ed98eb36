"""Training steps against PyTorch and JAX: every row, on every device, eager and compiled, interleaved in one run.

What the rows are: ``--list``. How they are measured, and what the figures mean: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autograd_core.context import MATH_MODES

from . import contenders as taking_part
from .measure import machine, write_json
from .rounds import Limits, Plan, run_row
from .tables import tables
from .usable import facts
from .verdicts import judge
from .workloads import WORKLOADS

NONE = "none"
ALL_PEERS = ",".join(taking_part.PEERS)


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--list", action="store_true", help="name the rows and stop")
    command.add_argument("--rows", metavar="NAME,...", help="only these rows")
    command.add_argument(
        "--peers", metavar="NAME,...", default=ALL_PEERS, help=f"of {ALL_PEERS} (default: all), or {NONE}"
    )
    command.add_argument(
        "--devices",
        "--device",
        metavar="NAME,...",
        help=f"everyone on these (default: all that work, but {taking_part.REFERENCE_DEVICE!r}, the reference)",
    )
    command.add_argument(
        "--math", choices=MATH_MODES, default="fp32", help="of products on GPUs, for everyone (default: fp32)"
    )
    command.add_argument(
        "--together", action="store_true", help="contenders get ready at the same time: shorter, without first steps"
    )
    command.add_argument("--modes", metavar="NAME,...", default=",".join(taking_part.MODES), help="(default: both)")
    command.add_argument("--threads", type=_positive, default=2, help="of everyone (default: 2)")
    command.add_argument(
        "--rounds", type=_count, default=9, help="bursts of each contender (default: 9); 0: first steps alone, untimed"
    )
    command.add_argument("--at-once", type=_positive, default=1, help="rows at once, where nothing is timed")
    command.add_argument("--seconds", type=float, default=0.2, help="that a burst lasts (default: 0.2)")
    command.add_argument("--patience", type=float, help="seconds after which whoever gives no answer is ended")
    command.add_argument("--plot", metavar="FILE", help="draw the times there; needs matplotlib")


def _count(text: str) -> int:
    return int(text) and _positive(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def run(args: argparse.Namespace) -> None:
    """Print the tables. SystemExit 1 if a contender failed or its numbers disagree."""
    if args.list:
        _list(args.quick)
        return
    try:
        peers = [] if args.peers == NONE else args.peers.split(",")
        devices = args.devices.split(",") if args.devices else None
        chosen, absent = taking_part.choose(devices, args.modes.split(","), peers)
        rows = _rows(args.rows, any(not contender.on_host for contender in chosen))
    except ValueError as error:
        raise SystemExit(f"suite: {error}") from None
    for name, reason in absent:
        print(f"{name}: not available ({reason})", file=sys.stderr)
    if not chosen:
        raise SystemExit("suite: nobody is left to measure")
    picture = args.plot
    if picture and find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed (pip install matplotlib)")
        picture = None
    how: dict[str, Any] = {"math": args.math, "together": args.together, "patience": args.patience}
    if args.quick:
        plan = Plan.quick(args.threads, **how)._replace(rounds=min(args.rounds, 2))
    else:
        plan = Plan(args.threads, args.rounds, args.seconds, first_steps_twice=not args.together, **how)
    gpus = list(dict.fromkeys(contender.device for contender in chosen if not contender.on_host))
    figures: dict = {
        "machine": machine(),
        "versions": taking_part.versions(chosen),
        "plan": plan._asdict(),
        "absent": dict(absent),
        "limits": {},
        "rows": {},
    }
    if gpus:
        figures["gpu"] = facts(gpus[0])
    kinds = ([taking_part.HOST] if any(contender.on_host for contender in chosen) else []) + gpus
    try:
        if plan.rounds:
            _measure(rows, chosen, plan, kinds, figures, args)
        else:
            _compare(rows, chosen, plan, figures, args)
    except ValueError as error:
        raise SystemExit(f"suite: {error}") from None
    print(tables(figures))
    if picture:
        from .plot import draw  # imports matplotlib

        draw(figures, Path(picture))
    if problems := sum(len(row["problems"]) for row in figures["rows"].values()):
        raise SystemExit(f"suite: measurements missing because of errors or other numbers, as told above: {problems}")


def _measure(
    rows: list[str],
    chosen: list[taking_part.Contender],
    plan: Plan,
    kinds: list[str],
    figures: dict[str, Any],
    args: argparse.Namespace,
) -> None:
    with Limits(plan, kinds) as limits:
        for name in rows:
            figures["limits"] = limits.measure()
            row = figures["rows"][name] = run_row(WORKLOADS[name](args.quick), chosen, plan)
            judge(row, chosen, figures["limits"])
            _progress(name, row)
            write_json(args.json, figures)  # what is measured stays, whatever comes next


def _compare(
    rows: list[str],
    chosen: list[taking_part.Contender],
    plan: Plan,
    figures: dict[str, Any],
    args: argparse.Namespace,
) -> None:
    """First steps alone, of several rows at once."""
    with ThreadPoolExecutor(args.at_once) as pool:
        found = {pool.submit(run_row, WORKLOADS[name](args.quick), chosen, plan): name for name in rows}
        for row in as_completed(found):
            figures["rows"][found[row]] = row.result()
            judge(row.result(), chosen, {})
            _progress(found[row], row.result())
            write_json(args.json, figures)


def _rows(names: str | None, with_gpu: bool) -> list[str]:
    if names is None:
        return [name for name, row in WORKLOADS.items() if with_gpu or not row.for_gpus]
    wanted = names.split(",")
    if unknown := [name for name in wanted if name not in WORKLOADS]:
        raise ValueError(f"no row is named {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    return wanted


def _list(quick: bool) -> None:
    for name, kind in WORKLOADS.items():
        row = kind(quick)
        sizes = ", ".join(f"{size} {value}" for size, value in row.actual_sizes.items()) or "fixed sizes"
        size = "; for GPUs" if row.for_gpus else ""
        kind_of_step = "forward, backward, Adam" if row.trains else "forward, backward"
        print(f"{name}  ({sizes}; {kind_of_step}; {row.flops() / 1e9:.3f} GFLOP in products{size})")
        print(f"    {(kind.__doc__ or '').splitlines()[0]}")


def _progress(name: str, row: dict) -> None:
    times = [f"{who} {1e3 * of['median']:.3f} ms" for who, of in row["contenders"].items() if "median" in of]
    print(f"{name}: {', '.join(times) or 'nothing measured'}", file=sys.stderr, flush=True)

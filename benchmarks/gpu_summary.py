"""What a report of a GPU says of the goals, in a line each; no line says more than its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contenders.contestant import HOSTS

SPEEDUP = 250  # of the LSTM, over our compiled step on the CPU
AHEAD = 1.0  # of the best peer's time


def summary(report: Mapping[str, Any]) -> list[str]:
    """Of the parts that have figures, and of those that have none or did not end well."""
    parts = report["parts"]
    found = {name: part["figures"] for name, part in parts.items() if part["figures"]}
    lines = [
        *_tests({name: f for name, f in found.items() if name.startswith("tests of ")}),
        *_losses({name.removeprefix("losses "): f for name, f in found.items() if name.startswith("losses ")}),
        *(_rows("first steps beside peers", found["numbers"]) if "numbers" in found else []),
        *(_kernels(found["kernels"]) if "kernels" in found else []),
        *(_speedup(found["lstm"]) if "lstm" in found else []),
        *(_suite(found["suite"]) if "suite" in found else []),
    ]
    lines += [f"{name}: {f['errors']} errors" for name, f in found.items() if name.startswith("sanitize ")]
    lines += [f"{name}: {part['outcome']}" for name, part in parts.items() if part["outcome"] != "done"]
    return lines


def _tests(runs: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {of['passed']} passed, {of['failed']} failed, {of['skipped']} skipped" for name, of in runs.items()
    ]


def _losses(runs: Mapping[str, Any]) -> list[str]:
    rows = {name: row for run in runs.values() for name, row in run["rows"].items()}
    if not rows:
        return []
    wrong = [name for name, row in rows.items() if row["problems"]]
    lines = [f"losses: {len(rows) - len(wrong)} of {len(rows)} rows equal to 1e-4 on the CPU and here"]
    lines += [f"  {name}: {who}: {why}" for name in wrong for who, why in rows[name]["problems"].items()]
    captured = {
        f"{name} {who}": found["captured"]
        for name, row in rows.items()
        for who, found in row["contenders"].items()
        if "captured" in found
    }
    clean = [name for name, of in captured.items() if not of.get("waits", 1) and of.get("host_ahead")]
    lines.append(f"captured steps: {len(clean)} of {len(captured)} let the host go on")
    for name, of in captured.items():
        if name not in clean or of["allocations"] or of["kernel_calls"]:
            what = of.get("error") or (
                f"{of['waits']} waits, ahead: {of['host_ahead']}, {of['allocations']} allocations in {of['calls']} "
                f"calls; {', '.join([*of['how'], *of['kernel_calls']])}"
            )
            lines.append(f"  {name}: {what}")
    return lines


def _rows(title: str, suite: Mapping[str, Any]) -> list[str]:
    rows = suite["rows"]
    wrong = {name: row["problems"] for name, row in rows.items() if row["problems"]}
    lines = [f"{title}: {len(rows) - len(wrong)} of {len(rows)} rows without a problem"]
    return lines + [f"  {name}: {who}: {why}" for name, of in wrong.items() for who, why in of.items()]


def _kernels(figures: Mapping[str, Any]) -> list[str]:
    lines = [f"copy: {figures['copy'] / 1e9:.0f} GB/s, read and written; the goal is {figures['goal']:.0%} of it"]
    for name, step in figures["steps"].items():
        if "error" in step:
            lines.append(f"  {name}: {step['error']}")
            continue
        shares = [kernel["share_of_copy"] for kernel in step["kernels"] if kernel["counts"]]
        least = f", its slowest large kernel {min(shares):.0%}" if shares else ""
        lines.append(f"  {name}: {step['share_of_copy']:.0%} replayed{least}")
    return lines


def _speedup(suite: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, row in suite["rows"].items():
        times = [f"{who} {1e3 * of['median']:.3f} ms" for who, of in row["contenders"].items() if "median" in of]
        faster = [of["times_faster"] for who, of in row["contenders"].items() if _is_ours(who) and "times_faster" in of]
        lines.append(f"{name} {row['math']}: {', '.join(times) or 'not measured'}")
        lines += [f"  {times:.0f} times our compiled step on the CPU; the goal is {SPEEDUP}" for times in faster]
    return lines


def _is_ours(who: str) -> bool:
    """Ours are called by device and mode."""
    return who.endswith((" compiled", " eager")) and who.split()[0] not in HOSTS


def _suite(suite: Mapping[str, Any]) -> list[str]:
    lines = _rows("suite", suite)
    ratios = {
        name: of["ratio"]
        for name, row in suite["rows"].items()
        for who, of in row["contenders"].items()
        if who.endswith(" compiled") and "ratio" in of
    }
    slower = {name: ratio for name, ratio in ratios.items() if ratio > AHEAD}
    if ratios:
        lines.append(f"  {len(ratios) - len(slower)} of {len(ratios)} rows, compiled, at most the best peer's time")
    lines += [f"  {name}: {ratio:.2f} of the best peer's time" for name, ratio in slower.items()]
    for name, row in suite["rows"].items():
        hows = [of["how"] for of in row["contenders"].values() if "how" in of]
        lines += [f"  {name}: {', '.join(how['remarks']) if 'remarks' in how else how['error']}" for how in hows]
    return lines

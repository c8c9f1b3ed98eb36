"""The suite's figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .contenders import HOST
from .measure import table
from .verdicts import geometric_means

Figures = Mapping[str, Any]


def tables(figures: Figures) -> str:
    """Times, ratios, shares of the roofline, memory, first steps; and what was not measured, with the reason."""
    rows = figures["rows"]
    names = list(dict.fromkeys(name for row in rows.values() for name in row["contenders"]))
    parts = [
        _machine(figures),
        "milliseconds a step: median, and half the interquartile range in percent of it\n"
        + _by_contender(rows, names, _time),
        _ratios(rows, names),
        *_times_faster(rows, names),
        "share of the roofline: the least time by GEMM peak and copy bandwidth, over the time taken\n"
        + _by_contender(rows, names, lambda f: f"{f['share']:.0%}" if "share" in f else None),
        "GFLOP/s, counting matrix products and convolutions\n" + _by_contender(rows, names, _gflops),
        "MiB at the peak: the whole process, library and compilation included\n" + _by_contender(rows, names, _memory),
        *_device_memory(rows, names),
        *_first_steps_of(figures, names),
        *_remarks(figures),
    ]
    return "\n\n".join(parts)


def _machine(figures: Figures) -> str:
    facts, limits, plan = figures["machine"], figures["limits"], figures["plan"]
    versions = "  ".join(f"{name} {v}" for name, v in figures["versions"].items())
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, threads: {plan['threads']}, {facts['date']}",
        f"Python {facts['python']}  {versions}",
    ]
    if "gpu" in figures:
        lines.append(", ".join(f"{name} {figures['gpu'][name]}" for name in ("name", "driver", "runtime")))
    for device, of in limits.items():
        gemm, copy = of["gemm_flops_per_second"] / 1e9, of["copied_bytes_per_second"] / 1e9
        math = "" if device == HOST else f" in {plan['math']}"
        lines.append(f"limits of {device}: sgemm{math} {gemm:.0f} GFLOP/s, copy {copy:.1f} GB/s (read and written)")
    lines.append(f"load average when it began: {facts['load']} (a quiet machine has less than 0.5)")
    if plan["is_quick"]:
        lines.append("quick: smaller batches, sequences and limits, two calls each; the figures say nothing")
    return "\n".join(lines)


def _by_contender(rows: Figures, names: list[str], cell: Callable[[Figures], str | None]) -> str:
    cells = {}
    for title, row in rows.items():
        texts = {name: cell(of) for name, of in row["contenders"].items()}
        cells[f"{title} {row['math']}"] = {name: text for name, text in texts.items() if text is not None}
    return table("", names, cells)


def _time(figures: Figures) -> str | None:
    if "median" not in figures:
        return None
    spread = (figures["upper_quartile"] - figures["lower_quartile"]) / 2 / figures["median"]
    return f"{1e3 * figures['median']:.3f} ±{spread:.0%}"


def _gflops(figures: Figures) -> str | None:
    rate = figures.get("flops_per_second")
    return f"{rate / 1e9:.1f}" if rate else None


def _memory(figures: Figures) -> str | None:
    return f"{figures['peak_bytes'] / 2**20:.0f}" if "peak_bytes" in figures else None


def _first_steps(figures: Figures) -> str | None:
    if "first_steps" not in figures:
        return None
    cold = f"{figures['first_steps_cold']:.2f} / " if "first_steps_cold" in figures else ""
    return f"{cold}{figures['first_steps']:.2f}"


def _ratios(rows: Figures, names: list[str]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for title, row in rows.items():
        ratios = {name: f"{of['ratio']:.2f}" for name, of in row["contenders"].items() if "ratio" in of}
        cells[f"{title} {row['math']}"] = {**ratios, "best peer": ", ".join(row["best_peers"].values()) or "-"}
    means = geometric_means(rows)
    cells["geometric mean"] = {name: f"{mean:.2f}" for name, (mean, _) in means.items()}
    cells["of rows"] = {name: str(count) for name, (_, count) in means.items()}
    return "time over the best peer's\n" + table("", [*means, "best peer"], cells)


def _times_faster(rows: Figures, names: list[str]) -> list[str]:
    if not any("times_faster" in of for row in rows.values() for of in row["contenders"].values()):
        return []
    head = "times faster than our compiled step on the CPU\n"
    return [head + _by_contender(rows, names, lambda f: f"{f['times_faster']:.0f}" if "times_faster" in f else None)]


def _device_memory(rows: Figures, names: list[str]) -> list[str]:
    if not any("device_bytes" in of for row in rows.values() for of in row["contenders"].values()):
        return []
    head = "MiB of the device's memory, by the account of each library's allocator: arrays and workspaces\n"

    def cell(of: Figures) -> str | None:
        return f"{of['device_bytes'] / 2**20:.0f}" if "device_bytes" in of else None

    return [head + _by_contender(rows, names, cell)]


def _first_steps_of(figures: Figures, names: list[str]) -> list[str]:
    if figures["plan"]["together"]:
        return []
    head = "seconds of the first three steps: with empty caches / with what that left"
    return [f"{head}; one figure where nothing compiles\n{_by_contender(figures['rows'], names, _first_steps)}"]


def _remarks(figures: Figures) -> list[str]:
    lines = [f"{name}: not available ({reason})" for name, reason in figures["absent"].items()]
    for title, row in figures["rows"].items():
        lines += [f"{title}: {name} {problem}" for name, problem in row["problems"].items()]
        lines += [
            f"{title}: not run by {name} ({of['abstains']})"
            for name, of in row["contenders"].items()
            if "abstains" in of
        ]
        lines += [f"{title}: {name}: {of['remark']}" for name, of in row["contenders"].items() if "remark" in of]
    return ["\n".join(lines)] if lines else []

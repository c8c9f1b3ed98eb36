"""The suite's figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
        "share of the roofline: the least time by GEMM peak and copy bandwidth, over the time taken\n"
        + _by_contender(rows, names, lambda f: f"{f['share']:.0%}" if "share" in f else None),
        "GFLOP/s, counting matrix products and convolutions\n" + _by_contender(rows, names, _gflops),
        "MiB at the peak: the whole process, library and compilation included\n" + _by_contender(rows, names, _memory),
        "seconds of the first three steps: with empty caches / with what that left; one figure where nothing compiles\n"
        + _by_contender(rows, names, _first_steps),
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
    if limits:
        gemm, copy = limits["gemm_flops_per_second"] / 1e9, limits["copied_bytes_per_second"] / 1e9
        lines.append(f"limits: sgemm {gemm:.0f} GFLOP/s, copy {copy:.1f} GB/s (read and written)")
    lines.append(f"load average when it began: {facts['load']} (a quiet machine has less than 0.5)")
    if plan["is_quick"]:
        lines.append("quick: smaller batches, sequences and limits, two calls each; the figures say nothing")
    return "\n".join(lines)


def _by_contender(rows: Figures, names: list[str], cell: Callable[[Figures], str | None]) -> str:
    cells = {}
    for title, row in rows.items():
        texts = {name: cell(of) for name, of in row["contenders"].items()}
        cells[title] = {name: text for name, text in texts.items() if text is not None}
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
        cells[title] = {**ratios, "best peer": row["best_peer"] or "-"}
    means = geometric_means(rows)
    cells["geometric mean"] = {name: f"{mean:.2f}" for name, (mean, _) in means.items()}
    cells["of rows"] = {name: str(count) for name, (_, count) in means.items()}
    return "time over the best peer's\n" + table("", [*means, "best peer"], cells)


def _remarks(figures: Figures) -> list[str]:
    lines = [f"{name}: not available ({reason})" for name, reason in figures["absent"].items()]
    for title, row in figures["rows"].items():
        lines += [f"{title}: {name} {problem}" for name, problem in row["problems"].items()]
        lines += [
            f"{title}: not run by {name} ({of['abstains']})"
            for name, of in row["contenders"].items()
            if "abstains" in of
        ]
    return ["\n".join(lines)] if lines else []

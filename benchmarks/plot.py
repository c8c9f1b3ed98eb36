"""The suite's figures as a picture: every contender's time over the best peer's, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure  # not pyplot: that would choose a window system for the whole process

OURS, PEERS = ("#0b5fa5", "#5aa9e6", "#2a9d8f", "#8ac926"), ("#888888", "#bbbbbb", "#d4a373")


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """A dot for each median, a bar over the quartiles; left of the line is faster than the best peer that counts.

    Without peers the times are over the fastest contender's.
    """
    rows = {title: _measured(row) for title, row in figures["rows"].items()}
    rows = {title: measured for title, measured in rows.items() if measured}
    names = list(dict.fromkeys(name for measured in rows.values() for name in measured))
    colours = _colours(names, figures)
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for at, (title, measured) in enumerate(rows.items()):
        peers = [name for name in figures["rows"][title]["best_peers"].values() if name in measured]
        best = min(peers or measured, key=lambda name: measured[name]["median"])
        unit = measured[best]["median"]
        for step, (name, of) in enumerate(measured.items()):
            y = at + 0.6 * (step / max(len(names) - 1, 1) - 0.5)
            quartiles = [of["lower_quartile"] / unit, of["upper_quartile"] / unit]
            axis.plot(quartiles, [y, y], color=colours[name], linewidth=2, alpha=0.5)
            axis.plot(of["median"] / unit, y, "o", color=colours[name], markersize=5)
    for name in names:
        axis.plot([], [], "o", color=colours[name], label=name)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_yticks(range(len(rows)), list(rows))
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.set_xlabel("time over the best peer's (left is faster)")
    facts = figures["machine"]
    plan = figures["plan"]
    title = f"{facts['processor']}, threads: {plan['threads']}, {facts['date'][:10]}"
    axis.set_title(f"{title} (quick: not a measurement)" if plan["is_quick"] else title, fontsize=10)
    axis.legend(fontsize=8, loc="best")
    figure.savefig(path, dpi=120)


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: of for name, of in row["contenders"].items() if "median" in of}


def _colours(names: list[str], figures: Mapping[str, Any]) -> dict[str, str]:
    ours = [name for name in names if any("ratio" in row["contenders"][name] for row in figures["rows"].values())]
    peers = [name for name in names if name not in ours]
    return {
        **{name: OURS[at % len(OURS)] for at, name in enumerate(ours)},
        **{name: PEERS[at % len(PEERS)] for at, name in enumerate(peers)},
    }

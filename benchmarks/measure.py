"""Timing several contestants in one run, interleaved, so that drift of the machine hits all alike."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

Contestant = Callable[[], Any]


class Timing(dict):
    """median, minimum and maximum of one contestant, in seconds a call."""


def interleaved(contestants: Mapping[str, Contestant], *, repeats: int, target: float = 2e-3) -> dict[str, Timing]:
    """Time every contestant ``repeats`` times in turn; each time as many calls as fill ``target`` seconds."""
    calls = {}
    for name, call in contestants.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(target / max(time.perf_counter() - start, 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, call in contestants.items():
            count = calls[name]
            start = time.perf_counter()
            for _ in range(count):
                call()
            samples[name].append((time.perf_counter() - start) / count)
    return {
        name: Timing(median=statistics.median(times), minimum=min(times), maximum=max(times))
        for name, times in samples.items()
    }


def quartiles(times: Sequence[float]) -> dict[str, float]:
    """minimum, quartiles and median of seconds."""
    lower, median, upper = np.quantile(times, (0.25, 0.5, 0.75))
    return {
        "minimum": min(times),
        "lower_quartile": float(lower),
        "median": float(median),
        "upper_quartile": float(upper),
    }


def machine() -> dict[str, Any]:
    """What a figure was measured on, when, and how busy it was with other things (the load of the last minute)."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def write_json(path: str | None, figures: Any) -> None:
    """Whole or not at all: who is stopped meanwhile leaves what was written before."""
    if path is not None:
        with open(f"{path}.new", "w") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
        os.replace(f"{path}.new", path)


def table(title: str, columns: list[str], rows: Mapping[str, Mapping[str, str]]) -> str:
    """Rows of text under columns, aligned."""
    cells = [[title, *columns], *([name, *(row.get(c, "-") for c in columns)] for name, row in rows.items())]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        line[0].ljust(widths[0]) + "".join("  " + text.rjust(w) for text, w in zip(line[1:], widths[1:], strict=True))
        for line in cells
    )

"""A plugin of pytest that writes down each test as it ends, so that a run that is stopped has told what it knows.

AUTOGRAD_CORE_TESTS=FILE pytest -p autograd_core.benchmarks.recorded_tests
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

VARIABLE = "AUTOGRAD_CORE_TESTS"
LISTED = 40  # failures that are told
FIRST = {"failed": 0, "skipped": 1, "passed": 2}  # what a test is that was several of these, before, in and after it


def pytest_configure(config: Any) -> None:
    path = os.environ.get(VARIABLE)
    if path and not hasattr(config, "workerinput"):  # where tests are shared among processes, one hears of all
        config.pluginmanager.register(_Record(path))


class _Record:
    def __init__(self, path: str):
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        line = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 3)}
        if report.outcome == "failed":
            line["message"] = _message(report)
        self._file.write(json.dumps(line) + "\n")

    def pytest_collectreport(self, report: Any) -> None:
        if report.outcome == "failed":
            self._file.write(
                json.dumps({"test": report.nodeid, "outcome": "failed", "seconds": 0.0, "message": _message(report)})
                + "\n"
            )

    def pytest_unconfigure(self) -> None:
        self._file.close()


def _message(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", None) or report.longrepr)[:300]


def counted(file: Path) -> dict[str, Any]:
    """What was written down: counts, and the first failures."""
    outcomes: dict[str, str] = {}
    messages: dict[str, str] = {}
    seconds = 0.0
    for text in file.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # the last one, when it was being written
            continue
        name = line["test"]
        outcomes[name] = min(outcomes.get(name, "passed"), line["outcome"], key=FIRST.__getitem__)
        messages.setdefault(name, line["message"]) if "message" in line else None
        seconds += line["seconds"]
    found = Counter(outcomes.values())
    return {
        **{outcome: found[outcome] for outcome in ("passed", "failed", "skipped")},
        "seconds": round(seconds, 1),
        "failures": [{"test": name, "message": text} for name, text in list(messages.items())[:LISTED]],
    }

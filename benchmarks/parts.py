"""Parts of a check, each a process with a time limit: what one leaves behind is kept, whatever becomes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

KEPT = 3000  # characters of what a part printed last
PAUSE = 0.05


class Part(NamedTuple):
    """A command and the seconds that it may take. figures: reads what it has left in its folder, at any time.

    ``{folder}`` in the command is that folder; ``cwd`` is where it runs, in an environment with ``variables`` added.
    """

    name: str
    command: Sequence[str]
    seconds: float
    figures: Callable[[Path], Any]
    cwd: Path | None = None
    variables: Mapping[str, str] = {}


class Running:
    """A part that has begun. It leads a process group of its own, so that what it starts ends with it."""

    def __init__(self, part: Part, end: float):
        self.part = part
        self.begun = time.monotonic()
        self.end = min(end, self.begun + part.seconds)
        self._folder = tempfile.TemporaryDirectory(prefix="autograd_core_check_", ignore_cleanup_errors=True)
        self._said = open(Path(self._folder.name) / "said.txt", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [word.replace("{folder}", self._folder.name) for word in part.command],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            cwd=part.cwd,
            env={**os.environ, **{k: v.replace("{folder}", self._folder.name) for k, v in part.variables.items()}},
            start_new_session=True,
        )

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None or time.monotonic() >= self.end

    def result(self) -> dict[str, Any]:
        """Its outcome, figures and last words; it is ended if it still runs."""
        status = self.process.poll()
        taken = time.monotonic() - self.begun
        if status is None:
            outcome = f"stopped after {taken:.0f} seconds"
        elif status:
            outcome = f"ended with {f'signal {signal.Signals(-status).name}' if status < 0 else f'status {status}'}"
        else:
            outcome = "done"
        self._kill()
        self._said.seek(0)
        said = self._said.read()[-KEPT:]
        result: dict[str, Any] = {"outcome": outcome, "seconds": round(taken, 1)}
        try:
            result["figures"] = self.part.figures(Path(self._folder.name))
        except Exception as error:  # half a file, or none: the rest of the report must not suffer from it
            result["figures"] = None
            result["outcome"] += f"; it left no figures ({type(error).__name__})"
        if result["outcome"] != "done":
            result["said"] = said
        self._said.close()
        self._folder.cleanup()
        return result

    def _kill(self) -> None:
        """All that is left of it; what it has started may outlive it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def run_stage(parts: Sequence[Part], at_once: int, end: float, done: Callable[[str, dict[str, Any]], None]) -> None:
    """Run them, so many at once; ``done`` is told of each as it ends. After ``end`` none is begun, and none goes on."""
    waiting = list(parts)
    running: list[Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                part = waiting.pop(0)
                if time.monotonic() >= end:
                    done(part.name, {"outcome": "not begun: no time was left", "seconds": 0.0, "figures": None})
                else:
                    running.append(Running(part, end))
            for one in [one for one in running if one.is_over]:
                running.remove(one)
                done(one.part.name, one.result())
            time.sleep(PAUSE)
    finally:  # whoever stopped this one, has the figures of what was under way
        for one in running:
            done(one.part.name, one.result())


def left_json(name: str) -> Callable[[Path], Any]:
    """Reads a file of that name in the part's folder."""
    return lambda folder: json.loads((folder / name).read_text())

"""Workers: started with the same threads on the same cores, spoken to by lines of JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from select import select
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


# JAX would take three quarters of the memory that others need too.
ON_GPUS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


class WorkerError(Exception):
    """A worker could not do what was asked, in its own words."""


class Worker:
    """One process. ``ask("burst", seconds=0.2)`` waits for the answer; it computes only while it is being asked.

    patience: seconds that an answer may take before the process is ended; None: any time.
    """

    patience: float | None = None

    def __init__(self, environment: Mapping[str, str]):
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            # -P: the folder that this runs in may hold a module by any name; faulthandler: where it crashed, if it does
            [sys.executable, "-P", "-X", "faulthandler", "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """WorkerError if it fails or ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            if self.patience is not None and not select([self._process.stdout], [], [], self.patience)[0]:
                self._process.kill()
                raise WorkerError(f"no answer to {do!r} in {self.patience:.0f} seconds; it was ended")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"its process {_ending(self._process.wait())}{self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _last_words(self) -> str:
        """Where a crash was, innermost first, or what was written last."""
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints.read().splitlines() if line.strip()]
        places = [line for line in lines if line.startswith("File ")]
        return f": {(places or lines[-1:])[0]}" if lines else ""

    def close(self) -> None:
        """End it and wait until it has gone, so that its memory and cores are free."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def environment(threads: int) -> dict[str, str]:
    """The same threads for everyone."""
    return dict.fromkeys(THREADS, str(threads))


def caches_in(folder: str) -> dict[str, str]:
    """Every compiler's cache in a folder of its own, and whatever was compiled kept there, however small and quick."""
    return {
        "AUTOGRAD_CORE_CACHE_DIR": os.path.join(folder, "autograd_core"),
        "XDG_CACHE_HOME": folder,
        "NUMBA_CACHE_DIR": os.path.join(folder, "numba"),
        "TORCHINDUCTOR_CACHE_DIR": os.path.join(folder, "inductor"),
        "JAX_COMPILATION_CACHE_DIR": os.path.join(folder, "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process, and those that it starts, on ``count`` cores: for XLA, the only way to say how many threads.

    ValueError where there are fewer cores. Systems without affinity (macOS) leave XLA all its threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    if count > len(allowed):
        raise ValueError(f"{count} threads were asked for, and there are {len(allowed)} cores to run on")
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)

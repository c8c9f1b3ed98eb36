"""The process that one contender has to itself for one row: it does what lines of JSON ask for, and answers in JSON.

It draws data and parameters itself, from the row's seed: nothing but names and numbers goes over the pipe. Whoever is
not asked computes nothing, so processes on the same cores leave one another alone.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from time import perf_counter, process_time
from typing import Any

from .contenders import limits
from .contenders.contestant import Contestant
from .usable import tried
from .workloads import WORKLOADS

MOST_CALLS = 2000  # in a burst: a step of microseconds needs no more


class _Session:
    """What a worker knows between two requests; a method for each request."""

    def __init__(self) -> None:
        self.contestant: Contestant | None = None

    def load(
        self, row: str, framework: str, device: str, compiled: bool, threads: int, quick: bool, math: str
    ) -> dict[str, Any]:
        """Import the framework, note the memory, state the row."""
        if framework == "limits":
            base = memory()
            self.contestant = limits.build(row, device=device, quick=quick, math=math)
        else:
            module = import_module(f".contenders.{framework}", __package__)
            base = memory()
            workload = WORKLOADS[row](quick)
            self.contestant = module.build(workload, device=device, compiled=compiled, threads=threads, math=math)
        return {"base_bytes": base}

    def first(self, steps: int) -> dict[str, Any]:
        """The first steps, in which compilers compile (ours in the third): their seconds together, and all values."""
        values, seconds = [], 0.0
        for _ in range(steps):
            start = perf_counter()
            result = self._contestant.step()
            if self._contestant.wait is not None:
                self._contestant.wait(result)
            seconds += perf_counter() - start
            values.append(self._contestant.values(result))
        return {"first_steps": seconds, "values": values}

    def burst(self, warm: float, seconds: float) -> dict[str, Any]:
        """Seconds of every call, after ``warm`` seconds and at least one call that are not counted.

        The uncounted calls bring the data back into the caches that others have used meanwhile, and wake threads. Where
        a step is done only when it has been waited for, a call is several steps and a wait, divided by their number.
        """
        step, together = self._called(), self._contestant.together
        end = perf_counter() + warm
        step()
        while perf_counter() < end:
            step()
        times = []
        cpu, begin = process_time(), perf_counter()
        while True:
            start = perf_counter()
            step()
            now = perf_counter()
            times.append((now - start) / together)
            if now - begin >= seconds or len(times) == MOST_CALLS:
                return {"times": times, "wall": now - begin, "cpu": process_time() - cpu}

    def _called(self) -> Callable[[], Any]:
        step, wait, together = self._contestant.step, self._contestant.wait, self._contestant.together
        if wait is None:
            return step

        def steps() -> None:
            for _ in range(together - 1):
                step()
            wait(step())

        return steps

    def finish(self) -> dict[str, Any]:
        account = None if self.contestant is None else self.contestant.device_bytes
        how = None if self.contestant is None else self.contestant.how
        found: dict[str, Any] = {"peak_bytes": memory(peak=True)}
        if account is not None:
            found["device_bytes"] = account()
        if how is not None:
            found["how"] = tried(how)
        return found

    @property
    def _contestant(self) -> Contestant:
        if self.contestant is None:
            raise RuntimeError("nothing is loaded")
        return self.contestant


def memory(peak: bool = False) -> int:
    """Resident bytes of this process, now or at their peak.

    Linux says both of this process image; elsewhere only the peak is known, and includes what lay there before exec.
    """
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return 1024 * int(fields["VmHWM" if peak else "VmRSS"].split()[0])
    except (OSError, KeyError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def main() -> None:
    # libraries may print: what they write must not end up between the answers
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session = _Session()
    requests: dict[str, Callable[..., dict[str, Any]]] = {
        "load": session.load,
        "first": session.first,
        "burst": session.burst,
        "finish": session.finish,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = requests[request.pop("do")](**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Measuring a row: numbers compared first, then bursts of all contenders in turn, each in a process of its own."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from .contenders import Contender, limits
from .measure import quartiles
from .processes import Worker, WorkerError, caches_in, environment
from .workloads import Workload

STEPS = 3  # compared before anything is timed
TOLERANCE = 1e-4  # relative, of losses and norms of gradients


class Plan(NamedTuple):
    """How long everything takes. ``settle``: seconds between bursts, until threads that wait by spinning have slept."""

    threads: int
    rounds: int = 9
    seconds: float = 0.2
    warm: float = 0.02
    settle: float = 0.05
    first_steps_twice: bool = True  # compile twice: from an empty cache, and from what that left there
    is_quick: bool = False

    @classmethod
    def quick(cls, threads: int) -> Plan:
        return cls(threads, rounds=2, seconds=0.0, warm=0.0, settle=0.0, first_steps_twice=False, is_quick=True)


class Asked(Protocol):
    """A worker, or in tests what stands for one."""

    def ask(self, do: str, **request: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


Start = Callable[[Contender, Mapping[str, str]], Asked]


def _start(contender: Contender, environment: Mapping[str, str]) -> Asked:
    return Worker(environment)


def run_row(row: Workload, contenders: Sequence[Contender], plan: Plan, start: Start = _start) -> dict[str, Any]:
    """The figures of a row: what everyone computed and took, and who had problems.

    The first peer that ran is the reference of the numbers; without peers it is the first of ours.
    """
    abstaining = {c.name: reason for c in contenders if (reason := c.abstains(row))}
    figures: dict[str, Any] = {name: {"abstains": reason} for name, reason in abstaining.items()}
    problems: dict[str, str] = {}
    reference: str | None = None
    with ExitStack() as stack:
        ready: dict[str, Asked] = {}
        for contender in _peers_first([c for c in contenders if c.name not in abstaining]):
            name = contender.name
            try:
                worker, figures[name] = _prepare(row, contender, plan, start, stack)
            except WorkerError as error:
                problems[name] = f"failed: {error}"
                continue
            values = figures[name]["values"]
            if not all(math.isfinite(x) for step in values for x in step):
                problems[name] = f"computed what is no number: {values}"
                continue
            if reference and (wrong := disagreement(values, figures[reference]["values"])):
                problems[name] = f"disagrees with {reference}: {wrong}"
                continue
            reference = reference or name
            ready[name] = worker
        for name, timing in interleave(ready, plan, problems).items():
            figures[name] |= timing
    return {
        "sizes": row.actual_sizes,
        "flops": row.flops(),
        "least_bytes": row.least_bytes(),
        "reference": reference,
        "problems": problems,
        "contenders": {c.name: _jsonable(figures.get(c.name, {})) for c in contenders},
    }


def _peers_first(contenders: Sequence[Contender]) -> list[Contender]:
    return sorted(contenders, key=lambda contender: not contender.is_peer)


def _prepare(
    row: Workload, contender: Contender, plan: Plan, start: Start, stack: ExitStack
) -> tuple[Asked, dict[str, Any]]:
    """A worker that has taken the first steps, and what it reported."""
    twice = contender.compiled and plan.first_steps_twice
    variables = environment(plan.threads)
    if twice:
        variables |= caches_in(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-caches-")))
    figures: dict[str, Any] = {}

    def begin(within: ExitStack) -> tuple[Asked, dict[str, Any], dict[str, Any]]:
        worker = start(contender, variables)
        within.callback(worker.close)
        loaded = worker.ask(
            "load",
            row=row.name,
            framework=contender.framework,
            device=contender.device,
            compiled=contender.compiled,
            threads=plan.threads,
            quick=plan.is_quick,
        )
        return worker, loaded, worker.ask("first", steps=STEPS)

    if twice:
        with ExitStack() as only:
            figures["first_steps_cold"] = begin(only)[2]["first_steps"]
    worker, loaded, first = begin(stack)
    return worker, {**figures, **loaded, **first}


def interleave(workers: Mapping[str, Asked], plan: Plan, problems: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Bursts in turn, there and back, so that nobody always comes after the same one; then everyone's memory.

    Who fails on the way is named in ``problems`` and left out from there on.
    """
    racing = dict(workers)
    bursts: dict[str, list[dict[str, Any]]] = {name: [] for name in racing}

    def asked(name: str, do: str, **request: Any) -> dict[str, Any] | None:
        try:
            return racing[name].ask(do, **request)
        except WorkerError as error:
            problems[name] = f"failed: {error}"
            del racing[name]
            return None

    for at in range(plan.rounds):
        for name in list(racing)[:: -1 if at % 2 else 1]:
            time.sleep(plan.settle)
            if (burst := asked(name, "burst", warm=plan.warm, seconds=plan.seconds)) is not None:
                bursts[name].append(burst)
    timings: dict[str, dict[str, Any]] = {}
    for name in list(racing):
        if (finished := asked(name, "finish")) is not None:
            timings[name] = {**_summary(bursts[name]), **finished}
    return timings


def _summary(bursts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all calls in all bursts; ``cores``: how many were busy on average."""
    times = [seconds for burst in bursts for seconds in burst["times"]]
    wall = sum(burst["wall"] for burst in bursts)
    return {**quartiles(times), "calls": len(times), "cores": sum(burst["cpu"] for burst in bursts) / max(wall, 1e-9)}


def disagreement(values: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> str:
    """Where two contenders' numbers differ by more than the tolerance, in words; empty where they nowhere do."""
    for step, (ours, theirs) in enumerate(zip(values, reference, strict=False)):
        if len(ours) != len(theirs):
            return f"step {step} has {len(ours)} numbers, not {len(theirs)}"
        for at, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if not abs(a - b) <= TOLERANCE * abs(b):  # so that what is no number disagrees
                what = f"the norm of gradient {at}" if at else "the loss"
                return f"{what} of step {step} is {a:.7g}, not {b:.7g}"
    return ""


def _jsonable(figures: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinities: they become words."""
    if "values" in figures:
        words = [[x if math.isfinite(x) else str(x) for x in step] for step in figures["values"]]
        figures = {**figures, "values": words}
    return figures


class Limits:
    """GEMM peak and copy bandwidth of this machine, measured again before every row."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._stack = ExitStack()
        self._workers: dict[str, Worker] = {}
        self._times: dict[str, list[float]] = {limits.GEMM: [], limits.COPY: []}

    def __enter__(self) -> Limits:
        for name in self._times:
            worker = self._stack.enter_context(Worker(environment(self.plan.threads)))
            worker.ask(
                "load",
                row=name,
                framework="limits",
                device="cpu",
                compiled=False,
                threads=self.plan.threads,
                quick=self.plan.is_quick,
            )
            self._workers[name] = worker
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def measure(self) -> dict[str, float]:
        """The best of everything seen so far: a limit is what nothing disturbed."""
        for name, worker in self._workers.items():
            time.sleep(self.plan.settle)
            self._times[name] += worker.ask("burst", warm=self.plan.warm, seconds=self.plan.seconds)["times"]
        gemm, copy = (min(self._times[name]) for name in (limits.GEMM, limits.COPY))
        return {
            "gemm_flops_per_second": limits.gemm_flops(self.plan.is_quick) / gemm,
            "copied_bytes_per_second": limits.copied_bytes(self.plan.is_quick) / copy,
        }

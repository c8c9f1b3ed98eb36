"""Measuring a row: numbers compared first, then bursts of all contenders in turn, each in a process of its own."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple, Protocol

from .contenders import HOST, Contender, limits
from .measure import quartiles
from .processes import ON_GPUS, THREADS, Worker, WorkerError, caches_in, environment, on_cores
from .workloads import Workload

STEPS = 3  # compared before anything is timed
TOLERANCE = 1e-4  # relative, of losses and norms of gradients
COARSER = {"fp32": 1, "tf32": 100, "bf16": 800}  # factors of 11 and 8 bits round to 5e-4 and 4e-3: twenty times that


class Plan(NamedTuple):
    """How long everything takes: without rounds first steps are compared, and nothing is timed.

    settle: seconds between bursts, until threads that wait by spinning have slept. math: of products on GPUs. together:
    contenders get ready at the same time, which says nothing about first steps. patience: seconds after which whoever
    gives no answer is ended; None: never.
    """

    threads: int
    rounds: int = 9
    seconds: float = 0.2
    warm: float = 0.02
    settle: float = 0.05
    first_steps_twice: bool = True  # compile twice: from an empty cache, and from what that left there
    is_quick: bool = False
    math: str = "fp32"
    together: bool = False
    patience: float | None = None

    @classmethod
    def quick(cls, threads: int, **others: Any) -> Plan:
        return cls(
            threads, rounds=2, seconds=0.0, warm=0.0, settle=0.0, first_steps_twice=False, is_quick=True, **others
        )

    @property
    def tolerance(self) -> float:
        return TOLERANCE * COARSER[self.math]


class Asked(Protocol):
    """A worker, or in tests what stands for one."""

    patience: float | None

    def ask(self, do: str, **request: Any) -> dict[str, Any]: ...

    def close(self) -> None: ...


Start = Callable[[Contender, Mapping[str, str]], Asked]


def _start(contender: Contender, environment: Mapping[str, str]) -> Asked:
    """Who computes on the CPU does so on as many cores as threads; who uses a GPU may compile on all."""
    threads = int(environment[THREADS[0]])
    with on_cores(threads) if contender.on_host else nullcontext():
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
        taking_part = _peers_first([c for c in contenders if c.name not in abstaining])
        for contender, prepared in zip(taking_part, _all_prepared(row, taking_part, plan, start, stack), strict=True):
            name = contender.name
            if isinstance(prepared, WorkerError):
                problems[name] = f"failed: {prepared}"
                continue
            worker, figures[name] = prepared
            if remark := contender.remark(row, plan.math):
                figures[name]["remark"] = remark
            values = figures[name]["values"]
            if not all(math.isfinite(x) for step in values for x in step):
                problems[name] = f"computed what is no number: {values}"
                continue
            if reference and (wrong := disagreement(values, figures[reference]["values"], plan.tolerance)):
                problems[name] = f"disagrees with {reference}: {wrong}"
                continue
            reference = reference or name
            ready[name] = worker
        if plan.rounds:
            for name, timing in interleave(ready, plan, problems).items():
                figures[name] |= timing
    return {
        "sizes": row.actual_sizes,
        "math": plan.math,
        "flops": row.flops(),
        "least_bytes": row.least_bytes(),
        "reference": reference,
        "problems": problems,
        "contenders": {c.name: _jsonable(figures.get(c.name, {})) for c in contenders},
    }


def _all_prepared(
    row: Workload, contenders: Sequence[Contender], plan: Plan, start: Start, stack: ExitStack
) -> list[tuple[Asked, dict[str, Any]] | WorkerError]:
    """One after the other, or all at once; of each what ``_prepare`` returns or raises."""

    def prepare(contender: Contender) -> tuple[Asked, dict[str, Any]] | WorkerError:
        try:
            return _prepare(row, contender, plan, start, stack)
        except WorkerError as error:
            return error

    if not plan.together:
        return [prepare(contender) for contender in contenders]
    with ThreadPoolExecutor(max(1, len(contenders))) as pool:
        return list(pool.map(prepare, contenders))


def _peers_first(contenders: Sequence[Contender]) -> list[Contender]:
    return sorted(contenders, key=lambda contender: not contender.is_peer)


def _prepare(
    row: Workload, contender: Contender, plan: Plan, start: Start, stack: ExitStack
) -> tuple[Asked, dict[str, Any]]:
    """A worker that has taken the first steps, and what it reported."""
    twice = contender.compiled and plan.first_steps_twice
    variables = environment(plan.threads)
    if not contender.on_host:
        variables |= ON_GPUS
    if twice:
        variables |= caches_in(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-caches-")))
    figures: dict[str, Any] = {}

    def begin(within: ExitStack) -> tuple[Asked, dict[str, Any], dict[str, Any]]:
        worker = start(contender, variables)
        worker.patience = plan.patience
        within.callback(worker.close)
        loaded = worker.ask(
            "load",
            row=row.name,
            framework=contender.framework,
            device=contender.device,
            compiled=contender.compiled,
            threads=plan.threads,
            quick=plan.is_quick,
            math=plan.math,
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


def disagreement(
    values: Sequence[Sequence[float]], reference: Sequence[Sequence[float]], tolerance: float | None = None
) -> str:
    """Where two contenders' numbers differ by more than the tolerance, in words; empty where they nowhere do."""
    tolerance = TOLERANCE if tolerance is None else tolerance
    for step, (ours, theirs) in enumerate(zip(values, reference, strict=False)):
        if len(ours) != len(theirs):
            return f"step {step} has {len(ours)} numbers, not {len(theirs)}"
        for at, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if not abs(a - b) <= tolerance * abs(b):  # so that what is no number disagrees
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
    """GEMM peak and copy bandwidth of each kind of device that takes part, measured again before every row."""

    def __init__(self, plan: Plan, devices: Sequence[str] = (HOST,)):
        self.plan = plan
        self._stack = ExitStack()
        self._workers: dict[tuple[str, str], Worker] = {}
        self._times: dict[tuple[str, str], list[float]] = {
            (device, name): [] for device in devices for name in (limits.GEMM, limits.COPY)
        }

    def __enter__(self) -> Limits:
        for device, name in self._times:
            with on_cores(self.plan.threads) if device == HOST else nullcontext():
                worker = self._stack.enter_context(Worker(environment(self.plan.threads)))
            self._workers[device, name] = worker
            worker.ask(
                "load",
                row=name,
                framework="limits",
                device=device,
                compiled=False,
                threads=self.plan.threads,
                quick=self.plan.is_quick,
                math=self.plan.math,
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def measure(self) -> dict[str, dict[str, float]]:
        """By device the best of everything seen so far: a limit is what nothing disturbed."""
        for at, worker in self._workers.items():
            time.sleep(self.plan.settle)
            self._times[at] += worker.ask("burst", warm=self.plan.warm, seconds=self.plan.seconds)["times"]
        best = {at: min(times) for at, times in self._times.items()}
        quick = self.plan.is_quick
        return {
            device: {
                "gemm_flops_per_second": limits.gemm_flops(device, quick) / best[device, limits.GEMM],
                "copied_bytes_per_second": limits.copied_bytes(quick) / best[device, limits.COPY],
            }
            for device in dict.fromkeys(device for device, _ in best)
        }

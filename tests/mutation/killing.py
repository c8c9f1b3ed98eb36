"""Does a check fail? Each mutant is put through the op table's checks of the cases that run the changed function."""

from __future__ import annotations

import io
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np
import op_batching
import op_checks
import op_dtypes
import op_extents
import op_matrix
import pytest
from op_catalog import public_functions
from op_table import OpCase, extra

from autograd_core.backend import get_device
from autograd_core.primitive import Primitive

from .mutants import Mutant
from .rules import Rule, clear_caches

CASES_EACH = 14  # that run one primitive: more of them would be alike
MOST = 60
HARD = {case.name for case in extra.CASES}
ROOT = Path(__file__).resolve().parent.parent.parent
# Families whose tests stand under another name.
LINEAR_ALGEBRA = (
    "_matrices determinants diagonals elimination factorizations matrix_functions norms products singular_values "
    "solving spectra"
)
SUBJECTS = dict.fromkeys(LINEAR_ALGEBRA.split(), "linear_algebra") | {
    "_elements": "indexing",
    "_recurrences": "recurrent",
    "_recurrent_composed": "recurrent",
    "_windows": "conv",
    "arithmetic": "elementwise",
    "cross_entropy": "losses",
    "exponential": "elementwise",
    "extrema": "reductions",
    "normal_distribution": "special",
    "optimizer_updates": "optim",
    "primitive": "engine",
    "scans": "reductions",
    "searching": "sets",
    "trigonometric": "elementwise",
    "units": "activation",
}
SECONDS = 3  # a mutant that takes longer does not end


def gradients(case: OpCase) -> None:
    if case.order and case.argnums(op_checks.arrays(case)):
        op_checks.gradients(case)


def conventions(case: OpCase) -> None:
    """Where there is no derivative: what the case states, or PyTorch's choice."""
    if case.edge is not None:
        op_checks.edge(case)
    if not case.order and case.torch is not None and op_matrix.judge("torch") is not None:
        op_checks.peer(case, op_matrix.judge("torch"))


CHECKS: tuple[Callable[[OpCase], Any], ...] = (
    gradients,
    conventions,
    op_batching.check,
    lambda case: op_dtypes.check(case, "complex128", op_matrix.judge("torch")),
    lambda case: op_dtypes.check(case, "float32"),
    op_extents.check,
)


class Run(NamedTuple):
    """One check of one case: what it ran, and how long it took."""

    case: OpCase
    check: Callable[[OpCase], Any]
    codes: frozenset[CodeType]
    seconds: float


@contextmanager
def plain_kernels() -> Iterator[None]:
    """NumPy's formulas for the cpu's kernels: compiled loops trust their indices, and a mutant's may lie outside."""
    cpu = get_device("cpu")
    before = cpu.kernels
    cpu.kernels = get_device("numpy").kernels
    try:
        yield
    finally:
        cpu.kernels = before


def passes(case: OpCase, check: Callable[[OpCase], Any], seconds: float = SECONDS) -> bool:
    """Whether the check passes; a warning is an error, and so is not to come to an end."""
    try:
        with warnings.catch_warnings(), deadline(seconds):
            warnings.simplefilter("error")
            check(case)
    except Exception:  # whatever a wrong rule ends in
        return False
    return True


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    def expire(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@cache
def primitives_of(case: OpCase) -> frozenset[Primitive]:
    """The primitives that a case and its first derivatives run."""
    watcher = op_checks.Watcher()
    try:
        op_checks.shapes(case, watcher)
    except AssertionError:
        return frozenset()
    return frozenset(watcher.seen)


def relevant(rules: Sequence[Rule], cases: Sequence[OpCase]) -> list[OpCase]:
    """For every primitive with one of these rules some cases that run it: those of its family first, small first."""
    chosen = {}
    for primitive in sorted({p for rule in rules for p in rule.primitives}, key=lambda p: p.name):
        homes = {rule.module.__name__ for rule in rules if primitive in rule.primitives}

        def distance(case: OpCase, primitive: Primitive = primitive, homes: set[str] = homes) -> tuple:
            at_home = public_functions().get(case.function) in homes
            return case.function != primitive.name, not at_home, sum(x.size for x in op_checks.arrays(case))

        running = sorted((case for case in cases if primitive in primitives_of(case)), key=distance)
        made_for_it = [case for case in running if case.name in HARD]
        chosen |= {case.name: case for case in running[:CASES_EACH] + made_for_it}
    return list(chosen.values())


def runs(rules: Sequence[Rule], cases: Sequence[OpCase]) -> list[Run]:
    """The checks that run these rules and pass as things are, and which of them each runs."""
    wanted = {rule.code for rule in rules}
    found = []
    for case in relevant(rules, cases):
        for check in CHECKS:
            seen: set[CodeType] = set()

            def note(frame: FrameType, event: str, argument: Any, seen: set[CodeType] = seen) -> None:
                if frame.f_code in wanted:
                    seen.add(frame.f_code)

            clear_caches()
            start = time.perf_counter()
            sys.settrace(note)
            try:
                good = passes(case, check, seconds=100)  # the first run may compile kernels
            finally:
                sys.settrace(None)
            if good and seen:
                found.append(Run(case, check, frozenset(seen), time.perf_counter() - start))
    return found


def in_order(runs: Sequence[Run]) -> list[Run]:
    """The runs to try one after another: at hard points first, kinds of checks in turn, one for each function first."""
    places = {check: i for i, check in enumerate(CHECKS)}
    chosen: list[tuple[tuple[bool, int, int, float], Run]] = []
    met: Counter[tuple[Any, str]] = Counter()
    for run in sorted(runs, key=lambda run: run.seconds):
        met[run.check, run.case.function] += 1
        nth, hard = met[run.check, run.case.function], run.case.name in HARD
        chosen.append(((not hard, nth, places[run.check], run.seconds), run))
    return [run for _, run in sorted(chosen, key=lambda pair: pair[0])][:MOST]


def killer(mutant: Mutant, runs: Sequence[Run]) -> Run | None:
    """The first check, of those that run the changed function, that fails; None if the mutant survives."""
    state = np.geterr()
    with mutant.applied():
        for run in runs:
            clear_caches()
            if not passes(run.case, run.check):
                np.seterr(**state)
                clear_caches()
                return run
    clear_caches()
    return None


def tests_of(family: str) -> list[str]:
    """The test files that name a family or its place in a larger subject: where its hard points are tested by hand."""
    folder = Path(__file__).resolve().parent.parent
    subject = SUBJECTS.get(family, family.strip("_"))
    return [str(path) for glob in (f"test_*{subject}*.py", "test_difficult_*.py") for path in sorted(folder.glob(glob))]


def fails_by_hand(mutant: Mutant, files: Sequence[str]) -> bool:
    """Whether a test in ``files`` fails, run in this process so that it meets the mutant."""
    with mutant.applied(), deadline(120):
        clear_caches()
        try:
            return run_tests(files) == pytest.ExitCode.TESTS_FAILED
        except TimeoutError:
            return True
        finally:
            clear_caches()


def run_tests(files: Sequence[str]) -> int:
    quiet = io.StringIO()
    with redirect_stdout(quiet), redirect_stderr(quiet):
        return pytest.main(["-q", "-x", "--no-header", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *files])

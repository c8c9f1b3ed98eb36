"""The loop kernels that programs are lowered to, each with arrays as it finds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import compile_tools
import numpy as np
import pytest
from compile_cases import OpCase, chunks, program
from compile_tools import captured, trace

import autograd_core as ag
from autograd_core.backends.cuda.native import loop_kernel
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.fuse import schedule
from autograd_core.compiler.loops import LoopKernel
from autograd_core.compiler.simplify import simplify

Job = tuple[LoopKernel, list[np.ndarray]]


def kernels_of(f: Callable[..., Any], arrays: Sequence[np.ndarray], *, halves: bool = False) -> list[Job]:
    """The program is run on the reference backend; what its kernels are given there is noted."""
    found: list[Job] = []

    def noted(kernel: LoopKernel, given: Sequence[np.ndarray]) -> None:
        found.append((kernel, [a.copy() for a in given]))
        evaluate(kernel, given)

    with ag.default_device("numpy"), pytest.MonkeyPatch.context() as patched:
        patched.setattr(compile_tools, "evaluate", noted)
        whole = captured(f, *arrays)
        graph = simplify(whole.graph)
        compile_tools.run(graph, schedule(graph, trace=trace, halves=halves), whole.arrays)
    return found


def of_cases(cases: Sequence[OpCase]) -> Iterator[Job]:
    for i, case in enumerate(cases):
        with ag.default_device("numpy"):
            p = program(case, single=bool(i % 2))
        yield from kernels_of(p.run, p.inputs)


SHOWN = 3  # one kernel of so many, where not every one is asked for: all of them take minutes


@cache
def of_the_op_table(*, every: bool) -> list[Job]:
    """Values and gradients of the cases: some kernels of those whose text differs in more than sizes, or every one."""
    seen: set[str] = set()
    found: list[Job] = []
    for _, cases in chunks(every=every):
        for kernel, arrays in of_cases(cases):
            form = repr(kernel) if every else re.sub(r"\b\d+\b", "n", loop_kernel(kernel, "kernel").text)
            if form not in seen:
                seen.add(form)
                found.append((kernel, arrays))
    return found if every else found[::SHOWN]

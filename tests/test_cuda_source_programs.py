"""Kernels that programs are lowered to, as CUDA C on the host: the whole op table, random programs, random kernels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from compile_cases import halved
from compile_programs import Recipe, recipes
from cuda_host import needs_compiler
from cuda_loops import SMALL, TINY, Checks
from cuda_programs import Job, kernels_of, of_cases, of_the_op_table
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_drawings import Drawing
from op_table import CASES

from autograd_core.aval import as_dtype, is_inexact
from autograd_core.backends.cuda.native import Sizes, loop_kernel

PARTS = 8
HALVES = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # and their roundoff


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    needs_compiler()


def compare(jobs: Iterable[Job], sizes: Sizes, *, order: int = 0, anywhere: bool = False, unit: float = 1e-5) -> None:
    """unit: roundoff, with which elements may differ, by that of the largest number too, since sums that cancel have
    the error of their terms.
    """
    checks = Checks(sizes)
    for kernel, arrays in jobs:
        floats = [a.astype(np.float64) for a in arrays if is_inexact(a.dtype)]
        largest = max([float(np.abs(a[np.isfinite(a)]).max(initial=0)) for a in floats], default=0.0)
        checks.add(kernel, arrays, rtol=2 * unit, atol=unit * max(1.0, largest), anywhere=(anywhere,))
    if checks.batch.jobs:
        checks.run((order,))


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> list[Job]:
    return of_the_op_table(every=pytestconfig.getoption("--every-case"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_op_table(table: list[Job], part: int) -> None:
    """Values and gradients. Parts differ in what else can: sizes, the order of threads, where arrays lie."""
    sizes = (SMALL, TINY, Sizes())[part % 3]
    compare(table[part::PARTS], sizes, order=(0, 1, 5)[part // 3], anywhere=part % 2 == 1)


@pytest.mark.parametrize("function", ["softmax", "layer_norm", "cross_entropy", "gelu", "matrix_transpose", "std"])
def test_cases_of_a_function(function: str) -> None:
    cases = [c for c in CASES if c.function == function]
    assert cases
    jobs = list(of_cases(cases[:3]))
    assert jobs
    compare(jobs, SMALL, order=1)
    compare(jobs, TINY, order=0, anywhere=True)


@pytest.mark.parametrize("dtype", HALVES)
def test_cases_in_half_precision(dtype: str) -> None:
    cases = [next(c for c in CASES if c.function == f) for f in ("softmax", "cross_entropy", "gelu", "sum", "where")]
    programs = [halved(case, dtype) for case in cases]
    jobs = [job for p in programs for job in kernels_of(p.run, p.inputs, halves=True)]
    assert any(as_dtype(dtype) in kernel.operands for kernel, _ in jobs)
    compare(jobs, SMALL, order=1, unit=HALVES[dtype])


@settings(max_examples=8, deadline=None)
@given(recipe=recipes(longest=10))
def test_random_programs(recipe: Recipe) -> None:
    compare(kernels_of(recipe, recipe.inputs), SMALL, order=1)


@pytest.mark.parametrize("sizes", [SMALL, TINY, Sizes()], ids=["small", "tiny", "full"])
def test_random_kernels(sizes: Sizes) -> None:
    checks = Checks(sizes)
    for seed in range(40):
        drawing = Drawing(seed)
        checks.add(drawing.kernel, drawing.arrays, rtol=1e-5, atol=1e-3, anywhere=(seed % 2 == 1,))
    checks.run((1, 5))


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(first=st.integers(0, 2**32 - 11))
def test_more_random_kernels(first: int) -> None:
    checks = Checks(TINY)
    for seed in range(first, first + 10):
        drawing = Drawing(seed)
        checks.add(drawing.kernel, drawing.arrays, rtol=1e-5, atol=1e-3)
    checks.run((0, 1))


@pytest.mark.slow
def test_the_table_has_kernels_of_every_shape(table: list[Job]) -> None:
    marks = {"over_lanes": 0, "over_warps": 0, "over_block": 0, "load<4>": 0, "load<2>": 0, "_finish": 0}
    for kernel, _ in table:
        text = loop_kernel(kernel, "kernel", sizes=SMALL).text
        marks = {mark: count + (mark in text) for mark, count in marks.items()}
    assert all(marks.values()), marks

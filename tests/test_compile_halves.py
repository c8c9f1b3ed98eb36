"""Half precision in loop kernels: moved as it is, computed with in float32 and rounded after every operation."""

from __future__ import annotations

import numpy as np
import pytest
from compile_cases import Program, chunks, halved, refusal
from compile_tools import captured, graph_of, run, trace

import autograd_core as ag
from autograd_core.aval import as_dtype
from autograd_core.compiler.fuse import LoopUnit, OpaqueUnit, View, schedule
from autograd_core.compiler.loops import Load, Map, Store
from autograd_core.compiler.simplify import simplify
from autograd_core.errors import AutogradError

UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # roundoff
EACH = 12  # one function of so many, in one dtype


def cases(dtype: str, every: bool) -> list[Program]:
    """Those of the op table that there are in half precision."""
    first = 0 if every else list(UNITS).index(dtype) * EACH // 2
    found = []
    for _, of_function in list(chunks(every=every))[first :: 1 if every else EACH]:
        for case in of_function if every else of_function[:1]:
            try:
                found += [] if refusal(case) else [halved(case, dtype)]
            except (TypeError, AutogradError):  # complex numbers, or halves that the operation does not take
                continue
    return found


@pytest.mark.parametrize("dtype", UNITS)
def test_operations_give_what_they_give_eagerly(dtype: str, pytestconfig: pytest.Config) -> None:
    """To a unit: a sum in another order may round the other way."""
    unit, loops = UNITS[dtype], 0
    with ag.default_device("numpy"), np.errstate(all="ignore"):
        for program in cases(dtype, pytestconfig.getoption("--every-case")):
            whole = captured(program.run, *program.inputs)
            graph = simplify(whole.graph)
            plan = schedule(graph, trace=trace, halves=True)
            loops += sum(isinstance(u, LoopUnit) for u in plan.units)
            for y, z in zip(run(graph, plan, whole.arrays), whole.expected, strict=True):
                assert y.dtype == z.dtype, program.case.name
                if y.dtype == as_dtype(dtype):
                    y, z = y.astype(np.float64), z.astype(np.float64)
                    largest = np.max(np.abs(z[np.isfinite(z)]), initial=0.0)
                    np.testing.assert_allclose(
                        y, z, rtol=2 * unit, atol=unit * largest / 500, err_msg=program.case.name
                    )
                else:
                    np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-5, err_msg=program.case.name)
    assert loops > 20


@pytest.mark.parametrize("dtype", UNITS)
def test_operations_are_fused_and_each_one_is_rounded(dtype: str) -> None:
    x, w = (np.random.default_rng(n).standard_normal((3, 4)).astype(as_dtype(dtype)) for n in range(2))
    whole = captured(lambda x, w: ag.tanh(x * w) + w, x, w)
    plan = schedule(simplify(whole.graph), trace=trace, halves=True)
    (unit,) = plan.units
    assert isinstance(unit, LoopUnit)
    half = as_dtype(dtype)
    assert {s.dtype for s in unit.kernel.body if isinstance(s, Load)} == {half}
    assert sum(isinstance(s, Map) and s.op == "cast" and s.dtype == half for s in unit.kernel.body) == 3
    assert sum(isinstance(s, Store) for s in unit.kernel.body) == 1
    np.testing.assert_array_equal(run(whole.graph, plan, whole.arrays)[0], whole.expected[0])


def test_what_is_only_moved_is_not_cast() -> None:
    graph = graph_of(lambda x: x.reshape(4, 3).T, np.zeros((3, 4), np.float16))
    plan = schedule(simplify(graph), trace=trace, halves=True)
    ops = [s.op for u in plan.units for s in u.kernel.body if isinstance(s, Map)]
    assert set(ops) <= {"copy"}
    assert all(isinstance(view, View) for view in plan.views.values())


def test_without_kernels_for_them_they_stay_whole() -> None:
    graph = graph_of(lambda x: x * x + x, np.zeros((3, 4), np.float16))
    plan = schedule(simplify(graph), trace=trace)
    assert len(plan.units) == 2
    assert all(isinstance(unit, OpaqueUnit) for unit in plan.units)

"""Every operation compiled gives what it gives eagerly: results and gradients, or the error that is stated for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compile_cases import (
    AS_MANY,
    REFUSED,
    TOLERANCE,
    OpCase,
    Program,
    assert_close,
    chunks,
    program,
    refusal,
    together,
)
from op_checks import arrays
from op_table import CASES

import autograd_core as ag
from autograd_core.errors import CompileError, DeviceError
from autograd_core.nn import functional as F


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cases" in metafunc.fixturenames:
        found = dict(chunks(every=metafunc.config.getoption("--every-case")))
        metafunc.parametrize("cases", found.values(), ids=found)


def compare(cases: list[OpCase], device: str, *, flip: bool = False) -> None:
    """The first call runs the captured graph as it is, the second compiles it, the third may run in place.

    flip: whether the cases at even places are those in float32, or those at odd ones.
    """
    with ag.default_device(device):
        programs = [program(case, single=bool((i + flip) % 2)) for i, case in enumerate(cases)]
        f = together(programs)
        tensors = [ag.tensor(x) for p in programs for x in p.inputs]
        expected = f(*tensors)
        compiled = ag.compile(f)
        for call in range(3):
            for p, found, known in zip(programs, compiled(*tensors), expected, strict=True):
                assert len(found) == len(known)
                for k, (y, z) in enumerate(zip(found, known, strict=True)):
                    assert_close(y, z, f"{p.case.name}, call {call}, output {k}")
        assert len(compiled.variants) == 1


def test_compiled_is_eager(cases: list[OpCase]) -> None:
    compare(cases, "cpu", flip=len(cases[0].name) % 2 == 1)


@pytest.mark.parametrize("part", range(12))
def test_the_reference_backend_runs_what_was_captured(part: int) -> None:
    """Every case, kernel by kernel."""
    compare([c for _, group in chunks(every=True) for c in group][part::12], "numpy", flip=part % 2 == 1)


@pytest.mark.parametrize("case", [c for c in CASES if refusal(c)], ids=lambda c: c.name)
def test_what_is_refused_says_why(case: OpCase) -> None:
    message, _ = refusal(case)
    p = program(case, single=False)
    with pytest.raises((CompileError, DeviceError), match=message):
        ag.compile(p.run)(*[ag.tensor(x) for x in p.inputs])


def test_every_refusal_is_of_a_case() -> None:
    assert set(REFUSED) <= {c.name for c in CASES} | {c.function for c in CASES}
    compiled = {c.name for _, group in chunks(every=True) for c in group}
    assert compiled | {c.name for c in CASES if refusal(c)} == {c.name for c in CASES}


X, V = np.arange(12.0).reshape(3, 4) / 7, np.array([[0.5, -2.0]])
ROWS, COLUMNS, MASK = np.array([2, 0]), np.array([[1], [3]]), np.array([True, False, True])
SCORES = np.where(np.arange(12).reshape(3, 4) % 5 > 2, -np.inf, 0.5)
QKV = tuple(np.random.default_rng(i).standard_normal((2, n, 4)) for i, n in enumerate((3, 4, 4)))

# What REFUSED leaves out because its arrays are part of the case: here they are operands.
OPERANDS: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "getitem/array": (lambda x, i: x[i], (X, ROWS)),
    "getitem/matrix": (lambda x, i: x[i], (X, np.array([[2, 0], [-1, 1]]))),
    "getitem/array-second-axis": (lambda x, i: x[:, i], (X, ROWS)),
    "getitem/arrays": (lambda x, i, j: x[i, j], (X, ROWS, np.array([3, 3]))),
    "getitem/arrays-broadcast": (lambda x, i, j: x[i, j], (X, ROWS, COLUMNS)),
    "getitem/arrays-parted": (lambda x, i, j: x[None, i, :, None, j], (X.reshape(3, 2, 2), ROWS, np.array([0, 1]))),
    "getitem/array-and-slice": (lambda x, i: x[i, 1:], (X, ROWS)),
    "getitem/array-and-backwards": (lambda x, i: x[::-2, i], (X, ROWS)),
    "at/set": (lambda x, i, v: x.at[i].set(v), (X, ROWS, np.ones((2, 4)))),
    "at/set array-second-axis": (lambda x, i, v: x.at[:, i].set(v), (X, ROWS, V)),
    "at/add": (lambda x, i, v: x.at[i].add(v), (X, np.array([0, 2, 0]), np.ones((3, 4)))),
    "at/add arrays": (lambda x, i, j, v: x.at[i, j].add(v), (X, ROWS, COLUMNS, V)),
    "at/multiply": (lambda x, i, v: x.at[i].multiply(v), (X, ROWS, np.full((2, 4), 3.0))),
    "where/mask": (lambda x, m: ag.where(m, x, -x), (X.T, MASK)),
    "masked_fill": (lambda x, m: ag.masked_fill(x, m, 7.0), (X.T, MASK)),
    "attention/mask": (F.scaled_dot_product_attention, (*QKV, np.isfinite(SCORES))),
    "attention/infinite-mask": (F.scaled_dot_product_attention, (*QKV, SCORES)),
    "attention/a-blind-query": (F.scaled_dot_product_attention, (*QKV, np.isfinite(SCORES) & MASK[:, None])),
}


@pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
def test_arrays_that_are_operands(single: bool) -> None:
    cases = [OpCase(name, fn, lambda rng, xs=xs: xs, reference=fn) for name, (fn, xs) in OPERANDS.items()]
    compare(cases, "cpu", flip=single)


@pytest.mark.parametrize(
    "f", [lambda x, m: x[m], lambda x, m: ag.masked_select(x.mT, m), lambda x, m: x.at[m].add(1.0)]
)
def test_as_many_elements_as_a_mask_has_are_refused(f: Any) -> None:
    with pytest.raises(CompileError, match=AS_MANY):
        ag.compile(f)(ag.tensor(X), ag.tensor(MASK))


@pytest.mark.parametrize("shape", [(3, 37), (2, 0)], ids=str)
def test_elementwise_operations_on_vectors(shape: tuple[int, ...]) -> None:
    """More elements than a register has lanes, and some beyond: every elementwise case, its values repeated."""
    cases = [c for c in CASES if c.elementwise and refusal(c) is None]
    firsts = list({c.function: c for c in cases}.values())

    def larger(case: OpCase) -> OpCase:
        return replace(case, make=lambda rng: tuple(np.resize(x, shape) if x.size else x for x in case.make(rng)))

    for i in range(0, len(firsts), 12):
        compare([larger(c) for c in firsts[i : i + 12]], "cpu", flip=i % 24 == 0)


SPECIAL = [
    np.nan,
    np.inf,
    -np.inf,
    -0.0,
    0.0,
    1.0,
    -1.0,
    3.4e38,
    -3.4e38,
    1.2e-38,
    1e-40,
    -1e-40,
    0.5,
    -0.5,
    1.0 - 2**-24,
]
SPECIAL += [2.0**-24 - 1.0, 88.0, -88.0, 104.0, -104.0, 1e10, -1e10, 2.0, -2.0, 2.5, -7.5, 1e-20, 1e30, 100000.25, 1e5]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("part", range(3))
def test_elementwise_operations_of_special_values(part: int, dtype: str) -> None:
    """NaN, infinities, zeros, the largest and the smallest numbers: to rounding of each element, NaN where NaN is."""
    cases = [c for c in CASES if c.elementwise == 1 and refusal(c) is None]
    firsts = [c for c in {c.function: c for c in cases}.values() if arrays(c)[0].dtype.kind == "f"][part::3]
    x = np.array(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        cotangents = [np.ones(x.shape, dtype)]
        programs = [Program(c, (x,), tuple(cotangents * len(c.argnums((x,)))), c.argnums((x,))) for c in firsts]
        f = together(programs)
        tensors = [ag.tensor(a) for p in programs for a in p.inputs]
        expected, compiled = f(*tensors), ag.compile(f)
        for _ in range(3):
            found = compiled(*tensors)
    for p, ys, zs in zip(programs, found, expected, strict=True):
        for y, z in zip(ys, zs, strict=True):
            tolerance = TOLERANCE.get(z.dtype, 0.0)
            smallest = 4 * float(np.finfo(dtype).tiny)
            np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=tolerance, atol=smallest, err_msg=p.case.name)

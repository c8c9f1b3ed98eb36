"""Recurrent layers in one launch: their CUDA C run on the host against the formulas, and compiled for GPUs.

Not yet run on hardware: the host run proves what is computed, the barriers between threads and the waiting of blocks
for each other, and nothing of memory fences or speed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import cuda_grid
import ml_dtypes  # noqa: F401 - NumPy knows bfloat16 then
import numpy as np
import pytest
from cuda_offline import compiled, needs_nvrtc
from fences import fenced

from autograd_core.backends.cuda.native import recurrent
from autograd_core.backends.cuda.native.recurrent import Cut, Recurrence
from autograd_core.ops import _recurrences as formulas

ERRORS = {"fp32": 2e-6, "tf32": 2e-3, "bf16": 2e-2}  # of a product's factors, and a few steps long
# Roundoff of a half, by as many roundings as numbers below 4 go through in a few steps: of states and of what is kept.
HALVES = {"float16": 8 * 2.0**-11, "bfloat16": 8 * 2.0**-8}
SMALL = Cut(units=16, rows=8, warps=2)

CASES = [
    (Recurrence("lstm", "forward", 4, 11, 32), SMALL),
    (Recurrence("lstm", "forward", 3, 5, 32, reverse=True, mode="tf32"), Cut(8, 8, 2)),
    (Recurrence("lstm", "forward", 3, 20, 64, mode="bf16"), Cut(16, 16, 4)),
    (Recurrence("lstm", "adjoint", 4, 11, 32), SMALL),
    (Recurrence("lstm", "adjoint", 3, 5, 32, reverse=True, mode="tf32"), Cut(8, 8, 4)),
    (Recurrence("lstm", "adjoint", 3, 9, 32, mode="bf16"), Cut(16, 16, 2)),
    (Recurrence("gru", "forward", 4, 11, 32), SMALL),
    (Recurrence("gru", "forward", 3, 9, 64, reverse=True, mode="tf32"), Cut(16, 8, 2)),
    (Recurrence("gru", "adjoint", 4, 11, 32), SMALL),
    (Recurrence("gru", "adjoint", 3, 9, 64, reverse=True, mode="tf32"), Cut(16, 8, 2)),
    (Recurrence("rnn", "forward", 4, 11, 32), SMALL),
    (Recurrence("rnn", "forward", 3, 9, 64, reverse=True, relu=True, mode="tf32"), Cut(32, 8, 2)),
    (Recurrence("rnn", "adjoint", 4, 11, 32, relu=True), SMALL),
    (Recurrence("rnn", "adjoint", 3, 9, 64, reverse=True, mode="tf32"), Cut(32, 8, 2)),
    (Recurrence("lstm", "forward", 1, 1, 32), Cut(32, 64, 2)),
    (Recurrence("lstm", "forward", 4, 11, 32, dtype="float16"), SMALL),
    (Recurrence("lstm", "adjoint", 3, 9, 32, reverse=True, dtype="bfloat16"), Cut(16, 16, 2)),
    (Recurrence("gru", "forward", 3, 9, 64, reverse=True, dtype="bfloat16"), Cut(16, 8, 2)),
    (Recurrence("gru", "adjoint", 4, 11, 32, dtype="float16"), SMALL),
    (Recurrence("rnn", "forward", 4, 11, 32, dtype="bfloat16"), SMALL),
    (Recurrence("rnn", "adjoint", 3, 9, 64, relu=True, dtype="float16"), Cut(32, 8, 2)),
    (Recurrence("lstm", "forward", 3, 11, 32, batch_first=True), SMALL),
    (Recurrence("lstm", "adjoint", 3, 11, 32, mode="bf16", batch_first=True), SMALL),
    (Recurrence("gru", "forward", 3, 5, 32, dtype="float16", batch_first=True), SMALL),
    (Recurrence("gru", "adjoint", 3, 11, 32, reverse=True, batch_first=True), SMALL),
    (Recurrence("rnn", "forward", 3, 11, 32, reverse=True, mode="tf32", batch_first=True), SMALL),
    (Recurrence("rnn", "adjoint", 3, 5, 32, dtype="bfloat16", batch_first=True), SMALL),
]


def name(case: Any) -> str:
    problem, cut = case
    return "-".join(map(str, (*problem, *cut)))


@cache
def library() -> ctypes.CDLL:
    """All cases, compiled for the host."""
    return cuda_grid.compiled([recurrent.render(*case) for case in CASES])


def launch(case: Any, arrays: dict[str, np.ndarray | None], order: int) -> dict[str, np.ndarray]:
    """What the arrays, (steps, batch, ...), hold after one launch on copies of them, and nothing beside is touched.

    In one of the orders a result and an operand are one array.
    """
    problem = case[0]
    rendered = recurrent.render(*case)
    held = {n: None if arrays[n] is None else fenced(turned(problem, arrays[n])) for n in rendered.arguments}
    if order == 1:
        result, operand = recurrent.SHARED[problem.kind, problem.way]
        held[result] = held[operand]
    held["arrivals"] = fenced(np.zeros(rendered.arrivals, np.uint8))
    cuda_grid.run(library(), rendered, list(held.values()), order)
    return {n: turned(problem, a) for n, a in held.items() if a is not None}


def turned(problem: Recurrence, x: Any) -> np.ndarray:
    """Between how the formulas have arrays and how the launch has them."""
    x = np.asarray(x)
    return np.ascontiguousarray(x.swapaxes(0, 1)) if problem.batch_first and x.ndim == 3 else x


def draw(*shape: int, seed: int, dtype: str, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


def error(problem: Recurrence) -> float:
    return HALVES.get(problem.dtype) or ERRORS[problem.mode]


def operands(problem: Recurrence, lengths: np.ndarray | None) -> dict[str, Any]:
    """Arguments of the forward formulas, whose input projection is the identity of what is given as its result."""
    t, b, h, k, dtype = problem.steps, problem.batch, problem.hidden, problem.gates, problem.dtype
    p: dict[str, Any] = {
        "x": draw(t, b, k * h, seed=1, dtype=dtype),
        "weight_ih": np.eye(k * h, dtype=dtype),
        "weight_hh": draw(k * h, h, seed=2, dtype=dtype, scale=h**-0.5),
        "h0": draw(b, h, seed=3, dtype=dtype),
    }
    if problem.kind == "lstm":
        p["c0"] = draw(b, h, seed=4, dtype=dtype)
    p["bias_hh" if problem.kind == "gru" else "bias"] = draw(k * h, seed=5, dtype=dtype)
    if lengths is not None:
        p["lengths"] = lengths
    return p


def wide(values: Sequence[Any]) -> list[Any]:
    return [v if v.dtype.kind == "i" else v.astype(np.float64) for v in values]


def forward(problem: Recurrence, p: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """By the formulas, in float64."""
    f = getattr(formulas, f"{problem.kind}_forward")
    relu = {"nonlinearity": "relu" if problem.relu else "tanh"} if problem.kind == "rnn" else {}
    return f(np, *wide(list(p.values())), has=tuple(p), reverse=problem.reverse, **relu)


def lengths_of(problem: Recurrence, some: bool) -> np.ndarray | None:
    """From 0 to all steps; the launch takes int32."""
    return np.arange(problem.batch, dtype=np.int32) % (problem.steps + 1) if some else None


@pytest.mark.parametrize("order", [0, 1, 5])
@pytest.mark.parametrize("some", [False, True], ids=["all-steps", "lengths"])
@pytest.mark.parametrize("case", [c for c in CASES if c[0].way == "forward"], ids=name)
def test_forward_launches_compute_the_formulas(case: Any, some: bool, order: int) -> None:
    problem = case[0]
    p = operands(problem, lengths_of(problem, some))
    results = forward(problem, p)
    states = np.full((problem.steps, problem.batch, problem.hidden), np.nan, problem.dtype)
    given = {"weight": p["weight_hh"], "lengths": None, "bias": p.get("bias_hh"), **p, "input": p["x"]}
    given |= {"states": states, "previous": np.full_like(states, np.nan)}
    expected = {"states": results[0], "previous": formulas._before(np, results[0], p["h0"], problem.reverse)}
    if problem.kind != "rnn":
        last = "cells" if problem.kind == "lstm" else "inner"
        given |= {"gates": np.full_like(p["x"], np.nan), last: np.full_like(states, np.nan)}
        expected |= {"gates": results[-2], last: results[-1]}
    found = launch(case, given, order)
    for what, values in expected.items():
        mine = found[what].astype(np.float64)
        np.testing.assert_allclose(mine, values, rtol=0, atol=error(problem), err_msg=what)


@pytest.mark.parametrize("order", [0, 1, 5])
@pytest.mark.parametrize("some", [False, True], ids=["all-steps", "lengths"])
@pytest.mark.parametrize("case", [c for c in CASES if c[0].way == "adjoint"], ids=name)
def test_adjoint_launches_compute_the_formulas(case: Any, some: bool, order: int) -> None:
    problem = case[0]
    p = operands(problem, lengths_of(problem, some))
    results = forward(problem, p)
    gy = draw(problem.steps, problem.batch, problem.hidden, seed=6, dtype=problem.dtype)
    ends = {"gh": draw(problem.batch, problem.hidden, seed=7, dtype=problem.dtype)}
    if problem.kind == "lstm":
        ends["gc"] = draw(problem.batch, problem.hidden, seed=8, dtype=problem.dtype)
    saved = [] if problem.kind == "rnn" else list(results[-2:])
    relu = {"nonlinearity": "relu" if problem.relu else "tanh"} if problem.kind == "rnn" else {}
    f = getattr(formulas, f"{problem.kind}_adjoint")
    before = wide([gy, *ends.values(), results[0], *saved])
    expected = f(np, *before, *wide(list(p.values())), has=tuple(p), reverse=problem.reverse, **relu)
    written = {"lstm": "slopes dh0 dc0", "gru": "d_input d_hidden dh0", "rnn": "slopes dh0"}[problem.kind].split()
    given = {
        "weight": p["weight_hh"],
        "lengths": None,
        **p,
        **ends,
        "gy": gy,
        "states": results[0].astype(problem.dtype),
    }
    given |= {n: a.astype(problem.dtype) for n, a in zip(("gates", "cells" if "c0" in p else "inner"), saved)}
    given |= {n: np.full(a.shape, np.nan, problem.dtype) for n, a in zip(written, expected, strict=True)}
    found = launch(case, given, order)
    for what, values in zip(written, expected, strict=True):
        limit = 4 * error(problem) * np.max(np.abs(values))
        np.testing.assert_allclose(found[what].astype(np.float64), values, rtol=0, atol=limit, err_msg=what)


ZEROS = ("h0", "c0", "gh", "gc")  # what may be null


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0].dtype == "float32" and not case[0].reverse], ids=name
)
def test_null_stands_for_zeros(case: Any) -> None:
    problem = case[0]
    p = operands(problem, None)
    size = (problem.steps, problem.batch, problem.hidden)
    gates = draw(*size[:2], problem.gates * problem.hidden, seed=9, dtype="float32")
    some = {n: draw(*size, seed=10 + i, dtype="float32") for i, n in enumerate(("gy", "states", "cells", "inner"))}
    given = {**p, **some, "weight": p["weight_hh"], "bias": None, "lengths": None, "input": gates, "gates": gates}
    for n in recurrent.written(problem.kind, problem.way):
        shape = gates.shape if n in ("gates", "slopes", "d_input", "d_hidden") else size[1:] if n[0] == "d" else size
        given[n] = np.full(shape, np.nan, np.float32)
    if problem.kind == "rnn" and problem.way == "forward":
        given["input"] = gates.copy()
    there, absent = (launch(case, given | dict.fromkeys(ZEROS, z), 0) for z in (np.zeros(size[1:], "float32"), None))
    for n in recurrent.written(problem.kind, problem.way):
        np.testing.assert_array_equal(absent[n], there[n], err_msg=n)
        assert not np.isnan(there[n]).any()


# ------------------------------------------------------------------------------------ how a launch is cut

HOPPER = {"multiprocessors": 132, "shared": 227 << 10}
LARGE = [
    Recurrence(kind, way, 64, batch, hidden, mode=mode)
    for kind in ("lstm", "gru", "rnn")
    for way in ("forward", "adjoint")
    for batch, hidden in ((128, 512), (32, 256), (128, 1024))
    for mode in recurrent.MODES
]


def test_a_cut_has_all_units_and_sequences_once_and_fits_on_the_gpu() -> None:
    for problem in LARGE:
        for cut in recurrent.cuts(problem, **HOPPER):
            assert problem.hidden % cut.units == 0
            assert problem.terms % (16 * cut.warps) == 0
            assert recurrent.grid(problem, cut) <= HOPPER["multiprocessors"]
            assert recurrent.shared_bytes(problem, cut) <= HOPPER["shared"]


def test_layers_of_512_states_for_128_sequences_fit_in_every_mode() -> None:
    for problem in LARGE:
        if problem.hidden <= 512:
            assert recurrent.best_cut(problem, **HOPPER) is not None, problem


@pytest.mark.parametrize("hidden", [24, 40, 100])
def test_sizes_that_are_no_whole_tiles_have_no_cut(hidden: int) -> None:
    assert recurrent.best_cut(Recurrence("lstm", "forward", 4, 8, hidden), **HOPPER) is None


def test_a_matrix_that_no_gpu_holds_has_no_cut() -> None:
    assert recurrent.best_cut(Recurrence("lstm", "forward", 4, 8, 4096), **HOPPER) is None


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_halves_take_half_the_registers_of_float32(kind: str) -> None:
    def both_ways_fit(dtype: str) -> bool:
        layer = [Recurrence(kind, way, 64, 64, 1024, dtype=dtype) for way in ("forward", "adjoint")]
        return all(recurrent.best_cut(problem, **HOPPER) is not None for problem in layer)

    assert both_ways_fit("bfloat16")
    assert both_ways_fit("float16")
    assert not both_ways_fit("float32")


@pytest.mark.parametrize(
    ("kind", "dtype", "architecture"), [("lstm", "bfloat16", "sm_80"), ("gru", "float16", "sm_90")]
)
def test_kernels_of_halves_compile_without_spills(kind: str, dtype: str, architecture: str) -> None:
    needs_nvrtc()
    problem = Recurrence(kind, "forward", 64, 128, 512, dtype=dtype)
    cut = recurrent.best_cut(problem, **HOPPER)
    assert cut is not None
    (kernel,) = compiled(recurrent.render(problem, cut).unit, architecture).values()
    assert (kernel.spilled, kernel.stack) == (0, 0)
    shape = {"float16": "f16.f16", "bfloat16": "bf16.bf16"}[dtype]
    assert f"mma.sync.aligned.m16n8k16.row.col.f32.{shape}" in kernel.ptx
    assert "tf32" not in kernel.ptx


def test_arrays_batch_by_batch_cost_no_spills() -> None:
    needs_nvrtc()
    problem = Recurrence("lstm", "adjoint", 64, 128, 512, batch_first=True)
    cut = recurrent.best_cut(problem, **HOPPER)
    assert cut is not None
    (kernel,) = compiled(recurrent.render(problem, cut).unit, "sm_90").values()
    assert (kernel.spilled, kernel.stack) == (0, 0)


def test_a_small_gpu_takes_fewer_blocks() -> None:
    problem = Recurrence("lstm", "forward", 64, 64, 128, mode="bf16")
    cut = recurrent.best_cut(problem, multiprocessors=16, shared=100 << 10)
    assert cut is not None
    assert recurrent.grid(problem, cut) <= 16


def test_one_launch_one_text() -> None:
    problem = Recurrence("gru", "adjoint", 7, 12, 64, reverse=True)
    rendered = recurrent.render(problem, Cut(16, 8, 2))
    assert rendered.grid == 4 * 2
    assert rendered.block == 64
    assert rendered.arrivals == 2 * 128
    assert rendered.entry in rendered.text
    assert rendered.text != recurrent.render(problem._replace(reverse=False), Cut(16, 8, 2)).text

"""The PTX that NVRTC makes of our kernels, run by a machine that knows it from its specification (ptx_machine.py).

What runs on the host (cuda_host.py) is the kernels' C++ with twins in place of inline PTX. Here it is that PTX, with
what the compiler made of the rest: fragments of tensor cores, copies and their groups, shuffles, barriers, addresses.
Each launch's arguments, threads and shared memory are compared with what the entry declares. Not yet run on hardware.
``--every-case``: more of each, and with the options that CuPy adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_attention
import cuda_loops
import cuda_offline
import fake_cupy
import numpy as np
import ptx_runs
import pytest
import test_cuda_attention
import test_cuda_indexing
import test_cuda_pooling
import test_cuda_recurrent
import test_cuda_source_programs
import test_cuda_source_random
import test_cuda_source_segments
from cuda_convolutions import HALF_LAYERS, KINDS, SMALL_LAYERS, SQUARE, Case, Layer, case
from cuda_tools import POOLING, fake_devices
from loop_drawings import Drawing
from loop_examples import softmax
from ptx_memory import Global
from test_cuda_source_compile import column_sums, gelu, layer_norm_gradient, total, transposed

from autograd_core.backends.cuda import recurrent_kernels
from autograd_core.backends.cuda.native import Sizes, random_draw
from autograd_core.backends.cuda.native import attention as attention_source
from autograd_core.backends.cuda.native.convolution_launches import render
from autograd_core.backends.cuda.native.segments import segments, table
from autograd_core.backends.cuda.native.source import OPTIONS
from autograd_core.compiler.evaluate import evaluate
from autograd_core.compiler.loops import LoopKernel

WITH_CUPY = (*OPTIONS, *cuda_offline.CUPY)
EVERY = "minutes; with --every-case"


@pytest.fixture(autouse=True, scope="module")
def _compiler() -> None:
    cuda_offline.needs_nvrtc()


@pytest.fixture
def every(pytestconfig: pytest.Config) -> bool:
    return pytestconfig.getoption("--every-case")


@pytest.fixture
def _loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loop kernels are run by the machine where they are run on the host elsewhere."""
    monkeypatch.setattr(cuda_loops, "Batch", ptx_runs.Batch)


# ------------------------------------------------------------------------------------------------------ loops


def drawn(kernel: LoopKernel, *sizes: int) -> tuple[LoopKernel, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return kernel, [rng.standard_normal(n).astype(np.float32) for n in sizes]


@pytest.mark.usefixtures("_loops")
def test_loops_of_every_form() -> None:
    jobs = [
        drawn(gelu(1003), 1003, 1003, 1003),
        drawn(softmax(7, 100), 700, 700),
        drawn(softmax(2, 3000), 6000, 6000),
        drawn(layer_norm_gradient(20, 64), 1280, 1280, 64, 1280, 64, 64),
        drawn(transposed(40, 50), 2000, 2000),
        drawn(column_sums(50, 36), 1800, 36),
        drawn(total(5000), 5000, 1),
    ]
    checks = cuda_loops.Checks(cuda_loops.TINY)
    for kernel, arrays in jobs:
        checks.add(kernel, arrays, atol=2e-5)
    for seed in range(4):
        drawing = Drawing(seed)
        checks.add(drawing.kernel, drawing.arrays, rtol=1e-5, atol=1e-3, anywhere=(seed % 2 == 1,))
    checks.run((0, 1))


@pytest.mark.usefixtures("_loops")
def test_loops_of_half_precision() -> None:
    test_cuda_source_programs.test_cases_in_half_precision("float16")


@pytest.mark.usefixtures("_loops")
@pytest.mark.parametrize("part", range(8))
def test_the_op_table(every: bool, part: int) -> None:
    if not every:
        pytest.skip(EVERY)
    jobs = test_cuda_source_programs.of_the_op_table(every=False)
    test_cuda_source_programs.test_the_op_table(jobs, part)


@pytest.mark.usefixtures("_loops")
@pytest.mark.parametrize("sizes", [cuda_loops.SMALL, cuda_loops.TINY, Sizes()], ids=["small", "tiny", "full"])
def test_random_kernels(every: bool, sizes: Sizes) -> None:
    if not every:
        pytest.skip(EVERY)
    test_cuda_source_programs.test_random_kernels(sizes)


@pytest.mark.parametrize("options", [OPTIONS, WITH_CUPY], ids=["ours", "cupy"])
def test_draws_have_the_bits_of_the_formulas(every: bool, options: tuple[str, ...]) -> None:
    """Also where CuPy has subnormal numbers flushed to zero."""
    batch, expected = ptx_runs.Batch(options), []
    draws = test_cuda_source_random.draws()
    for number, (primitive, inputs, params) in enumerate(draws if every else draws[13::5]):
        inputs = [np.asarray(a) for a in inputs]
        equation = test_cuda_source_random.equation(primitive, inputs, **params)
        source = random_draw(equation, f"draw{number}", sizes=test_cuda_source_random.SMALL)
        assert source is not None
        expected.append(np.asarray(primitive.forward(np, *inputs, **params)))
        batch.add(source, [*inputs, np.zeros(expected[-1].shape, expected[-1].dtype)])
    for (arrays,), wanted in zip(batch.run(), expected, strict=True):
        assert arrays[-1].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("end", [False, True], ids=["aligned", "anywhere"])
def test_segments(end: bool) -> None:
    kernel, lengths = test_cuda_source_segments.adam(), test_cuda_source_segments.LENGTHS
    sizes = test_cuda_source_segments.SMALL
    source, rng, memory = segments(kernel, lengths, "update", sizes=sizes), np.random.default_rng(0), Global()
    one = (False, False, False, True)  # a number for each segment
    arrays = [
        np.abs(rng.standard_normal(1 if alone else n)).astype(dtype)
        for n in lengths
        for alone, dtype in zip(one, kernel.operands, strict=True)
    ]
    expected, count = [a.copy() for a in arrays], len(kernel.operands)
    for i, n in enumerate(lengths):
        if n:
            evaluate(kernel._replace(inner=(n,)), expected[i * count : (i + 1) * count])
    places = [memory.add(a, a.itemsize if end else 0) for a in arrays]
    numbers = memory.add(table(kernel, lengths, places, sizes=sizes))
    compiled = ptx_runs.module(source.unit)
    for launch in source.launches:
        ptx_runs.check_launch(compiled, launch.entry, 1, launch.block, launch.shared)
        ptx_runs.Machine(compiled, launch.entry, memory, [numbers], grid=launch.grid, block=launch.block)
    for place, a in zip(places, expected, strict=True):
        np.testing.assert_allclose(memory.array(place, a), a, rtol=2e-6, atol=1e-7)


# ----------------------------------------------------------------------------------- over the fake of CuPy


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    """Whose raw kernels are compiled as CuPy does it."""
    with fake_devices() as found:
        found.host_code = ptx_runs.body
        for name in POOLING:
            del found.bodies[name]
        yield found


@pytest.mark.parametrize(("n", "dtype"), [(1025, np.float32), (23, np.float64)])
def test_sums_by_index(machine: fake_cupy.Machine, n: int, dtype: type) -> None:
    test_cuda_indexing.test_the_kernels_add_in_order(machine, n, dtype)


@pytest.mark.parametrize("name", ["max overlapping", "mean", "mean of what is there", "max of volumes, ceil"])
def test_pooling(machine: fake_cupy.Machine, name: str) -> None:
    test_cuda_pooling.test_values_and_gradients_are_those_of_the_formulas(machine, name)


# ------------------------------------------------------------------------------------------- tensor cores


def convolved(c: Case, change: Callable[[str], str] = str, options: tuple[str, ...] = OPTIONS) -> np.ndarray:
    """change: what is done to the CUDA C before."""
    source = render(c.problem, "conv", c.cut)
    compiled = ptx_runs.module(change(source.unit), options)
    held = np.full(c.expected.shape, np.nan, c.problem.dtype)
    *operands, found = ptx_runs.run(source, [*c.operands, held], compiled=compiled, end=bool(c.problem.pixels % 2))
    for before, after in zip(c.operands, operands, strict=True):
        assert before.tobytes() == after.tobytes()
    return found.astype(np.float64)


def check(c: Case, options: tuple[str, ...] = OPTIONS) -> None:
    found = convolved(c, options=options)
    assert (np.abs(found - c.expected) <= c.limit).all(), (c.problem, c.cut, np.max(np.abs(found - c.expected)))


def halves_or_mode(mode: str) -> dict[str, str]:
    return {"dtype": mode} if "float" in mode else {"mode": mode}


FEW = [
    ("forward", "fp32", 3, OPTIONS),
    ("input", "fp32", 5, OPTIONS),
    ("weight", "fp32", 2, WITH_CUPY),
    ("forward", "tf32", 2, OPTIONS),
    ("weight", "bf16", 2, OPTIONS),
    ("forward", "float16", 2, OPTIONS),
    ("input", "bfloat16", 2, WITH_CUPY),
    ("weight", "float16", 5, OPTIONS),
]


@pytest.mark.parametrize(("kind", "mode", "layer", "options"), FEW)
def test_convolutions(kind: str, mode: str, layer: int, options: tuple[str, ...]) -> None:
    check(case(kind, *SMALL_LAYERS[layer], **halves_or_mode(mode)), options)


@pytest.mark.parametrize("mode", ["fp32", "tf32", "bf16", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_more_convolutions(every: bool, kind: str, mode: str) -> None:
    if not every:
        pytest.skip(EVERY)
    layers = SMALL_LAYERS if mode == "fp32" else [*SMALL_LAYERS[:3], *HALF_LAYERS]
    for layer, cut in layers:
        check(case(kind, layer, cut, **halves_or_mode(mode)), WITH_CUPY)
    if kind == "forward":
        check(case(kind, Layer(2, (16, 24), (5, 6), padding=1), SQUARE, bias=True, **halves_or_mode(mode)))


BROKEN = {
    "fragments of another order": ("{%4,%5,%6,%7}, {%8,%9}", "{%4,%6,%5,%7}, {%8,%9}"),
    "a copy that nobody waits for": ("cp.async.wait_group %0;", "// %0"),
    "a group that is not closed": ("cp.async.commit_group;", "//"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_wrong_instructions_are_seen(what: str) -> None:
    right, wrong = BROKEN[what]
    c = case("forward", *SMALL_LAYERS[3], mode="tf32")

    def broken(text: str) -> str:
        assert right in text
        return text.replace(right, wrong)

    found = convolved(c, broken)
    assert not (np.abs(found - c.expected) <= c.limit).all()


ATTENTION = [(0, "fp32"), (2, "tf32"), (1, "bf16")]


@pytest.mark.parametrize(("layer", "mode"), ATTENTION)
def test_attention(layer: int, mode: str) -> None:
    attend(layer, mode)


@pytest.mark.parametrize("mode", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("layer", range(len(test_cuda_attention.LAYERS)))
def test_more_attention(every: bool, layer: int, mode: str) -> None:
    if not every:
        pytest.skip(EVERY)
    attend(layer, mode, WITH_CUPY)


def attend(layer: int, mode: str, options: tuple[str, ...] = OPTIONS) -> None:
    for c in cuda_attention.cases(*test_cuda_attention.LAYERS[layer], mode=mode):
        source = attention_source.render(c.problem, "attention", c.cut)
        arrays = ptx_runs.run(source, [*c.operands, *c.targets()], options=options, end=bool(layer % 2))
        for found, expected in zip(c.found(arrays[len(c.operands) :]), c.expected, strict=True):
            limit = cuda_attention.ERRORS[mode] * max(1e-3, np.max(np.abs(expected)))
            np.testing.assert_allclose(found, expected, rtol=0, atol=limit, err_msg=f"{c.problem} {c.cut}")


# ----------------------------------------------------------------------------------- blocks that wait for others


@pytest.fixture
def _persistent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recurrent launches are run by the machine where they are run on the host elsewhere."""

    def run(_: Any, rendered: Any, arrays: list[np.ndarray | None], order: int) -> None:
        compiled = ptx_runs.module(rendered.unit, (*recurrent_kernels.OPTIONS, *cuda_offline.CUPY))
        ptx_runs.check_launch(compiled, rendered.entry, len(arrays), rendered.block, rendered.shared)
        sizes = {"grid": rendered.grid, "block": rendered.block, "shared": rendered.shared}
        ptx_runs.run_on(compiled, rendered.entry, arrays, together=True, **sizes)

    monkeypatch.setattr(test_cuda_recurrent.cuda_grid, "run", run)
    monkeypatch.setattr(test_cuda_recurrent, "library", lambda: None)


RECURRENT = [0, 4, 6, 9, 11, 15]


@pytest.mark.usefixtures("_persistent")
@pytest.mark.parametrize("number", range(len(test_cuda_recurrent.CASES)))
def test_recurrent_layers(every: bool, number: int) -> None:
    if number not in RECURRENT and not every:
        pytest.skip(EVERY)
    chosen = test_cuda_recurrent.CASES[number]
    forward = chosen[0].way == "forward"
    test = (
        test_cuda_recurrent.test_forward_launches_compute_the_formulas
        if forward
        else test_cuda_recurrent.test_adjoint_launches_compute_the_formulas
    )
    for some in (False, True) if every else (bool(number % 2),):
        test(chosen, some, number % 2)

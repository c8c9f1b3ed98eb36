"""Convolutions of our own: their CUDA C run on the host against the formulas, and compiled for GPUs.

Not yet run on hardware: the host run proves what is computed, barriers, and that nothing is read before its copy has
been waited for; nothing of speed. ``--every-case``: more layers, in every mode.
"""

from __future__ import annotations

import re

import cuda_host
import numpy as np
import pytest
from cuda_convolutions import HALF_LAYERS, KINDS, MORE_LAYERS, SMALL, SMALL_LAYERS, SQUARE, Case, Layer, case
from cuda_offline import ARCHITECTURES, Kernel, compiled, needs_nvrtc

from autograd_core.backends.cuda.native.convolution import (
    CUTS,
    Convolution,
    Cut,
    best_cut,
    grid,
    is_direct,
    padded_channels,
    tiles,
)
from autograd_core.backends.cuda.native.convolution_launches import render
from autograd_core.backends.cuda.native.modes import MODES

HALVES = ("float16", "bfloat16")
REGISTERS = 65536  # of a multiprocessor
SHARED = 163 << 10  # bytes that a block may have where it may have least, at compute capability 8.0

# -------------------------------------------------------------------------------------------- on the host


def run(cases: list[Case], orders: tuple[int, ...] = (0, 1, 5)) -> None:
    """All of them, against what they are to give; every other one on arrays that end at a fence."""
    cuda_host.needs_compiler()
    batch = cuda_host.Batch()
    for number, c in enumerate(cases):
        source = render(c.problem, f"conv{number}", c.cut)
        held = np.full(c.expected.shape, np.nan, c.problem.dtype)
        batch.add(source, [*c.operands, held], end=bool(number % 2))
    for c, results in zip(cases, batch.run(orders), strict=True):
        for arrays in results:
            found = arrays[-1].astype(np.float64)
            assert (np.abs(found - c.expected) <= c.limit).all(), (c.problem, c.cut, np.max(np.abs(found - c.expected)))
            np.testing.assert_array_equal(arrays[-1], results[0][-1])


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_compute_the_formulas(kind: str) -> None:
    cases = [case(kind, *layer) for layer in SMALL_LAYERS]
    layer = Layer(2, (16, 24), (5, 6), padding=1)
    cases += [case(kind, layer, SQUARE, mode=mode) for mode in ("tf32", "bf16")]
    if kind == "forward":
        cases += [case(kind, layer, SQUARE, bias=True), case(kind, Layer(2, (4, 4), (5, 5), groups=4), bias=True)]
    if kind == "weight":  # blocks that leave partial sums, the last of which has fewer pixels, or none
        cases += [case(kind, layer, SQUARE._replace(splits=n)) for n in (3, 5)]
    run(cases)


@pytest.mark.parametrize("kind", KINDS)
def test_halves_are_multiplied_as_they_are_and_rounded_once(kind: str) -> None:
    """Within the error of sums in float32 and half a unit of the result, which a rounding in between would exceed."""
    layers = [*SMALL_LAYERS, *HALF_LAYERS]
    cases = [case(kind, *layer, dtype=HALVES[n % 2]) for n, layer in enumerate(layers)]
    layer = Layer(2, (16, 24), (5, 6), padding=1)
    if kind == "forward":
        cases += [case(kind, layer, SQUARE, bias=True, dtype=dtype) for dtype in HALVES]
        cases += [case(kind, Layer(2, (4, 4), (5, 5), groups=4), bias=True, dtype="float16")]
    if kind == "weight":
        cases += [case(kind, layer, SQUARE._replace(splits=n), dtype=d) for n, d in ((3, "float16"), (5, "bfloat16"))]
    run(cases)


@pytest.mark.parametrize("mode", [*MODES, *HALVES])
@pytest.mark.parametrize("kind", KINDS)
def test_more_layers(kind: str, mode: str, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--every-case"):
        pytest.skip("minutes; with --every-case")
    for part in range(0, len(MORE_LAYERS), 4):
        run([case(kind, *layer, **of_mode(mode)) for layer in MORE_LAYERS[part : part + 4]])


def test_every_cut_computes_the_same(pytestconfig: pytest.Config) -> None:
    """In steps of so few terms each has its edges: rows, pixels and terms that are not there."""
    cuts = [SMALL, Cut(64, 64, 2, 2)] if not pytestconfig.getoption("--every-case") else CUTS
    layer = Layer(1, (20, 70), (6, 5), padding=1)
    run([case(kind, layer, cut) for cut in cuts for kind in KINDS], orders=(5,))


def test_what_is_not_finite_is_where_the_formula_has_it() -> None:
    c = case("forward", Layer(1, (5, 7), (6, 6)), SMALL)
    x, w = c.operands
    x[0, 1, 2, 2], x[0, 3, 5, 5] = np.inf, np.nan
    source = render(c.problem, "conv", c.cut)
    cuda_host.needs_compiler()
    batch = cuda_host.Batch()
    batch.add(source, [x, w, np.zeros(c.expected.shape, np.float32)])
    ((arrays,),) = batch.run((0,))
    expected = case("forward", Layer(1, (5, 7), (6, 6)), SMALL).expected
    y = arrays[-1]
    met = np.zeros((4, 4), bool)
    met[:3, :3] = met[3, 3] = True
    assert not np.isfinite(y[0, :, met]).any()
    np.testing.assert_allclose(y[0, :, ~met], expected[0, :, ~met], atol=1e-5)


def test_long_sums_of_float32_are_as_exact_as_those_of_blas() -> None:
    """All terms have one sign, as after a rectifier: what tensor cores cut off in an addition is lost for good."""
    c = case("forward", Layer(1, (128, 16), (5, 5)), SQUARE)
    x, w = (np.abs(a) for a in c.operands)
    batch = cuda_host.Batch()
    cuda_host.needs_compiler()
    batch.add(render(c.problem, "conv", c.cut), [x, w, np.zeros(c.expected.shape, np.float32)])
    ((arrays,),) = batch.run((0,))
    seen = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), (3, 3), axis=(1, 2))
    expected = np.einsum("ocij,chwij->ohw", w.astype(np.float64), seen)
    np.testing.assert_allclose(arrays[-1][0], expected, rtol=1e-6)


# ----------------------------------------------------------------------------------------------- how it is cut

LARGE = [
    Layer(32, (3, 64), (224, 224), 7, 2, 3),
    Layer(32, (64, 64), (56, 56), 3, 1, 1),
    Layer(32, (256, 512), (28, 28), 1, 2),
    Layer(2, (512, 512), (7, 7), 3, 1, 1),
    Layer(64, (1, 32), (28, 28)),
    Layer(32, (128, 128), (28, 28), 3, 1, 1, groups=32),
    Layer(16, (80, 256), (1000,), 5, 1, 2),
]


def problems() -> list[Convolution]:
    every = [(layer, kind, mode) for layer in LARGE for kind in KINDS for mode in (*MODES, *HALVES)]
    return [case(kind, layer, few=False, **of_mode(mode)).problem for layer, kind, mode in every]


def test_cuts_fit_on_the_gpu_and_cover_the_work() -> None:
    for problem in problems():
        cut = best_cut(problem)
        rows, columns = tiles(problem, cut)
        assert rows * cut.down >= problem.rows
        wanted = problem.terms * problem.taps if problem.kind == "weight" else problem.pixels
        assert columns * cut.across >= wanted
        source = render(problem, "conv")
        assert source.workspace <= 65 << 20
        for launch in source.launches:
            assert launch.shared <= SHARED
            assert launch.block <= 1024
            assert launch.grid < 2**31


def test_weights_of_many_pixels_are_shared_by_enough_blocks() -> None:
    for problem in problems():
        if problem.kind == "weight" and not is_direct(problem):
            assert grid(problem, best_cut(problem)) >= 132 or problem.pixels < 4096, problem


def test_few_channels_fill_chunks_by_going_on_from_tap_to_tap() -> None:
    first, deep, odd = (case("forward", Layer(1, (n, 64), (9, 9)), few=False).problem for n in (3, 64, 24))
    assert [padded_channels(p) for p in (first, deep, odd)] == [3, 64, 24]
    assert padded_channels(case("forward", Layer(1, (63, 64), (9, 9)), few=False).problem) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_depthwise_layers_are_summed_directly(kind: str) -> None:
    assert is_direct(case(kind, Layer(1, (32, 32), (9, 9), groups=32), few=False).problem)
    assert not is_direct(case(kind, Layer(1, (32, 32), (9, 9)), few=False).problem)


# -------------------------------------------------------------------------------------- compiled for GPUs


def kernels(c: Case, architecture: str) -> dict[str, Kernel]:
    """The code's kernels by name, none of which spills or asks for more than a multiprocessor has."""
    source = render(c.problem, "conv", c.cut)
    found = compiled(source.unit, architecture)
    assert set(found) == {launch.entry for launch in source.launches}
    for launch in source.launches:
        kernel = found[launch.entry]
        assert (kernel.spilled, kernel.stack) == (0, 0), (launch.entry, kernel[:4])
        assert -(-kernel.registers // 8) * 8 * launch.block <= REGISTERS
    return found


LAYERS = {
    "3x3": Layer(32, (64, 64), (32, 32), padding=1),
    "images": Layer(32, (3, 64), (32, 32), padding=1),
    "strided": Layer(32, (64, 128), (32, 32), 3, 2, 1),
    "pointwise": Layer(32, (256, 512), (14, 14), 1),
    "depthwise": Layer(32, (64, 64), (32, 32), padding=1, groups=64),
}
SAMPLE = [("3x3", "forward", "fp32", a) for a in ARCHITECTURES]
SAMPLE += [("images", "weight", "bf16", "sm_80"), ("strided", "input", "tf32", "sm_100")]
SAMPLE += [("depthwise", "forward", "fp32", "sm_90"), ("pointwise", "forward", "tf32", "sm_80")]


# which are the modes of halves too
SAMPLE += [("3x3", "forward", "float16", "sm_90"), ("images", "weight", "bfloat16", "sm_80")]
SAMPLE += [("strided", "input", "bfloat16", "sm_100"), ("depthwise", "forward", "float16", "sm_80")]
SAMPLE += [("pointwise", "weight", "float16", "sm_90")]


def of_mode(mode: str) -> dict[str, str]:
    """What a case is told: a math mode, or the dtype of halves."""
    return {"dtype": mode} if mode in HALVES else {"mode": mode}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "combination" in metafunc.fixturenames:
        every = [(layer, kind, mode) for layer in LAYERS for kind in KINDS for mode in (*MODES, *HALVES)]
        every = [(*c, a) for c in every for a in ARCHITECTURES]
        chosen = every if metafunc.config.getoption("--every-case") else SAMPLE
        metafunc.parametrize("combination", chosen, ids="-".join)


def test_kernels_compile_without_spills(combination: tuple[str, str, str, str]) -> None:
    needs_nvrtc()
    layer, kind, mode, architecture = combination
    found = kernels(case(kind, LAYERS[layer], few=False, **of_mode(mode)), architecture)
    main = next(kernel for name, kernel in found.items() if name == "conv")
    if layer == "depthwise":
        assert "mma.sync" not in main.ptx
        if kind == "forward":
            assert (main.moves("st", 4), main.moves("st", 1)) == (1, 0)
        return
    factors = {"bf16": "bf16.bf16", "bfloat16": "bf16.bf16", "float16": "f16.f16"}
    shape = f"m16n8k16.row.col.f32.{factors[mode]}" if mode in factors else "m16n8k8.row.col.f32.tf32.tf32"
    assert f"mma.sync.aligned.{shape}" in main.ptx
    if mode in HALVES:
        assert main.ptx.count("cp.async") > 0  # the ordered weight, or the slopes
        assert not re.search(r"cvt\.rn\.\w+\.f32", main.ptx[: main.ptx.rindex("mma.sync")])  # no factor is rounded
        if kind == "forward":
            assert main.moves("st", 2) > 0
        elif layer == "pointwise" and kind == "input":
            assert main.moves("ld", 4) > 0
        return
    by_fours = main.ptx.count("cp.async.cg.shared.global") > 0
    one_by_one = main.ptx.count("cp.async.ca.shared.global") > 0
    assert by_fours  # the ordered weight, or the slopes
    assert one_by_one is not (layer == "pointwise" and kind != "weight")
    if kind == "forward":
        assert main.ptx.count("st.global.v2") > 0


@pytest.mark.parametrize("mode", [*MODES, *HALVES])
def test_every_cut_compiles_without_spills(mode: str, pytestconfig: pytest.Config) -> None:
    needs_nvrtc()
    every = pytestconfig.getoption("--every-case")
    number = (*MODES, *HALVES).index(mode) % 3
    for architecture in ARCHITECTURES if every else ARCHITECTURES[number : number + 1]:
        for cut in CUTS if every else CUTS[:1]:
            for kind in ("forward", "weight") if every else KINDS[number : number + 1]:
                kernels(case(kind, LAYERS["3x3"], cut, few=False, **of_mode(mode)), architecture)

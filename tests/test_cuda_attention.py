"""Attention of our own: its CUDA C run on the host against the formula, and compiled for GPUs.

Not yet run on hardware: the host run proves what is computed, barriers, and that nothing is read before its copy has
been waited for; nothing of speed. ``--every-case``: every cut.
"""

from __future__ import annotations

import cuda_host
import numpy as np
import pytest
from cuda_attention import ERRORS, SMALL, Case, Layer, cases, sizes_alone
from cuda_offline import ARCHITECTURES, Kernel, compiled, needs_nvrtc

from autograd_core.backends.cuda.native.attention import (
    CUTS,
    SHARED,
    Attention,
    Cut,
    Place,
    best_cut,
    blocks,
    fits,
    placed,
    render,
)
from autograd_core.backends.cuda.native.modes import MODES

REGISTERS = 65536  # of a multiprocessor

# -------------------------------------------------------------------------------------------- on the host

LAYERS: tuple[tuple[Layer, Cut], ...] = (
    (Layer((2,), 20, 23), SMALL),
    (Layer((2, 2), 33, 40, 20, 36, causal=True, mask=(1, 40), apart=True), Cut(2, 32)),
    (Layer((2,), 18, 35, 16, 32, mask=(2, 18, 35), numbers=True, keep=True), Cut(1, 16, 3)),
    (Layer((1,), 40, 18, 18, 17, causal=True), Cut(2, 16)),
    (Layer((2, 3), 5, 19, 32, 16, mask=(2, 1, 5, 1), keep=True, causal=True), Cut(1, 32)),
    (Layer((1, 2), 17, 70, 48, 33, mask=(17, 70), apart=True), Cut(1, 32, apart=True)),
    (Layer((2, 3), 19, 19, apart=True), Cut(2, 16)),
)


def run(every: list[Case], orders: tuple[int, ...] = (0, 1, 5)) -> None:
    """All of them, against what they are to give; every other one on arrays that end at a fence."""
    for c, results in zip(every, computed(every, orders), strict=True):
        for arrays in results:
            for found, expected, first in zip(arrays, c.expected, results[0], strict=True):
                limit = ERRORS[c.problem.mode] * max(1e-3, np.max(np.abs(expected)))
                np.testing.assert_allclose(found, expected, rtol=0, atol=limit, err_msg=f"{c.problem} {c.cut}")
                np.testing.assert_array_equal(found, first)


def computed(every: list[Case], orders: tuple[int, ...] = (0,)) -> list[list[list[np.ndarray]]]:
    """The results of each, in each order."""
    cuda_host.needs_compiler()
    batch = cuda_host.Batch()
    for number, c in enumerate(every):
        source = render(c.problem, f"attention{number}", c.cut)
        batch.add(source, [*c.operands, *c.targets()], end=bool(number % 2))
    return [[c.found(a[len(c.operands) :]) for a in ran] for c, ran in zip(every, batch.run(orders), strict=True)]


def test_values_and_gradients_are_those_of_the_formula() -> None:
    run([c for layer, cut in LAYERS for c in cases(layer, cut)])


@pytest.mark.parametrize("mode", ["tf32", "bf16"])
def test_products_in_other_modes(mode: str) -> None:
    run([c for layer, cut in LAYERS[1:3] for c in cases(layer, cut, mode=mode)], orders=(5,))


@pytest.mark.parametrize("mode", MODES)
def test_every_cut_computes_the_same(mode: str, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--every-case"):
        pytest.skip("minutes; with --every-case")
    layer = Layer((1,), 70, 75, 32, 48, causal=True, mask=(70, 75))
    for cut in CUTS:
        if fitting := [c for c in cases(layer, cut, mode=mode) if fits(c.problem, cut)]:
            run(fitting, orders=(5,))


def test_gradients_that_nobody_wants_are_not_computed() -> None:
    layer = Layer((1,), 18, 20, causal=True)
    some = [("v",), ("k",), ("q",), ("k", "q"), ("v", "q")]
    every = [cases(layer, SMALL, wanted=wanted)[1] for wanted in some]
    run(every, orders=(5,))
    grids = [sum(blocks(c.problem, SMALL)) for c in every]
    assert grids == [2, 2, 2, 4, 4]


def test_a_query_that_sees_nothing_gets_zeros_and_passes_nothing_back() -> None:
    """The mask hides all from query 1; the logarithm of an empty sum is 0."""
    forward, adjoint = cases(Layer((2,), 3, 20, mask=(3, 20)), SMALL)
    ((values, sums),), ((dq, *_),) = computed([forward, adjoint])
    for x in (values, sums, dq):
        assert not x[:, 1].any()
        assert x[:, 0].all()


def test_what_is_no_number_stays_in_its_row() -> None:
    forward, _ = cases(Layer((1,), 20, 20), SMALL)
    forward.operands[0][0, 3, 5] = np.nan
    (((values, sums),),) = computed([forward])
    assert np.isnan(values[0, 3]).all()
    assert np.isnan(sums[0, 3])
    others = np.arange(20) != 3
    np.testing.assert_allclose(values[0, others], forward.expected[0][0, others], atol=1e-5)


def test_large_scores_do_not_overflow() -> None:
    """Scores of about a thousand, of which the largest come last: what has been summed is scaled down."""
    forward, _ = cases(Layer((1,), 4, 60), SMALL)
    q, k, v = forward.operands
    k[:] = np.linspace(0, 60, 60)[None, :, None] * np.sign(q[:, :1])
    q[:] = q[:, :1]
    scores = 0.3 * q.astype(float) @ k.astype(float).swapaxes(1, 2)
    assert scores.max() > 100
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    (((values, _),),) = computed([forward])
    np.testing.assert_allclose(values, weights @ v / weights.sum(axis=2, keepdims=True), rtol=2e-4, atol=1e-6)


# ----------------------------------------------------------------------------------------------- how it is cut


def test_cuts_fit_on_the_gpu_and_cover_the_work() -> None:
    for lead, length in (((64, 8), 128), ((1, 1), 4096), ((16, 4), 64)):
        for size in (16, 40, 64, 96, 128):
            for kind in ("forward", "adjoint"):
                for mode in MODES:
                    problem = sizes_alone(kind, lead, length, size, causal=True, mode=mode)
                    cut = best_cut(problem)
                    source = render(problem, "attention")
                    assert len(source.launches) == (1 if kind == "forward" else 2)
                    for launch in source.launches:
                        assert launch.shared <= SHARED
                        assert launch.block <= 256
                    kinds = 1 if kind == "forward" else 3 if cut.apart else 2
                    assert sum(blocks(problem, cut)) == kinds * problem.matrices * -(-length // cut.down)


def test_few_queries_are_cut_so_that_many_blocks_have_some() -> None:
    """Of the suite's smaller transformer: 64 heads of 64 queries would leave half of a large GPU idle."""
    problem = sizes_alone("forward", (16, 4), 64, 32)
    assert sum(blocks(problem, best_cut(problem))) >= 128


def test_axes_that_go_on_where_others_end_are_counted_together() -> None:
    both = placed((4, 8, 3, 16), (384, 48, 16, 1))
    assert both == Place((384, 48), 16, 1)
    assert placed((4, 1, 1, 16), (16, 16, 16, 1), 5) == Place((16, 0), 0, 1, 5)
    problem = sizes_alone("forward", (4, 8), 3, 16)._replace(places=(both,) * 3)
    assert "int q(int n) { return n * 48; }" in render(problem, "attention").text
    repeated = problem._replace(places=(both, *[Place((0, 48), 16, 1)] * 2))
    assert "int k(int n) { return n % 8 * 48; }" in render(repeated, "attention").text


# -------------------------------------------------------------------------------------- compiled for GPUs


def kernel(problem: Attention, cut: Cut | None, architecture: str) -> Kernel:
    """The main kernel; none spills, or asks for more than a multiprocessor has."""
    source = render(problem, "attention", cut)
    found = compiled(source.unit, architecture)
    assert set(found) == {launch.entry for launch in source.launches}
    for launch in source.launches:
        one = found[launch.entry]
        assert (one.spilled, one.stack) == (0, 0), (launch.entry, problem, cut, one[:4])
        assert -(-one.registers // 8) * 8 * launch.block <= REGISTERS
    return found["attention"]


SAMPLE = [("forward", 64, "fp32", a) for a in ARCHITECTURES]
SAMPLE += [("adjoint", 32, "fp32", "sm_90"), ("adjoint", 64, "tf32", "sm_80"), ("adjoint", 128, "bf16", "sm_100")]
SAMPLE += [("forward", 128, "bf16", "sm_80"), ("adjoint", 128, "fp32", "sm_90")]
EVERY = [
    (k, size, m, a)
    for k in ("forward", "adjoint")
    for size in (16, 32, 64, 80, 96, 128)
    for m in MODES
    for a in ARCHITECTURES
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "combination" in metafunc.fixturenames:
        chosen = EVERY if metafunc.config.getoption("--every-case") else SAMPLE
        metafunc.parametrize("combination", chosen, ids=lambda c: "-".join(map(str, c)))


def test_kernels_compile_without_spills(combination: tuple[str, int, str, str]) -> None:
    needs_nvrtc()
    kind, size, mode, architecture = combination
    found = kernel(sizes_alone(kind, (64, 8), 128, size, mode=mode), None, architecture)
    shape = "m16n8k16.row.col.f32.bf16.bf16" if mode == "bf16" else "m16n8k8.row.col.f32.tf32.tf32"
    assert f"mma.sync.aligned.{shape}" in found.ptx
    assert found.ptx.count("cp.async.cg.shared.global") > 0
    assert found.ptx.count("st.global.v2") > 0
    assert (found.ptx.count("cp.async.ca.shared.global") > 0) is (kind == "adjoint")  # sums are copied one by one


def test_masks_and_heads_of_odd_sizes_compile_without_spills() -> None:
    needs_nvrtc()
    layer = Layer((2, 2), 40, 50, 34, 34, mask=(40, 50), numbers=True, keep=True, causal=True)
    for c, architecture in zip(cases(layer), ("sm_100", "sm_80"), strict=True):
        found = kernel(c.problem, None, architecture)
        assert found.ptx.count("cp.async.cg.shared.global") == 0


@pytest.mark.parametrize("mode", MODES)
def test_every_cut_compiles_without_spills(mode: str, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--every-case"):
        pytest.skip("minutes; with --every-case")
    needs_nvrtc()
    for kind in ("forward", "adjoint"):
        for size in (32, 64, 128):
            problem = sizes_alone(kind, (64, 8), 128, size, mode=mode)
            for cut in CUTS:
                if fits(problem, cut):
                    kernel(problem, cut, "sm_90")

"""Eager operations by native kernels: which calls have one, their values and bits, and the programs that are kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from threading import Thread
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.nn import functional as F
from autograd_core.ops import convolution as convolutions
from autograd_core.ops._windows import windows
from autograd_core.ops.attention import scaled_dot_product_attention
from autograd_core.ops.products import matmul_p
from autograd_core.ops.recurrent import gru, lstm, rnn

pytest.importorskip("llvmlite", reason="kernels are compiled by llvmlite")
pytest.importorskip("numba", reason="without Numba the device has no kernels")

from autograd_core.backends.cpu import sequence_kernels
from autograd_core.backends.cpu.native import eager, team


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The primitives that native kernels run, in order."""
    names: list[str] = []
    step = eager.Step.__call__

    def counted(self: eager.Step, arrays: Any) -> Any:
        names.append(self.program.calls[0].spec.name)
        return step(self, arrays)

    monkeypatch.setattr(eager.Step, "__call__", counted)
    return names


def arrays(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(shape)).astype(dtype) for shape in shapes]


def with_gradients(
    f: Callable[..., Any], operands: list[np.ndarray], device: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Results, and the gradients of a sum of them with weights of many sizes."""
    xs = [ag.tensor(a, device=device, requires_grad=True) for a in operands]
    ys = f(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    total = ag.tensor(0.0, dtype=ys[0].dtype, device=device)
    for y in ys:
        total = total + (y * ag.tensor(np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype), device=device)).sum()
    total.backward()
    return [y.detach().numpy() for y in ys], [x.grad.numpy() for x in xs]


def product(x: Any, y: Any) -> Any:
    return x @ y


def convolve(x: Any, w: Any, b: Any) -> Any:
    return F.conv2d(x, w, b, padding=1)


def attend(q: Any, k: Any, v: Any) -> Any:
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def project(x: Any, w: Any, u: Any, r: Any) -> Any:
    return lstm(x, w, u, weight_hr=r)


def align(x: Any) -> Any:
    labels = np.arange(6 * 40).reshape(6, 40) % 7 + 1
    return F.ctc_loss(F.log_softmax(x, 2), labels, np.full(6, 160), np.arange(35, 41), reduction="sum")


# what is computed, of which operands, and the kernels that it takes
CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], set[str]]] = {
    "matmul": (product, [(300, 250), (250, 260)], {"product"}),
    "matmul of stacks": (product, [(3, 200, 180), (3, 180, 190)], {"product"}),
    "conv2d": (convolve, [(8, 16, 18, 17), (24, 16, 3, 3), (24,)], {"convolution"}),
    "attention": (attend, [(2, 4, 96, 32)] * 3, {"attention"}),
    "rnn": (rnn, [(20, 18, 40), (96, 40), (96, 96), (96,)], {"rnn"}),
    "lstm": (lstm, [(16, 12, 40), (256, 40), (256, 64), (256,)], {"lstm"}),
    "projected lstm": (project, [(16, 18, 40), (256, 40), (256, 32), (32, 64)], {"lstm"}),
    "alignments": (align, [(160, 6, 9)], {"ctc"}),
    "gru": (gru, [(16, 14, 40), (192, 40), (192, 64), (192,)], {"gru"}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_native_kernels_give_what_numpy_gives(made, name, dtype) -> None:
    f, shapes, kernels = CASES[name]
    operands = arrays(*shapes, dtype=dtype)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    for mine, wanted in zip(with_gradients(f, operands, "cpu"), with_gradients(f, operands, "numpy"), strict=True):
        for a, b in zip(mine, wanted, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max()))
    found = {name.split("_")[0] for name in made}
    assert kernels <= found
    assert len(made) >= 2, "forward and backward"


@pytest.mark.parametrize("name", CASES)
def test_small_operations_are_left_to_the_ordinary_kernels(made, name) -> None:
    f, shapes, _ = CASES[name]
    gates = {"rnn": 1, "lstm": 4, "gru": 3}.get(name)
    if gates:
        shapes = [(3, 2, 5), (4 * gates, 5), (4 * gates, 4), (4 * gates,)]
    elif name == "alignments":
        f, shapes = (lambda x: F.ctc_loss(x, np.ones((2, 1), int), np.full(2, 3), np.ones(2, int))), [(3, 2, 4)]
    elif name == "projected lstm":
        shapes = [(3, 2, 5), (16, 5), (16, 3), (3, 4)]
    else:
        shapes = [(2, 3, 4, 4), (5, 3, 3, 3), (5,)] if name == "conv2d" else [(2, 4, 4)] * len(shapes)
    with_gradients(f, arrays(*shapes), "cpu")
    assert not made


def test_many_elements_are_sorted_natively(made) -> None:
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((900, 40)).astype(np.float32), rng.integers(0, 50, (40, 900))):
        found = ag.sort(ag.tensor(x, device="cpu"), axis=1, descending=True).numpy()
        np.testing.assert_array_equal(found, np.sort(x, axis=1)[:, ::-1])
    with ag.random.fork(0):
        found, few = (ag.random.permutation(n, device="cpu").numpy() for n in (70000, 100))
    with ag.random.fork(0):
        expected = [ag.random.permutation(n, device="numpy").numpy() for n in (70000, 100)]
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_array_equal(few, expected[1])
    assert made == ["argsort"] * 3


def test_the_limit_of_products_is_what_it_says(made) -> None:
    n = 1 << 8
    below, above = n * eager.PRODUCT // (2 * n**3) - 1, n * eager.PRODUCT // (2 * n**3)
    for rows, count in ((below, 0), (above, 1)):
        x, y = arrays((rows, n), (n, n))
        _ = ag.tensor(x, device="cpu") @ ag.tensor(y, device="cpu")
        assert len(made) == count


def test_a_program_is_made_once_for_equal_calls() -> None:
    x, y = arrays((301, 257), (257, 303))
    eager.prepared.cache_clear()
    first = eager.run(matmul_p, (x, y), {})
    second = eager.run(matmul_p, (x.copy(), y.copy()), {})
    assert first.tobytes() == second.tobytes()
    assert first is not second
    assert eager.prepared.cache_info().currsize == 1
    assert eager.prepared.cache_info().maxsize == eager.PROGRAMS


def test_no_more_programs_are_kept_than_stated(monkeypatch) -> None:
    monkeypatch.setattr(eager, "prepared", lru_cache(maxsize=2)(eager.prepared.__wrapped__))
    for rows in (301, 302, 303, 301):
        x, y = arrays((rows, 257), (257, 303))
        np.testing.assert_allclose(eager.run(matmul_p, (x, y), {}), x @ y, rtol=1e-4, atol=1e-4)
    assert eager.prepared.cache_info()[1:] == (4, 2, 2)


@pytest.mark.parametrize("name", ["attention", "rnn", "lstm", "gru"])
def test_sequences_are_measured_by_what_their_kernels_compute(monkeypatch, name) -> None:
    """What decides is told from the shapes before there is a kernel."""
    told: list[int] = []
    stated: list[int] = []
    step = eager.Step.__call__

    def noting(self: eager.Step, given: Any) -> Any:
        stated.append(self.program.calls[0].spec.flops)
        return step(self, given)

    def asked(primitive: Any, given: Any, params: Any) -> Any:
        if primitive in sequence_kernels.FLOPS:
            told.append(sequence_kernels.FLOPS[primitive](given))
            return run(primitive, given, params)
        return None

    run = eager.run
    monkeypatch.setattr(eager.Step, "__call__", noting)
    monkeypatch.setattr(eager, "run", asked)
    f, shapes, _ = CASES[name]
    with_gradients(f, arrays(*shapes), "cpu")
    assert told == stated
    assert len(told) == 2


def test_operands_of_any_strides() -> None:
    x, y = arrays((600, 260), (260, 600))
    wanted = x[::2].astype(np.float64) @ y[:, ::2].astype(np.float64)
    np.testing.assert_allclose(eager.run(matmul_p, (x[::2], y[:, ::2]), {}), wanted, rtol=1e-4, atol=1e-4)
    backwards = eager.run(matmul_p, (x[::-2, ::-1], y[::-1, ::2]), {})
    np.testing.assert_allclose(backwards, x[::-2, ::-1] @ y[::-1, ::2], rtol=1e-4, atol=1e-4)
    transposed = eager.run(matmul_p, (x.T, y.T), {})
    np.testing.assert_allclose(transposed, x.T @ y.T, rtol=1e-4, atol=1e-4)
    image, weight = arrays((8, 20, 20, 16), (24, 16, 3, 3))
    params = convolution_params((20, 20))
    last = image.transpose(0, 3, 1, 2)
    found = eager.run(convolutions.convolution_p, (last, weight), params)
    wanted = convolutions.convolution_p.forward(np, last, weight, **params)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def convolution_params(size: tuple[int, int]) -> dict[str, Any]:
    return {"windows": windows("test", size, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), "groups": 1}


def test_what_no_kernel_is_for_is_refused() -> None:
    x, y = arrays((300, 300), (300, 300))
    assert eager.run(matmul_p, (x, y.astype(np.float64)), {}) is None
    assert eager.run(matmul_p, (x + 1j, y + 1j), {}) is None
    with_int = [a.astype(np.int64) for a in (x, y)]
    assert eager.run(matmul_p, with_int, {}) is None


def test_refused_calls_run_all_the_same(made) -> None:
    """A depthwise convolution."""
    x, w = arrays((8, 64, 32, 32), (64, 1, 3, 3))
    results = [
        F.conv2d(ag.tensor(x, device=d), ag.tensor(w, device=d), padding=1, groups=64).numpy() for d in ("cpu", "numpy")
    ]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
    assert not made


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_on_any_number_of_threads(name) -> None:
    f, shapes, _ = CASES[name]
    operands, before, found = arrays(*shapes), team.threads(), []
    try:
        for count in (1, 2, 3):
            team.set_threads(count)
            ys, gs = with_gradients(f, operands, "cpu")
            found.append([a.tobytes() for a in (*ys, *gs)])
    finally:
        team.set_threads(before)
    assert found[0] == found[1] == found[2]


def test_several_python_threads_at_once() -> None:
    operands = arrays(*CASES["conv2d"][1])
    wanted = [a.tobytes() for part in with_gradients(convolve, operands, "cpu") for a in part]
    found: list[list[bytes]] = []

    def work() -> None:
        for _ in range(5):
            found.append([a.tobytes() for part in with_gradients(convolve, operands, "cpu") for a in part])

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert all(f == wanted for f in found)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_in_a_forked_child() -> None:
    script = """
import os, warnings
import numpy as np
from autograd_core.backends.cpu.native import eager, team
from autograd_core.ops.products import matmul_p
warnings.simplefilter("ignore")
team.set_threads(2)
x = np.random.default_rng(0).standard_normal((400, 400))
wanted = eager.run(matmul_p, (x, x), {})
child = os.fork()
if not child:
    os._exit(0 if (eager.run(matmul_p, (x, x), {}) == wanted).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (eager.run(matmul_p, (x, x), {}) == wanted).all()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_large_workspaces_are_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(eager, "_kept", eager._Kept())
    x, y = arrays((300, 300), (300, 300))
    eager.run(matmul_p, (x, y), {})
    assert 0 < eager._kept.size <= eager.WORKSPACE_KEPT
    monkeypatch.setattr(eager, "_kept", eager._Kept())
    monkeypatch.setattr(eager, "WORKSPACE_KEPT", 1)
    wanted = eager.run(matmul_p, (x, y), {})
    assert not eager._kept.size
    np.testing.assert_allclose(wanted, x @ y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_infinite_weight_or_gradient_spreads_no_further_than_in_the_formula(value) -> None:
    """Where the formula's result is finite, so is ours."""
    rng = np.random.default_rng(0)
    params = convolution_params((20, 20))
    kernels = get_device("cpu").kernels
    x, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((8, 16, 20, 20), (24, 16, 3, 3), (8, 24, 20, 20)))
    for spoilt in (x, w, v):
        kept = spoilt[1, 1, 1, 1]
        spoilt[1, 1, 1, 1] = value
        for primitive, operands in (
            (convolutions.convolution_p, (x, w)),
            (convolutions.convolution_input_p, (v, w)),
            (convolutions.convolution_weight_p, (x, v)),
        ):
            with np.errstate(all="ignore"):
                wanted = primitive.forward(np, *operands, **params)
                found = kernels[primitive](np, *operands, **params)
            np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
        spoilt[1, 1, 1, 1] = kept


def test_half_precision_is_computed_in_single(made) -> None:
    x, y = arrays((300, 300), (300, 300))
    z = ag.tensor(x.astype(np.float16), device="cpu") @ ag.tensor(y.astype(np.float16), device="cpu")
    assert z.dtype == np.float16
    assert len(made) == 1
    np.testing.assert_allclose(z.numpy(), x @ y, rtol=1e-2, atol=2e-2)

"""Convolutions by cuDNN, over a strict fake of its front end and of CuPy: numbers, plans that are kept, what happens
where it refuses or is missing, CUDA graphs. Not yet run on hardware.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import cuda_host
import fake_cudnn
import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cudnn import FrontEnd
from ml_dtypes import bfloat16

import autograd_core as ag
from autograd_core import nn
from autograd_core.backend import get_device
from autograd_core.backends.cuda import convolution_kernels, cudnn, cudnn_convolutions
from autograd_core.errors import ArgumentError, BackendUnavailableError
from autograd_core.ops import convolution as formulas
from autograd_core.ops._windows import windows

F = nn.functional
KINDS = {
    "forward": (formulas.convolution_p, "xw", formulas._forward),
    "bias": (formulas.convolution_bias_p, "xwb", formulas._forward_bias),
    "input": (formulas.convolution_input_p, "vw", formulas._input),
    "weight": (formulas.convolution_weight_p, "xv", formulas._weight),
}
LAYERS = {  # channels, size, kernel, stride, padding, dilation, groups
    "1d": ((4, 6), (9,), (3,), (2,), ((1, 1),), (1,), 1),
    "2d": ((3, 5), (6, 7), (3, 2), (1, 2), ((1, 1), (0, 0)), (2, 1), 1),
    "uneven padding": ((2, 4), (5, 5), (4, 4), (1, 1), ((1, 2), (1, 2)), (1, 1), 1),
    "grouped": ((4, 6), (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "depthwise": ((3, 3), (6, 5), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 3),
    "3d": ((2, 3), (4, 5, 4), (2, 3, 1), (1, 1, 2), ((0, 0), (1, 1), (0, 0)), (1, 1, 1), 1),
}
ERRORS = {"float32": 1e-6, "float64": 1e-13, "float16": 1e-3, "bfloat16": 1e-2}  # of the largest result


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    monkeypatch.setattr(cudnn, "_load_what_it_needs", lambda: None)
    cudnn_convolutions._told.cache_clear()
    with fake_devices() as machine:
        yield machine


@pytest.fixture
def front_end(machine: fake_cupy.Machine) -> Iterator[FrontEnd]:
    with fake_cudnn.installed() as made:
        yield made


def draw(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def problem(kind: str, layer: str, dtype: Any) -> tuple[list[np.ndarray], np.ndarray, dict[str, Any]]:
    """Operands, what is to come out, in float64, and the parameters."""
    channels, size, kernel, stride, padding, dilation, groups = LAYERS[layer]
    found = windows("conv", size, kernel, stride, padding, dilation)
    into, out = channels
    shapes = {"x": (2, into, *size), "w": (out, into // groups, *kernel), "v": (2, out, *found.output), "b": (out,)}
    _, names, formula = KINDS[kind]
    operands = [draw(*shapes[n], seed=ord(n), dtype=dtype) for n in names]
    how = {"windows": found, "groups": groups}
    return operands, formula(np, *(a.astype(np.float64) for a in operands), **how), how


def computed(kind: str, operands: list[np.ndarray], how: dict[str, Any], device: str = "cuda") -> np.ndarray:
    """By the backend's kernel, which casts nothing."""
    on_gpu = [ag.asarray(a, device=device).data for a in operands]
    y = get_device(device).backend.kernel(KINDS[kind][0])(*on_gpu, **how)
    assert y.dtype == operands[0].dtype
    return ag.asarray(y, device=device).numpy()


def distance(y: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(y.astype(np.float64) - expected)) / np.max(np.abs(expected)))


# ------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_formula(
    machine: fake_cupy.Machine, front_end: FrontEnd, kind: str, layer: str, dtype: str
) -> None:
    operands, expected, how = problem(kind, layer, bfloat16 if dtype == "bfloat16" else dtype)
    assert distance(computed(kind, operands, how), expected) < ERRORS[dtype]
    name = "forward" if kind == "bias" else kind
    assert machine.launches[f"cudnn_{name}"] == 1
    assert front_end.built == ["plain" if dtype == "float32" else "tensor cores"]


def test_modes_are_those_that_are_asked_for(front_end: FrontEnd) -> None:
    operands, expected, how = problem("forward", "2d", np.float32)
    errors = {}
    for mode in ("fp32", "tf32", "bf16"):
        with ag.math_mode(mode):
            errors[mode] = distance(computed("forward", operands, how), expected)
    assert errors["fp32"] < 1e-6 < 1e-5 < errors["tf32"] < 3e-3
    assert errors["bf16"] == errors["tf32"]  # rounded to 10 bits, not to 7: what the mode allows, and closer
    assert front_end.built == ["plain", "tensor cores"]


def test_layers_and_their_gradients(front_end: FrontEnd) -> None:
    arrays = [draw(2, 3, 5, 6), draw(4, 3, 3, 2, seed=1), draw(4, seed=2)]
    found = {}
    for device in ("cuda", "numpy"):
        x, w, b = (ag.tensor(a, device=device, requires_grad=True) for a in arrays)
        y = F.conv_transpose2d(F.conv2d(x, w, b, stride=(1, 2), padding=1), w, stride=2)
        (y * y).sum().backward()
        found[device] = [y.numpy(), *(t.grad.numpy() for t in (x, w, b))]
    for mine, theirs in zip(found["cuda"], found["numpy"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5 * np.max(np.abs(theirs)))
    assert len(front_end.built) == 6


def test_arrays_with_gaps_and_off_boundaries_are_copied(front_end: FrontEnd) -> None:
    whole, w = ag.asarray(draw(2, 4, 5, 5), device="cuda"), ag.asarray(draw(3, 3, 1, 1), device="cuda")
    for x in (whole[:, 1:, :4, 1:], whole[:, 1:, 1:, :4].swapaxes(2, 3)):
        expected = np.einsum("ncij,oc->noij", x.numpy(), w.numpy()[:, :, 0, 0])
        np.testing.assert_allclose(F.conv2d(x, w).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert front_end.built == ["plain"]


def test_what_cudnn_has_no_words_for(machine: fake_cupy.Machine, front_end: FrontEnd) -> None:
    x, w = (ag.asarray(draw(*s).astype(np.complex64), device="cuda") for s in ((1, 2, 4, 4), (3, 2, 3, 3)))
    assert F.conv2d(x, w).shape == (1, 3, 2, 2)
    assert F.conv2d(ag.zeros((0, 2, 4, 4), device="cuda"), ag.ones((3, 2, 3, 3), device="cuda")).shape == (0, 3, 2, 2)
    assert not front_end.asked
    # a window that ends before the last element that it could meet
    odd = windows("conv", (5,), (2,), (2,), ((0, 0),), (1,))._replace(output=(1,))
    assert cudnn.problem_of("forward", [draw(1, 1, 5), draw(1, 1, 2)], odd, 1, bias=False, mode="fp32") is None


# ------------------------------------------------------------------------------------------ what is kept


def test_a_plan_is_made_once_for_each_problem(front_end: FrontEnd) -> None:
    x, w = (ag.asarray(draw(*s), device="cuda") for s in ((2, 3, 6, 6), (4, 3, 3, 3)))
    for _ in range(3):
        F.conv2d(x, w)
        F.conv2d(x, w, padding=1)
    assert len(front_end.built) == 2
    assert len(front_end.handles) == 1


def test_plans_are_forgotten_beyond_a_bound(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn_convolutions, "PLANS", 2)
    w = ag.asarray(draw(4, 3, 3), device="cuda")
    for length in (5, 6, 7, 7, 6, 5):
        F.conv1d(ag.asarray(draw(1, 3, length), device="cuda"), w)
    assert len(front_end.built) == 4  # 5 had been forgotten


def test_each_device_has_a_handle_of_its_own(front_end: FrontEnd) -> None:
    operands, expected, how = problem("forward", "2d", np.float32)
    for device in ("cuda", "cuda:1", "cuda"):
        assert distance(computed("forward", operands, how, device), expected) < 1e-6
    assert sorted(device for device, _ in front_end.handles.values()) == [0, 1]
    assert len(front_end.built) == 2


def test_what_is_refused_goes_on_and_is_remembered(
    machine: fake_cupy.Machine, front_end: FrontEnd, caplog: pytest.LogCaptureFixture
) -> None:
    front_end.refuses = lambda kind, engine: kind == "weight"
    x, w = draw(2, 3, 6, 6), draw(4, 3, 3, 3)
    gradients = []
    with caplog.at_level(logging.INFO, logger="autograd_core.cuda"):
        for device in ("cuda", "cuda", "numpy"):
            weight = ag.tensor(w, device=device, requires_grad=True)
            F.conv2d(ag.asarray(x, device=device), weight).sum().backward()
            gradients.append(weight.grad.numpy())
    np.testing.assert_allclose(gradients[1], gradients[2], rtol=1e-5, atol=1e-5)
    assert front_end.asked == 2  # forward, and the weight's gradient, once
    assert machine.launches["cudnn_forward"] == 2
    (record,) = caplog.records
    assert "No execution plans" in record.getMessage()
    assert record.levelno == logging.INFO


def test_an_engine_that_is_refused_gives_way_to_the_next(front_end: FrontEnd) -> None:
    front_end.refuses = lambda kind, engine: engine.name == "plain"
    operands, expected, how = problem("weight", "grouped", np.float32)
    assert distance(computed("weight", operands, how), expected) < 1e-6
    assert front_end.built == ["small"]


def test_errors_that_are_no_refusals_are_told(
    front_end: FrontEnd, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(kind: str, engine: Any) -> bool:
        raise RuntimeError("Multiple libcudart libraries found")

    front_end.refuses = broken
    x, w = (ag.asarray(draw(*s), device="cuda") for s in ((1, 2, 5), (3, 2, 3)))
    for _ in range(2):
        y = F.conv1d(x, w)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "Multiple libcudart" in caplog.text
    np.testing.assert_allclose(y.numpy(), F.conv1d(*(a.to("numpy") for a in (x, w))).numpy(), rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------ compiled functions


def step_on(device: str) -> tuple[Callable[..., Any], list[Any]]:
    def step(x: Any, w: Any, b: Any) -> Any:
        return ag.square(F.conv2d(F.conv2d(x, w, b, padding=1), w, padding=1)).mean()

    arrays = [draw(2, 3, 6, 6), draw(3, 3, 3, 3, seed=1), draw(3, seed=2)]
    return ag.value_and_grad(step, (0, 1, 2)), [ag.asarray(a, device=device) for a in arrays]


def flat(result: Any) -> list[np.ndarray]:
    loss, gradients = result
    return [loss.numpy(), *(g.numpy() for g in gradients)]


@pytest.fixture
def no_kernels_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_host.needs_compiler()  # of loops beside them

    def refused(*_: Any) -> None:
        raise AssertionError("a kernel of our own")

    monkeypatch.setattr(convolution_kernels, "rendered", refused)


def test_a_step_is_replayed_as_one_graph(
    machine: fake_cupy.Machine, front_end: FrontEnd, no_kernels_of_ours: None
) -> None:
    f, operands = step_on("cuda")
    run = ag.compile(f)
    for _ in range(5):
        run(*operands)
    built = len(front_end.built)
    waits = ag.cuda.waits()
    machine.forget()
    result = run(*operands)
    assert (machine.launches["graph"], machine.allocations) == (1, 0)
    assert ag.cuda.waits() == waits
    assert not machine.synchronizations
    assert len(front_end.built) == built
    assert machine.launches["cudnn_forward"] == 0  # they are inside the graph
    theirs, on_host = step_on("numpy")
    for a, b in zip(flat(result), flat(theirs(*on_host)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.max(np.abs(b)))
    report = str(run.report())
    assert "cudnn_convolution_bias" in report
    assert "replayed as one CUDA graph" in report
    assert "cudnn_convolution_weight, by a library" in run.source()


def test_compiled_steps_follow_the_math_mode_and_the_choice(machine: fake_cupy.Machine, front_end: FrontEnd) -> None:
    cuda_host.needs_compiler()
    run = ag.compile(lambda x, w: F.conv1d(2 * x, w))
    x, w = (ag.asarray(draw(*s), device="cuda") for s in ((2, 3, 9), (4, 3, 3)))
    for _ in range(4):
        exact = run(x, w).numpy()
    assert front_end.built == ["plain"]
    with ag.math_mode("tf32"):
        for _ in range(4):
            rough = run(x, w).numpy()
    assert front_end.built == ["plain", "tensor cores"]
    assert 1e-6 < distance(rough, exact.astype(np.float64)) < 3e-3
    machine.forget()
    with ag.cuda.convolutions_by("own"):
        assert distance(run(x, w).numpy(), exact.astype(np.float64)) < 1e-6
    assert not machine.launches["cudnn_forward"]


def test_derivatives_asked_for_in_another_mode_are_exact(front_end: FrontEnd) -> None:
    cuda_host.needs_compiler()
    run = ag.compile(lambda x, w: F.conv1d(2 * x, w))
    x, w, v = draw(2, 3, 9), draw(4, 3, 3), draw(2, 4, 7)
    found = {}
    for device in ("cuda", "numpy"):
        for mode in ("tf32", "tf32", "tf32", "fp32"):  # compiled in the first
            leaf = ag.tensor(w, device=device, requires_grad=True)
            with ag.math_mode("tf32"):
                y = run(ag.asarray(x, device=device), leaf)
            with ag.math_mode(mode):
                (y * ag.asarray(v, device=device)).sum().backward()
            found[device, mode] = leaf.grad.numpy()
    expected = found["numpy", "fp32"].astype(np.float64)
    assert 1e-5 < distance(found["cuda", "tf32"], expected) < 3e-3
    assert distance(found["cuda", "fp32"], expected) < 1e-6


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_compiled_steps_give_cudnn_the_dtype_that_is_there(front_end: FrontEnd, dtype: str) -> None:
    x, w = (ag.asarray(draw(*s, dtype=dtype), device="cuda") for s in ((2, 3, 9), (4, 3, 3)))
    run = ag.compile(F.conv1d)
    for _ in range(4):
        y = run(x, w)
    expected = F.conv1d(*(a.to("numpy").astype("float64") for a in (x, w))).numpy()
    assert distance(y.numpy(), expected) < ERRORS[dtype]
    assert front_end.built[-1] == "tensor cores"  # the first call, which is not compiled, casts half precision
    assert re.search(rf"cudnn_convolution, by a library\n//   .*{dtype}", run.source())


# ------------------------------------------------------------------------------------------ the choice


def convolved() -> Any:
    return F.conv1d(ag.ones((1, 2, 5), device="cuda"), ag.ones((3, 2, 3), device="cuda"))


def test_the_choice(machine: fake_cupy.Machine, front_end: FrontEnd) -> None:
    assert ag.cuda.get_convolutions_by() == "auto"
    convolved()
    with ag.cuda.convolutions_by("own"):
        convolved()
        assert machine.launches["cudnn_forward"] == 1
        with ag.cuda.convolutions_by("cudnn"):
            convolved()
    assert machine.launches["cudnn_forward"] == 2
    with (
        pytest.raises(ArgumentError, match=r"convolutions_by: 'cuDNN' is none of 'auto', 'cudnn', 'own'"),
        ag.cuda.convolutions_by("cuDNN"),
    ):
        pass


@pytest.mark.parametrize(
    ("version", "library", "told"),
    [
        ("1.9.2", 92800, r"nvidia-cudnn-frontend 1\.9\.2 is too old, 1\.14 or newer is needed: .*\[cudnn13\]"),
        ("1.23.0", None, r"finds no cuDNN library \(Unable to find symbol .*\): pip install .*\[cudnn13\].*PyTorch"),
        ("1.23.0", 8907, r"cuDNN 8\.9 is too old, 9\.8 or newer is needed: pip install"),
        ("1.23.0", 90501, r"cuDNN 9\.5 is too old"),
    ],
    ids=["front end too old", "no library", "library of long ago", "library too old"],
)
def test_what_is_installed_in_part(
    machine: fake_cupy.Machine, caplog: pytest.LogCaptureFixture, version: str, library: int | None, told: str
) -> None:
    with fake_cudnn.installed(version, library):
        for _ in range(2):
            assert convolved().shape == (1, 3, 3)  # by others, which is told once
        (record,) = caplog.records
        assert record.getMessage().startswith("convolutions are computed by kernels of our own: ")
        with ag.cuda.convolutions_by("cudnn"):
            with pytest.raises(BackendUnavailableError, match=r"convolutions_by\('cudnn'\): .*" + told):
                convolved()
            with pytest.raises(BackendUnavailableError, match=told):
                ag.compile(lambda x, w: F.conv1d(x, w))(
                    ag.ones((1, 2, 5), device="cuda"), ag.ones((3, 2, 3), device="cuda")
                )


def test_nothing_is_installed(
    machine: fake_cupy.Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cudnn", None)
    assert convolved().shape == (1, 3, 3)
    assert not caplog.records
    with (
        ag.cuda.convolutions_by("cudnn"),
        pytest.raises(
            BackendUnavailableError,
            match=r"nvidia-cudnn-frontend, is not installed: .*convolutions_by\('own'\)",
        ),
    ):
        convolved()


def test_a_front_end_that_does_not_load(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise OSError("libcudart.so.12: cannot open shared object file")

    with fake_cudnn.installed():
        monkeypatch.setattr(cudnn, "import_module", broken)
        with (
            ag.cuda.convolutions_by("cudnn"),
            pytest.raises(BackendUnavailableError, match="does not load: libcudart"),
        ):
            convolved()


def test_a_gpu_that_the_library_does_not_know(front_end: FrontEnd) -> None:
    def refused() -> int:
        raise RuntimeError("CUDNN_STATUS_ARCH_MISMATCH")

    front_end._create_handle = refused  # type: ignore[method-assign]
    assert convolved().shape == (1, 3, 3)
    with ag.cuda.convolutions_by("cudnn"), pytest.raises(BackendUnavailableError, match="this GPU: CUDNN_STATUS_ARCH"):
        convolved()


def test_libraries_are_loaded_before_the_front_end_looks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str) -> None:
        loaded.append(name)
        raise RuntimeError("not found")

    monkeypatch.setitem(sys.modules, "cuda.pathfinder", SimpleNamespace(load_nvidia_dynamic_lib=load))
    cudnn._load_what_it_needs()
    assert loaded == ["cudart", "nvrtc", "cublasLt", "cudnn"]
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    cudnn._load_what_it_needs()

"""Convolutions on CUDA devices: their CUDA C run on the host, their calls made on the fake CuPy.

Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_host
import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices

import autograd_core as ag
from autograd_core import nn
from autograd_core.backends.cuda import convolution_kernels

F = nn.functional


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    """On which the smallest convolution is worth a kernel."""
    cuda_host.needs_compiler()
    monkeypatch.setattr(convolution_kernels, "SMALLEST", 0)
    with fake_devices() as machine:
        yield machine


def draw(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def pulled(f: Callable[..., Any], arrays: list[np.ndarray], device: str) -> list[np.ndarray]:
    """The result and the gradients of the sum of its squares."""
    tensors = [ag.tensor(a, device=device, requires_grad=True) for a in arrays]
    y = f(*tensors)
    (y * y).sum().backward()
    return [y.numpy(), *(t.grad.numpy() for t in tensors)]


def launched(machine: fake_cupy.Machine) -> set[str]:
    return {name for name in machine.launches if name.startswith("convolution")}


@pytest.mark.parametrize(
    ("f", "shapes", "expected"),
    [
        (
            lambda x, w, b: F.conv2d(x, w, b, stride=(1, 2), padding=1),
            [(2, 3, 5, 6), (4, 3, 3, 2), (4,)],
            {"convolution_bias", "convolution_input", "convolution_weight"},
        ),
        (
            lambda x, w: F.conv_transpose1d(x, w, stride=2),
            [(2, 4, 5), (4, 3, 3)],
            {"convolution", "convolution_input", "convolution_weight"},
        ),
    ],
    ids=["conv2d", "conv_transpose1d"],
)
def test_values_and_gradients_are_those_of_the_cpu(
    machine: fake_cupy.Machine, f: Callable[..., Any], shapes: list[tuple[int, ...]], expected: set[str]
) -> None:
    arrays = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    found = pulled(f, arrays, "cuda")
    assert expected <= launched(machine)
    for mine, theirs in zip(found, pulled(f, arrays, "numpy"), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5 * np.max(np.abs(theirs)))


def test_modes_are_those_that_are_asked_for(machine: fake_cupy.Machine) -> None:
    x, w = draw(1, 3, 4, 4), draw(4, 3, 1, 1)
    exact = np.einsum("ncij,oc->noij", x.astype(np.float64), w[:, :, 0, 0])
    errors = []
    for mode in ("fp32", "tf32", "bf16"):
        with ag.math_mode(mode):
            y = F.conv2d(*(ag.asarray(a, device="cuda") for a in (x, w)))
        errors.append(np.max(np.abs(y.numpy() - exact)))
    assert errors[0] < 1e-6 < errors[1] < 3e-3 < errors[2] < 3e-2


def test_arrays_with_gaps_and_off_boundaries_are_copied(machine: fake_cupy.Machine) -> None:
    whole, w = ag.asarray(draw(2, 4, 5, 5), device="cuda"), ag.asarray(draw(3, 3, 1, 1), device="cuda")
    for x in (whole[:, 1:, :4, 1:], whole[:, 1:, 1:, :4].swapaxes(2, 3), whole[:, :3, :4, :4]):
        expected = np.einsum("ncij,oc->noij", x.numpy(), w.numpy()[:, :, 0, 0])
        np.testing.assert_allclose(F.conv2d(x, w).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert machine.launches["convolution"] == 3


def by_formula(machine: fake_cupy.Machine, x: np.ndarray, w: np.ndarray) -> bool:
    """Whether no kernel of ours has computed it, and it is right."""
    y = F.conv2d(ag.asarray(x, device="cuda"), ag.asarray(w, device="cuda"))
    expected = F.conv2d(ag.asarray(x, device="numpy"), ag.asarray(w, device="numpy")).numpy()
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-5)
    return not launched(machine)


def test_where_formulas_run(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = draw(1, 2, 4, 4), draw(3, 2, 3, 3)
    assert by_formula(machine, x.astype(np.float64), w.astype(np.float64))
    assert by_formula(machine, x[:0], w)
    with monkeypatch.context() as patched:
        patched.setattr(convolution_kernels, "SMALLEST", 1 << 20)  # so little work is not worth a kernel
        assert by_formula(machine, x, w)


def test_old_gpus_have_no_kernels(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda i: {**properties(i), "major": 7})
    assert by_formula(machine, draw(1, 2, 4, 4), draw(3, 2, 3, 3))
    run = ag.compile(lambda x, w: F.conv2d(x, w))
    run(*(ag.asarray(draw(*s), device="cuda") for s in ((1, 2, 4, 4), (3, 2, 3, 3))))
    assert not launched(machine)


def test_more_shared_memory_is_asked_for(machine: fake_cupy.Machine) -> None:
    from autograd_core.backends.cuda.launching import DECLARED, Launcher
    from autograd_core.backends.cuda.native import Launch, Source

    launches = Launch("small", 1, 32, DECLARED), Launch("large", 1, 32, DECLARED + 4)
    import cupy

    machine.bodies |= dict.fromkeys(("small", "large"), lambda grid, block, arguments: None)
    launcher = Launcher(cupy)
    source = Source("", launches, ())
    with cupy.cuda.Stream(non_blocking=True):
        launcher(source, [])
    small, large = (launcher.compiled(source)[name] for name in ("small", "large"))
    assert not hasattr(small, "max_dynamic_shared_size_bytes")
    assert large.max_dynamic_shared_size_bytes == DECLARED + 4


def test_steps_take_views_in_order_alone(machine: fake_cupy.Machine) -> None:
    """Of what a convolution of a compiled function reads, a reshaped array is read where it lies; others are copied."""

    def f(x: Any, w: Any) -> Any:
        return F.conv1d((2 * x).reshape(2, 3, 8), w) + F.conv1d(x.swapaxes(1, 2).reshape(2, 3, 8), w)

    run = ag.compile(f)
    x, w = draw(2, 4, 6), draw(4, 3, 3)
    on_gpu = [ag.asarray(a, device="cuda") for a in (x, w)]
    for _ in range(5):
        machine.forget()
        y = run(*on_gpu)
    assert machine.launches["graph"] == 1
    np.testing.assert_allclose(
        y.numpy(), f(*(ag.asarray(a, device="numpy") for a in (x, w))).numpy(), rtol=1e-4, atol=1e-5
    )
    with ag.math_mode("bf16"):
        for _ in range(3):
            rough = run(*on_gpu)
        assert ", bf16" in str(run.report())
    assert 1e-4 < np.max(np.abs(rough.numpy() - y.numpy())) < 0.2


def test_halves_are_read_as_they_are_inside_the_graph(machine: fake_cupy.Machine) -> None:
    def f(x: Any, w: Any, b: Any) -> Any:
        y, pull = ag.vjp(lambda *xs: F.conv2d(*xs, padding=1), x, w, b)
        return y, *pull(y)

    arrays = [draw(*shape, seed=i, dtype=np.float16) for i, shape in enumerate([(2, 3, 5, 6), (4, 3, 3, 3), (4,)])]
    run, on_gpu = ag.compile(f), [ag.asarray(a, device="cuda") for a in arrays]
    for _ in range(5):
        machine.forget()
        found = run(*on_gpu)
    assert machine.launches["graph"] == 1
    report = run.report()
    assert report.remarks[0].startswith("replayed as one CUDA graph")
    assert {"convolution_bias", "convolution_input", "convolution_weight"} <= {row.name for row in report.rows}
    assert all(row.native for row in report.rows), report
    machine.forget()
    eager = f(*on_gpu)
    assert {"convolution_bias", "convolution_input", "convolution_weight"} <= launched(machine)
    for mine, theirs in zip(found[:3], eager[:3], strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    expected = f(*(ag.tensor(a.astype(np.float64), device="numpy") for a in arrays))
    for mine, theirs in zip(found, expected, strict=True):  # slopes are of what has been rounded
        limit = 2.0**-10 * np.max(np.abs(theirs.numpy()))
        np.testing.assert_allclose(mine.numpy().astype(np.float64), theirs.numpy(), rtol=0, atol=limit)

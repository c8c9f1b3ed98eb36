"""Matrix products on CUDA devices: cuBLASLt's calls made on the memory of the fake CuPy. Not yet run on hardware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt
from autograd_core.errors import BackendUnavailableError


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


@pytest.fixture
def library(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> FakeCublasLt:
    library = FakeCublasLt()
    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(library))
    return library


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2))], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_products_and_their_gradients(library: FakeCublasLt, shapes: Any, dtype: str) -> None:
    results = []
    for device in ("cuda", "cpu"):
        a, b = (ag.tensor(draw(*s, dtype=dtype), device=device, requires_grad=True) for s in shapes)
        y = a @ b
        ag.real(y * y).sum().backward()
        results.append([v.numpy() for v in (y, a.grad, b.grad)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert library.multiplied >= 3
    assert library.refusals == []


def test_linear_layers_need_no_copy_of_their_weight(machine: fake_cupy.Machine, library: FakeCublasLt) -> None:
    x, w = (ag.tensor(draw(*s), device="cuda") for s in ((6, 4), (5, 4)))
    nn.functional.linear(x, w)  # makes the plan
    machine.forget()
    y = nn.functional.linear(x, w)
    assert not machine.launches
    np.testing.assert_allclose(y.numpy(), draw(6, 4) @ draw(5, 4).T, rtol=1e-5, atol=1e-6)


def test_each_device_has_its_own(library: FakeCublasLt) -> None:
    for device in ("cuda", "cuda:1"):
        x = ag.tensor(draw(3, 3), device=device)
        np.testing.assert_allclose((x @ x).numpy(), draw(3, 3) @ draw(3, 3), rtol=1e-5, atol=1e-6)
    assert sum(made["kind"] == "handle" for made in library.living.values()) == 2


def test_the_math_mode_is_asked_for(library: FakeCublasLt) -> None:
    x = ag.tensor(draw(3, 3), device="cuda")
    with ag.math_mode("tf32"):
        _ = x @ x
    assert [made["described"][0] for made in library.living.values() if made["kind"] == "product"] == [77]


def test_integers_go_by_the_formula(library: FakeCublasLt) -> None:
    x = ag.tensor(np.arange(4).reshape(2, 2), device="cuda")
    np.testing.assert_array_equal((x @ x).numpy(), [[2, 3], [6, 11]])
    assert library.multiplied == 0


def test_half_precision_is_multiplied_in_float32(library: FakeCublasLt) -> None:
    x = ag.tensor(np.array([[1, 2**-11], [2**11, 1]], np.float16), device="cuda")
    y = x @ x
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y.numpy(), np.array([[2, 2**-10], [2**12, 2]], np.float16))
    assert [made["described"] for made in library.living.values() if made["kind"] == "product"] == [(68, 0)]


def test_without_the_library_cupy_multiplies(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> CublasLt:
        raise BackendUnavailableError("cuBLASLt is not installed")

    monkeypatch.setattr(product_kernels, "load", missing)
    x = ag.tensor(draw(3, 3), device="cuda")
    np.testing.assert_allclose((x @ x).numpy(), draw(3, 3) @ draw(3, 3), rtol=1e-5, atol=1e-6)
    assert machine.launches["matmul"] == 1

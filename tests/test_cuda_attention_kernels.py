"""Attention on CUDA devices: its CUDA C run on the host, its calls made on the fake CuPy.

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
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import attention_kernels, product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt
from autograd_core.benchmarks.workloads.transformer import Encoder

attention = nn.functional.scaled_dot_product_attention
NAMES = ("attention", "attention_vjp_inner", "attention_vjp")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    """On which the smallest attention is worth a kernel."""
    cuda_host.needs_compiler()
    monkeypatch.setattr(attention_kernels, "SMALLEST", 0)
    with fake_devices() as machine:
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        yield machine


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pulled(f: Callable[..., Any], arrays: list[np.ndarray], device: str) -> list[np.ndarray]:
    """The result and the gradients of the sum of its squares."""
    ag.random.seed(0)
    with ag.default_device(device):
        tensors = [ag.tensor(a, requires_grad=True) for a in arrays]
        y = f(*tensors)
        (y * y).sum().backward()
    return [y.numpy(), *(t.grad.numpy() for t in tensors)]


def launched(machine: fake_cupy.Machine) -> list[str]:
    return [name for name in machine.launches if name.startswith("attention")]


def agree(f: Callable[..., Any], arrays: list[np.ndarray]) -> None:
    for mine, theirs in zip(pulled(f, arrays, "cuda"), pulled(f, arrays, "numpy"), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=2e-5 * np.max(np.abs(theirs)))


SEEN = np.random.default_rng(1).random((2, 1, 1, 12)) < 0.6
CALLS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "causal, with dropout": (
        lambda q, k, v: attention(q, k, v, is_causal=True, dropout_p=0.3),
        [(2, 9, 16), (2, 12, 16), (2, 12, 24)],
    ),
    "a mask of keys, and heads that share them": (
        lambda q, k, v: attention(q, k, v, ag.asarray(SEEN), enable_gqa=True),
        [(2, 4, 9, 16), (2, 2, 12, 16), (2, 2, 12, 16)],
    ),
    "one matrix": (lambda q, k, v: attention(q, k, v, scale=0.5), [(9, 17), (12, 17), (12, 16)]),
}


@pytest.mark.parametrize("call", CALLS)
def test_values_and_gradients_are_those_of_the_cpu(machine: fake_cupy.Machine, call: str) -> None:
    f, shapes = CALLS[call]
    agree(f, [draw(*shape, seed=i) for i, shape in enumerate(shapes)])
    assert [machine.launches[name] for name in NAMES] == [1, 1, 1]


def test_modes_are_those_that_are_asked_for(machine: fake_cupy.Machine) -> None:
    q, k, v = (draw(1, 20, 16, seed=i) for i in range(3))
    exact = attention(*(ag.asarray(x.astype(float), device="numpy") for x in (q, k, v))).numpy()
    errors = []
    for mode in ("fp32", "tf32", "bf16"):
        with ag.math_mode(mode):
            y = attention(*(ag.asarray(x, device="cuda") for x in (q, k, v)))
        errors.append(np.max(np.abs(y.numpy() - exact)))
    assert errors[0] < 2e-6 < errors[1] < 1.5e-3 < errors[2] < 3e-2


def test_heads_side_by_side_are_read_where_they_lie(machine: fake_cupy.Machine) -> None:
    """Parts of one projection need no copies; what has gaps within rows, or begins askew, is copied."""
    whole = ag.asarray(draw(2, 9, 3, 2, 16), device="cuda")
    q, k, v = (whole[:, :, i].permute(0, 2, 1, 3) for i in range(3))
    machine.forget()
    y = attention(q, k, v)
    assert dict(machine.launches) == {"attention": 1}
    expected = attention(*(ag.asarray(x.numpy(), device="numpy") for x in (q, k, v)))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    wide = ag.asarray(draw(2, 18, 9), device="cuda")
    for x in (wide.mT[:, :, 1:17], ag.asarray(draw(2, 9, 17), device="cuda")[:, :, 1:]):
        expected = attention(*[ag.asarray(x.numpy(), device="numpy")] * 3)
        np.testing.assert_allclose(attention(x, x, x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert machine.launches["attention"] == 3


def test_where_the_formula_runs(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    q, small = draw(2, 6, 16), draw(2, 6, 8)
    agree(lambda q: attention(q, q, q), [q.astype(np.float64)])
    agree(lambda q: attention(q, q, q), [small])
    agree(lambda q: attention(q, q[:, :0], q[:, :0]), [q])
    assert not launched(machine)
    agree(lambda q, mask: attention(q, q, q, mask), [q, draw(6, 6)])  # the gradient of a mask
    assert launched(machine) == ["attention"]
    machine.forget()
    monkeypatch.setattr(attention_kernels, "SMALLEST", 1 << 20)  # so little work is not worth a kernel
    agree(lambda q: attention(q, q, q), [q])
    assert not launched(machine)


def test_old_gpus_have_no_kernels(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda i: {**properties(i), "major": 7})
    q = draw(1, 6, 16)
    agree(lambda q: attention(q, q, q), [q])
    run = ag.compile(lambda q: attention(q, q, q))
    on_gpu = ag.asarray(q, device="cuda")
    np.testing.assert_allclose(run(on_gpu).numpy(), attention(on_gpu, on_gpu, on_gpu).numpy(), rtol=1e-5)
    assert not launched(machine)


class Training:
    """The suite's transformer with one layer, trained by Adam on one batch."""

    def __init__(self, device: str):
        ag.random.seed(0)
        self.device = device
        with ag.default_device(device):
            self.x = ag.asarray(draw(2, 8, Encoder.width))
            layer = nn.TransformerEncoderLayer(
                Encoder.width, Encoder.heads, 4 * Encoder.width, 0.0, batch_first=True, activation="gelu"
            )
            self.model = nn.TransformerEncoder(layer, 1)
            self.optimizer = optim.Adam(self.model.parameters(), lr=1e-3)
        self.run = ag.compile(self.step)

    def step(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        loss = ag.square(self.model(x)).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def __call__(self) -> Any:
        with ag.default_device(self.device):
            return self.run(self.x)


def test_a_transformers_step_is_one_graph(machine: fake_cupy.Machine) -> None:
    on_gpu, on_cpu = Training("cuda"), Training("numpy")
    found = []
    for _ in range(8):  # results take turns in two places, with a graph for each
        machine.forget()
        loss = on_gpu()
        counted = dict(machine.launches), sum(machine.synchronizations.values()), machine.allocations
        found.append(loss.item())
    assert counted == ({"graph": 1}, 0, 0)
    names = [row.name for row in on_gpu.run.report() if row.native]
    assert {"attention", "attention_vjp"} <= {*names}
    assert "loop_copy" not in names  # values and gradients lie as projections read them
    np.testing.assert_allclose(found, [on_cpu().item() for _ in found], rtol=1e-5)
    assert found[-1] < found[0]


def test_compiled_steps_read_masks_and_repeated_heads_where_they_lie(machine: fake_cupy.Machine) -> None:
    """Rows of a product that is kept whole, a mask of one row for all, and keys that two heads share."""

    def f(x: Any, w: Any, mask: Any) -> Any:
        q, k, v = ((x @ w).reshape(2, 10, 4, 16).permute(0, 2, 1, 3)[:, i : i + n] for i, n in ((0, 2), (2, 1), (3, 1)))
        return attention(q, k, v, mask.reshape(2, 1, 1, 10), enable_gqa=True)

    run = ag.compile(f)
    x, w, mask = draw(2, 10, 8), draw(8, 64), np.random.default_rng(2).random((2, 10)) < 0.6
    on_gpu = [ag.asarray(a, device="cuda") for a in (x, w, mask)]
    for _ in range(8):  # results take turns in two places, with a graph for each
        machine.forget()
        y = run(*on_gpu)
    assert dict(machine.launches) == {"graph": 1}
    parts = [part for part in run.source().split("\n") if part.startswith("// ")]
    assert [" of 2: " in part for part in parts if " of " in part] == [True, True]  # the product, and attention
    expected = f(*(ag.asarray(a, device="numpy") for a in (x, w, mask)))
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


def heads(x: Any, count: int) -> Any:
    """(batch, time, features) as heads, and how they are put together again: ``together``."""
    batch, time, width = x.shape
    return x.reshape(batch, time, count, width // count).permute(0, 2, 1, 3)


def together(x: Any) -> Any:
    batch, count, time, width = x.shape
    return x.permute(0, 2, 1, 3).reshape(batch, time, count * width)


def across(x: Any, memory: Any, w: Any, u: Any) -> Any:
    """Keys and values by one projection, queries by another."""
    k, v = ag.split(memory @ u, 32, axis=-1)
    return together(attention(heads(x @ w, 2), heads(k, 2), heads(v, 2)))


def seen(x: Any, memory: Any, w: Any, u: Any) -> Any:
    """The values are handed out head by head, and put together as well."""
    k, v = ag.split(memory @ u, 32, axis=-1)
    y = attention(heads(x @ w, 2), heads(k, 2), heads(v, 2), is_causal=True)
    return y, together(y) * 2


@pytest.mark.parametrize("f", [across, seen])
def test_results_lie_where_their_readers_want_them(machine: fake_cupy.Machine, f: Any) -> None:
    arrays = [draw(*shape, seed=i) for i, shape in enumerate([(2, 5, 8), (2, 7, 12), (8, 32), (12, 64)])]

    def step(*tensors: Any) -> Any:
        for t in tensors:
            t.grad = None
        found = f(*tensors)
        y, *others = found if type(found) is tuple else (found,)
        sum((v * v).sum() for v in (y, *others)).backward()
        return (y, *others, *(t.grad for t in tensors))

    run = ag.compile(step)
    on_gpu, on_cpu = ([ag.tensor(a, device=device, requires_grad=True) for a in arrays] for device in ("cuda", "numpy"))
    run(*on_gpu)
    for mine, theirs in zip(run(*on_gpu), step(*on_cpu), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-5 * np.max(np.abs(theirs.numpy())))
    assert machine.launches["attention_vjp"]
    assert "loop_copy" not in [row.name for row in run.report()]

"""Recurrent layers on CUDA devices: the launches' CUDA C run on the host, their calls made on the fake CuPy.

Not yet run on hardware.
"""

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
from autograd_core.backends.cuda.native import recurrent
from autograd_core.backends.cuda.native.recurrent import Recurrence

F = nn.functional
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
SIZES = {"steps": 3, "batch": 5, "hidden": 32}
GPU = {"multiprocessors": 4, "shared": 227 << 10}


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        yield machine


def entries(kind: str, mode: str = "fp32") -> list[str]:
    """The names of the launches that a layer of ``SIZES`` takes."""
    found = []
    for way in ("forward", "adjoint"):
        problem = Recurrence(kind, way, **SIZES, mode=mode)
        cut = recurrent.best_cut(problem, **GPU)
        assert cut is not None
        found.append(recurrent.render(problem, cut).entry)
    return found


def gradients(layer: nn.Module, x: np.ndarray, device: str, lengths: Any = None) -> list[np.ndarray]:
    """Results and gradients of a layer, whose weights are copied to the device."""
    copy = type(layer)(7, SIZES["hidden"], bias=layer.bias).to(x.dtype)
    copy.load_state_dict(layer.state_dict())
    copy.to(device)
    given = ag.tensor(x, device=device, requires_grad=True)
    packed = given if lengths is None else nn.utils.rnn.pack_padded_sequence(given, lengths, enforce_sorted=False)
    y, state = copy(packed)
    y = y if lengths is None else nn.utils.rnn.pad_packed_sequence(y)[0]
    ends = state if isinstance(state, tuple) else (state,)
    loss = sum((v * v).sum() for v in (y, *ends))
    loss.backward()
    return [v.numpy() for v in (y, *ends, given.grad, *(p.grad for p in copy.parameters()))]


def test_a_grid_that_does_not_fit_at_once_is_an_error(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CuPy would launch a part of it with a warning, whose blocks wait for the others for ever."""
    import cupy

    monkeypatch.setattr(cupy.cuda.driver, "occupancyMaxActiveBlocksPerMultiprocessor", lambda *_: 0)
    x = ag.zeros((SIZES["steps"], SIZES["batch"], 7), device="cuda")
    with pytest.raises(RuntimeError, match="blocks wait for one another, 0 fit on the GPU"):
        nn.LSTM(7, SIZES["hidden"]).to("cuda")(x)


@pytest.mark.parametrize(
    ("bias", "lengths"), [(True, None), (False, None), (True, [3, 1, 2, 3, 2])], ids=["bias", "no-bias", "packed"]
)
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_and_their_gradients_are_those_of_the_cpu(
    machine: fake_cupy.Machine, kind: str, bias: bool, lengths: list[int] | None
) -> None:
    names = entries(kind)
    with ag.random.fork(0):
        layer = LAYERS[kind](7, SIZES["hidden"], bias=bias)
    x = np.random.default_rng(1).standard_normal((SIZES["steps"], SIZES["batch"], 7)).astype(np.float32)
    for found, expected in zip(gradients(layer, x, "cuda", lengths), gradients(layer, x, "cpu", lengths), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert [machine.launches[name] for name in names] == [1, 1]


@pytest.mark.parametrize(("kind", "dtype"), [("lstm", "bfloat16"), ("gru", "float16"), ("rnn", "float16")])
def test_halves_are_read_as_they_are(machine: fake_cupy.Machine, kind: str, dtype: str) -> None:
    with ag.random.fork(0):
        layer = LAYERS[kind](7, SIZES["hidden"]).to(dtype)
    x = np.random.default_rng(1).standard_normal((SIZES["steps"], SIZES["batch"], 7)).astype(dtype)
    found = gradients(layer, x, "cuda")
    names = [name for name in machine.launches if name.startswith(kind)]
    assert [name.split("_")[1] for name in names] == ["forward", "adjoint"]
    assert all(name.endswith({"float16": "half", "bfloat16": "brain"}[dtype]) for name in names)
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    for mine, theirs in zip(found, gradients(layer.to("float64"), x.astype("float64"), "numpy"), strict=True):
        assert mine.dtype == dtype
        limit = 16 * unit * np.max(np.abs(theirs))  # some roundings in each of a few steps there and back
        np.testing.assert_allclose(mine.astype("float64"), theirs, rtol=0, atol=limit)


def test_the_math_mode_chooses_the_launch(machine: fake_cupy.Machine) -> None:
    names = entries("gru", mode="tf32")
    with ag.random.fork(0):
        layer = nn.GRU(7, SIZES["hidden"])
    x = np.random.default_rng(1).standard_normal((SIZES["steps"], SIZES["batch"], 7)).astype(np.float32)
    with ag.math_mode("tf32"):
        found = gradients(layer, x, "cuda")
    np.testing.assert_allclose(found[0], gradients(layer, x, "cpu")[0], rtol=0, atol=5e-3)
    assert [machine.launches[name] for name in names] == [1, 1]


@pytest.mark.parametrize("hidden", [20, 1024], ids=["no-whole-tiles", "too-large"])
def test_sizes_without_a_launch_go_by_the_formulas(machine: fake_cupy.Machine, hidden: int) -> None:
    x = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
    weights = [np.full((hidden, n), 1e-3, np.float32) for n in (4, hidden)]
    results = []
    for device in ("cuda", "cpu"):
        y, _ = nn.functional.rnn(*(ag.tensor(v, device=device) for v in (x, *weights)))
        results.append(y.numpy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
    assert not any(name.startswith("rnn_") for name in machine.launches)


def test_float64_goes_by_the_formulas(machine: fake_cupy.Machine) -> None:
    x, w, u = (np.random.default_rng(i).standard_normal(s) for i, s in enumerate([(2, 3, 4), (32, 4), (32, 32)]))
    results = [
        nn.functional.rnn(*(ag.tensor(v, device=device) for v in (x, w, u)))[0].numpy() for device in ("cuda", "cpu")
    ]
    np.testing.assert_allclose(*results, rtol=1e-12)
    assert not any(name.startswith("rnn_") for name in machine.launches)


# ------------------------------------------------------------------------------------------- in compiled functions


class Step:
    """Gradients of the sum of the squares of a layer's results, behind a linear map, as a compiled step."""

    def __init__(self, kind: str, device: str, **options: Any):
        self.backwards = options.pop("backwards", False)  # sequences of several lengths
        with ag.random.fork(0):
            self.model = nn.Sequential(nn.Linear(7, 7), LAYERS[kind](7, SIZES["hidden"], **options)).to(device)
        size = SIZES["steps"], SIZES["batch"], 7
        x = np.random.default_rng(1).standard_normal(size).astype(np.float32)
        self.x = ag.tensor(x.swapaxes(0, 1) if options.get("batch_first") else x, device=device)
        self.lengths = ag.tensor([3, 1, 2, 3, 2], device=device)
        self.run = ag.compile(self.step) if device == "cuda" else self.step

    def step(self, x: Any) -> Any:
        for p in self.model.parameters():
            p.grad = None
        linear, layer = self.model
        x = linear(x)
        if self.backwards:
            y, ends = F.rnn(x, *layer.parameters(), lengths=self.lengths, reverse=True)
        else:
            y, ends = layer(x)
        ends = ends if type(ends) in (tuple, list) else (ends,)
        loss = sum((v * v).sum() for v in (y, *ends))
        loss.backward()
        return y

    def __call__(self) -> list[np.ndarray]:
        return [v.numpy() for v in (self.run(self.x), *(p.grad for p in self.model.parameters()))]


def compiled_is_eager(machine: fake_cupy.Machine, kind: str, **options: Any) -> list[str]:
    """The steps of a compiled function without kernel calls, which is one graph, for which nothing is allocated; its
    numbers are those of the CPU.
    """
    step, expected = Step(kind, "cuda", **options), Step(kind, "cpu", **options)()
    for _ in range(8):
        machine.forget()
        for found, known in zip(step(), expected, strict=True):
            np.testing.assert_allclose(found, known, rtol=0, atol=2e-5 * np.max(np.abs(known)))
    assert (machine.launches["graph"], machine.launches.total(), machine.allocations) == (1, 1, 0)
    assert f"{kind}_forward<Launch_" in step.run.source(kind)
    report = step.run.report()
    assert all(row.native for row in report.rows), report
    return [row.name for row in report.rows]


@pytest.fixture
def compiling(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> fake_cupy.Machine:
    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    return machine


@pytest.mark.parametrize(
    ("kind", "options", "copies"),
    [
        ("lstm", {"batch_first": True}, 0),
        ("gru", {"num_layers": 2}, 2),  # the last states of both layers as one array
        ("rnn", {"bias": False, "backwards": True}, 0),
    ],
    ids=lambda value: "-".join(value) if type(value) is dict else None,
)
def test_compiled_layers_are_launches_without_copies(
    compiling: fake_cupy.Machine, kind: str, options: dict[str, Any], copies: int
) -> None:
    names = compiled_is_eager(compiling, kind, **options)
    assert names.count(kind) == names.count(f"{kind}_vjp") == options.get("num_layers", 1)
    assert names.count("loop_copy") == copies

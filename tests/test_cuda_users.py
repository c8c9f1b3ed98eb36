"""What users do with ``device="cuda"``: models that move, states that are saved, copied and loaded."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cuda_tools
import fake_cupy
import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 8)).astype(np.float32)
Y = RNG.integers(0, 3, 12)

either = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with cuda_tools.fake_devices() as found:
        yield found


def network(device: str = "cpu") -> nn.Module:
    with ag.random.fork(0):
        return nn.Sequential(nn.Linear(8, 3)).to(device)


def batch(device: str) -> tuple[ag.Tensor, ag.Tensor]:
    return ag.asarray(X, device=device), ag.asarray(Y, device=device)


def step_of(model: nn.Module, optimizer: Any, compiled: bool = False) -> Callable[..., ag.Tensor]:
    def step(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return ag.compile(step) if compiled else step


def losses(count: int, **options: Any) -> list[float]:
    """Of as many steps on the CPU."""
    model = network()
    step = step_of(model, optim.Adam(model.parameters(), **{"lr": 0.05, **options}))
    return [step(*batch("cpu")).item() for _ in range(count)]


@either
def test_a_model_that_moves_trains_on(machine: fake_cupy.Machine, compiled: bool) -> None:
    model = network("cuda")
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    step = step_of(model, optimizer, compiled)
    found = []
    for device in ("cuda", "cpu", "cuda:1", "cuda"):
        model.to(device)
        optimizer.load_state_dict(optimizer.state_dict())
        found += [step(*batch(device)).item() for _ in range(4)]
    assert found == pytest.approx(losses(16), rel=1e-3)


@either
@pytest.mark.parametrize(
    "lr",
    [
        lambda: 0.05,
        lambda: optim.schedules.cosine(0.05, total=20),
        lambda: optim.ReduceLROnPlateau(0.05),
        lambda: lambda step: 0.05 / (step + 1),
    ],
    ids=["number", "schedule", "plateau", "function"],
)
def test_an_optimizer_made_before_its_model_moves_follows(
    machine: fake_cupy.Machine, lr: Callable[[], Any], compiled: bool
) -> None:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=lr())
    model.to("cuda")
    step = step_of(model, optimizer, compiled)
    x, y = batch("cuda")
    assert [step(x, y).item() for _ in range(6)] == pytest.approx(losses(6, lr=lr()), rel=1e-4)
    assert optimizer.steps.device == "cuda"


def test_one_plateau_lowers_the_rates_on_every_device(machine: fake_cupy.Machine) -> None:
    plateau = optim.ReduceLROnPlateau(0.5, factor=0.5, patience=0)
    parameters = [nn.Parameter(ag.ones(2, device=device)) for device in ("cpu", "cuda", "cuda:1")]
    optimizers = [optim.SGD([p], lr=plateau) for p in parameters]

    def step_for(p: Any, optimizer: Any) -> Callable[[], None]:
        def step() -> None:
            optimizer.zero_grad()
            p.sum().backward()
            optimizer.step()

        return ag.compile(step)

    steps = [step_for(p, optimizer) for p, optimizer in zip(parameters, optimizers, strict=True)]
    for rate in (0.5, 0.25):
        before = [p.tolist() for p in parameters]
        for _ in range(4):
            for step in steps:
                step()
        assert [p.tolist() for p in parameters] == [[x - 4 * rate for x in values] for values in before]
        plateau.step(1.0)
        plateau.step(1.0)
    assert plateau.rate == 0.0625


def test_a_scaler_follows_the_loss(machine: fake_cupy.Machine) -> None:
    model = network("cuda")
    optimizer, scaler = optim.Adam(model.parameters(), lr=0.05), optim.GradScaler(init_scale=64.0, growth_interval=2)

    @ag.compile
    def step(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    x, y = batch("cuda")
    found = [step(x, y).item() for _ in range(6)]
    model.to("cuda:1")
    for each in (optimizer, scaler):
        each.load_state_dict(each.state_dict())
    x, y = batch("cuda:1")
    found += [step(x, y).item() for _ in range(4)]
    assert found == pytest.approx(losses(10), rel=1e-3)
    assert scaler.get_scale() == 64.0 * 2**5


def test_compiled_code_is_for_the_device_and_dtype_that_parameters_have_now(machine: fake_cupy.Machine) -> None:
    """Of a function without arguments, which nothing else tells."""
    model = nn.Linear(4, 4, bias=False)
    squares = ag.compile(lambda: sum((p * p).sum() for p in model.parameters()))
    expected = squares().item()
    for device, dtype in (("cpu", "float32"), ("cuda", "float32"), ("cuda:1", "float64"), ("cpu", "float32")):
        model.to(device, dtype)
        found = [squares() for _ in range(4)]
        assert {(str(x.device), str(x.dtype)) for x in found} == {(device, dtype)}
        assert [x.item() for x in found] == pytest.approx([expected] * 4, rel=1e-6)


def test_numpy_arrays_go_where_the_tensors_are(machine: fake_cupy.Machine) -> None:
    """Among the arguments of a compiled function, as in eager operations."""
    model = nn.Linear(4, 2, bias=False)
    run = ag.compile(lambda x, rows: (model.weight * x)[rows].sum())
    expected = (model.weight.numpy() * np.arange(4.0, dtype=np.float32))[[0]].sum()
    for device in ("cuda", "cpu", "cuda:1"):
        model.to(device)
        found = [run(np.arange(4.0, dtype=np.float32), np.array([0])) for _ in range(4)]
        assert {str(y.device) for y in found} == {device}
        assert [y.item() for y in found] == pytest.approx([expected] * 4, rel=1e-6)


@pytest.mark.parametrize("target", ["cpu", "cuda", "cuda:1"])
def test_what_was_saved_on_one_device_is_loaded_on_another(
    machine: fake_cupy.Machine, tmp_path: Path, target: str
) -> None:
    model = network("cuda")
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    step = step_of(model, optimizer)
    found = [step(*batch("cuda")).item() for _ in range(3)]
    ag.save(tmp_path / "model.safetensors", model.state_dict())
    ag.save_checkpoint(tmp_path / "run", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})

    saved = ag.load_checkpoint(tmp_path / "run")
    for values in (saved["model"], ag.load(tmp_path / "model.safetensors"), model.state_dict()):
        other = network(target)
        other.load_state_dict(values)
        again = optim.Adam(other.parameters(), lr=0.05)
        again.load_state_dict(saved["optimizer"])
        step = step_of(other, again)
        assert {str(p.device) for p in other.parameters()} == {target}
        assert [*found, *(step(*batch(target)).item() for _ in range(3))] == pytest.approx(losses(6), rel=1e-4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])  # noqa: S301
def test_copies_stay_on_their_device(machine: fake_cupy.Machine, copied: Callable[[Any], Any]) -> None:
    model = network("cuda:1")
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    step = step_of(model, optimizer)
    for _ in range(2):
        step(*batch("cuda:1"))
    waits = ag.cuda.waits()
    other, again = copied((model, optimizer))
    assert copied is not copy.deepcopy or ag.cuda.waits() == waits
    values = [*other.parameters(), *(value for state in again.state.values() for value in state.values())]
    assert len(values) == 2 + 6
    for value in values:
        assert (str(value.device), value.data.data.device_id) == ("cuda:1", 1)
    step = step_of(other, again)
    assert [step(*batch("cuda:1")).item() for _ in range(2)] == pytest.approx(losses(4)[2:], rel=1e-4)
    constant, assigned = copied((ag.ones(3, device="cuda:1"), copy.copy(ag.ones(3, device="cuda:1"))))
    assert constant.tolist() == assigned.tolist() == [1.0] * 3
    assert constant.data.data.device_id == 1


@pytest.mark.parametrize("blocks", [0, 1, 4, 8, 16, 24])
def test_state_that_found_no_memory_is_made_anew(machine: fake_cupy.Machine, blocks: int) -> None:
    """By the next call: a capture that failed leaves nothing behind which has no value."""
    model = network("cuda")
    step = step_of(model, optim.Adam(model.parameters(), lr=0.05), compiled=True)
    x, y = batch("cuda")
    pool = importlib.import_module("cupy").get_default_memory_pool()
    pool.set_limit(size=pool.used_bytes() + 512 * blocks + 1)
    with pytest.raises(ag.errors.OutOfMemoryError):
        step(x, y)
    pool.set_limit(size=0)
    assert [step(x, y).item() for _ in range(2)] == pytest.approx(losses(2), rel=1e-4)


def test_compiled_functions_run_where_what_they_use_is(machine: fake_cupy.Machine) -> None:
    weight = nn.Parameter(ag.ones((3, 3), device="cuda:1"))
    functions = (
        lambda: weight.sum(),
        lambda: (ag.random.normal((2, 3), device="cuda:1") @ weight).sum(),
    )
    for f, calls in zip(functions, (3, 1), strict=True):
        compiled = ag.compile(f)
        with ag.random.fork(0):
            found = [compiled() for _ in range(calls)]
        with ag.random.fork(0):
            assert [x.item() for x in found] == pytest.approx([f().item() for _ in range(calls)], rel=1e-5)
        assert {str(x.device) for x in found} == {"cuda:1"}
    with pytest.raises(ag.DeviceError, match=r"random numbers are drawn on cuda, the function was captured for cuda:1"):
        ag.compile(lambda x: x * ag.random.normal((3, 3), device="cuda"))(weight.detach())
    other = ag.ones((3, 3), device="cuda")
    with pytest.raises(ag.DeviceError, match="a compiled function runs on one device"):
        ag.compile(lambda: weight.sum() + other.sum())()


@pytest.mark.parametrize("blocks", [1, 5, 9])
def test_mixed_precision_that_found_no_memory_begins_its_step_anew(machine: fake_cupy.Machine, blocks: int) -> None:
    """In casts between halves and float32, in the scaler, in the state."""
    model = network("cuda").to(dtype="bfloat16")
    optimizer, scaler = optim.MasterWeights(optim.SGD(model.parameters(), lr=0.5)), optim.GradScaler(init_scale=8.0)
    before = [p.tolist() for p in model.parameters()]

    @ag.compile
    def step(x: ag.Tensor) -> None:
        optimizer.zero_grad()
        scaler.scale(model(x).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    x = ag.ones((4, 8), dtype="bfloat16", device="cuda")
    pool = importlib.import_module("cupy").get_default_memory_pool()
    pool.set_limit(size=pool.used_bytes() + 512 * blocks + 1)
    with pytest.raises(ag.errors.OutOfMemoryError):
        step(x)
    pool.set_limit(size=0)
    assert [p.tolist() for p in model.parameters()] == before
    step(x)
    for p, was in zip(model.parameters(), before, strict=True):
        np.testing.assert_allclose(p.numpy().astype(np.float32), np.array(was) - 2.0, atol=0.01)


def test_numpy_shares_no_memory_of_a_device(machine: fake_cupy.Machine) -> None:
    x = ag.arange(3, device="cuda")
    assert np.asarray(x).tolist() == np.array(x, copy=True).tolist() == [0, 1, 2]
    with pytest.raises(ag.ArgumentError, match="copy=False, but NumPy cannot share memory of cuda"):
        np.asarray(x, copy=False)

"""Users' kernels in Numba's CUDA Python: simulated by Numba; compiled by it, and the PTX run by a machine of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fake_cupy
import numba_kernels as programs
import numpy as np
import ptx_runs
import pytest
from cuda_tools import fake_devices
from numba_kernels import PROGRAMS, Program, expected
from ptx_parser import Module, parse

import autograd_core as ag
from autograd_core.aval import Aval
from autograd_core.backends.cuda import numba_kernels
from autograd_core.errors import ArgumentError, BackendUnavailableError, DeviceError

pytest.importorskip("numba", reason="these kernels are Numba's")


@pytest.fixture(scope="module")
def compiler() -> None:
    try:
        numba_kernels._numba()
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def machine(compiler: None) -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        compiled_before = machine.host_code

        def host_code(kernel: Any, settings: dict[str, Any]) -> Callable[..., None]:
            if ".entry" not in kernel.code:
                return compiled_before(kernel, settings)

            def launch(grid: tuple, block: tuple, arguments: list[Any]) -> None:
                ptx_runs.run_on(parsed(kernel.code), kernel.name, arguments, grid=grid[0], block=block[0])

            return launch

        machine.host_code = host_code
        yield machine


@cache
def parsed(ptx: str) -> Module:
    return parse(ptx)


def own(program: Program) -> Callable[..., Any]:
    return ag.cuda.kernel(program.kernel, threads=program.threads)(program.formula)


def as_tuple(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def test_numba_simulates_what_the_formulas_say() -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, str(Path(programs.__file__))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[:-1] == list(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_compute_the_formula(name: str, machine: fake_cupy.Machine) -> None:
    program = PROGRAMS[name]
    operands = program.operands(np.random.default_rng(1))
    tensors = [ag.asarray(a, device="cuda:1") for a in operands]
    machine.forget()
    found = as_tuple(own(program)(*tensors))
    assert sum(machine.launches.values()) == 1
    for y, declared in zip(found, expected(program, operands), strict=True):
        assert (str(y.device), y.shape, y.dtype) == ("cuda:1", declared.shape, declared.dtype)
        np.testing.assert_allclose(y.numpy(), declared, rtol=1e-5, atol=1e-6)


def test_operands_need_not_lie_row_by_row(machine: fake_cupy.Machine) -> None:
    a = np.random.default_rng(2).standard_normal((9, 5)).astype(np.float32)
    y, most = own(PROGRAMS["softmax with its maxima"])(ag.asarray(a, device="cuda").mT)
    np.testing.assert_allclose(y.numpy(), expected(PROGRAMS["softmax with its maxima"], [a.T])[0], rtol=1e-5)
    np.testing.assert_array_equal(most.numpy(), a.max(axis=0))


def test_nothing_is_launched_for_no_elements(machine: fake_cupy.Machine) -> None:
    x = ag.zeros((0,), device="cuda")
    machine.forget()
    assert own(PROGRAMS["huber"])(x, x).shape == (0,)
    assert not machine.launches


def test_halves_come_as_float32(machine: fake_cupy.Machine) -> None:
    a, b = (np.random.default_rng(3).standard_normal((2, 50)) * 2).astype(np.float16)
    y = own(PROGRAMS["huber"])(ag.asarray(a, device="cuda"), ag.asarray(b, device="cuda"))
    wide = expected(PROGRAMS["huber"], [a.astype(np.float32), b.astype(np.float32)])[0]
    np.testing.assert_array_equal(y.numpy(), wide.astype(np.float16))


def test_compiled_functions_capture_kernels_and_differentiate_formulas(machine: fake_cupy.Machine) -> None:
    loss, w = own(PROGRAMS["huber"]), ag.tensor(np.ones(20, np.float32), device="cuda", requires_grad=True)

    @ag.compile
    def step(x: Any, y: Any) -> Any:
        w.grad = None
        result = loss(w * x, y).sum()
        result.backward()
        return result

    for seed in range(6):
        x, y = np.random.default_rng(seed).standard_normal((2, 20)).astype(np.float32)
        machine.forget()
        result = step(ag.asarray(x, device="cuda"), ag.asarray(y, device="cuda"))
    assert machine.launches["graph"] == 1
    error = x - y
    np.testing.assert_allclose(result.item(), expected(PROGRAMS["huber"], [x, y])[0].sum(), rtol=1e-5)
    np.testing.assert_allclose(w.grad.numpy(), np.clip(error, -1, 1) * x, rtol=1e-5, atol=1e-6)
    assert "kernel call: huber" in str(step.report())


@pytest.mark.parametrize("capability", [(8, 0), (9, 0), (10, 0)], ids=lambda c: f"sm_{c[0]}{c[1]}")
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_entry_takes_the_members_of_its_arrays(name: str, capability: tuple[int, int], compiler: None) -> None:
    program = PROGRAMS[name]
    operands = program.operands(np.random.default_rng(0))
    arrays = [*operands, *expected(program, operands)]
    kinds = tuple((a.dtype, a.ndim) for a in arrays)
    made = numba_kernels.compiled(program.kernel, kinds, capability)
    entry = parsed(made.ptx).functions[made.entry]
    assert [p.size for p in entry.parameters] == [8 for a in arrays for _ in numba_kernels.members(a)]
    target = re.search(r"\.target sm_(\d+)\n", made.ptx)  # no suffix: later GPUs run it too
    assert target is not None
    assert 80 <= int(target[1]) <= 10 * capability[0] + capability[1]


# ------------------------------------------------------------------------------------ elsewhere


def test_other_devices_compute_the_formula() -> None:
    f = own(PROGRAMS["huber"])
    x, y = ag.tensor([0.5, 3.0], requires_grad=True), ag.tensor([0.0, 0.0])
    np.testing.assert_allclose(f(x, y).numpy(), [0.125, 2.5])
    np.testing.assert_allclose(ag.grad(lambda x: f(x, y).sum())(x).numpy(), [0.5, 1.0])
    np.testing.assert_allclose(ag.hessian(lambda x: f(x, y).sum())(x).numpy(), [[1, 0], [0, 0]])
    np.testing.assert_allclose(ag.vmap(f)(x.detach(), y).numpy(), [0.125, 2.5])
    np.testing.assert_allclose(ag.compile(f)(x.detach(), y).numpy(), [0.125, 2.5])
    assert f.__name__ == "huber"


def test_shapes_are_those_of_the_formula() -> None:
    several, one = (own(PROGRAMS[name]) for name in ("softmax with its maxima", "counts"))
    with ag.default_device("numpy"):
        assert [t.aval for t in several(ag.ones((2, 3)))] == [Aval((2, 3), ag.float32), Aval((2,), ag.float32)]
        assert one(ag.ones(4), ag.ones(3)).aval == Aval((3,), ag.int64)


def test_without_a_compiler_the_formula_is_computed_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> Any:
        raise BackendUnavailableError("Numba has no compiler for GPUs (libnvvm cannot be found): pip install ...")

    monkeypatch.setattr(numba_kernels, "_numba", missing)
    with fake_devices(), caplog.at_level("WARNING", logger="autograd_core.cuda"):
        f, x = own(PROGRAMS["huber"]), ag.tensor([2.0, 0.0], device="cuda")
        for _ in range(2):
            np.testing.assert_allclose(f(x, x * 0).numpy(), [1.5, 0.0])
        np.testing.assert_allclose(ag.compile(f)(x, x * 0).numpy(), [1.5, 0.0])
    (told,) = caplog.messages
    assert told.startswith("huber is computed by its formula, not by its kernel: Numba has no compiler for GPUs")


def test_a_driver_that_is_too_old_is_told(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    class UnsupportedPTX(RuntimeError):
        status = numba_kernels.UNSUPPORTED_PTX

    def load(self: Any, cubin: bytes) -> None:
        raise UnsupportedPTX("CUDA_ERROR_UNSUPPORTED_PTX_VERSION")

    import cupy

    monkeypatch.setattr(cupy.cuda.Module, "load", load)
    x = ag.ones(4, device="cuda")
    with pytest.raises(BackendUnavailableError, match=r"Numba compiles to PTX \d\.\d, which this driver does not"):
        own(PROGRAMS["huber"])(x, x)


def test_bad_input() -> None:
    huber = PROGRAMS["huber"]
    with pytest.raises(ArgumentError, match="kernel: takes a function in Numba's CUDA Python, got int"):
        ag.cuda.kernel(3)
    for threads in (0, 33, 2048, 1.5, "64"):
        with pytest.raises(ArgumentError, match="no multiple of 32 from 32 to 1024; write threads=128"):
            ag.cuda.kernel(huber.kernel, threads=threads)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"write @ag.cuda.kernel\(huber_kernel\) before its def"):
        ag.cuda.kernel(huber.kernel)(ag.ones(3))
    with pytest.raises(ArgumentError, match="huber: takes x, y, got 1 operands"):
        own(huber)(ag.ones(3))


def test_operands_of_two_devices_are_an_error(machine: fake_cupy.Machine) -> None:
    with pytest.raises(DeviceError, match="huber: operands lie on different devices"):
        own(PROGRAMS["huber"])(ag.ones(3, device="cuda"), ag.ones(3, device="cuda:1"))


def test_a_kernel_that_numba_refuses_is_told(machine: fake_cupy.Machine) -> None:
    def misspelt(x: Any, y: Any) -> None:
        y[0] = x.no_such_member

    f = ag.cuda.kernel(misspelt)(lambda x: x * 1)
    with pytest.raises(ArgumentError, match=r"misspelt: Numba cannot compile it for float32\[1 axes\]"):
        f(ag.ones(3, device="cuda"))

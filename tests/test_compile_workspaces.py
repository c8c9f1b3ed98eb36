"""Workspaces of compiled steps: for the threads that there are, and for more as soon as there are more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from compiled_networks import draw

pytest.importorskip("llvmlite", reason="workspaces are of machine code")

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cpu.native import team
from autograd_core.backends.cpu.native.engine import KernelSpec
from autograd_core.backends.cpu.native.machine import WORKERS
from autograd_core.backends.cpu.native.program import Call, Operand, Program, assemble, pointers


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = team.threads()
    with ag.default_device("cpu"):
        yield team.set_threads
    team.set_threads(before)


def dense() -> Any:
    model, x = nn.Sequential(nn.Linear(300, 256), nn.ReLU(), nn.Linear(256, 10)), draw(128, 300)
    return model, lambda: model(x).square().mean()


def recurrent() -> Any:
    model, x = nn.Sequential(nn.LSTM(40, 64)), draw(12, 32, 40)
    return model, lambda: model[0](x)[0].square().mean()


def attention() -> Any:
    model, x = nn.Sequential(nn.MultiheadAttention(32, 4)), draw(64, 8, 32)
    return model, lambda: model[0](x, x, x)[0].square().mean()


def normalized() -> Any:
    """Sums over rows, of which each thread has its own."""
    model, x = nn.Sequential(nn.LayerNorm(300), nn.BatchNorm1d(300)), draw(600, 300)
    return model, lambda: model(x).square().mean()


@pytest.mark.parametrize("make", [dense, recurrent, attention, normalized], ids=lambda make: make.__name__)
def test_steps_are_right_whatever_the_team_was_when_they_were_compiled(
    make: Callable[[], Any], threads: Callable[[int], None]
) -> None:
    seen = []
    for compiled in (False, True):
        threads(1)
        with ag.random.fork(0):
            model, loss = make()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(loss: Any = loss, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            return value

        run = ag.compile(step) if compiled else step
        seen.append([])
        arenas = []
        for size in (1, 1, 1, 1, 3, 3, 2, 5, 1):
            threads(size)
            if compiled and size == 5:
                run.report()  # for the first time with so many
            seen[-1].append(float(run()))
            if compiled and run.variants:
                arenas.append(run.latest.runner.arena)
        seen[-1] += [np.array(x) for x in model.state_dict().values()]
    for mine, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)
    assert arenas == sorted(arenas)
    assert arenas[0] < arenas[-1]


def test_a_small_step_needs_little(threads: Callable[[int], None]) -> None:
    threads(WORKERS)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters())
    x = draw(16, 8)

    @ag.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(4):
        step()
    assert step.latest.runner.arena < 32_000


def test_a_program_has_no_more_threads_than_workspaces(threads: Callable[[int], None]) -> None:
    threads(4)
    spec = KernelSpec("nothing", "nothing", 0, lambda builder, machine: None, 4 * 64, bytes=10**9, parts=4, part=64)
    assert runs_on(assemble([Call(spec, (), (), Operand(0, 0, 128))], threads=2)) == 2
    assert runs_on(assemble([Call(spec, (), (), Operand(0, 0, 256))])) == 4
    with pytest.raises(ValueError, match="needs 256 bytes of scratch"):
        assemble([Call(spec, (), (), Operand(0, 0, 128))])
    with pytest.raises(ValueError, match="needs 192 bytes of scratch"):
        assemble([Call(spec, (), (), Operand(0, 0, 128))], threads=3)
    assert runs_on(assemble([Call(spec._replace(bytes=1), (), (), Operand(0, 0, 64))])) == 1


def runs_on(program: Program) -> int:
    memory = np.zeros(100)
    assert program.run(pointers([memory.ctypes.data])) == 0
    return program.size

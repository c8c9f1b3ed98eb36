"""The number of threads of compiled programs, by a public name."""

from __future__ import annotations

from typing import Any

import pytest

from autograd_core.backends import cpu
from autograd_core.backends.cpu import team_size
from autograd_core.errors import ArgumentError


@pytest.fixture(autouse=True)
def as_before() -> Any:
    before = cpu.get_num_threads()
    yield
    cpu.set_num_threads(before)


def test_it_is_that_of_the_team() -> None:
    team = pytest.importorskip("autograd_core.backends.cpu.native.team", reason="the team runs what llvmlite compiles")
    cpu.set_num_threads(3)
    assert cpu.get_num_threads() == team.threads() == 3


@pytest.mark.parametrize("count", [0, -1, 2.0, "2", True, None])
def test_a_number_that_makes_no_sense_is_refused(count: Any) -> None:
    with pytest.raises(ArgumentError, match="set_num_threads: count must be an int of at least 1, got "):
        cpu.set_num_threads(count)


def test_more_than_a_team_can_have_is_refused() -> None:
    pytest.importorskip("llvmlite", reason="the team runs what llvmlite compiles")
    with pytest.raises(ArgumentError, match="a team has 1 to 256 threads, got 10000"):
        cpu.set_num_threads(10_000)


def test_without_native_programs_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(team_size, "_team", lambda: None)
        cpu.set_num_threads(4)
        assert cpu.get_num_threads() == 1

"""Variants of a captured step: they take turns until events say which is fastest; nothing waits, nothing is allocated.

On the fake CuPy a graph takes as long as its longest chain of pieces, so branches pay. Not yet run on hardware.
"""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import cuda_digests
import fake_cupy
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import branches, product_kernels, trials
from autograd_core.backends.cuda.cublaslt import CublasLt
from autograd_core.backends.cuda.trials import CALLS, CHAIN, Trial, Variant, pinned

TWO, FOUR = Variant(branches=2), Variant(branches=4)


class Event:
    """A moment that is known when it is set."""

    made = 0

    def __init__(self) -> None:
        Event.made += 1
        self.at: float | None = None

    @property
    def done(self) -> bool:
        return self.at is not None


class Stream:
    """Events in the order in which they were recorded."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        event.at = None
        self.events.append(event)

    def finish(self, times: list[float]) -> None:
        """What has been recorded is done; each call took so many milliseconds."""
        for k, time in enumerate(times):
            self.events[2 * k].at, self.events[2 * k + 1].at = 100.0 * k, 100.0 * k + time
        self.events.clear()


def trial(*variants: Variant) -> Trial:
    return Trial("step", variants, Event, lambda a, b: b.at - a.at)


def called(some: Trial, stream: Stream) -> Variant:
    variant = some.turn()
    with some.measured(variant, stream):
        pass
    return variant


# ------------------------------------------------------------------------------------------ a trial


def test_variants_take_turns_and_the_fastest_by_median_stays(caplog: pytest.LogCaptureFixture) -> None:
    some, stream = trial(CHAIN, TWO, FOUR), Stream()
    order = []
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        for turn in range(CALLS):
            order += [called(some, stream) for _ in range(3)]
            assert some.chosen is None
            stream.finish([3.0, 100.0 if turn == 0 else 1.0, 2.0])  # the first call of two branches is an outlier
        assert called(some, stream) == TWO
    assert order == [CHAIN, TWO, FOUR] * CALLS
    assert some.chosen == TWO
    assert some.variants == [TWO]
    assert stream.events == []
    assert str(some) == "2 branches 1000.0 us (medians of 5 calls; one chain 3000.0 us, 4 branches 2000.0 us)"
    assert [r.message for r in caplog.records] == [f"step: captured as {some}"]


def test_a_host_that_is_far_ahead_goes_on_with_the_chain() -> None:
    some, stream = trial(CHAIN, TWO), Stream()
    order = [called(some, stream) for _ in range(2 * CALLS + 7)]
    assert order[2 * CALLS :] == [CHAIN] * 7
    assert len(stream.events) == 4 * CALLS
    assert some.chosen is None
    assert str(some) == f"one chain, 2 branches take turns, 0 of {2 * CALLS} calls are measured"
    stream.finish([2.0, 1.0] * CALLS)
    assert called(some, stream) == TWO


def test_events_are_used_again() -> None:
    some, stream = trial(CHAIN, TWO), Stream()
    before = Event.made
    for _ in range(2 * CALLS):
        called(some, stream)
        stream.finish([1.0])
    assert Event.made == before + 2


def test_one_variant_needs_no_trial() -> None:
    some = trial(CHAIN)
    assert (some.chosen, some.variants, str(some)) == (CHAIN, [CHAIN], "one chain")


def test_what_cannot_be_captured_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    some, stream = trial(CHAIN, TWO, FOUR), Stream()
    called(some, stream), called(some, stream)
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        some.drop(TWO, "no")
    assert [r.message for r in caplog.records] == ["step: not captured as 2 branches: no"]
    assert some.variants == [CHAIN, FOUR]
    some.drop(FOUR, "no")
    assert (some.chosen, some.variants) == (CHAIN, [CHAIN])
    pinned_one = trial(TWO)
    pinned_one.drop(TWO, "no")
    assert (pinned_one.chosen, pinned_one.variants) == (CHAIN, [CHAIN])


def test_a_call_that_fails_is_not_measured() -> None:
    some, stream = trial(CHAIN, TWO), Stream()
    with pytest.raises(ValueError, match="singular"), some.measured(CHAIN, stream):
        raise ValueError("singular")
    assert some.turn() == CHAIN


@pytest.mark.parametrize(
    ("told", "expected"), [("", None), ("branches=1", CHAIN), ("branches=2", TWO), ("branches=7", Variant(branches=7))]
)
def test_the_environment_chooses(told: str, expected: Variant | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trials.VARIABLE, told)
    assert pinned() == expected


@pytest.mark.parametrize("told", ["2", "branches", "branches=0", "branches=-1", "streams=2", "branches=2,"])
def test_a_choice_that_is_none_is_an_error(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trials.VARIABLE, told)
    with pytest.raises(ag.errors.ArgumentError, match="names no way to capture a step; write 'branches=2,p"):
        pinned()


# ------------------------------------------------------------------------------------------ compiled steps


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    monkeypatch.delenv(trials.VARIABLE, raising=False)
    with fake_devices() as machine:
        machine.host_code = cuda_digests.body
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        yield machine


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Any]:
    """The graphs that are there."""
    found: weakref.WeakSet[Any] = weakref.WeakSet()
    end = fake_cupy.runtime.Stream.end_capture

    def noted(stream: Any) -> Any:
        graph = end(stream)
        found.add(graph)
        return graph

    monkeypatch.setattr(fake_cupy.runtime.Stream, "end_capture", noted)
    return found


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleList(nn.Sequential(nn.Linear(6, n), nn.Tanh(), nn.Linear(n, 3)) for n in (4, 5, 7))

    def forward(self, x: Any) -> Any:
        return sum(tower(x) for tower in self.towers)


class Training:
    def __init__(self) -> None:
        ag.random.seed(0)
        self.model = Towers().to("cuda")
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.x = ag.asarray(np.ones((8, 6), np.float32), device="cuda")
        self.run = ag.compile(self.step)

    def step(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        loss = (self.model(x) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def __call__(self) -> Any:
        with ag.default_device("cuda"):
            return self.run(self.x)

    @property
    def how(self) -> str:
        (how,) = self.run.report().remarks
        return how


def test_a_trial_waits_for_nothing_and_allocates_nothing(machine: fake_cupy.Machine, living: Any) -> None:
    """Results take turns in two arrays: graphs of three variants for each while they are tried, of one afterwards."""
    training = Training()
    for _ in range(6):
        loss = training()
    assert len(living) == 6
    for _ in range(4 * CALLS):
        machine.forget()
        loss = training()
        assert machine.launches == {"graph": 1}
        assert (sum(machine.synchronizations.values()), machine.allocations) == (0, 0)
    assert "take turns, 0 of 15 calls are measured" in training.how  # nobody has waited for anything yet
    ag.cuda.synchronize()
    for _ in range(3):
        machine.forget()
        loss = training()
        assert machine.launches == {"graph": 1}
        assert (sum(machine.synchronizations.values()), machine.allocations) == (0, 0)
    assert np.isfinite(loss.item())
    gc.collect()
    assert len(living) == 2
    assert training.how.startswith("replayed as one CUDA graph of kernels in ")
    assert "branches" in training.how.split("(")[0]


def test_arrays_that_come_later_are_captured_in_the_variant_that_was_chosen(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody keeps a weight's array, so the step goes on with another."""
    training = Training()
    for _ in range(5 + 3 * CALLS):
        training().item()
    chosen = training.how
    end, forks = fake_cupy.runtime.Stream.end_capture, []

    def noted(stream: Any) -> Any:
        graph = end(stream)
        forks.append(sum(node.name == "fork" for node in graph._nodes))
        return graph

    monkeypatch.setattr(fake_cupy.runtime.Stream, "end_capture", noted)
    kept = training.model.towers[0][0].weight.detach()
    values = kept.numpy()
    for _ in range(6):
        training().item()
    assert forks
    assert all(forks)
    assert training.how == chosen
    np.testing.assert_array_equal(kept.numpy(), values)


def test_what_is_slower_on_the_device_is_not_chosen(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branches, "WORTH", 2.0)
    length = fake_cupy.runtime.longest
    slower = lambda nodes: length(nodes) + 50 * any(node.name == "fork" for node in nodes)  # noqa: E731
    monkeypatch.setattr(fake_cupy.runtime, "longest", slower)
    training = Training()
    for _ in range(5 + 3 * CALLS):
        training().item()
    assert training.how.startswith("replayed as one CUDA graph of kernels in one chain ")


def test_a_variant_that_cannot_be_captured_does_no_harm(
    machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = fake_cupy.runtime.Stream.wait_event

    def refused(stream: Any, event: Any) -> None:
        if event.captured is not None:
            raise event.captured[0].breaks("cudaErrorUnknown", "this driver has no forks")
        record(stream, event)

    monkeypatch.setattr(fake_cupy.runtime.Stream, "wait_event", refused)
    training = Training()
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        losses = [training().item() for _ in range(9)]
    told = [r.message for r in caplog.records if "not captured as" in r.message]
    why = "cudaErrorUnknown: this driver has no forks"
    assert told == [f"step: not captured as {v}: {why}" for v in (TWO, FOUR)]
    assert training.how == "replayed as one CUDA graph"
    monkeypatch.setattr(fake_cupy.runtime.Stream, "wait_event", record)
    again = Training()
    assert [again().item() for _ in range(9)] == losses


def test_each_math_mode_has_a_trial_of_its_own(machine: fake_cupy.Machine) -> None:
    training = Training()
    for _ in range(5 + 3 * CALLS):
        training().item()
    with ag.math_mode("tf32"):
        for _ in range(7):
            training().item()
        assert "take turns" in training.how
    assert "take turns" not in training.how


def test_small_graphs_are_one_chain(machine: fake_cupy.Machine, living: Any) -> None:
    run, x = ag.compile(lambda x: (x @ x, ag.tanh(x))), ag.asarray(np.ones((3, 3), np.float32), device="cuda")
    for _ in range(7):
        found = run(x)
    assert (len(found), len(living)) == (2, 2)
    assert run.report().remarks == ("replayed as one CUDA graph",)


@pytest.mark.parametrize("branches", [1, 2])
def test_a_pinned_variant_is_not_tried(
    machine: fake_cupy.Machine, living: Any, branches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(trials.VARIABLE, f"branches={branches}")
    training = Training()
    for _ in range(9):
        loss = training()
    assert np.isfinite(loss.item())
    gc.collect()
    assert len(living) == 2
    told = "" if branches == 1 else " of kernels in 2 branches"
    assert training.how == f"replayed as one CUDA graph{told}"

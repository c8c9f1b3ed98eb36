"""Steps that go on in place, when a kernel fails in the middle, and when several threads of Python call them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from compiled_networks import draw
from steady_steps import CALLS, CAPTURED, watched

import autograd_core as ag
from autograd_core import nn, optim, tree
from autograd_core.errors import IndexingError, LinAlgError

pytest.importorskip("llvmlite", reason="steps are repeated in place by machine code")


@pytest.fixture
def repeats(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    with ag.default_device("cpu"):
        yield watched(monkeypatch)


# ------------------------------------------------------------------------------- errors in the middle


def visible(model: nn.Module, optimizer: Any) -> dict[str, np.ndarray]:
    """Copies of all that a step leaves behind."""
    seen = dict(model.state_dict())
    seen |= {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
    seen |= {f"state {i}": x for i, x in enumerate(tree.flatten(optimizer.state_dict())[0]) if isinstance(x, ag.Tensor)}
    return {name: np.array(x) for name, x in seen.items()}


@pytest.mark.parametrize("order", [["count", "train", "look up"], ["look up", "count", "train"]], ids=" ".join)
def test_after_an_error_in_a_kernel_everything_is_as_it_was(order: list[str], repeats: list[bool]) -> None:
    with ag.random.fork(0):
        model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    count = nn.Buffer(ag.zeros(3))

    @ag.compile
    def step(x: Any, rows: Any) -> Any:
        optimizer.zero_grad()
        loss = ag.zeros(())
        for part in order:
            if part == "count":
                count.assign_(count + 1.0)
            elif part == "train":
                (model(x).square().mean() + loss).backward()
            else:
                loss = ag.take(model[2].weight, rows, axis=0).sum() * 0.1
        loss = model(x).square().mean()
        (loss + ag.take(model[2].weight, rows, axis=0).sum()).backward()
        optimizer.step()
        return loss

    good, bad = ag.tensor(np.array([3, 0, 0])), ag.tensor(np.array([3, 0, 4]))
    for i in range(2 * CALLS):
        x = draw(8, 6, seed=i)
        if i > CAPTURED and i % 3 == 0:
            before = {**visible(model, optimizer), "count": np.array(count)}
            with pytest.raises(IndexingError):
                step(x, bad)
            after = {**visible(model, optimizer), "count": np.array(count)}
            assert after.keys() == before.keys()
            for name, value in before.items():
                np.testing.assert_array_equal(after[name], value, err_msg=name)
        step(x, good)
    assert count.tolist() == [2.0 * CALLS] * 3
    assert len(step.variants) == 1
    calls = [call for program in step.latest.runner.segments for call in program.calls]
    assert sum(call.spec.may_fail for call in calls) == 1  # the same rows are looked up, and added to, later
    assert all(repeats)
    assert len(repeats) > CALLS


def test_after_an_error_in_a_host_call_everything_is_as_it_was(repeats: list[bool]) -> None:
    count, w = nn.Buffer(ag.zeros(2)), nn.Parameter(ag.ones(2))

    @ag.compile
    def step(x: Any) -> None:
        count.assign_(count + 1.0)
        w.grad = None
        (w * count).sum().backward()
        w.assign_((w + ag.linalg.inv(x)[0]).detach())

    unit, singular = ag.tensor(np.eye(2, dtype=np.float32)), ag.zeros((2, 2))
    for i in range(1, CALLS + 1):
        step(unit)
        if i > CAPTURED:
            with pytest.raises(LinAlgError):
                step(singular)
        assert count.tolist() == w.grad.tolist() == [i, i]
        assert w.tolist() == [1 + i, 1]
    assert step.latest.runner.host_calls
    assert all(repeats)


def test_after_an_error_what_others_hold_is_updated_as_ever(repeats: list[bool]) -> None:
    table, momentum = nn.Parameter(draw(5, 3)), nn.Buffer(ag.zeros((5, 3)))

    @ag.compile
    def step(rows: Any) -> Any:
        table.grad = None
        ag.take(table, rows, axis=0).square().sum().backward()
        momentum.assign_(momentum * 0.5 + table.grad)
        table.assign_((table - momentum * 0.1).detach())

    expected, speed = table.detach().numpy().copy(), np.zeros((5, 3), np.float32)
    held = []
    for i in range(4 * CALLS):
        rows = np.array([i % 5, (i + 2) % 5])
        if i > CAPTURED and i % 2:
            held += [(x, np.array(x)) for x in (table.detach(), momentum.numpy(), table.grad)]
        if i > CAPTURED and i % 3 == 0:
            with pytest.raises(IndexingError):
                step(ag.tensor(rows + 3))
        step(ag.tensor(rows))
        gradient = np.zeros_like(expected)
        gradient[rows] += 2 * expected[rows]
        speed = speed * np.float32(0.5) + gradient
        expected = expected - speed * np.float32(0.1)
        np.testing.assert_allclose(table.detach(), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(momentum, speed, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(table.grad, gradient, rtol=1e-5, atol=1e-6)
    for x, before in held:
        np.testing.assert_array_equal(x, before)
    assert not all(repeats)  # an error while somebody holds an array ends the repetition
    assert sum(repeats) > 2 * CALLS


# ------------------------------------------------------------------------------- several threads of Python


def in_threads(work: Callable[[int], None], threads: int = 3) -> None:
    """``work(number)`` in each of some threads that take turns as often as Python lets them."""
    start, failures = Barrier(threads), []

    def run(number: int) -> None:
        try:
            start.wait()
            with ag.default_device("cpu"):
                work(number)
        except BaseException as failure:
            failures.append(failure)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [Thread(target=run, args=(i,)) for i in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("size", [8, 50_000], ids=["with the interpreter's lock", "without it"])
def test_threads_that_call_one_step_do_not_lose_updates(size: int, repeats: list[bool]) -> None:
    total, backwards = nn.Buffer(ag.zeros(size)), nn.Buffer(ag.zeros(size))

    @ag.compile
    def step(x: Any) -> Any:
        total.assign_(total + x)
        backwards.assign_(ag.flip(backwards) + x)  # cannot be in place
        return x * 2.0, total + 0.0

    for _ in range(CALLS):
        step(ag.zeros(size))
    results: list[tuple[int, Any, Any, np.ndarray]] = []

    def work(number: int) -> None:
        x = ag.full((size,), float(number + 1))
        for _ in range(60):
            doubled, sums = step(x)
            results.append((number, doubled, sums, np.array(sums)))

    in_threads(work)
    assert all(repeats)
    assert total[0].item() == backwards[0].item() == 60 * (1 + 2 + 3)
    assert {float(x) for x in total.numpy()} == {float(x) for x in backwards.numpy()} == {360.0}
    for number, doubled, sums, before in results:
        assert np.unique(doubled).tolist() == [2.0 * (number + 1)]
        assert len(np.unique(sums)) == 1
        np.testing.assert_array_equal(sums, before)


def test_threads_that_disturb_one_another_see_no_half_done_values(repeats: list[bool]) -> None:
    """Who holds what a step has left makes the next call of another thread take other memory."""
    w = nn.Buffer(ag.zeros(20_000))

    @ag.compile
    def step(x: Any) -> Any:
        w.assign_(w + x)
        return w + x

    for _ in range(CALLS):
        step(ag.zeros(20_000))
    kept: list[tuple[Any, np.ndarray]] = []

    def work(number: int) -> None:
        for i in range(40):
            result = step(ag.ones(20_000))
            if (i + number) % 3 == 0:
                kept.append((result, np.array(result)))
                held = w.detach()
                kept.append((held, np.array(held)))

    in_threads(work)
    for held, before in kept[::2]:
        np.testing.assert_array_equal(held, before)
        assert len(np.unique(before)) == 1

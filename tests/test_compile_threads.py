"""Captures and calls on several threads: nobody sees the values of another's capture, and errors leave none behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from compiled_networks import draw, network

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.compiler import overlay
from autograd_core.errors import CompileError
from autograd_core.graph import Leaf

F = nn.functional
PATIENCE = 60.0  # seconds after which a thread is taken to wait for ever


def elsewhere(f: Callable[[], Any], device: str) -> Any:
    """What ``f`` returns on a thread of its own."""

    def run() -> Any:
        with ag.default_device(device):
            return f()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(PATIENCE)


def arrays(*tensors: Any) -> list[np.ndarray]:
    return [x.numpy().copy() for x in tensors]


# --------------------------------------------------------------------------------- during a capture


def test_other_threads_see_arrays_while_a_step_is_captured(device) -> None:
    """Parameters, gradients, running statistics: what they were before, at every point of the step."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    seen: SimpleQueue[Any] = SimpleQueue()  # in which nobody watches for changes

    def look() -> list[np.ndarray]:
        values = arrays(*model.state_dict().values())
        return values + [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]

    def note(where: str) -> None:
        seen.put((where, elsewhere(look, device)))

    @ag.compile
    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).square().sum()
        note("forward")
        loss.backward()
        note("backward")
        optimizer.step()
        note("update")
        return loss

    for i in range(3):  # in the last, compiled code runs
        before = look()
        step(draw(7, 5, seed=i))
        for place in ("forward", "backward", "update"):
            where, values = seen.get(timeout=PATIENCE)
            assert where == place
            assert len(values) == len(before), where
            for a, b in zip(values, before, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=where)
        assert any((a != b).any() for a, b in zip(look(), before, strict=False))
    step(draw(7, 5))
    assert seen.empty()


def test_other_threads_use_a_model_while_a_step_is_captured(device) -> None:
    model = nn.Linear(3, 2)
    x = draw(4, 3)
    expected = model(x).numpy()
    _, pull = ag.vjp(lambda w: F.linear(x, w, model.bias).sum(), model.weight)
    gradient = pull(1.0)[0].numpy()

    def use() -> tuple[np.ndarray, np.ndarray]:
        y = model(x)
        y.sum().backward()
        found = model.weight.grad.numpy().copy()
        model.zero_grad()
        return y.numpy(), found

    found: list[Any] = []

    @ag.compile
    def step(x: Any) -> Any:
        loss = model(x).square().sum()
        loss.backward()
        model.weight.assign_((model.weight * 2.0).detach())
        if not found:
            found.append(elsewhere(use, device))
        return loss

    before = model.weight.numpy().copy()
    with ag.no_grad():
        loss = model(x).square().sum().item()
    assert step(x).item() == pytest.approx(loss, rel=1e-5)
    np.testing.assert_array_equal(found[0][0], expected)
    np.testing.assert_allclose(found[0][1], gradient, rtol=1e-6)
    np.testing.assert_array_equal(model.weight.numpy(), 2.0 * before)
    assert model.weight.grad is not None


def test_what_a_capture_makes_is_refused_to_other_threads_until_it_is_computed(device) -> None:
    """The state of an optimizer, which its first step makes and others can find."""
    w = nn.Parameter(draw(3))
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    refused: SimpleQueue[Any] = SimpleQueue()

    def look() -> None:
        (momentum,) = optimizer.state[w].values()
        for use in (lambda: momentum.numpy(), lambda: momentum + 1.0, lambda: ag.matmul(momentum, momentum)):
            with pytest.raises(CompileError, match=r"that step makes is used at .*: step is still being captured"):
                use()
            refused.put(1)

    @ag.compile
    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        if refused.empty():
            elsewhere(look, device)
        return loss

    step(draw(3))
    assert refused.qsize() == 3
    np.testing.assert_array_equal(optimizer.state[w]["momentum_buffer"].numpy(), w.grad.numpy())


def test_two_captures_of_the_same_parameters_at_once(device) -> None:
    """Each waits for the other in the middle, where both have assigned to the same parameter."""
    w = nn.Parameter(draw(3, 3))
    start = w.numpy().copy()
    met = Barrier(2, timeout=PATIENCE)

    def make(factor: float) -> Any:
        @ag.compile
        def step(x: Any) -> Any:
            w.assign_((w * factor).detach())
            met.wait()
            y = (w * x).sum()
            met.wait()
            return y

        return step

    steps = [make(2.0), make(3.0)]
    x = draw(3, 3, seed=1)

    def run(step: Any) -> float:
        with ag.default_device(device), ag.no_grad():
            return step(x).item()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, steps, timeout=PATIENCE))
    expected = float((start * x.numpy()).sum())
    assert found == [pytest.approx(2.0 * expected, rel=1e-5), pytest.approx(3.0 * expected, rel=1e-5)]
    assert any(np.array_equal(w.numpy(), factor * start) for factor in (2.0, 3.0))
    assert type(w) is nn.Parameter
    assert type(w.node) is Leaf


def test_a_compiled_function_is_no_other_one_while_its_argument_is_captured_elsewhere(device) -> None:
    w = nn.Parameter(draw(3))
    square = ag.compile(lambda v: (v * v).sum())
    for _ in range(3):
        square(w)

    @ag.compile
    def step(x: Any) -> Any:
        y = (w * x).sum()
        y.backward()
        elsewhere(lambda: square(w), device)
        return y

    step(draw(3))
    assert len(square._signatures) == 1


# --------------------------------------------------------------------------------- calls at once


def many(calls: int, threads: int, f: Callable[[int], None], device: str) -> None:
    """``f`` of numbers, on several threads at once, which start together."""
    together = Barrier(threads, timeout=PATIENCE)

    def run(k: int) -> None:
        with ag.default_device(device):
            together.wait()
            for i in range(k, calls, threads):
                f(i)

    with ThreadPoolExecutor(threads) as pool:
        for one in [pool.submit(run, k) for k in range(threads)]:
            one.result(PATIENCE)


def test_threads_call_one_function_from_the_first_call_on(device) -> None:
    w = nn.Parameter(draw(6, 6))
    f = ag.compile(lambda x: ag.tanh(ag.matmul(x, w)))
    inputs = [draw(5, 6, seed=i) for i in range(60)]
    expected = [np.tanh(x.numpy() @ w.numpy()) for x in inputs]

    def call(i: int) -> None:
        with ag.no_grad():
            np.testing.assert_allclose(f(inputs[i]).numpy(), expected[i], rtol=1e-5, atol=1e-6)

    many(60, 3, call, device)
    assert len(f.variants) == 1


def test_threads_differentiate_one_function(device) -> None:
    w = draw(6, 6)
    f = ag.compile(lambda x: ag.matmul(ag.sin(ag.matmul(x, w)), w).square().sum())
    inputs = [draw(5, 6, seed=i) for i in range(40)]
    expected = [ag.grad(f.function)(x).numpy() for x in inputs]

    def call(i: int) -> None:
        x = inputs[i].requires_grad_()
        f(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), expected[i], rtol=1e-4, atol=1e-4)

    many(40, 3, call, device)


def test_threads_call_one_step(device) -> None:
    """Each call sees parameters that some call has left, whole: the same number everywhere."""
    w = nn.Parameter(ag.zeros(1000))

    @ag.compile
    def step(x: Any) -> Any:
        w.assign_((w + x).detach())
        return w * 1.0

    results: list[np.ndarray] = []
    many(60, 3, lambda i: results.append(step(ag.ones(1000)).numpy()), device)
    for y in [*results, w.numpy()]:
        assert (y == y[0]).all()
        assert 1 <= y[0] <= 60


def test_shapes_that_take_turns_on_several_threads(device) -> None:
    f = ag.compile(lambda x: (x * 2.0).sum())

    def call(i: int) -> None:
        n = 1 + i % 4
        assert f(ag.ones(n)).item() == 2.0 * n

    many(80, 4, call, device)
    assert len(f._signatures) == 4


def test_a_thread_that_ends_during_a_capture_takes_nothing_along(device) -> None:
    """What a capture has met is as it was also where the thread of another capture of it has ended before."""
    w = nn.Parameter(draw(3))

    def short() -> None:
        with ag.default_device(device):
            ag.compile(lambda x: (w * x).sum())(ag.ones(3))

    @ag.compile
    def step(x: Any) -> Any:
        y = w * x
        thread = Thread(target=short)
        thread.start()
        thread.join(PATIENCE)
        w.assign_((w + 1.0).detach())
        return y

    before = w.numpy().copy()
    step(ag.ones(3))
    np.testing.assert_array_equal(w.numpy(), before + 1)
    assert type(w) is nn.Parameter


# --------------------------------------------------------------------------------- one within another


def test_a_compiled_step_within_another(device) -> None:
    def run(inner: Callable[..., Any], outer: Callable[..., Any]) -> list[np.ndarray]:
        model = network()
        optimizer = optim.Adam(model.parameters(), lr=0.05)

        @inner
        def train(x: Any) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        @outer
        def twice(x: Any) -> Any:
            return train(x) + train(x * 0.5)

        with ag.random.fork(2):
            losses = [twice(draw(7, 5, seed=i)) for i in range(5)]
        return arrays(*losses, *model.state_dict().values())

    for a, b in zip(run(ag.compile, ag.compile), run(lambda f: f, lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_a_compiled_function_within_a_checkpoint_within_a_compiled_step(device) -> None:
    def run(compile: Callable[..., Any]) -> list[np.ndarray]:
        model, head = network(), nn.Linear(3, 1)
        with ag.random.fork(4):
            head.weight.assign_(ag.random.normal(head.weight.shape))
            head.bias.assign_(ag.zeros(1))
        optimizer = optim.SGD([*model.parameters(), *head.parameters()], lr=0.05)
        block = ag.checkpoint(compile(model))

        @compile
        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = head(ag.tanh(block(x))).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        with ag.random.fork(2):
            losses = [step(draw(7, 5, seed=i)) for i in range(5)]
        return arrays(*losses, *model.state_dict().values(), *head.parameters())

    for a, b in zip(run(ag.compile), run(lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# --------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("at", ["forward", "backward", "update"])
@pytest.mark.parametrize("steps", [0, 2])
def test_an_error_within_a_capture_leaves_everything_as_it_was(device, at: str, steps: int) -> None:
    """Steps after it are those of a run without it, the first of which makes the optimizer's state."""

    def run(*, failing: bool) -> list[np.ndarray]:
        model, generator = network(), ag.random.Generator(3)
        optimizer = optim.AdamW(model.parameters(), lr=0.05)

        def step(x: Any, fail: str) -> Any:
            optimizer.zero_grad()
            loss = model(x).square().mean()
            if fail == "forward":
                raise KeyError(fail)
            loss.backward()
            if fail == "backward":
                raise KeyError(fail)
            optimizer.step()
            if fail == "update":
                raise KeyError(fail)
            return loss

        compiled = ag.compile(step)
        with ag.random.fork(generator):
            for i in range(steps):
                compiled(draw(7, 5, seed=i), "")
            if failing:
                before = arrays(*model.state_dict().values()), [p.grad for p in model.parameters()], generator.call
                with pytest.raises(KeyError, match=at):
                    compiled(draw(7, 5, seed=8), at)
                for a, b in zip(model.state_dict().values(), before[0], strict=True):
                    np.testing.assert_array_equal(a.numpy(), b)
                assert [p.grad for p in model.parameters()] == before[1]
                assert generator.call == before[2]
                assert all(type(p) is nn.Parameter and type(p.node) is Leaf for p in model.parameters())
            losses = [compiled(draw(7, 5, seed=20 + i), "") for i in range(4)]
        state = [v for p in model.parameters() for v in optimizer.state[p].values()]
        return arrays(*losses, *model.state_dict().values(), *state, optimizer.steps)

    for a, b in zip(run(failing=True), run(failing=False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_error_does_not_take_back_what_others_have_drawn(device) -> None:
    generator = ag.random.Generator(3)

    @ag.compile
    def f(x: Any) -> Any:
        y = x + ag.random.uniform((3,), generator=generator)
        elsewhere(lambda: ag.random.uniform((3,), generator=generator), device)
        raise KeyError(y.shape)

    with pytest.raises(KeyError):
        f(draw(3))
    assert generator.call == 2


def test_what_a_capture_that_never_ended_had_met_does_not_hide_another_object_in_its_place() -> None:
    weight, seen = nn.Parameter(ag.ones(3)), overlay.Overlay()
    overlay._covers[id(weight)] = 1  # of an object that is gone
    try:
        seen.cover(weight)
        assert type(weight) is not nn.Parameter
        assert overlay.own_class(weight) is nn.Parameter
        seen.end()
    finally:
        overlay._covers.pop(id(weight), None)

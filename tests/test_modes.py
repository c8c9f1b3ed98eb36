"""What surrounds a call: recording on and off, threads and tasks, variables whose value is replaced."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from engine_tools import leaf, network, scalar

import autograd_core as ag


def variable(*values: float, requires_grad: bool = True) -> ag.Variable:
    v = ag.Variable(np.array(values, np.float64), ag.zeros(0).device)
    return v.requires_grad_(requires_grad)


# Recording ------------------------------------------------------------------------------------------------------


def test_no_grad_makes_constants() -> None:
    w = leaf(1.0, 2.0)
    with ag.no_grad():
        y = w * 2.0
        made_inside = ag.tensor([1.0], requires_grad=True)
    assert (y.requires_grad, y.is_leaf, made_inside.requires_grad) == (False, True, True)
    (w * y).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_modes_nest_and_are_restored() -> None:
    seen = [ag.is_grad_enabled()]
    with ag.no_grad():
        seen.append(ag.is_grad_enabled())
        with ag.enable_grad():
            seen.append(ag.is_grad_enabled())
            with ag.no_grad(), ag.no_grad():
                seen.append(ag.is_grad_enabled())
            seen.append(ag.is_grad_enabled())
        seen.append(ag.is_grad_enabled())
    assert [*seen, ag.is_grad_enabled()] == [True, False, True, False, True, False, True]


def test_one_mode_object_may_be_entered_again_within_itself() -> None:
    off = ag.no_grad()
    with off, ag.enable_grad():
        with off:
            assert not ag.is_grad_enabled()
        assert ag.is_grad_enabled()
    assert ag.is_grad_enabled()


@pytest.mark.parametrize("mode", [ag.no_grad, ag.enable_grad])
def test_an_exception_restores_the_mode(mode) -> None:
    before = ag.is_grad_enabled()
    with pytest.raises(KeyError), mode():
        raise KeyError
    assert ag.is_grad_enabled() is before


def test_modes_decorate_functions() -> None:
    w = leaf(1.0, 2.0)

    @ag.no_grad()
    def frozen(n: int) -> ag.Tensor:
        """Calls itself, and the opposite, without losing its own mode."""
        if n:
            assert recorded(n - 1).requires_grad
        return w * 2.0

    @ag.enable_grad()
    def recorded(n: int) -> ag.Tensor:
        assert not frozen(n).requires_grad
        return w * 2.0

    assert not frozen(3).requires_grad
    assert recorded(3).requires_grad
    assert frozen.__name__ == "frozen"
    assert ag.is_grad_enabled()


def test_no_grad_around_a_transform_leaves_its_result_without_history() -> None:
    w = leaf(1.0, 2.0)

    def f(x: ag.Tensor) -> ag.Tensor:
        return (w * x * x).sum()

    x = ag.tensor(np.array([3.0, 4.0]))
    with ag.no_grad():
        value, g = ag.value_and_grad(f)(x)
        h = ag.hessian(f)(x)
    assert (g.tolist(), h.tolist()) == ([6.0, 16.0], [[2.0, 0.0], [0.0, 4.0]])
    assert not any(t.requires_grad for t in (value, g, h))
    assert all(t.requires_grad for t in (*ag.value_and_grad(f)(x), ag.hessian(f)(x)))


DERIVATIVES: dict[str, Callable[[Callable], Callable[[ag.Tensor], float]]] = {
    "grad": lambda f: lambda x: ag.grad(f)(x).item(),
    "vjp": lambda f: lambda x: ag.vjp(f, x)[1](1.0)[0].item(),
    "jvp": lambda f: lambda x: ag.jvp(f, (x,), (1.0,))[1].item(),
    "grad of a grad": lambda f: lambda x: ag.grad(lambda y: ag.grad(lambda z: f(z) * z)(y))(x).item(),
    "grad of a jvp": lambda f: lambda x: ag.grad(lambda y: ag.jvp(lambda z: f(z) * z, (y,), (1.0,))[1])(x).item(),
    "jvp of a grad": lambda f: lambda x: ag.jvp(ag.grad(lambda z: f(z) * z), (x,), (1.0,))[1].item(),
    "jvp of a jvp": lambda f: (
        lambda x: ag.jvp(lambda y: ag.jvp(lambda z: f(z) * z, (y,), (1.0,))[1], (x,), (1.0,))[1].item()
    ),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES.keys())
def test_detach_stops_derivatives_of_both_modes(derivative) -> None:
    x = ag.tensor(np.array(3.0))
    expected = derivative(lambda x: 9.0 * x)(x)  # the constant 9 in place of the detached square
    assert derivative(lambda x: (x * x).detach() * x)(x) == expected
    assert derivative(lambda x: ag.detach(x) ** 2 * x)(x) == expected
    assert derivative(lambda x: x.detach() * 1.0)(x) != derivative(lambda x: x * 1.0)(x)


def test_no_grad_concerns_the_record_and_not_forward_mode() -> None:
    """What is computed under it is a constant to reverse mode; ``detach`` makes one of it for both."""

    def f(x: ag.Tensor) -> ag.Tensor:
        with ag.no_grad():
            factor = x * x
        return factor * x

    x = ag.tensor(np.array(3.0))
    assert ag.grad(f)(x).item() == 9.0
    assert ag.jvp(f, (x,), (1.0,))[1].item() == 27.0


def test_detach_shares_the_value_and_no_history() -> None:
    w = leaf(1.0, 2.0)
    d = w.detach()
    assert np.shares_memory(d.numpy(), w.numpy())
    assert (d.requires_grad, w.requires_grad) == (False, True)
    assert d.requires_grad_().requires_grad
    (d * 2.0).sum().backward()
    assert w.grad is None


def test_a_gradient_may_be_asked_for_and_given_up() -> None:
    x = ag.tensor([1.0, 2.0])
    x.requires_grad = True
    y = (x * x).sum()
    x.requires_grad = False
    assert (x.requires_grad, x.grad, (x * x).requires_grad) == (False, None, False)
    y.backward()  # recorded before
    assert x.grad is None


# Threads and tasks ----------------------------------------------------------------------------------------------


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(n: int, work: Callable[[int], object]) -> list:
    start = threading.Barrier(n)

    def run(i: int) -> object:
        start.wait()
        return work(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(run, range(n)))


def test_grad_mode_and_default_device_belong_to_a_thread(hasty) -> None:
    step = threading.Barrier(2)

    def look() -> tuple[bool, str]:
        step.wait()
        return ag.is_grad_enabled(), str(ag.zeros(1).device)

    def work(i: int) -> list[tuple[bool, str]]:
        seen = [look()]
        if i:
            with ag.no_grad(), ag.default_device("numpy"):
                seen.append(look())
        else:
            seen.append(look())
        return [*seen, look()]

    with ag.no_grad(), ag.default_device("numpy"):  # a new thread starts afresh
        plain, changed = in_threads(2, work)
    assert plain == [(True, "cpu")] * 3
    assert changed == [(True, "cpu"), (False, "numpy"), (True, "cpu")]


def test_a_decorated_function_may_run_in_several_threads(hasty) -> None:
    w = leaf(1.0)

    @ag.no_grad()
    def frozen(n: int) -> bool:
        return frozen(n - 1) if n else (w * 2.0).requires_grad

    found = in_threads(4, lambda i: [frozen(i) or not ag.is_grad_enabled() for _ in range(50)])
    assert not any(any(row) for row in found)


def test_threads_that_share_leaves_lose_no_gradient(hasty) -> None:
    w = leaf(1.0, 2.0)

    def work(i: int) -> None:
        for _ in range(100):
            (w * float(i + 1)).sum().backward()

    in_threads(4, work)
    assert w.grad.tolist() == [1000.0, 1000.0]


def test_transforms_run_in_several_threads_at_once(hasty) -> None:
    x = ag.tensor(np.array([0.5, 1.5]))
    expected = [ag.hessian(network)(x).numpy(), ag.grad(network)(x).numpy()]

    def work(i: int) -> tuple[np.ndarray, np.ndarray]:
        with ag.no_grad() if i % 2 else ag.enable_grad():
            return ag.hessian(network)(x).numpy(), ag.grad(network)(x).numpy()

    for found in in_threads(4, work):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_graph_may_be_swept_in_another_thread() -> None:
    w = leaf(0.5, 1.5)
    y = network(w)
    with ag.no_grad():
        in_threads(1, lambda i: y.backward())
    np.testing.assert_allclose(w.grad.numpy(), ag.grad(network)(w.detach()).numpy())


def test_grad_mode_belongs_to_a_task() -> None:
    async def frozen(turn: asyncio.Event, other: asyncio.Event) -> bool:
        with ag.no_grad():
            other.set()
            await turn.wait()
            return ag.is_grad_enabled()

    async def recording(turn: asyncio.Event, other: asyncio.Event) -> bool:
        await turn.wait()
        other.set()
        return ag.is_grad_enabled()

    async def both() -> list[bool]:
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(frozen(a, b), recording(b, a))

    assert asyncio.run(both()) == [False, True]


# Variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda v: v * v, [4.0, 6.0]),
        (lambda v: ag.log(v), [1 / 2.0, 1 / 3.0]),
        (lambda v: ag.exp(v), np.exp([2.0, 3.0])),
        (lambda v: v.reshape((2, 1))[:, 0] ** 3, [12.0, 27.0]),
        (lambda v: v[ag.tensor([1, 1])] * v, [3.0, 5.0 + 3.0]),
        (lambda v: ag.stack([v, v]) * v, [8.0, 12.0]),
    ],
    ids=["v * v", "log", "exp", "views", "indexing", "stack"],
)
def test_what_was_recorded_keeps_the_value_that_a_variable_had(f, slope) -> None:
    v = variable(2.0, 3.0)
    y = f(v)
    before = y.numpy().copy()
    v.assign_([50.0, 60.0])
    np.testing.assert_array_equal(y.numpy(), before)
    y.sum().backward(create_graph=True)
    np.testing.assert_allclose(v.grad.numpy(), slope)
    assert v.tolist() == [50.0, 60.0]


def test_second_derivatives_are_taken_at_the_old_value_too() -> None:
    v = variable(2.0)
    y = (v**3).sum()
    v.assign_([50.0])
    y.backward(create_graph=True)
    g, v.grad = v.grad, None
    v.assign_([70.0])
    g.sum().backward()
    assert (g.item(), v.grad.item()) == (12.0, 12.0)


def test_a_pullback_stays_at_the_value_that_it_was_made_at() -> None:
    v = variable(2.0, requires_grad=False)
    _, pull = ag.vjp(lambda x: x * x * v, ag.tensor(np.array([3.0])))
    v.assign_([50.0])
    assert pull(np.ones(1))[0].tolist() == [12.0]


def test_assigning_keeps_identity_gradient_and_leaf() -> None:
    v = variable(1.0, 2.0)
    (v * v).sum().backward()
    v.assign_(ag.tensor(np.array([5.0, 6.0])))
    assert (v.tolist(), v.grad.tolist(), v.requires_grad, v.is_leaf) == ([5.0, 6.0], [2.0, 4.0], True, True)
    (v * v).sum().backward()
    assert v.grad.tolist() == [12.0, 16.0]


def test_assigning_drops_the_history_of_the_value() -> None:
    w, v = leaf(1.0, 2.0), variable(0.0, 0.0, requires_grad=False)
    v.assign_(w * w)
    assert (v.tolist(), v.requires_grad, (v * 2.0).requires_grad) == ([1.0, 4.0], False, False)


def test_a_variable_has_storage_of_its_own() -> None:
    array, v, u = np.array([1.0, 2.0]), variable(0.0, 0.0), variable(0.0, 0.0)
    v.assign_(array)
    array[:] = 7.0
    u.assign_(v)
    v.assign_([3.0, 4.0])
    assert (u.tolist(), v.tolist()) == ([1.0, 2.0], [3.0, 4.0])


def test_assigning_inside_a_reverse_transform_takes_the_value() -> None:
    """As running statistics do."""
    v = variable(0.0, requires_grad=False)

    def f(x: ag.Tensor) -> ag.Tensor:
        v.assign_(x.detach() * 2.0)
        return (x * v).sum()

    assert ag.grad(f)(ag.tensor(np.array([3.0]))).tolist() == [6.0]
    assert (v.tolist(), v.requires_grad, v.level) == ([6.0], False, 0)


def test_no_value_of_forward_mode_escapes_into_a_variable() -> None:
    v = variable(1.0, requires_grad=False)
    with pytest.raises(ag.GradientError, match="inside jvp would escape"):
        ag.jvp(lambda x: v.assign_(x), (ag.tensor(np.array([3.0])),), (ag.ones(1),))
    assert v.tolist() == [1.0]


def test_setting_grad() -> None:
    w = scalar(2.0)
    w.grad = ag.tensor(np.array(1.0))
    (w * 3.0).backward()
    assert w.grad.item() == 4.0
    w.grad = None
    assert w.grad is None
    assert (w * w).grad is None


def test_a_detached_value_of_forward_mode_may_be_assigned() -> None:
    v = variable(1.0, requires_grad=False)

    def f(x: ag.Tensor) -> ag.Tensor:
        v.assign_((x * x).detach() * 2.0)
        return x * v

    assert ag.jvp(f, (ag.tensor(np.array([3.0])),), (ag.ones(1),))[1].tolist() == [18.0]
    assert (v.tolist(), v.level) == ([18.0], 0)

"""Compiled steps that go on in place: which do, and that nobody sees what they hold change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from compiled_networks import draw
from steady_steps import (
    CALLS,
    CAPTURED,
    STEPS,
    Step,
    clearing_at_the_end,
    convolutions,
    gathering,
    plain_sgd,
    recurrent,
    seen_beside_eager,
    watched,
)

import autograd_core as ag
from autograd_core import nn
from autograd_core.errors import CompileError

pytest.importorskip("llvmlite", reason="steps are repeated in place by machine code")


@pytest.fixture
def repeats(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    with ag.default_device("cpu"):
        yield watched(monkeypatch)


@pytest.mark.parametrize("holding", [False, True], ids=["nothing is held", "everything is held now and then"])
@pytest.mark.parametrize("make", STEPS, ids=lambda make: make.__name__)
def test_ordinary_steps_are_repeated_in_place(make: Callable[[], Step], holding: bool, repeats: list[bool]) -> None:
    seen = seen_beside_eager(make, lambda i: draw(4, 2, 6, 6, seed=i), holding)
    assert seen[1].keys() == seen[0].keys()
    for name, expected in seen[0].items():
        np.testing.assert_allclose(seen[1][name], expected, rtol=2e-4, atol=2e-5, err_msg=name)
    assert all(repeats)
    assert len(repeats) >= CALLS - CAPTURED


def test_gradients_of_arguments_are_handed_to_them(repeats: list[bool]) -> None:
    @ag.compile
    def step(x: Any) -> Any:
        (x * x).sum().backward()

    kept = []
    for i in range(CALLS):
        x = draw(3, seed=i).requires_grad_()
        step(x)
        kept.append(x)
    for x in kept:
        np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy(), rtol=1e-6)
    assert all(repeats)
    assert len(repeats) >= CALLS - CAPTURED


def test_gradients_of_arguments_are_added_to_those_that_they_have(repeats: list[bool]) -> None:
    @ag.compile
    def step(x: Any) -> Any:
        (x * x).sum().backward()

    for i in range(CALLS):
        x = draw(3, seed=i).requires_grad_()
        x.grad = draw(3, seed=i + 50)
        step(x)
        np.testing.assert_allclose(x.grad, 2 * x.detach().numpy() + draw(3, seed=i + 50).numpy(), rtol=1e-6)
    x = draw(3).requires_grad_()
    step(x)
    np.testing.assert_allclose(x.grad, 2 * x.detach().numpy(), rtol=1e-6)
    assert all(repeats)
    assert len(repeats) >= CALLS - CAPTURED


def test_gradients_that_are_cleared_outside_come_back_where_they_were(repeats: list[bool]) -> None:
    w = nn.Parameter(draw(4))

    @ag.compile
    def step(x: Any) -> None:
        (w * x).sum().backward()

    places = set()
    for i in range(CALLS):
        w.grad = None
        x = draw(4, seed=i)
        step(x)
        np.testing.assert_array_equal(w.grad, x)
        if i > CAPTURED:
            places.add(w.grad.numpy().__array_interface__["data"][0])
    assert all(repeats)
    assert len(places) == 1


def test_gradients_that_somebody_clears_and_another_keeps_are_not_taken(repeats: list[bool]) -> None:
    w = nn.Parameter(draw(4))

    @ag.compile
    def step(x: Any) -> None:
        (w * x).sum().backward()

    kept = []
    for i in range(CALLS):
        w.grad = None
        step(draw(4, seed=i))
        kept.append(w.grad)
    for i, g in enumerate(kept):
        np.testing.assert_array_equal(g, draw(4, seed=i))
    assert all(repeats)


# ------------------------------------------------------------------------------- what others hold


def exported(x: Any) -> Any:
    return np.from_dlpack(x.detach())


HOLDS: dict[str, Callable[[Any], Any]] = {
    "the tensor": lambda x: x.detach(),
    "its array": lambda x: x.detach().numpy(),
    "a part of its array": lambda x: x.detach().numpy().reshape(-1)[1:],
    "a view": lambda x: x.detach().reshape(-1)[1:],
    "an exported array": exported,
    "a buffer": lambda x: memoryview(x.detach().numpy()),
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
@pytest.mark.parametrize("make", [convolutions, gathering, recurrent], ids=lambda make: make.__name__)
def test_what_is_held_stays_as_it_was(
    make: Callable[[], Step], hold: Callable[[Any], Any], repeats: list[bool]
) -> None:
    model, step = make()
    run = ag.compile(step)
    held: list[tuple[Any, np.ndarray]] = []
    for i in range(16):
        loss = run(draw(4, 2, 6, 6, seed=i))
        if i % 4 == 1:  # in between the step is in place again
            visible = [p.grad for p in model.parameters() if p.grad is not None]
            visible += [x for x in model.state_dict().values() if isinstance(x, ag.Tensor)]
            visible.append(loss)
            held += [(kept, np.array(kept)) for kept in map(hold, (x for x in visible if x.size > 1))]
    assert held
    for kept, before in held:
        np.testing.assert_array_equal(np.asarray(kept), before)
    assert sum(repeats) > 4


def test_the_gradient_itself_is_held(repeats: list[bool]) -> None:
    model, step = convolutions()
    run = ag.compile(step)
    held = []
    for i in range(CALLS):
        run(draw(4, 2, 6, 6, seed=i))
        held += [(p.grad, p.grad.numpy().copy()) for p in model.parameters()]
    for gradient, before in held:
        np.testing.assert_array_equal(gradient, before)
    assert all(repeats)


def test_a_state_dict_is_a_picture_of_its_time(repeats: list[bool]) -> None:
    model, step = convolutions()
    run = ag.compile(step)
    pictures = []
    for i in range(CALLS):
        run(draw(4, 2, 6, 6, seed=i))
        state = model.state_dict()
        pictures.append((state, {name: np.array(x) for name, x in state.items()}))
    for state, before in pictures:
        for name, value in before.items():
            np.testing.assert_array_equal(state[name], value, err_msg=name)
    assert all(repeats)
    assert len(repeats) >= CALLS - CAPTURED


def test_variables_may_be_replaced_between_calls(repeats: list[bool]) -> None:
    w, total = nn.Parameter(draw(4)), nn.Buffer(ag.zeros(4))

    @ag.compile
    def step(x: Any) -> Any:
        total.assign_(total + w.detach() * x)
        return total * 1.0

    expected = np.zeros(4, np.float32)
    for i in range(3 * CALLS):
        if i % 5 == 4:
            w.assign_(draw(4, seed=i))
        if i % 7 == 6:
            total.assign_(draw(4, seed=-i % 100))
            expected = total.numpy().copy()
        x = draw(4, seed=i)
        expected = expected + w.detach().numpy() * x.numpy()
        np.testing.assert_allclose(step(x), expected, rtol=1e-5)
        np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.parametrize("make", [convolutions, plain_sgd, clearing_at_the_end], ids=lambda make: make.__name__)
def test_programs_for_several_shapes_share_variables(make: Callable[[], Step], repeats: list[bool]) -> None:
    """The last batch is a smaller one: what one program leaves is what the other finds."""
    seen = []
    for wrap in (lambda f: f, ag.compile):
        with ag.random.fork(0):
            model, step = make()
        run = wrap(step)
        losses, places = [], set()
        for i in range(3 * CALLS):
            losses.append(float(run(draw(2 + (i % 4 == 3), 2, 6, 6, seed=i))))
            if i > 16:
                places.add(tuple(p.detach().numpy().__array_interface__["data"][0] for p in model.parameters()))
        seen.append((losses, {name: np.array(x) for name, x in model.state_dict().items()}))
    np.testing.assert_allclose(seen[1][0], seen[0][0], rtol=1e-3, atol=1e-5)
    for name, expected in seen[0][1].items():
        np.testing.assert_allclose(seen[1][1][name], expected, rtol=1e-2, atol=1e-4, err_msg=name)
    assert all(repeats[-9:])
    stayed = [len(set(column)) == 1 for column in zip(*places, strict=True)]
    assert sum(stayed) >= len(stayed) / 2  # of the compiled run: both programs write the same arrays


def test_a_report_of_a_step_whose_variables_have_other_arrays_now(repeats: list[bool]) -> None:
    model, step = plain_sgd()
    run = ag.compile(step)
    for _ in range(CALLS):
        run(draw(4, 2, 6, 6))
    for p in model.parameters():
        p.assign_(p.detach() * 2.0)
    before = {name: np.array(x) for name, x in model.state_dict().items()}
    assert len(list(run.report())) > 0
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.zeros(4, np.int8)], ids=["shape", "dtype"])
def test_a_variable_that_holds_another_kind_of_array_is_refused(array: np.ndarray, repeats: list[bool]) -> None:
    w = nn.Buffer(ag.zeros((4,)))

    @ag.compile
    def step(x: Any) -> None:
        w.assign_(ag.flip(w) + x)  # not in place

    for _ in range(CALLS):
        step(ag.ones(4))
    assert any(repeats)
    w.data = array
    with pytest.raises(CompileError, match="holds an array of another"):
        step(ag.ones(4))

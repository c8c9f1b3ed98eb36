"""Compiled steps on CUDA arrays that are repeated in place: which are, that nobody sees what they hold change, and what
a repeated call costs the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fake_cupy
import numpy as np
import pytest
from compiled_networks import draw
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt
from steady_steps import CALLS, CAPTURED, STEPS, Step, convolutions, plain_sgd, seen_beside_eager, watched

import autograd_core as ag
from autograd_core.backends.cuda import places, product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_cupy.Machine]:
    with fake_devices() as machine:
        monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
        with ag.default_device("cuda"):
            yield machine


@pytest.fixture
def repeats(machine: fake_cupy.Machine, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    return watched(monkeypatch)


def batch(seed: int) -> Any:
    return ag.asarray(draw(4, 2, 6, 6, seed=seed).numpy(), device="cuda")


@pytest.mark.parametrize("holding", [False, True], ids=["nothing is held", "everything is held now and then"])
@pytest.mark.parametrize("make", STEPS, ids=lambda make: make.__name__)
def test_ordinary_steps_are_repeated_in_place(make: Callable[[], Step], holding: bool, repeats: list[bool]) -> None:
    seen = seen_beside_eager(make, batch, holding)
    assert seen[1].keys() == seen[0].keys()
    for name, expected in seen[0].items():
        np.testing.assert_allclose(seen[1][name], expected, rtol=2e-4, atol=2e-5, err_msg=name)
    assert all(repeats)
    assert len(repeats) >= CALLS - CAPTURED


def test_what_is_held_keeps_its_values(repeats: list[bool]) -> None:
    model, step = convolutions()
    run = ag.compile(step)
    held: list[tuple[Any, np.ndarray]] = []
    for i in range(CALLS):
        tensors = [run(batch(i)), *(p.detach() for p in model.parameters()), *(p.grad for p in model.parameters())]
        held += [(x, x.numpy()) for x in tensors]
    for x, then in held:
        np.testing.assert_array_equal(x.numpy(), then)
    assert all(repeats)


def test_who_always_holds_gradients_is_given_others_that_take_turns(repeats: list[bool]) -> None:
    model, step = plain_sgd()
    run = ag.compile(step)
    history: list[tuple[Any, np.ndarray]] = []
    for i in range(CAPTURED + places.TURNS + CALLS):
        run(batch(i))
        history += [(p.grad, p.grad.numpy()) for p in model.parameters()]
    for gradient, then in history:
        np.testing.assert_array_equal(gradient.numpy(), then)
    assert repeats.count(False) == 1  # then gradients are handed over, and calls are repeated again
    assert repeats[-1]


def test_a_repeated_call_is_one_graph_without_waits_and_allocations(
    machine: fake_cupy.Machine, repeats: list[bool]
) -> None:
    _, step = convolutions()
    run = ag.compile(step)
    batches = [batch(i) for i in range(2)]
    for i in range(3 * CAPTURED):
        run(batches[i % 2])
    machine.forget()
    for i in range(CALLS):
        run(batches[i % 2])
    assert machine.launches == {"graph": CALLS, "memcpy": CALLS}  # the batch goes to its place
    assert (sum(machine.synchronizations.values()), machine.allocations) == (0, 0)
    assert all(repeats)

"""Options as tensors and arrays, and state that is replaced by hand: eagerly and in compiled steps."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim

either = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


def training(make: Callable[[list[Any]], optim.Optimizer], compiled: bool) -> tuple[Any, optim.Optimizer, Any]:
    """A parameter, what optimises it, and a step down the square of it."""
    w = nn.Parameter(ag.tensor([1.0, -2.0]))
    optimizer = make([w])

    def step() -> list[float]:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    return w, optimizer, ag.compile(step) if compiled else step


@either
@pytest.mark.parametrize("lr", [lambda: ag.tensor(0.25), lambda: np.array(0.25), lambda: np.float32(0.25)])
def test_a_rate_of_any_kind_is_one_number(lr: Callable[[], Any], compiled: bool) -> None:
    w, optimizer, step = training(lambda params: optim.SGD(params, lr=lr()), compiled)
    for _ in range(4):
        step()
    assert w.tolist() == [0.5**4, -2.0 * 0.5**4]
    assert optimizer.state_dict()["param_groups"][0]["lr"] == 0.25


@either
def test_what_is_assigned_to_a_rate_is_the_next_steps(compiled: bool) -> None:
    rate = nn.Buffer(ag.tensor(0.25))
    w, optimizer, step = training(lambda params: optim.SGD(params, lr=rate), compiled)
    for _ in range(4):
        step()
    rate.assign_(ag.tensor(0.5))
    step()
    assert w.tolist() == [0.0, 0.0]
    saved = optimizer.state_dict()
    rate.assign_(ag.tensor(0.25))
    optimizer.load_state_dict(saved)
    assert (optimizer.param_groups[0]["lr"] is rate, rate.item()) == (True, 0.5)
    w.assign_(ag.ones(2))
    step()
    assert w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (-0.5, r"SGD: lr must be a number in \[0, inf\), got -0.5"),
        (math.nan, "got nan"),
        (math.inf, "got inf"),
        ([0.5], r"lr must be one number, got a tensor of shape \(1,\)"),
        (True, "must be a real number, got a tensor of dtype bool"),
        (1j, "of dtype complex64"),
    ],
)
@either
def test_rates_that_make_no_sense_are_refused_as_tensors_too(rate: Any, message: str, compiled: bool) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        optim.SGD([nn.Parameter(ag.ones(2))], lr=ag.tensor(rate))
    w, optimizer, step = training(lambda params: optim.SGD(params, lr=0.25), compiled)
    for _ in range(4):
        step()
    before = w.tolist()
    optimizer.param_groups[0]["lr"] = ag.tensor(rate)
    with pytest.raises(ag.ArgumentError, match=message):
        step()
    assert w.tolist() == before
    optimizer.param_groups[0]["lr"] = ag.tensor(0.5)
    step()
    assert w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("given", [ag.tensor(0.5), ag.tensor([0.5, 0.5]), np.array([0.5, 0.5])], ids=repr)
@either
def test_other_options_are_numbers(given: Any, compiled: bool) -> None:
    for option, message in (
        ("weight_decay", r"Adam: weight_decay must be a number in \[0, inf\), got"),
        ("betas", r"Adam: betas(\[0\])? must be"),
        ("amsgrad", "Adam: amsgrad must be True or False, got"),
    ):
        _, optimizer, step = training(lambda params: optim.Adam(params, lr=0.25), compiled)
        for _ in range(3):
            step()
        optimizer.param_groups[0][option] = (given, given) if option == "betas" else given
        with pytest.raises(ag.ArgumentError, match=message):
            step()


def test_the_rate_of_a_foreign_state_is_a_number_however_it_was_saved() -> None:
    _, optimizer, step = training(lambda params: optim.Adam(params, lr=0.25), False)
    step()
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = np.array(0.125)  # as PyTorch saves it of a tensor
    optimizer.load_state_dict(saved)
    assert type(optimizer.param_groups[0]["lr"]) is float
    assert optimizer.param_groups[0]["lr"] == 0.125


FIVES = {"exp_avg": [5.0, 5.0]}
REPLACED: list[Callable[[Any, Any], Any]] = [
    lambda state, w: state[w].__setitem__("exp_avg", ag.tensor([5.0, 5.0])),
    lambda state, w: state[w].update({name: ag.tensor(value) for name, value in FIVES.items()}),
    lambda state, w: state[w].__ior__({"exp_avg_sq": ag.tensor([0.1, 0.1])}),
    lambda state, w: state.__setitem__(w, {name: ag.ones(value.shape) for name, value in state[w].items()}),
    lambda state, w: state.pop(w),
    lambda state, w: state.__delitem__(w),
    lambda state, w: state.popitem(),
    lambda state, w: state.clear(),
]


@pytest.mark.parametrize("k", range(len(REPLACED)))
def test_compiled_steps_notice_state_that_was_replaced(k: int) -> None:
    """Of the second parameter, after others."""
    results = []
    for compiled in (False, True):
        params = [nn.Parameter(ag.tensor([1.0, -2.0])) for _ in range(2)]
        optimizer = optim.Adam(params, lr=0.25)

        def step(params: Any = tuple(params), optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            sum((w * w).sum() for w in params).backward()
            optimizer.step()

        run = ag.compile(step) if compiled else step
        for _ in range(5):
            run()
        REPLACED[k](optimizer.state, params[1])
        for _ in range(2):
            run()
        values = [*params, *(value for w in params for value in optimizer.state[w].values())]
        results.append([value.numpy() for value in values])
    assert len(results[0]) == 8
    for eager, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-6)


def test_state_of_an_optimizer_as_a_whole_may_be_replaced() -> None:
    w, optimizer, step = training(lambda params: optim.Adam(params, lr=0.25), True)
    for _ in range(4):
        step()
    optimizer.state = {}
    step()
    assert optimizer.state[w]["step"].item() == 1.0
    optimizer.state[w]["exp_avg"] = ag.ones(2)
    before = w.tolist()
    step()
    assert optimizer.state[w]["exp_avg"].tolist() == pytest.approx([0.9 + 0.2 * x for x in before], rel=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])  # noqa: S301
def test_copies_notice_for_themselves(copied: Callable[[Any], Any]) -> None:
    w, optimizer, step = training(lambda params: optim.Adam(params, lr=0.25), False)
    step()
    v, other = copied((w, optimizer))
    seen = [o.compile_guard() for o in (optimizer, other)]
    other.state[v]["step"] = ag.tensor(7.0)
    assert optimizer.compile_guard() == seen[0]
    assert other.compile_guard() != seen[1]
    assert optimizer.state[w]["step"].item() == 1.0

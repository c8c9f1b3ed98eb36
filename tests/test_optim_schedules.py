"""Schedules are PyTorch's rates as pure functions of the step, the same for numbers and for tensors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.optim import schedules as s

STEPS = range(41)

# (ours, PyTorch's scheduler over an optimizer of rate 0.5; up to the last step for which both are defined)
PAIRS: list[tuple[str, s.Schedule, Callable[[Any, Any], Any], int]] = [
    ("step", s.step_decay(0.5, 7, 0.3), lambda lr, o: lr.StepLR(o, 7, 0.3), 40),
    ("multi_step", s.multi_step(0.5, [3, 4, 20], 0.3), lambda lr, o: lr.MultiStepLR(o, [3, 4, 20], 0.3), 40),
    ("exponential", s.exponential(0.5, 0.9), lambda lr, o: lr.ExponentialLR(o, 0.9), 40),
    ("constant", s.constant(0.5), lambda lr, o: lr.ConstantLR(o, 1.0), 40),
    ("linear", s.linear(0.25, 0.1, 10), lambda lr, o: lr.LinearLR(o, 0.5, 0.2, 10), 40),
    ("warmup", s.linear_warmup(0.5, 5, start=0.05), lambda lr, o: lr.LinearLR(o, 0.1, 1.0, 5), 40),
    ("cosine", s.cosine(0.5, 30, 0.02), lambda lr, o: lr.CosineAnnealingLR(o, 30, 0.02), 30),
    ("one_cycle", s.one_cycle(0.5, 40), lambda lr, o: lr.OneCycleLR(o, 0.5, 40), 39),
    (
        "one_cycle_2",
        s.one_cycle(0.5, 40, 0.1, 10, 100),
        lambda lr, o: lr.OneCycleLR(o, 0.5, 40, pct_start=0.1, div_factor=10, final_div_factor=100),
        39,
    ),
    (
        "one_cycle_3",
        s.one_cycle(0.5, 40, 0.25, anneal="linear", three_phase=True),
        lambda lr, o: lr.OneCycleLR(o, 0.5, 40, pct_start=0.25, anneal_strategy="linear", three_phase=True),
        39,
    ),
    ("polynomial", s.polynomial(0.5, 10, 2.5), lambda lr, o: lr.PolynomialLR(o, 10, 2.5), 40),
    ("restarts", s.cosine_restarts(0.5, 7, min=0.01), lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 7, 1, 0.01), 40),
    ("restarts_2", s.cosine_restarts(0.5, 3, 2), lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 3, 2), 40),
    ("restarts_3", s.cosine_restarts(0.5, 1, 3), lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 1, 3), 40),
    ("cyclic", s.cyclic(0.1, 0.5, 4, 7), lambda lr, o: lr.CyclicLR(o, 0.1, 0.5, 4, 7, cycle_momentum=False), 40),
    (
        "cyclic_2",
        s.cyclic(0.1, 0.5, 5, mode="triangular2"),
        lambda lr, o: lr.CyclicLR(o, 0.1, 0.5, 5, mode="triangular2", cycle_momentum=False),
        40,
    ),
    (
        "cyclic_range",
        s.cyclic(0.1, 0.5, 5, 3, "exp_range", 0.9),
        lambda lr, o: lr.CyclicLR(o, 0.1, 0.5, 5, 3, "exp_range", 0.9, cycle_momentum=False),
        40,
    ),
    (
        "inverse_sqrt",
        s.inverse_sqrt(0.5, 5, start=0.1),
        lambda lr, o: lr.LambdaLR(o, lambda t: 0.2 + 0.8 * t / 5 if t < 5 else (5 / t) ** 0.5),
        40,
    ),
    ("custom", s.custom(0.5, lambda t: 0.9**t), lambda lr, o: lr.LambdaLR(o, lambda t: 0.9**t), 40),
    (
        "constant factor",
        s.join([s.constant(0.1), s.constant(0.5)], [4]),
        lambda lr, o: lr.ConstantLR(o, 0.2, 4),
        40,
    ),
    (
        "warmup_cosine",
        s.warmup_cosine(0.5, 5, 30, start=0.05),
        lambda lr, o: lr.SequentialLR(o, [lr.LinearLR(o, 0.1, 1.0, 5), lr.CosineAnnealingLR(o, 25)], [5]),
        30,
    ),
    (
        "chain",
        s.chain(s.exponential(0.5, 0.9), s.linear_warmup(1.0, 4, start=0.1)),
        lambda lr, o: lr.ChainedScheduler([lr.LinearLR(o, 0.1, 1.0, 4), lr.ExponentialLR(o, 0.9)]),
        40,
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "last"), [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS])
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_rates_are_those_of_pytorchs_schedulers(ours: s.Schedule, theirs: Any, last: int) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    for step in range(last + 1):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15), step
        optimizer.step()
        if step < last:
            scheduler.step()


@pytest.mark.parametrize("schedule", [p[1] for p in PAIRS], ids=[p[0] for p in PAIRS])
def test_a_tensor_step_gives_the_same_rate_as_a_tensor(schedule: s.Schedule) -> None:
    for step in STEPS:
        rate = schedule(ag.tensor(step))
        assert isinstance(rate, ag.Tensor)
        assert (rate.shape, rate.dtype) == ((), ag.float64)
        assert rate.item() == pytest.approx(schedule(step), rel=1e-14)
        assert type(schedule(step)) is float


def test_restarts_come_at_their_steps_and_not_one_later() -> None:
    for growth in (2, 3, 10):
        schedule, start = s.cosine_restarts(1.0, 5, growth), 0
        for k in range(7):
            assert schedule(start) == 1.0
            start += 5 * growth**k
            assert schedule(start - 1) < 0.2


def test_after_its_end_a_schedule_stays_where_it_is() -> None:
    assert s.cosine(0.5, 10, 0.1)(1000) == 0.1
    assert s.warmup_cosine(0.5, 2, 10)(1000) == 0.0
    assert s.one_cycle(0.5, 10)(1000) == s.one_cycle(0.5, 10)(9)
    assert s.linear(0.5, 0.1, 10)(1000) == pytest.approx(0.1)


def test_a_schedule_says_how_it_was_made() -> None:
    assert repr(s.join([s.linear_warmup(0.1, 5), s.cosine(0.1, 10)], [5])) == (
        "join([linear_warmup(0.1, 5, 0.0), cosine(0.1, 10, 0.0)], [5])"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: s.constant(-0.1), "constant: lr must be a finite number of at least 0"),
        (lambda: s.constant(float("inf")), "constant: lr"),
        (lambda: s.step_decay(0.1, 0), "step_decay: step_size must be a finite number of at least 1"),
        (lambda: s.multi_step(0.1, [5, 3]), "milestones must increase"),
        (lambda: s.multi_step(0.1, 30), r"multi_step: milestones must be a list .* such as \[30, 60\], got 30"),
        (lambda: s.multi_step(0.1, [float("nan")]), "multi_step: milestones must be a list of numbers"),
        (lambda: s.join([s.constant(1.0), s.constant(2.0)], 5), "join: boundaries must be a list"),
        (lambda: s.join([s.constant(1.0), s.constant(2.0)], ["a"]), "join: boundaries must be a list"),
        (lambda: s.join(s.constant(1.0), []), "join: schedules must be a list of them, got a Schedule"),
        (lambda: s.exponential(0.1, "slow"), "exponential: gamma"),
        (lambda: s.cosine(0.1, 0), "cosine: total"),
        (lambda: s.warmup_cosine(0.1, 10, 10), "warmup_cosine: total must be a finite number of at least 11"),
        (lambda: s.polynomial(0.1, 10, power=-1.0), "polynomial: power"),
        (lambda: s.inverse_sqrt(0.1, 0), "inverse_sqrt: warmup"),
        (
            lambda: s.cosine_restarts(0.1, 5, growth=0.5),
            "cosine_restarts: growth must be a finite number of at least 1",
        ),
        (lambda: s.cyclic(0.1, 0.5, mode="square"), "cyclic: mode must be 'triangular', 'triangular2' or 'exp_range'"),
        (lambda: s.custom(0.1, 0.5), "custom: factor must be a function of the step, got 0.5"),
        (lambda: s.one_cycle(0.1, 10, anneal="log"), "one_cycle: anneal must be 'cos' or 'linear'"),
        (lambda: s.one_cycle(0.1, 10, warm_fraction=0.6, three_phase=True), "leaves no steps on one side of the peak"),
        (lambda: s.one_cycle(0.1, 10, warm_fraction=1.0), "leaves no steps on one side of the peak"),
        (lambda: s.join([s.constant(1.0)], [3]), "1 schedules need 0 increasing boundaries"),
        (lambda: s.join([s.constant(1.0), s.constant(2.0)], [0]), "increasing boundaries above 0"),
        (lambda: s.join([], []), "join: no schedules given"),
        (lambda: s.chain(s.constant(1.0), 0.5), "schedule 1 is a float; use those of optim.schedules"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        make()


def halved(step: Any) -> float:
    return 0.5


@pytest.mark.parametrize(
    "schedule",
    [
        s.one_cycle(0.1, 50, three_phase=True),
        s.chain(s.join([s.linear_warmup(1.0, 5), s.cosine(1.0, total=40)], [5]), s.custom(1.0, halved)),
    ],
    ids=str,
)
def test_a_schedule_is_copied_and_pickled(schedule: s.Schedule) -> None:
    restored = pickle.loads(pickle.dumps(schedule))  # noqa: S301
    for same in (restored, copy.deepcopy(schedule)):
        assert repr(same) == repr(schedule)
        assert [same(step) for step in range(60)] == [schedule(step) for step in range(60)]


def test_numbers_of_numpy_are_numbers() -> None:
    schedule = s.cyclic(np.float32(0.0), np.float64(1.0), up=np.int64(4))
    assert schedule(2) == 0.5
    found = schedule(ag.asarray(2))
    assert isinstance(found, ag.Tensor)
    assert found.item() == 0.5
    assert s.multi_step(1.0, np.array([2, 4]), np.float32(0.5))(3) == 0.5

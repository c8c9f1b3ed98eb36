"""Compiled methods: what their object keeps beside what they read changes freely; what they read is noticed."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest
from compiled_networks import called_often

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.compiler.attributes import attributes_used
from autograd_core.errors import CompileError


class Trainer:
    """As users write them: everything in one object, the step a method of it."""

    def __init__(self) -> None:
        self.model = nn.Linear(3, 2)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.0)
        self.factor, self.offset = 2.0, 1.0
        self.state: Any = None
        self.losses: list[Any] = []
        self.take = ag.compile(self.step)

    def step(self, x):
        self.optimizer.zero_grad()
        loss = self.loss(x)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def loss(self, x):
        return (self.model(x) * self.scale).sum()

    @property
    def scale(self):
        return self.factor + self.offset

    def train(self, x):
        self.state = self.take(x)
        self.losses.append(self.state)


def test_what_a_trainer_keeps_beside_its_step_does_not_have_it_captured_again(device, caplog) -> None:
    trainer, x = Trainer(), ag.ones((4, 3))
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        for _ in range(12):
            trainer.train(x)
    assert len([r for r in caplog.records if "captured" in r.message]) == 3
    assert len(trainer.losses) == 12


def test_what_its_step_reads_is_noticed_through_methods_and_properties(device) -> None:
    trainer, x = Trainer(), ag.ones((4, 3))
    called_often(trainer.take, x)
    before = trainer.take(x).item()
    trainer.offset = 4.0
    assert trainer.take(x).item() == pytest.approx(2 * before)
    trainer.model = nn.Linear(3, 2)
    trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.0)
    assert trainer.take(x).item() == pytest.approx((trainer.model(x) * 6).sum().item(), rel=1e-5)


class Handed:
    """Objects whose attributes are read by code that is not theirs."""

    def __init__(self) -> None:
        self.factor = 2.0
        self.callback = self.scaled
        self.listed = [self.scaled]
        self.partly = functools.partial(scaled_by_factor, self)

    def scaled(self, x):
        return x * self.factor

    def through_function(self, x):
        return scaled_by_factor(self, x)

    def through_callback(self, x):
        return self.callback(x)

    def through_inner(self, x):
        return (lambda: x * self.factor)()

    def through_name(self, x):
        return x * getattr(self, "factor")  # noqa: B009

    def through_list(self, x):
        return self.listed[0](x)

    def through_partial(self, x):
        return self.partly(x)


def scaled_by_factor(owner, x):
    return x * owner.factor


class Inheriting(Handed):
    def scaled(self, x):
        return super().scaled(x) + 1.0 - 1.0


READERS = (
    "scaled",
    "through_function",
    "through_callback",
    "through_inner",
    "through_name",
    "through_list",
    "through_partial",
)


@pytest.mark.parametrize("owner", [Handed, Inheriting])
@pytest.mark.parametrize("reader", READERS)
def test_attributes_that_others_read_are_noticed(owner, reader, device) -> None:
    thing = owner()
    f = ag.compile(getattr(thing, reader))
    called_often(f, ag.ones(1))
    assert f(ag.ones(1)).item() == 2
    thing.factor = 3.0
    assert f(ag.ones(1)).item() == 3


def test_a_method_that_changes_its_own_object_is_not_compiled(device) -> None:
    class Counting:
        def __init__(self):
            self.count = 0

        def step(self, x):
            self.count += 1
            return x + 1.0

    with pytest.raises(CompileError, match="changes what Python sees itself"):
        called_often(ag.compile(Counting().step), ag.ones(2))


def test_names_are_told_from_the_code_or_not_at_all() -> None:
    class Dynamic(Handed):
        def __getattr__(self, name):
            return 1.0

    assert attributes_used(Trainer().step) == {
        "optimizer", "loss", "model", "scale", "factor", "offset",
    }  # fmt: skip
    assert attributes_used(Handed().scaled) == {"factor"}
    for reader in ("through_function", "through_inner", "through_name"):
        assert attributes_used(getattr(Handed(), reader)) is None
    assert attributes_used(Dynamic().scaled) is None
    assert attributes_used(Inheriting().scaled) is None

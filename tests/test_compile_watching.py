"""What Python would decide otherwise in the next call is noticed before it: captured again, or refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
from compiled_networks import called_often, draw, network

import autograd_core as ag
from autograd_core import nn
from autograd_core.errors import CompileError

F = nn.functional


FACTOR = 2.0


def scaled(x):
    return x * FACTOR


def test_a_global_that_changes_is_noticed(device, monkeypatch) -> None:
    f = ag.compile(lambda x: scaled(x) + 0.0)
    for factor in (2.0, 2.0, 2.0, 7.0, 7.0, 7.0, 2.0):
        monkeypatch.setattr(f"{__name__}.FACTOR", factor)
        assert f(ag.ones(1)).item() == factor


def test_an_outer_variable_that_changes_is_noticed(device) -> None:
    factor, settings = 1.0, {"shift": 0.0}

    @ag.compile
    def f(x):
        return x * factor + settings["shift"]

    for factor in (1.0, 1.0, 1.0, 4.0, 4.0):
        assert f(ag.ones(1)).item() == factor
    settings["shift"] = 10.0
    assert f(ag.ones(1)).item() == 14.0


def test_training_mode_and_replaced_layers_are_noticed(device) -> None:
    model = network()
    f = ag.compile(lambda x: model(x))
    x = draw(7, 5)
    with ag.no_grad():
        for _ in range(3):
            f(x)
        model.eval()
        for _ in range(3):
            np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
        model[4] = nn.Linear(8, 2)
        np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_modes_that_take_turns_are_captured_once_each(device, caplog) -> None:
    caplog.set_level("INFO", "autograd_core.compile")
    model, other = network(), nn.Dropout(0.5)
    f = ag.compile(lambda x: model(x))
    x = draw(7, 5)

    def a_turn() -> None:
        for mode in (True, False):
            model.train(mode)
            other.train(not mode)
            with ag.no_grad():
                for _ in range(3):
                    f(x)

    a_turn()
    captures = sum("captured for" in record.message for record in caplog.records)
    assert captures > 0
    for _ in range(3):
        a_turn()
    other.p = 0.25  # not a flag: looked at again, by whatever can see it
    assert sum("captured for" in record.message for record in caplog.records) == captures
    with ag.no_grad():
        np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert sum("captured for" in record.message for record in caplog.records) > captures


def test_a_frozen_parameter_is_noticed(device) -> None:
    w, v = nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))

    @ag.compile
    def step():
        for p in (w, v):
            if p.grad is not None:
                p.grad = None
        (w * v).sum().backward()

    for _ in range(4):
        step()
    assert v.grad is not None
    v.requires_grad_(False)
    step()
    assert v.grad is None
    assert w.grad.tolist() == [1, 1]


def test_what_changes_in_every_call_is_an_error(device) -> None:
    calls = iter(range(100))
    f = ag.compile(lambda x: x * float(next(calls)))

    def counted() -> None:
        for i in range(20):
            assert f(ag.ones(1)).item() == i

    with pytest.raises(CompileError, match="Python did something else in each of"):
        counted()


def test_a_function_that_changes_what_python_sees_is_not_compiled(device) -> None:
    seen, count = [], 0

    def appends(x):
        seen.append(len(seen))
        return x + 1.0

    def counts(x):
        nonlocal count
        count += 1
        return x + 1.0

    for f in (appends, counts):
        with pytest.raises(CompileError, match="changes what Python sees itself"):
            called_often(ag.compile(f), ag.ones(2))


def test_pythons_random_numbers_are_not_compiled_in(device) -> None:
    for draw_one in (random.random, np.random.rand):
        with pytest.raises(CompileError, match=r"write ag\.random"):
            called_often(ag.compile(lambda x, draw_one=draw_one: x + 1.0 if draw_one() < 2 else x), ag.ones(2))


def test_changes_deep_in_objects_lists_and_small_arrays_are_noticed(device) -> None:
    class Settings:
        def __init__(self):
            self.inner = type("Inner", (), {})()
            self.inner.scales = [1.0, 2.0]

    class Scaled(nn.Module):
        def __init__(self):
            self.factors = [3.0]

        def forward(self, x):
            return x * self.factors[0]

    settings, table, module = Settings(), np.array([5.0, 7.0]), Scaled()
    f = ag.compile(lambda x: module(x) * settings.inner.scales[1] * float(table[0]))
    called_often(f, ag.ones(1))
    assert f(ag.ones(1)).item() == 30
    settings.inner.scales[1] = 4.0
    assert f(ag.ones(1)).item() == 60
    table[0] = 1.0
    assert f(ag.ones(1)).item() == 12
    module.factors[0] = 1.0
    assert f(ag.ones(1)).item() == 4


def test_parameters_of_another_dtype_are_noticed():
    model = nn.Linear(3, 2)
    squares = ag.compile(lambda: sum((p * p).sum() for p in model.parameters()))
    expected = squares().item()
    for dtype in ("float32", "float64", "float32"):
        model.to(dtype=dtype)
        for _ in range(3):
            found = squares()
            assert (str(found.dtype), found.item()) == (dtype, pytest.approx(expected, rel=1e-6))

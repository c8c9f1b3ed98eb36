"""Compiled functions do what the functions do: the same values, the same effects, or an error that says why not."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from compiled_networks import draw, network

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import CompileError

F = nn.functional


def training(compiled: bool, make=lambda p: optim.Adam(p, lr=0.05), steps: int = 6):
    """Parameters, buffers, gradients and losses after some steps."""
    model = network()
    optimizer = make(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = ag.compile(step) if compiled else step
    labels = ag.tensor(np.arange(7) % 3)
    with ag.random.fork(3):
        losses = [run(draw(7, 5, seed=i), labels).item() for i in range(steps)]
        after = ag.random.uniform((2,)).tolist()  # the generator has advanced as far
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    gradients = [p.grad.numpy().copy() for p in model.parameters()]
    return losses, state, gradients, after, run


def assert_same(a, b) -> None:
    np.testing.assert_allclose(a[0], b[0], rtol=1e-5, atol=1e-6)
    for name, value in a[1].items():
        np.testing.assert_allclose(b[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    for mine, theirs in zip(a[2], b[2], strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-6)
    assert a[3] == b[3]


# --------------------------------------------------------------------------------------- whole steps


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.Adam(p, lr=0.05),
        lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        lambda p: optim.AdamW(p, lr=lambda step: 0.05 / (1 + step)),
    ],
    ids=["adam", "sgd", "adamw with a schedule"],
)
def test_a_training_step_is_the_same_compiled(device, make) -> None:
    eager, compiled = training(False, make), training(True, make)
    assert_same(eager, compiled)
    assert len(compiled[-1].variants) == 1


def test_a_step_that_gathers_gradients_over_calls(device) -> None:
    results = []
    for wrap in (lambda f: f, ag.compile):
        w = nn.Parameter(draw(4))

        @wrap
        def add_gradient(x, w=w):
            loss = (w * x).square().sum()
            loss.backward()
            return loss

        for i in range(5):
            add_gradient(draw(4, seed=i))
        results.append(w.grad.numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


def test_a_number_as_learning_rate_may_change(device, caplog) -> None:
    results = []
    for compiled in (False, True):
        w = nn.Parameter(ag.ones(3))
        optimizer = optim.SGD([w], lr=0.1)

        def step(w=w, optimizer=optimizer):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        run = ag.compile(step) if compiled else step
        with caplog.at_level(logging.INFO, "autograd_core.compile"):
            for i in range(6):
                if i == 4:
                    caplog.clear()
                optimizer.param_groups[0]["lr"] = 0.1 if i < 4 else 0.01
                run()
        results.append(w.numpy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)
    assert not caplog.records  # the rate is an operand, nothing was captured again


def test_gradients_of_arguments_go_to_the_arguments_of_each_call(device) -> None:
    @ag.compile
    def step(x):
        (x * x).sum().backward()

    for i in range(4):
        x = draw(3, seed=i).requires_grad_()
        step(x)
        np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy(), rtol=1e-6)


def test_values_held_from_before_stay_as_they_were(device) -> None:
    w = nn.Parameter(ag.zeros(4))

    @ag.compile
    def step():
        w.assign_((w + 1.0).detach())
        return w * 10.0

    kept = []
    for _ in range(6):
        held = w.detach()
        view = held.numpy()
        y = step()
        kept.append((held, view, y))
    for i, (held, view, y) in enumerate(kept):
        assert held.tolist() == [i] * 4 == view.tolist()
        assert y.tolist() == [10.0 * (i + 1)] * 4


# --------------------------------------------------------------------------------------- functions


def test_results_keep_their_structure_and_what_is_no_tensor(device) -> None:
    @ag.compile
    def f(x, *, scale, names):
        return {"y": x * scale, "same": x, "names": names, "pair": (x.sum(), [None, 3])}

    x = draw(3)
    for _ in range(3):
        result = f(x, scale=2.0, names=("a", "b"))
        assert result["names"] == ("a", "b")
        assert result["pair"][1] == [None, 3]
        np.testing.assert_array_equal(result["y"].numpy(), 2 * x.numpy())
        np.testing.assert_array_equal(result["same"].numpy(), x.numpy())


def test_arrays_and_views_are_arguments_too(device) -> None:
    f = ag.compile(lambda x, y: x @ y + 1.0)
    a = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    for x, y in [(a, a.T), (a[:, ::-1], a.T), (a[::2], a.T), (np.asfortranarray(a), a.T.copy())] * 2:
        np.testing.assert_allclose(f(x, y).numpy(), x @ y + 1, rtol=1e-5, atol=1e-5)


def test_another_shape_or_number_is_another_program(device, caplog) -> None:
    f = ag.compile(lambda x, n: x * n)
    with caplog.at_level(logging.INFO, "autograd_core.compile"):
        for n in (2, 3, 2):
            for size in (3, 4):
                for _ in range(3):
                    assert f(ag.ones(size), n).tolist() == [n] * size
    told = [r.getMessage() for r in caplog.records]
    assert any("leaf 0 of the arguments was float32[3] and is now float32[4]" in line for line in told)
    assert len(f.variants) == 4


def test_transforms_of_compiled_functions(device) -> None:
    def f(x):
        return (x.sin() * x).sum()

    g = ag.compile(f)
    x = draw(5)
    for _ in range(3):
        assert ag.grad(g)(x).tolist() == pytest.approx(ag.grad(f)(x).tolist(), rel=1e-5)
        assert ag.vmap(g)(draw(4, 5)).tolist() == pytest.approx(ag.vmap(f)(draw(4, 5)).tolist(), rel=1e-5)
        assert ag.jvp(g, (x,), (x,))[1].item() == pytest.approx(ag.jvp(f, (x,), (x,))[1].item(), rel=1e-5)
        np.testing.assert_allclose(ag.hessian(g)(x).numpy(), ag.hessian(f)(x).numpy(), rtol=1e-4, atol=1e-5)
        y = ag.checkpoint(g)(x.requires_grad_())
        y.backward()
        np.testing.assert_allclose(x.grad.numpy(), ag.grad(f)(x).detach().numpy(), rtol=1e-5)
        x = x.detach()


def test_compiled_functions_of_transforms(device) -> None:
    def f(x):
        return (x.exp() * x).sum()

    x = draw(5)
    per_example = ag.compile(ag.vmap(ag.grad(f)))
    for _ in range(3):
        np.testing.assert_allclose(
            per_example(draw(4, 5)).numpy(), ag.vmap(ag.grad(f))(draw(4, 5)).numpy(), rtol=1e-5, atol=1e-6
        )
        assert ag.compile(ag.checkpoint(f))(x).item() == pytest.approx(f(x).item(), rel=1e-5)


def test_a_compiled_module_trains_with_backward_outside(device) -> None:
    results = []
    for compiled in (False, True):
        model = network()
        run = ag.compile(model) if compiled else model
        with ag.random.fork(1):
            for i in range(4):
                run(draw(7, 5, seed=i)).square().sum().backward()
        results.append([p.grad.numpy() for p in model.parameters()] + [b.numpy() for b in model.buffers()])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)


def test_a_method_is_compiled_for_each_object(device) -> None:
    class Scaled:
        def __init__(self, factor: float):
            self.factor = factor

        @ag.compile
        def apply(self, x):
            return x * self.factor

    two, three = Scaled(2.0), Scaled(3.0)
    for _ in range(3):
        assert two.apply(ag.ones(2)).tolist() == [2, 2]
        assert three.apply(ag.ones(2)).tolist() == [3, 3]
    two.factor = 5.0
    assert two.apply(ag.ones(2)).tolist() == [5, 5]


# --------------------------------------------------------------------------------------- what can be seen


def test_a_watched_run_is_eager(device) -> None:
    f = ag.compile(lambda x: x.log())
    for _ in range(3):
        f(ag.ones(2))
    with pytest.raises(ag.AnomalyError), ag.detect_anomaly(infinities=True):
        f(ag.zeros(2))


def test_what_was_compiled_can_be_seen(device) -> None:
    f = ag.compile(lambda x: (x * 2.0).sum())
    with pytest.raises(CompileError, match="nothing is compiled yet"):
        f.graph()
    for _ in range(3):
        f(ag.ones(3))
    assert "multiply" in str(f.graph())
    assert f.source()
    assert f.report()
    assert f(ag.ones(3)).item() == 6


# --------------------------------------------------------------------------------------- variables in place


def test_steps_that_share_parameters_leave_each_other_the_memory(device) -> None:
    w = nn.Parameter(ag.ones(3))
    optimizer = optim.SGD([w], lr=0.5)

    @ag.compile
    def train():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    @ag.compile
    def evaluate(x):
        return (w * x).sum()

    places = set()
    expected = 1.0
    for _ in range(12):
        train()
        expected -= 0.5 * 2 * expected
        w.assign_(w.detach() + 1.0)
        expected += 1.0
        assert evaluate(ag.ones(3)).item() == pytest.approx(3 * expected)
    for i in range(12):
        train()
        assert evaluate(ag.ones(3)).item() == 0.0
        if i > 4:
            places.add(w.numpy().__array_interface__["data"][0])
    assert len(places) == 1 or device == "numpy"


def test_a_counter_beside_arrays_counts_once_a_call(device) -> None:
    w, count = nn.Parameter(ag.ones((3, 5))), nn.Parameter(ag.zeros(()))

    @ag.compile
    def step():
        w.assign_((w + count * w.sum(axis=1, keepdims=True)).detach())
        count.assign_((count + 1.0).detach())

    expected = np.ones((3, 5), np.float32)
    for i in range(6):
        step()
        expected = expected + i * expected.sum(axis=1, keepdims=True)
    assert count.item() == 6
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "gradient",
    [
        lambda f, w: ag.grad(f)(w),
        lambda f, w: ag.vjp(f, w)[1](ag.ones(()))[0],
        lambda f, w: ag.jvp(f, (w,), (ag.ones(3),))[1] * ag.ones(3),
        lambda f, w: ag.grad(ag.checkpoint(f))(w),
    ],
    ids=["grad", "vjp", "jvp", "checkpoint"],
)
def test_steps_whose_parameters_are_arguments_of_transforms(gradient) -> None:
    def made():
        w = nn.Parameter(np.ones(3, np.float32))

        def step(x: ag.Tensor) -> ag.Tensor:
            g = gradient(lambda v: (v * x).square().sum(), w)
            w.assign_(w - 0.1 * g)
            return g

        return w, step

    (w, eager), (u, step) = made(), made()
    compiled = ag.compile(step)
    x = ag.tensor([0.5, 1.0, -2.0])
    for _ in range(5):
        np.testing.assert_allclose(compiled(x).numpy(), eager(x).numpy(), rtol=1e-6)
        np.testing.assert_allclose(u.numpy(), w.numpy(), rtol=1e-6)
    assert compiled.report() is not None, "it was never compiled"

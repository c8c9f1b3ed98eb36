"""checkpoint: the same bits for less memory."""

from __future__ import annotations

import numpy as np
import pytest
from engine_tools import nodes_under

import autograd_core as ag
from autograd_core import nn

X = ag.tensor(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32))


def model() -> nn.Module:
    with ag.random.fork(0):
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8), nn.Dropout(0.3), nn.Tanh()
        )


def trained(wrap) -> tuple:
    """Bits after two steps of a network whose blocks are wrapped: loss, gradients, statistics, the generator."""
    m = model()
    x = X.detach().requires_grad_()
    with ag.random.fork(7) as generator:
        for _ in range(2):
            y = wrap(m)(x)
            y = wrap(m[:1])(wrap(lambda z: z * 2.0)(y[:, :4]))
            loss = (y * y).mean()
            loss.backward()
        rest = [p.grad.tolist() for p in m.parameters()] + [b.tolist() for b in m.buffers()]
        return loss.item(), x.grad.tolist(), rest, generator.state_dict()


def test_dropout_and_running_statistics_come_out_bit_for_bit() -> None:
    assert trained(ag.checkpoint) == trained(lambda f: f)


def test_checkpoints_in_checkpoints() -> None:
    assert trained(lambda f: ag.checkpoint(lambda x: ag.checkpoint(f)(x))) == trained(lambda f: f)


def test_a_generator_of_its_own_is_replayed_too() -> None:
    def gradient(wrap) -> tuple:
        g = ag.random.Generator(3)
        x = X.detach().requires_grad_()
        f = wrap(lambda x: ag.sin(x * ag.random.normal((5, 4), generator=g)))
        f(f(x)).sum().backward()
        return x.grad.tolist(), g.call

    assert gradient(ag.checkpoint) == gradient(lambda f: f)


def test_nothing_between_arguments_and_results_is_kept() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        for _ in range(10):
            x = ag.sin(x)
        return x

    x = X.detach().requires_grad_()
    assert len(nodes_under(f(x))) == 11
    assert len(nodes_under(ag.checkpoint(f)(x))) == 2


def test_the_function_runs_once_more_for_each_backward() -> None:
    runs = []

    def f(x: ag.Tensor) -> ag.Tensor:
        runs.append(1)
        return ag.exp(x)

    x = X.detach().requires_grad_()
    y = ag.checkpoint(f)(x).sum()
    assert len(runs) == 1
    y.backward(retain_graph=True)
    y.backward()
    assert len(runs) == 3
    with ag.no_grad():
        ag.checkpoint(f)(x)
    assert len(runs) == 4


def test_structures_keywords_and_constants() -> None:
    def f(p: dict, n: int, *, scale: ag.Tensor) -> dict:
        return {"y": p["w"] * scale * n, "i": ag.argmax(p["w"]), "same": p["w"]}

    w = ag.tensor([1.0, 2.0], requires_grad=True)
    s = ag.tensor([5.0, 7.0], requires_grad=True)
    out = ag.checkpoint(f)({"w": w}, 3, scale=s)
    assert not out["i"].requires_grad
    (out["y"] + out["same"]).sum().backward()
    assert w.grad.tolist() == [16.0, 22.0]
    assert s.grad.tolist() == [3.0, 6.0]


def test_what_is_captured_gets_its_gradient() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    a, b = ag.split(w * 3.0, 1)
    ag.checkpoint(lambda: a * b * w)().sum().backward()
    expected = ag.grad(lambda w: (9.0 * w[0] * w[1] * w).sum())(w.detach())
    assert w.grad.tolist() == pytest.approx(expected.tolist())


def test_second_derivatives() -> None:
    f = lambda x: (ag.sin(x) * x).sum()  # noqa: E731
    x = X[0]
    assert ag.hessian(ag.checkpoint(f))(x).tolist() == ag.hessian(f)(x).tolist()
    assert ag.hessian(lambda x: ag.checkpoint(lambda: f(x))())(x).tolist() == ag.hessian(f)(x).tolist()


def test_a_constant_assigned_to_afterwards_is_not_the_one_used() -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    c = ag.tensor([3.0, 4.0])
    y = ag.checkpoint(lambda x, c: x * c)(x, c)
    with pytest.raises(ag.GradientError, match="has kept this tensor"):
        c[0] = 9.0
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_a_function_that_does_not_repeat_itself_is_refused() -> None:
    runs = []

    def f(x: ag.Tensor) -> ag.Tensor:
        runs.append(1)
        for _ in runs:
            x = x * ag.random.uniform((5, 4))
        return x

    y = ag.checkpoint(f)(X.detach().requires_grad_())
    with pytest.raises(ag.GradientError, match="draws more random numbers than the first time"):
        y.sum().backward()


def test_it_returns_tensors() -> None:
    with pytest.raises(ag.GradientError, match="checkpoint: the function must return tensors, it returned float"):
        ag.checkpoint(lambda x: 3.0)(X.detach().requires_grad_())

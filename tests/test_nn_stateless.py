"""functional_call: a module as a function of its parameters."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import functional as F


def model() -> nn.Module:
    with ag.random.fork(0):
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X = ag.tensor(np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32))


def test_its_gradient_is_that_of_backward() -> None:
    m = model()
    p = dict(m.named_parameters())
    found = ag.grad(lambda p: nn.functional_call(m, p, X).square().sum())(p)
    m(X).square().sum().backward()
    for name in p:
        assert found[name].tolist() == p[name].grad.tolist()


def test_an_ensemble_runs_as_one_batch() -> None:
    models = [nn.Linear(3, 2) for _ in range(4)]
    stacked = {name: ag.stack([dict(m.named_parameters())[name] for m in models]) for name in ("weight", "bias")}
    found = ag.vmap(lambda p: nn.functional_call(models[0], p, X))(stacked)
    for i, m in enumerate(models):
        np.testing.assert_allclose(found[i].detach().numpy(), m(X).detach().numpy(), rtol=1e-6, atol=1e-6)


def test_the_jvp_along_the_parameters() -> None:
    m = model().double()
    p = {name: w.detach() for name, w in m.named_parameters()}
    x = X.double()
    f = lambda p: F.softmax(nn.functional_call(m, p, x), -1)  # noqa: E731
    y, t = ag.jvp(f, (p,), (p,))
    eps = 1e-6
    moved = f({k: w * (1 + eps) for k, w in p.items()})
    np.testing.assert_allclose(((moved - y) / eps).numpy(), t.numpy(), atol=1e-5)


def test_shared_parameters_are_replaced_everywhere() -> None:
    first = nn.Linear(2, 2, bias=False)
    second = nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    m = nn.Sequential(first, second)
    assert nn.functional_call(m, {"0.weight": ag.eye(2) * 3.0}, ag.ones((1, 2))).tolist() == [[9.0, 9.0]]


def test_lists_and_dicts_of_parameters_show_what_replaces_them() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.rows = nn.ParameterList([nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))])
            self.named = nn.ParameterDict({"bias": nn.Parameter(ag.ones(2))})

        def forward(self, x: ag.Tensor) -> ag.Tensor:
            for row in self.rows:
                x = x * row
            assert list(self.named) == ["bias"]
            return x * self.rows[-1] + self.named["bias"]

    replaced = {name: ag.full((2,), 3.0) for name in ("rows.0", "rows.1", "named.bias")}
    assert nn.functional_call(Scaled(), replaced, ag.ones(2)).tolist() == [30.0, 30.0]


def test_the_module_is_as_before_also_after_an_error() -> None:
    m = model()
    before = m[0].weight
    with pytest.raises(ag.AutogradError):
        nn.functional_call(m, {"0.weight": ag.ones((4, 3))}, ag.ones((5, 7)))
    assert m[0].weight is before


def test_buffers_and_keywords() -> None:
    class Scaled(nn.Module):
        def __init__(self):
            self.scale = nn.Buffer(ag.ones(()))

        def forward(self, x, *, shift):
            return x * self.scale + shift

    assert nn.functional_call(Scaled(), {"scale": ag.tensor(3.0)}, (ag.tensor(2.0),), {"shift": 1.0}).item() == 7.0


@pytest.mark.parametrize(
    ("parameters", "error", "text"),
    [
        ({"3.weight": ag.ones(2)}, ag.ArgumentError, "Sequential has no tensor '3.weight'; it has: 0.weight, 0.bias"),
        ({"0": ag.ones(2)}, ag.ArgumentError, "has no tensor '0'"),
        ({"0.bias": ag.ones(3)}, ag.ShapeError, r"0.bias has shape \(4,\), got \(3,\)"),
        ({"0.bias": 3.0}, ag.ShapeError, r"0.bias has shape \(4,\), got float"),
    ],
)
def test_what_does_not_fit(parameters, error, text: str) -> None:
    with pytest.raises(error, match=text):
        nn.functional_call(model(), parameters, X)

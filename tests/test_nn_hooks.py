"""Hooks see, and may replace, what goes into a module, what comes out, and the gradients of both: as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn

X, W = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32), np.array([[2.0, 1.0], [-1.0, 0.5]], np.float32)


def pair(build: Any) -> list[tuple[Any, Any, Any]]:
    """(package, its nn, the module) for ours and PyTorch's, with the same weights."""
    torch = pytest.importorskip("torch")
    ours, theirs = build(nn), build(torch.nn)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            value = np.resize(W, a.shape)
            a.assign_(ag.asarray(value))
            b.copy_(torch.from_numpy(value))
    return [(ag, nn, ours), (torch, torch.nn, theirs)]


def arrays(values: Any) -> Any:
    if isinstance(values, (tuple, list)):
        return [arrays(v) for v in values]
    return None if values is None else values.detach().numpy().tolist()


def same(results: list[Any]) -> None:
    ours, theirs = results
    assert ours == theirs


def test_keyword_arguments_reach_hooks_that_ask_for_them() -> None:
    class Scale(nn.Module):
        def forward(self, x: Any, by: float = 1.0) -> Any:
            return x * by

    seen: list[Any] = []
    layer = Scale()
    layer.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    layer.register_forward_hook(lambda module, args, kwargs, y: seen.append((kwargs, y.item())), with_kwargs=True)
    assert layer(ag.tensor(2.0), by=2.0).item() == 6.0
    assert seen == [({"by": 3.0}, 6.0)]
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(ag.ArgumentError, match=r"returns None or the pair \(args, kwargs\)"):
        layer(ag.tensor(2.0), by=2.0)


def test_order_and_removal() -> None:
    calls: list[str] = []
    layer = nn.Identity()
    layer.register_forward_hook(lambda *given: calls.append("second"))
    layer.register_forward_hook(lambda *given: calls.append("first"), prepend=True)
    with layer.register_forward_hook(lambda *given: calls.append("for now")) as handle:
        layer(ag.ones(1))
    layer(ag.ones(1))
    handle.remove()
    assert calls == ["first", "second", "for now", "first", "second"]
    with pytest.raises(ag.ArgumentError, match="a hook is a function, got str"):
        layer.register_forward_hook("print")


def test_backward_hooks_see_what_pytorchs_see() -> None:
    results = []
    for package, _, model in pair(lambda n: n.Sequential(n.Linear(2, 2), n.Tanh(), n.Linear(2, 2))):
        seen: list[Any] = []
        for name, module in model.named_modules():
            module.register_full_backward_hook(
                lambda m, into, out, name=name, seen=seen: seen.append((name, arrays(into), arrays(out)))
            )
        x = package.tensor(X, requires_grad=True)
        model(x).sum().backward()
        results.append([(name, np.round(a, 5).tolist(), np.round(b, 5).tolist()) for name, a, b in seen])
        np.testing.assert_allclose(np.asarray(seen[-1][1][0]), x.grad.numpy(), rtol=1e-6)
    same(results)


def test_backward_hooks_replace_gradients() -> None:
    results = []
    for package, _, layer in pair(lambda n: n.Linear(2, 2)):
        layer.register_full_backward_pre_hook(lambda m, out: (out[0] * 3,))
        layer.register_full_backward_hook(lambda m, into, out: (into[0] + 100,))
        x = package.tensor(X, requires_grad=True)
        layer(x).sum().backward()
        results.append([arrays(x.grad), arrays(layer.weight.grad)])
    same(results)


def test_a_module_of_two_inputs_and_outputs() -> None:
    results = []
    torch = pytest.importorskip("torch")
    for package, library in ((ag, nn), (torch, torch.nn)):

        class Cross(library.Module):
            def forward(self, a: Any, b: Any) -> Any:
                return a * b, a + b

        seen: list[Any] = []
        layer = Cross()
        layer.register_full_backward_hook(lambda m, into, out, seen=seen: seen.append((arrays(into), arrays(out))))
        a, b = package.tensor(X, requires_grad=True), package.tensor(W, requires_grad=True)
        y, z = layer(a, b)
        (y * 2 + z).sum().backward()
        results.append([seen, arrays([a.grad, b.grad])])
    same(results)


def test_inputs_without_gradients_are_none_and_the_hook_still_runs() -> None:
    layer, seen = nn.Bilinear(2, 2, 1), []
    layer.register_full_backward_hook(lambda m, into, out: seen.append([g is None for g in into]))
    layer(ag.tensor(X, requires_grad=True), ag.tensor(W)).sum().backward()
    layer(ag.tensor(X), ag.tensor(W)).sum().backward()
    with ag.no_grad():
        layer(ag.tensor(X), ag.tensor(W))
    assert seen == [[False, True], [True, True]]


def test_backward_hooks_run_inside_transforms_and_say_what_is_wrong() -> None:
    layer = nn.Tanh()
    handle = layer.register_full_backward_hook(lambda m, into, out: (into[0] * 2,))
    x = ag.tensor([0.0, 0.0])
    assert ag.grad(lambda x: layer(x).sum())(x).tolist() == [2.0, 2.0]
    assert ag.vmap(ag.grad(layer))(x).tolist() == [2.0, 2.0]
    handle.remove()
    layer.register_full_backward_hook(lambda m, into, out: (None, None))
    with pytest.raises(ag.ArgumentError, match=r"returns None or 1 gradient\(s\), one for each; it returned 2"):
        ag.grad(lambda x: layer(x).sum())(x)


def test_parameters_and_buffers_by_path() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert model.get_parameter("0.weight") is model[0].weight
    assert model.get_buffer("1.running_mean") is model[1].running_mean
    with pytest.raises(ag.ArgumentError, match=r"no parameter '1.running_mean'; it has: 0.weight, 0.bias, 1.weight"):
        model.get_parameter("1.running_mean")


def test_a_model_in_half_precision() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).half()
    assert {str(p.dtype) for p in model.parameters()} == {"float16"}
    assert model[1].num_batches_tracked.dtype == ag.int64

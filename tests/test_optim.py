"""Optimizers walk PyTorch's path, and go on from its state as it goes on from ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optim_tools import COUNTS, IDS, VARIANTS, give_gradients, make, parameters, shapes_for, values

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter

THEIRS = [(name, options) for name, options in VARIANTS if name != "Lion"]
THEIR_IDS = [name for name in IDS if not name.startswith("Lion")]


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """PyTorch, whose Muon does not round its directions to bfloat16 here."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    return torch


@pytest.mark.parametrize(("name", "options"), THEIRS, ids=THEIR_IDS)
def test_100_steps_follow_pytorch(name: str, options: dict[str, Any], torch: Any) -> None:
    follow(name, options, torch, "cpu")


@pytest.mark.parametrize(("name", "options"), THEIRS[::3], ids=THEIR_IDS[::3])
def test_100_steps_of_the_reference_backend_follow_pytorch(name: str, options: dict[str, Any], torch: Any) -> None:
    follow(name, options, torch, "numpy")


def follow(name: str, options: dict[str, Any], torch: Any, device: str) -> None:
    params = parameters(shapes=shapes_for(name))
    for p in params:
        p.convert_(device)
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(params)]
    mine, reference = make(name, params, options), getattr(torch.optim, name)(theirs, **options)
    for step in range(100):
        for p, g in zip(theirs, give_gradients(params, step), strict=True):
            p.grad = torch.tensor(g)
        if step % 3 == 1:  # a parameter without a gradient keeps its own count of steps
            params[1].grad = theirs[1].grad = None
        mine.step()
        reference.step()
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), THEIRS, ids=THEIR_IDS)
def test_defaults_are_those_of_pytorch(name: str, options: dict[str, Any], torch: Any) -> None:
    mine = make(name, parameters(shapes=shapes_for(name)), options)
    reference = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1, 1))], **options)
    for option, value in mine.defaults.items():
        assert reference.defaults[option] == value, option


@pytest.mark.parametrize(("name", "options"), THEIRS, ids=THEIR_IDS)
def test_a_training_goes_on_from_pytorchs_state(name: str, options: dict[str, Any], torch: Any) -> None:
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(parameters(shapes=shapes_for(name)))]
    reference = getattr(torch.optim, name)(theirs, **options)
    shadow = parameters(shapes=shapes_for(name))

    def their_step(step: int) -> None:
        for p, g in zip(theirs, give_gradients(shadow, step), strict=True):
            p.grad = torch.tensor(g)
        reference.step()

    for step in range(3):
        their_step(step)
    params = [Parameter(p.detach().numpy().copy()) for p in theirs]
    mine = make(name, params, {})
    mine.load_state_dict(reference.state_dict())
    for step in range(3, 6):
        their_step(step)
        give_gradients(params, step)
        mine.step()
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), THEIRS, ids=THEIR_IDS)
def test_pytorch_takes_our_state(name: str, options: dict[str, Any], torch: Any) -> None:
    params = parameters(shapes=shapes_for(name))
    mine = make(name, params, options)
    for step in range(2):
        give_gradients(params, step)
        mine.step()
    saved = mine.state_dict()
    as_theirs = {
        "state": {i: {k: torch.tensor(v.numpy()) for k, v in s.items()} for i, s in saved["state"].items()},
        "param_groups": saved["param_groups"],
    }
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(params)]
    reference = getattr(torch.optim, name)(theirs, **options)
    reference.load_state_dict(as_theirs)
    for p, g in zip(theirs, give_gradients(params, 2), strict=True):
        p.grad = torch.tensor(g)
    mine.step()
    reference.step()
    # in float32 as its own state, PyTorch loads NAdam's product of factors in the dtype of the parameter
    tolerance = 1e-7 if name == "NAdam" else 1e-12
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), THEIRS, ids=THEIR_IDS)
def test_complex_parameters_follow_pytorch_too(name: str, options: dict[str, Any], torch: Any) -> None:
    if name == "Muon":
        with pytest.raises(ag.DTypeError, match="complex128; Muon is for real ones: .*real and imaginary parts"):
            make(name, [Parameter(np.ones((2, 2), complex))], options)
        return
    params = parameters(dtype="complex128", shapes=[(3, 2), ()])
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(params)]
    mine, reference = make(name, params, options), getattr(torch.optim, name)(theirs, **options)
    for step in range(5):
        for p, g in zip(theirs, give_gradients(params, step), strict=True):
            p.grad = torch.tensor(g)
        mine.step()
        reference.step()
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-7, atol=1e-7)
        assert {n: str(s.dtype) for n, s in mine.state[p].items() if n not in COUNTS} == {
            n: "complex128" for n in reference.state[q] if n not in COUNTS and reference.state[q][n] is not None
        }


@pytest.mark.parametrize("options", [o for name, o in VARIANTS if name == "Lion"])
def test_lion_follows_the_program_in_its_paper(options: dict[str, Any]) -> None:
    params = parameters()
    expected, means = values(params), [np.zeros(p.shape) for p in params]
    mine = make("Lion", params, options)
    lr, decay = options.get("lr", 1e-4), options.get("weight_decay", 0.0)
    (beta1, beta2), sign = options.get("betas", (0.9, 0.99)), -1 if options.get("maximize") else 1
    for step in range(100):
        for i, g in enumerate(give_gradients(params, step)):
            direction = np.sign(beta1 * means[i] + (1 - beta1) * sign * g)
            expected[i] = expected[i] - lr * (direction + decay * expected[i])
            means[i] = beta2 * means[i] + (1 - beta2) * sign * g
        mine.step()
    for p, x in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.numpy(), x, rtol=1e-10, atol=1e-10)


def test_muon_is_within_bfloat16_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    params = parameters(shapes=[(30, 40), (50, 20)])
    before = values(params)
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in before]
    mine, reference = optim.Muon(params, lr=0.1), torch.optim.Muon(theirs, lr=0.1)
    for step in range(10):
        for p, g in zip(theirs, give_gradients(params, step), strict=True):
            p.grad = torch.tensor(g)
        mine.step()
        reference.step()
    for p, q, start in zip(params, theirs, before, strict=True):
        way, difference = p.numpy() - start, p.numpy() - q.detach().numpy()
        assert np.linalg.norm(difference) < 2**-7 * np.linalg.norm(way)


def test_directions_of_muon_are_nearly_orthogonal() -> None:
    (w,) = parameters(shapes=[(6, 4)])
    before = values([w])[0]
    give_gradients([w], 0)
    optim.Muon([w], lr=1.0, weight_decay=0.0, adjust_lr_fn="original").step()
    lengths = np.linalg.svd((before - w.numpy()) / np.sqrt(6 / 4), compute_uv=False)
    assert np.all((lengths > 0.65) & (lengths < 1.25))


def test_the_mean_of_averaged_sgd_is_that_of_the_steps_after_t0() -> None:
    w = Parameter(np.array([1.0]))
    optimizer = optim.ASGD([w], lr=0.5, lambd=0.0, alpha=0.0, t0=2)
    seen = []
    for _ in range(6):
        w.grad = w.detach()
        optimizer.step()
        seen.append(w.item())
    assert seen == [0.5**k for k in range(1, 7)]
    assert optimizer.state[w]["ax"].item() == pytest.approx(np.mean(seen[3:]), rel=1e-6)


NO_MEMORY = [
    ("Adam", {"betas": (0.0, 0.9)}),
    ("AdamW", {"betas": (0.25, 0.5), "amsgrad": True}),
    ("RMSprop", {"alpha": 0.0}),
    ("RMSprop", {"alpha": 0.25, "centered": True, "eps": 0.1}),
    ("Adadelta", {"rho": 0.0}),
    ("NAdam", {"betas": (0.0, 0.0)}),
    ("RAdam", {"betas": (0.0, 0.5)}),
    ("Adamax", {"betas": (0.0, 0.0)}),
]


@pytest.mark.parametrize("device", ["cpu", "numpy"])
@pytest.mark.parametrize(("name", "options"), NO_MEMORY, ids=[name for name, _ in NO_MEMORY])
def test_means_that_forget_at_once_lose_no_small_gradient_beside_a_large_one(
    name: str, options: dict[str, Any], device: str, torch: Any
) -> None:
    w = Parameter(ag.ones(300, dtype="float32", device=device))
    other = torch.nn.Parameter(torch.ones(300))
    mine, reference = make(name, [w], options), getattr(torch.optim, name)([other], **options)
    for size in (1e4, 1e-4, 1e3, 1e-5):
        g = (size * np.linspace(-1, 1, 300)).astype(np.float32)
        w.grad, other.grad = ag.asarray(g, device=device), torch.tensor(g)
        mine.step()
        reference.step()
    np.testing.assert_allclose(w.numpy(), other.detach().numpy(), rtol=2e-6, atol=2e-6)

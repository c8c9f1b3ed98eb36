"""Dynamic loss scaling: PyTorch's rules, decided without the host, the same compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, DTypeError, GradientError, StateDictError

BAD = {3: np.inf, 4: np.nan, 9: -np.inf}  # what gradients hold in these steps
OPTIONS = {"init_scale": 1024.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 3}
RULES = [("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}), ("AdamW", {"lr": 0.1, "amsgrad": True})]


def problem(step: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of a loss that is linear in two parameters, so that they are its gradients."""
    rng = np.random.default_rng(step)
    first, second = rng.standard_normal((2, 3)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    if step in BAD:
        second[1] = BAD[step]
    return first, second


class Training:
    """A step of ``sum(a w) + sum(b v)``, and what it has come to: the scale, the parameters and all state."""

    def __init__(self, rule: str, options: dict[str, Any], *, compiled: bool = False, clip: bool = False):
        self.w, self.v = nn.Parameter(ag.ones((2, 3))), nn.Parameter(ag.ones(4))
        self.optimizer = getattr(optim, rule)([self.w, self.v], **options)
        self.scaler = optim.GradScaler(**OPTIONS)
        self.clip = clip
        self.run = ag.compile(self.step) if compiled else self.step

    def step(self, a: Any, b: Any) -> Any:
        self.optimizer.zero_grad()
        loss = (a * self.w).sum() + (b * self.v).sum()
        self.scaler.scale(loss).backward()
        if self.clip:
            self.scaler.unscale_(self.optimizer)
            optim.clip_grad_norm_([self.w, self.v], 0.5)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def seen(self) -> list[np.ndarray]:
        states = [self.optimizer.state[p] for p in (self.w, self.v)]
        values = [self.w, self.v, *(state[name] for state in states for name in sorted(state))]
        return [np.asarray(self.scaler.get_scale()), *(value.numpy() for value in values)]

    def __call__(self, step: int) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            self.run(*(ag.asarray(x) for x in problem(step)))
        return self.seen()


@pytest.mark.parametrize("clip", [False, True], ids=["", "clipped"])
@pytest.mark.parametrize(("rule", "options"), RULES, ids=[name for name, _ in RULES])
def test_it_goes_as_pytorch_s(rule: str, options: dict[str, Any], clip: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is compared with where it is installed")
    ours = Training(rule, options, clip=clip)
    w, v = (torch.nn.Parameter(torch.ones(*shape)) for shape in ((2, 3), (4,)))
    optimizer = getattr(torch.optim, rule)([w, v], **options)
    scaler = torch.amp.GradScaler("cpu", **OPTIONS)
    for step in range(14):
        a, b = (torch.from_numpy(x) for x in problem(step))
        optimizer.zero_grad()
        scaler.scale((a * w).sum() + (b * v).sum()).backward()
        if clip:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([w, v], 0.5)
        scaler.step(optimizer)
        scaler.update()
        scale, *parameters = ours(step)[:3]
        assert scale == scaler.get_scale()
        assert ours.scaler.state_dict() == scaler.state_dict()
        for mine, theirs in zip(parameters, (w, v), strict=True):
            np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rule", "options"), RULES, ids=[name for name, _ in RULES])
def test_a_compiled_step_has_it_all_inside(rule: str, options: dict[str, Any], device: str) -> None:
    eager, compiled = Training(rule, options, clip=True), Training(rule, options, compiled=True, clip=True)
    for step in range(14):
        for mine, theirs in zip(compiled(step), eager(step), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)
    assert len(compiled.run.variants) == 1, "an overflow is no other program"


def test_a_first_step_that_overflows_leaves_the_first_state() -> None:
    training = Training("Adam", {"lr": 0.1})
    seen = training(3)
    np.testing.assert_array_equal(seen[1], np.ones((2, 3)))
    assert all(not value.any() for value in seen[3:])
    assert training.optimizer.steps.item() == 0
    for mine, theirs in zip(training(0)[1:], Training("Adam", {"lr": 0.1})(0)[1:], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_the_scale_stays_finite() -> None:
    scaler = optim.GradScaler(init_scale=2.0**127, growth_interval=1)
    w = nn.Parameter(ag.tensor([2.0**-130]))
    optimizer = optim.SGD([w], lr=0.0)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale((w * w).sum()).backward()
        scaler.step(optimizer)
        with np.errstate(over="ignore"):
            scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_two_optimizers_share_a_scale() -> None:
    w, v = nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))
    first, second = optim.SGD([w], lr=1.0), optim.SGD([v], lr=1.0)
    scaler = optim.GradScaler(init_scale=4.0)
    (scaled,) = scaler.scale([(w * ag.tensor([1.0, np.inf]) + v).sum()])
    scaled.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    np.testing.assert_array_equal(w.numpy(), [1, 1])
    np.testing.assert_array_equal(v.numpy(), [0, 0])
    assert scaler.get_scale() == 2.0


def test_a_scaler_that_is_not_enabled_does_nothing() -> None:
    w = nn.Parameter(ag.ones(2))
    optimizer, scaler = optim.SGD([w], lr=0.5), optim.GradScaler(enabled=False)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_array_equal(w.numpy(), [0.5, 0.5])
    assert (scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()) == (1.0, {}, False)


def test_a_scale_can_be_given_and_saved() -> None:
    scaler = optim.GradScaler(growth_interval=7)
    scaler.update(32.0)
    assert scaler.get_scale() == 32.0
    scaler.update(ag.tensor(8.0))
    other = optim.GradScaler()
    other.load_state_dict(scaler.state_dict() | {"_growth_tracker": 5})
    assert other.state_dict() == {
        "scale": 8.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 7,
        "_growth_tracker": 5,
    }
    with pytest.raises(StateDictError, match=r"expected the keys .*; an empty one was saved by a scaler that was not"):
        other.load_state_dict({})
    with pytest.raises(StateDictError, match="expected the keys .*, got a NoneType"):
        other.load_state_dict(None)


def test_what_makes_no_sense_is_refused() -> None:
    wrong: list[dict[str, Any]] = [
        *({"growth_factor": x} for x in (1.0, "2", np.nan, np.inf)),
        *({"backoff_factor": x} for x in (1.0, None)),
        *({"growth_interval": x} for x in (0, 2.5)),
        {"init_scale": 0.0},
    ]
    for options in wrong:
        with pytest.raises(ArgumentError, match=f"GradScaler: {next(iter(options))} must be "):
            optim.GradScaler(**options)
    w = nn.Parameter(ag.ones(2))
    optimizer, scaler = optim.SGD([w]), optim.GradScaler()
    with pytest.raises(ArgumentError, match="outputs must be tensors, got a float"):
        scaler.scale(1.0)
    with pytest.raises(GradientError, match=r"update: no gradients were looked at; call step\(optimizer\)"):
        scaler.update()
    with pytest.raises(GradientError, match=r"no parameter of this optimizer has a gradient"):
        scaler.step(optimizer)
    scaler.scale(w.sum()).backward()
    with pytest.raises(ArgumentError, match="a closure cannot be unscaled"):
        scaler.step(optimizer, lambda: w.sum())
    scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match=r"unscale_: called twice for one optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GradientError, match=r"unscale_: called after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(GradientError, match=r"step: called twice for one optimizer; call update\(\)"):
        scaler.step(optimizer)
    with pytest.raises(ArgumentError, match=r"update: new_scale must be one number, got a tensor of shape \(2,\)"):
        scaler.update(ag.ones(2))
    with pytest.raises(ArgumentError, match="new_scale must be a positive number, got -1"):
        scaler.update(-1.0)


def test_float16_gradients_need_masters() -> None:
    w = nn.Parameter(ag.ones(2, dtype="float16"))
    optimizer, scaler = optim.SGD([w]), optim.GradScaler(init_scale=4.0)
    scaler.scale(w.sum()).backward()
    with pytest.raises(DTypeError, match=r"parameter 0 has a float16 gradient, .*; write optim.MasterWeights"):
        scaler.step(optimizer)

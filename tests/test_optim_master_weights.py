"""Masters in float32: halves are trained as float32 would be, and rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optim_tools import IDS, VARIANTS, make

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, StateDictError

halves = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_masters_go_as_float32_parameters_do(name: str, options: dict[str, Any]) -> None:
    start = ag.tensor(drawn(3, 4)).astype("bfloat16")
    half, whole = nn.Parameter(start), nn.Parameter(start.astype("float32"))
    other = nn.Parameter(ag.ones((2, 2)))  # stays as it is: a parameter of float32 beside it
    ours, theirs = optim.MasterWeights(make(name, [half, other], options)), make(name, [whole], options)
    for step in range(4):
        gradient = ag.tensor(drawn(3, 4, seed=step + 1)).astype("bfloat16")
        half.grad, whole.grad = gradient, gradient.astype("float32")
        ours.step()
        theirs.step()
    master = ours.state[half]["master_param"]
    assert (master.dtype, half.dtype) == (np.float32, ag.bfloat16)
    np.testing.assert_array_equal(master.numpy(), whole.numpy())
    np.testing.assert_array_equal(half.numpy(), whole.astype("bfloat16").numpy())
    for state, value in theirs.state[whole].items():
        np.testing.assert_array_equal(ours.state[half][state].numpy(), value.numpy())
    assert "master_param" not in ours.state.get(other, {})


def network(dtype: str, *, compiled: bool = False) -> Any:
    """A training step of a small network, with scaling where the dtype needs it; ``.optimizer`` and ``.model``."""
    ag.random.seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2)).to(dtype)
    optimizer = optim.MasterWeights(optim.AdamW(model.parameters(), lr=1e-2))
    scaler = optim.GradScaler(init_scale=2.0**17, growth_interval=6, enabled=dtype == "float16")

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = optimizer.clip_grad_norm_(1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss, norm

    run = ag.compile(step) if compiled else step
    x, y = ag.tensor(drawn(8, 5)).astype(dtype), ag.tensor(drawn(8, 2, seed=1)).astype(dtype)

    def trained(steps: int) -> np.ndarray:
        with np.errstate(all="ignore"):  # the first scale overflows
            return np.asarray([[value.item() for value in run(x, y)] for _ in range(steps)])

    trained.model, trained.optimizer, trained.scaler = model, optimizer, scaler
    return trained


@halves
def test_a_network_of_halves_learns_and_compiled_it_learns_the_same(dtype: str, device: str) -> None:
    eager, compiled = network(dtype), network(dtype, compiled=True)
    expected, found = eager(20), compiled(20)
    assert expected[-1, 0] < expected[0, 0] / 2
    # a sum in another order may round a half the other way
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=2e-2)
    assert compiled.scaler.get_scale() == eager.scaler.get_scale()
    assert compiled.optimizer.steps.item() == eager.optimizer.steps.item()
    if dtype == "float16":
        assert not np.isfinite(expected[0, 1])
        assert eager.optimizer.steps.item() < 20
        assert eager.scaler.get_scale() != 2.0**17


def test_small_updates_add_up_and_are_lost_without_masters() -> None:
    ends = []
    for wrap in (optim.MasterWeights, lambda optimizer: optimizer):
        w = nn.Parameter(ag.ones(1, dtype="bfloat16"))
        optimizer = wrap(optim.SGD([w], lr=2.0**-11))
        for _ in range(64):
            optimizer.zero_grad()
            w.sum().backward()
            optimizer.step()
        ends.append(w.item())
    assert ends == [1 - 2.0**-5, 1.0]


def test_unscaled_gradients_do_not_vanish() -> None:
    w = nn.Parameter(ag.zeros(1, dtype="float16"))
    optimizer, scaler = optim.MasterWeights(optim.SGD([w], lr=2.0**20)), optim.GradScaler(init_scale=2.0**15)
    scaler.scale((w.astype("float32") * 2.0**-30).sum()).backward()
    scaler.unscale_(optimizer)
    (gradient,) = optimizer.gradients().values()
    assert (gradient.item(), w.grad.item()) == (2.0**-30, 2.0**-15)
    scaler.step(optimizer)
    assert w.item() == -(2.0**-10)
    assert optimizer.gradients()[w].item() == 2.0**-15, "what was unscaled is forgotten after the step"


def test_a_parameter_that_was_assigned_to_is_taken_over() -> None:
    w = nn.Parameter(ag.ones(2, dtype="bfloat16"))
    optimizer = optim.MasterWeights(optim.SGD([w], lr=0.5))
    w.grad = ag.ones(2, dtype="bfloat16")
    optimizer.step()
    w.assign_(ag.full((2,), 8.0, dtype="bfloat16"))
    optimizer.step()
    np.testing.assert_array_equal(w.astype("float32").numpy(), [7.5, 7.5])


def test_training_goes_on_exactly_from_a_saved_state() -> None:
    straight, before, after = network("bfloat16"), network("bfloat16"), network("bfloat16")
    expected = straight(8)[4:]
    before(4)
    after.model.load_state_dict(before.model.state_dict())
    after.optimizer.load_state_dict(before.optimizer.state_dict())
    np.testing.assert_array_equal(after(4), expected)


def test_a_state_without_masters_gets_them_from_the_parameters() -> None:
    whole, half = nn.Parameter(ag.ones(2)), nn.Parameter(ag.full((2,), 0.5, dtype="float16"))
    plain, optimizer = optim.Adam([whole]), optim.MasterWeights(optim.Adam([half]))
    whole.grad = ag.ones(2)
    plain.step()
    optimizer.load_state_dict(plain.state_dict())
    np.testing.assert_array_equal(optimizer.state[half]["master_param"].numpy(), [0.5, 0.5])
    assert optimizer.state[half]["exp_avg"].dtype == np.float32
    with pytest.raises(StateDictError, match="'state' must be a dict"):
        optimizer.load_state_dict({**plain.state_dict(), "state": 3})


def test_groups_and_options_are_those_of_the_optimizer() -> None:
    w, v = nn.Parameter(ag.ones(2, dtype="float16")), nn.Parameter(ag.ones(3, dtype="float16"))
    inner = optim.SGD([{"params": [("w", w)], "lr": 0.25}, {"params": [("v", v)]}], lr=0.5)
    optimizer = optim.MasterWeights(inner)
    optimizer.param_groups[1]["lr"] = 1.0
    w.grad, v.grad = ag.ones(2, dtype="float16"), ag.ones(3, dtype="float16")
    optimizer.step()
    assert (w.numpy()[0], v.numpy()[0]) == (0.75, 0.0)
    assert optimizer.describe(v) == "'v'"
    optimizer.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize("groups", [None, [3], [{"params": None}], [{"params": [[0]]}]], ids=str)
def test_a_malformed_state_is_refused_in_the_words_of_any_optimizer(groups: Any) -> None:
    optimizer = optim.MasterWeights(optim.SGD([nn.Parameter(ag.ones(2, dtype="float16"))]))
    with pytest.raises(StateDictError, match="the state does not fit this optimizer; nothing was changed"):
        optimizer.load_state_dict({"state": {0: {}}, "param_groups": groups})


def test_what_cannot_be_wrapped_is_refused() -> None:
    w = nn.Parameter(ag.ones(2, dtype="float16"))
    taken = optim.Adam([w])
    w.grad = ag.ones(2, dtype="float16")
    taken.step()
    with pytest.raises(ArgumentError, match="this Adam has taken steps; wrap it before the first one"):
        optim.MasterWeights(taken)
    with pytest.raises(ArgumentError, match="MasterWeights has a step of its own, or is no optimizer"):
        optim.MasterWeights(optim.MasterWeights(optim.SGD([w])))
    with pytest.raises(ArgumentError, match="max_norm must be a number and not negative, got -1"):
        optim.MasterWeights(optim.SGD([w])).clip_grad_norm_(-1)

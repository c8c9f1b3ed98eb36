"""Optimizers are saved and resumed to the last bit; a state that does not fit is refused and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optim_tools import IDS, VARIANTS, assert_same, give_gradients, make, parameters, shapes_for, values

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter
from autograd_core.optim import schedules


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_a_resumed_training_is_the_same_to_the_last_bit(name: str, options: dict[str, Any], tmp_path: Any) -> None:
    options = {**options, "lr": schedules.warmup_cosine(0.1, 2, 10)}
    params = parameters(shapes=shapes_for(name))
    optimizer = make(name, params, options)
    for step in range(3):
        give_gradients(params, step)
        optimizer.step()
    ag.save_checkpoint(tmp_path / "run", {"params": [p.detach() for p in params], "optimizer": optimizer.state_dict()})
    for step in range(3, 6):
        give_gradients(params, step)
        optimizer.step()

    saved = ag.load_checkpoint(tmp_path / "run")
    resumed = [Parameter(x) for x in saved["params"]]
    again = make(name, resumed, options)
    again.load_state_dict(saved["optimizer"])
    for step in range(3, 6):
        give_gradients(resumed, step)
        again.step()
    assert_same(values(params), values(resumed))


def test_a_state_dict_is_a_snapshot_in_pytorchs_layout() -> None:
    a, b, c = Parameter(np.ones(2)), Parameter(np.ones(1)), Parameter(np.ones(1))
    optimizer = optim.Adam([{"params": [("a", a), ("b", b)]}, {"params": [("c", c)], "lr": 0.5}])
    a.grad, c.grad = ag.ones(2, dtype="float64"), ag.ones(1, dtype="float64")
    optimizer.step()
    saved = optimizer.state_dict()
    before = saved["state"][0]["exp_avg"].tolist()
    optimizer.step()
    assert saved["state"][0]["exp_avg"].tolist() == before
    assert list(saved["state"]) == [0, 2]
    assert list(saved["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert [group["param_names"] for group in saved["param_groups"]] == [["a", "b"], ["c"]]
    assert saved["param_groups"][1]["lr"] == 0.5
    assert saved["steps"] == 1


def test_a_schedule_stays_when_a_state_is_loaded_and_the_rate_otherwise_comes_from_it() -> None:
    def trained(lr: Any) -> optim.Optimizer:
        w = Parameter(np.ones(1))
        w.grad = ag.ones(1, dtype="float64")
        optimizer = optim.SGD([w], lr=lr)
        optimizer.step()
        return optimizer

    schedule = schedules.step_decay(0.5, 1)
    source, plain, scheduled = trained(schedule), trained(0.25), trained(schedule)
    plain.load_state_dict(source.state_dict())
    scheduled.load_state_dict(source.state_dict())
    assert plain.param_groups[0]["lr"] == pytest.approx(0.05)
    assert scheduled.param_groups[0]["lr"] is schedule


def broken_states() -> list[tuple[str, Any, str]]:
    def state() -> dict[str, Any]:
        w, v = Parameter(np.ones(2)), Parameter(np.ones(3))
        w.grad = ag.ones(2, dtype="float64")
        optimizer = optim.Adam([("w", w), ("v", v)])
        optimizer.step()
        return optimizer.state_dict()

    cases: list[tuple[str, Any, str]] = []

    def case(name: str, message: str, **changes: Any) -> None:
        saved = state()
        for path, value in changes.items():
            *keys, last = [int(k) if k.isdecimal() else k for k in path.split("__")]
            target = saved
            for key in keys:
                target = target[key]
            if value is KeyError:
                del target[last]
            else:
                target[last] = value
        cases.append((name, saved, message))

    case("no groups", "the key 'param_groups' is missing", param_groups=KeyError)
    case("groups of another kind", "must be a list of dicts", param_groups=[3])
    case("more groups", r"has 2 parameter group\(s\), this optimizer 1", param_groups=[{"params": []}] * 2)
    case("fewer parameters", "group 0 has 1 parameters, here 2", param_groups__0__params=[0])
    case("no parameters", "'params' must be a list of indices", param_groups__0__params=None)
    case("an index twice", "index 0 appears twice", param_groups__0__params=[0, 0])
    case("other names", "'v' is 'w' here", param_groups__0__param_names=["v", "w"])
    case("option missing", "the option 'eps' is missing", param_groups__0__eps=KeyError)
    case("option unknown", "no option 'momentum'", param_groups__0__momentum=0.9)
    case("option of another type", "amsgrad is 'yes', here it is False", param_groups__0__amsgrad="yes")
    case("option out of range", "lr must be a number", param_groups__0__lr=-1.0)
    case("betas out of range", r"betas\[0\] must be", param_groups__0__betas=[2, 0.9])
    case(
        "amsgrad without its state",
        "parameter 'w': the state 'max_exp_avg_sq' is missing",
        param_groups__0__amsgrad=True,
    )
    case("state not a dict", "'state' must be a dict", state=[])
    case("entry not a dict", "the state of parameter 'w' is not a dict", state__0=3)
    case("unlisted entry", r"entries \[9\], which no group lists", state__9={})
    case("state missing", "parameter 'w': the state 'exp_avg' is missing", state__0__exp_avg=KeyError)
    case("state unexpected", "unexpected state 'momentum_buffer'", state__0__momentum_buffer=ag.ones(2))
    case("misshaped", r"'exp_avg' has shape \(3,\), here \(2,\)", state__0__exp_avg=np.ones(3))
    case("wrong kind", "'exp_avg' has dtype complex128", state__0__exp_avg=np.ones(2, complex))
    case("no array", "cannot become a tensor", state__0__exp_avg="mean")
    case("steps", "'steps' must be a non-negative int", steps=-1)
    cases.append(("not a dict", [1, 2], "a state dict is a dict, got a list"))
    return cases


@pytest.mark.parametrize(("saved", "message"), [c[1:] for c in broken_states()], ids=[c[0] for c in broken_states()])
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(saved: Any, message: str) -> None:
    w, v = Parameter(np.ones(2)), Parameter(np.ones(3))
    w.grad, v.grad = ag.ones(2, dtype="float64") * 2, ag.ones(3, dtype="float64")
    optimizer = optim.Adam([("w", w), ("v", v)], lr=0.5)
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ag.StateDictError, match=message) as caught:
        optimizer.load_state_dict(saved)
    assert "nothing was changed" in str(caught.value)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["steps"] == before["steps"]
    for index, state in before["state"].items():
        assert_same([s.numpy() for s in state.values()], [s.numpy() for s in after["state"][index].values()])


def test_every_problem_of_a_state_is_listed_at_once() -> None:
    w = Parameter(np.ones(2))
    w.grad = ag.ones(2, dtype="float64")
    optimizer = optim.Adam([w])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0] = {"exp_avg": np.ones(3), "exp_avg_sq": np.ones(4), "speed": 1.0}
    with pytest.raises(ag.StateDictError) as caught:
        optimizer.load_state_dict(saved)
    assert str(caught.value).count("\n  - ") == 4


def test_a_schedule_needs_the_count_of_steps() -> None:
    w = Parameter(np.ones(2))
    optimizer = optim.SGD([w], lr=schedules.cosine(0.1, 10))
    saved = optimizer.state_dict()
    del saved["steps"]
    with pytest.raises(ag.StateDictError, match="'steps' is missing, and the schedule needs it"):
        optimizer.load_state_dict(saved)

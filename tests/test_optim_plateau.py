"""ReduceLROnPlateau lowers its rate when PyTorch's does, and is saved and resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter

OPTIONS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "threshold": 0.05, "min_lr": 0.02},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "cooldown": 3},
    {"patience": 1, "mode": "max", "factor": 0.3},
    {"patience": 1, "mode": "max", "threshold": 0.3, "threshold_mode": "abs", "eps": 1e-3},
]


def metrics() -> list[float]:
    rng = np.random.default_rng(0)
    return [*(1.0 + np.abs(rng.standard_normal(25)) / np.arange(1, 26)), float("nan"), 0.1, 0.1, -0.5, -0.5, -0.6]


@pytest.mark.parametrize("options", OPTIONS, ids=[", ".join(map(str, o.items())) for o in OPTIONS])
def test_rates_are_those_of_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    mine = optim.ReduceLROnPlateau(0.5, **options)
    rates = set()
    for i, metric in enumerate(metrics()):
        mine.step(ag.tensor(metric, dtype="float64"))
        theirs.step(metric)
        assert mine.rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12), i
        rates.add(mine.rate)
        if i == 12:
            other = optim.ReduceLROnPlateau(0.1, **options)
            other.load_state_dict(theirs.state_dict())
            assert other.state_dict() == mine.state_dict()
            mine = other
    assert len(rates) > 2


def test_it_is_saved_and_resumed(tmp_path: Any) -> None:
    first, second = (optim.ReduceLROnPlateau(0.5, patience=1) for _ in range(2))
    for metric in (3.0, 3.0, 3.0, 2.0, 2.0):
        first.step(metric)
    ag.save_checkpoint(tmp_path / "rate", {"rate": first.state_dict()})
    second.load_state_dict(ag.load_checkpoint(tmp_path / "rate")["rate"])
    for _ in range(3):
        first.step(2.0)
        second.step(2.0)
        assert first.rate == second.rate
    assert second.rate < 0.05


def test_an_optimizer_reads_the_rate_as_it_is() -> None:
    w = Parameter(np.zeros(1))
    w.grad = ag.ones(1, dtype="float64")
    plateau = optim.ReduceLROnPlateau(1.0, factor=0.5, patience=0)
    optimizer = optim.SGD([w], lr=plateau)
    for _ in range(3):
        optimizer.step()
        plateau.step(1.0)
    assert w.tolist() == [-2.5]
    assert optimizer.state_dict()["param_groups"][0]["lr"] == plateau(3) == 0.25


def test_it_is_saved_with_its_optimizer(tmp_path: Any) -> None:
    def make() -> tuple[Any, Any]:
        plateau = optim.ReduceLROnPlateau(1.0, factor=0.5, patience=1)
        return plateau, optim.SGD(
            [{"params": [Parameter(np.zeros(1))]}, {"params": [Parameter(np.zeros(1))], "lr": plateau}]
        )

    (first, trained), (second, resumed) = make(), make()
    for metric in (None, 1.0, 2.0, 3.0, 4.0):
        if metric is not None:
            first.step(metric)
        ag.save_checkpoint(tmp_path / "run", trained.state_dict())
        resumed.load_state_dict(ag.load_checkpoint(tmp_path / "run"))
        assert second.state_dict() == first.state_dict()
    assert resumed.param_groups[1]["lr"] is second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must be a number"),
        ({"factor": 1.0}, r"factor must be a number in \[0, 1\), got 1.0"),
        ({"patience": True}, "patience"),
        ({"mode": "least"}, "mode must be 'min' or 'max', got 'least'"),
        ({"threshold_mode": "log"}, "threshold_mode must be 'rel' or 'abs'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=f"ReduceLROnPlateau: {message}"):
        optim.ReduceLROnPlateau(**{"lr": 0.1, **options})


def test_states_that_do_not_fit_are_refused() -> None:
    plateau = optim.ReduceLROnPlateau(0.1)
    with pytest.raises(ag.StateDictError, match="'best'.* are missing"):
        plateau.load_state_dict({"_last_lr": [0.1]})
    with pytest.raises(ag.StateDictError, match="rates of 2 groups"):
        plateau.load_state_dict({**plateau.state_dict(), "_last_lr": [0.1, 0.2]})
    before = plateau.state_dict()
    for change in ({"best": "low"}, {"_last_lr": 0.1}, {"_last_lr": ["a"]}, {"last_epoch": None}):
        with pytest.raises(ag.StateDictError, match="are numbers, '_last_lr' a list of them; got"):
            plateau.load_state_dict({**before, **change})
    with pytest.raises(ag.StateDictError, match=r"'_last_lr' \[-1.0\] is no learning rate"):
        plateau.load_state_dict({**before, "_last_lr": [-1.0]})
    with pytest.raises(ag.StateDictError, match="a state is a dict, got a NoneType"):
        plateau.load_state_dict(None)
    assert plateau.state_dict() == before


@pytest.mark.parametrize(
    ("metric", "given"), [(None, "None"), ("low", "'low'"), (ag.ones(2), r"a tensor of shape \(2,\)")]
)
def test_a_metric_that_is_no_number_is_refused(metric: Any, given: str) -> None:
    plateau = optim.ReduceLROnPlateau(0.1)
    with pytest.raises(ag.ArgumentError, match=f"metric must be one number, such as .*, got {given}"):
        plateau.step(metric)
    assert plateau.last_epoch == 0

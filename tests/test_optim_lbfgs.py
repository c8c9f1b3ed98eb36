"""L-BFGS walks PyTorch's path, with and without line search, and is saved, loaded and stopped like other optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.optim.line_search import Point, cubic_minimum, strong_wolfe

Problem = tuple[list[Any], Callable[[int], Any]]

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.standard_normal((4, 12, 3)), RNG.standard_normal((4, 12, 2))
WEIGHTS = [RNG.standard_normal(shape) * 0.5 for shape in [(3, 5), (5,), (5, 2), (2,), (0, 3)]]


def rosenbrock(make: Callable[[np.ndarray], Any], xp: Any) -> Problem:
    x = make(np.array([-1.5, 2.0]))
    return [x], lambda step: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


def network(make: Callable[[np.ndarray], Any], xp: Any, in_turn: bool = False) -> Problem:
    """One batch, or four in turn. The last parameter gets no gradient."""
    params = [make(w) for w in WEIGHTS]
    w1, b1, w2, b2, _ = params
    batches = [(xp.asarray(x), xp.asarray(y)) for x, y in zip(INPUTS, TARGETS, strict=True)]

    def loss(step: int) -> Any:
        x, y = batches[step % 4 if in_turn else 0]
        return ((xp.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2).mean() + 0.01 * sum((w * w).sum() for w in (w1, b1, w2, b2))

    return params, loss


def batches(make: Callable[[np.ndarray], Any], xp: Any) -> Problem:
    return network(make, xp, in_turn=True)


def ours(problem: Callable[..., Problem]) -> Problem:
    return problem(lambda x: nn.Parameter(x.copy()), ag)


def theirs(problem: Callable[..., Problem], torch: Any) -> Problem:
    return problem(lambda x: torch.nn.Parameter(torch.tensor(x)), torch)


def take_step(optimizer: Any, loss_of: Callable[[int], Any], step: int) -> float:
    def closure() -> Any:
        optimizer.zero_grad()
        loss = loss_of(step)
        loss.backward()
        return loss

    return float(optimizer.step(closure).detach())


def values(params: list[Any]) -> np.ndarray:
    return np.concatenate([p.detach().numpy().reshape(-1) for p in params])


CASES: list[tuple[str, Callable[..., Problem], dict[str, Any], int]] = [
    ("Rosenbrock, searched", rosenbrock, {"line_search_fn": "strong_wolfe", "max_iter": 5}, 10),
    ("Rosenbrock, searched from far", rosenbrock, {"lr": 30.0, "line_search_fn": "strong_wolfe", "max_iter": 60}, 2),
    ("Rosenbrock, few evaluations", rosenbrock, {"line_search_fn": "strong_wolfe", "max_iter": 9, "max_eval": 6}, 12),
    ("Rosenbrock, fixed steps", rosenbrock, {"lr": 0.05, "max_iter": 10}, 10),
    ("network, searched", network, {"line_search_fn": "strong_wolfe", "max_iter": 10, "history_size": 5}, 10),
    ("network, defaults", network, {}, 5),
    ("batches, fixed small steps", batches, {"lr": 0.2, "max_iter": 10, "history_size": 3}, 10),
    ("network, tolerant", network, {"line_search_fn": "strong_wolfe", "tolerance_grad": 0.01}, 6),
    ("network, content with little change", network, {"lr": 0.5, "tolerance_change": 1e-3}, 6),
]


@pytest.mark.parametrize(("problem", "options", "steps"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_it_follows_pytorch(problem: Callable[..., Problem], options: dict[str, Any], steps: int) -> None:
    torch = pytest.importorskip("torch")
    (params, loss), (reference, their_loss) = ours(problem), theirs(problem, torch)
    mine, other = optim.LBFGS(params, **options), torch.optim.LBFGS(reference, **options)
    for step in range(steps):
        found, expected = take_step(mine, loss, step), take_step(other, their_loss, step)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12), step
        np.testing.assert_allclose(values(params), values(reference), rtol=1e-6, atol=1e-6, err_msg=f"step {step}")
    counts = other.state[reference[0]]
    assert (mine.memory.n_iter, mine.memory.func_evals) == (counts["n_iter"], counts["func_evals"])


def test_rosenbrock_is_solved() -> None:
    (x,), loss = ours(rosenbrock)
    take_step(optim.LBFGS([x], max_iter=60, line_search_fn="strong_wolfe"), loss, 0)
    np.testing.assert_allclose(x.numpy(), [1.0, 1.0], atol=1e-5)


def test_complex_parameters_follow_pytorch_too() -> None:
    torch = pytest.importorskip("torch")
    w, v = nn.Parameter(np.array([1 + 2j, -1j])), torch.nn.Parameter(torch.tensor([1 + 2j, -1j]))
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    mine, other = optim.LBFGS([w], **options), torch.optim.LBFGS([v], **options)
    for step in range(3):
        take_step(mine, lambda _: (abs(w - 3j) ** 4).sum(), step)
        take_step(other, lambda _: (abs(v - 3j) ** 4).sum(), step)
        np.testing.assert_allclose(w.numpy(), v.detach().numpy(), rtol=1e-6)


def test_a_compiled_closure_gives_the_same_path() -> None:
    (eager, loss), (params, same) = ours(network), ours(network)
    first = optim.LBFGS(eager, line_search_fn="strong_wolfe", max_iter=8)
    second = optim.LBFGS(params, line_search_fn="strong_wolfe", max_iter=8)

    @ag.compile
    def closure() -> Any:
        second.zero_grad()
        value = same(0)
        value.backward()
        return value

    for _ in range(2):
        assert float(second.step(closure)) == pytest.approx(take_step(first, loss, 0), rel=1e-9)
    np.testing.assert_allclose(values(params), values(eager), rtol=1e-8, atol=1e-10)


# -------------------------------------------------------------------------------------------- saving


def test_a_resumed_training_is_the_same_to_the_last_bit(tmp_path: Any) -> None:
    options = {"lr": 0.5, "max_iter": 4, "history_size": 6}
    params, loss = ours(network)
    optimizer = optim.LBFGS(params, **options)
    for step in range(3):
        take_step(optimizer, loss, step)
    ag.save_checkpoint(tmp_path / "run", {"params": [p.detach() for p in params], "optimizer": optimizer.state_dict()})
    for step in range(3, 6):
        take_step(optimizer, loss, step)

    saved = ag.load_checkpoint(tmp_path / "run")
    resumed, loss = ours(network)
    for p, x in zip(resumed, saved["params"], strict=True):
        p.assign_(x)
    again = optim.LBFGS(resumed, **options)
    again.load_state_dict(saved["optimizer"])
    for step in range(3, 6):
        take_step(again, loss, step)
    np.testing.assert_array_equal(values(resumed), values(params))


@pytest.mark.parametrize("to_theirs", [False, True], ids=["from PyTorch", "to PyTorch"])
def test_a_training_goes_on_in_the_other_library(to_theirs: bool) -> None:
    torch = pytest.importorskip("torch")
    options = {"max_iter": 4, "line_search_fn": "strong_wolfe"}
    (params, loss), (reference, their_loss) = ours(network), theirs(network, torch)
    mine, other = optim.LBFGS(params, **options), torch.optim.LBFGS(reference, **options)
    for step in range(3):
        take_step(*((mine, loss) if to_theirs else (other, their_loss)), step)
    if to_theirs:
        for p, q in zip(params, reference, strict=True):
            q.data = torch.tensor(p.numpy().copy())
        saved = mine.state_dict()
        memory = {
            k: [torch.tensor(x.numpy()) for x in v] if k in ("old_dirs", "old_stps") else v
            for k, v in saved["state"][0].items()
        }
        memory |= {k: torch.tensor(memory[k].numpy()) for k in ("d", "prev_flat_grad")}
        other.load_state_dict({"state": {0: memory}, "param_groups": saved["param_groups"]})
    else:
        for p, q in zip(params, reference, strict=True):
            p.assign_(ag.tensor(q.detach().numpy().copy()))
        mine.load_state_dict(other.state_dict())
    for step in range(3, 6):
        take_step(mine, loss, step)
        take_step(other, their_loss, step)
    np.testing.assert_allclose(values(params), values(reference), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d": np.ones(3)}, r"'d' has shape \(3,\); all parameters together are \(2,\)"),
        ({"ro": []}, "'old_dirs', 'old_stps' and 'ro' must be of one length"),
        ({"d": "north"}, "'d' cannot be read: .* holds no numbers"),
        ({"n_iter": "two"}, "'n_iter' cannot be read"),
        ({"old_dirs": 3}, "'old_dirs' cannot be read"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change: dict[str, Any], message: str) -> None:
    (x,), loss = ours(rosenbrock)
    optimizer = optim.LBFGS([x], max_iter=4, line_search_fn="strong_wolfe")
    take_step(optimizer, loss, 0)
    saved, before = optimizer.state_dict(), optimizer.memory
    with pytest.raises(ag.StateDictError, match=message):
        optimizer.load_state_dict({**saved, "state": {0: {**saved["state"][0], **change}}})
    with pytest.raises(ag.StateDictError, match="no option 'momentum'"):
        optimizer.load_state_dict({**saved, "param_groups": [{**saved["param_groups"][0], "momentum": 0.9}]})
    assert optimizer.memory is before


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 0}, "LBFGS: max_iter must be an int of at least 1, got 0"),
        ({"history_size": 2.5}, "history_size must be an int"),
        ({"tolerance_grad": -1.0}, "tolerance_grad"),
        ({"line_search_fn": "armijo"}, "line_search_fn must be None or 'strong_wolfe', got 'armijo'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        optim.LBFGS([nn.Parameter(np.ones(2))], **options)


def test_what_it_cannot_do_is_said() -> None:
    w, v = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    with pytest.raises(ag.ArgumentError, match="all parameters are one vector, in one group"):
        optim.LBFGS([{"params": [w]}, {"params": [v], "lr": 0.5}])
    optimizer = optim.LBFGS([w])
    with pytest.raises(ag.ArgumentError, match="LBFGS.step: give a closure"):
        optimizer.step()
    with pytest.warns(UserWarning, match="none of the 1 parameters has a gradient") as caught:
        optimizer.step(lambda: 1.0)
    assert caught[0].filename == __file__
    v.convert_("numpy")
    with pytest.raises(ag.DeviceError, match="the parameters lie on several devices"):
        optim.LBFGS([w, v]).step(lambda: 1.0)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_an_error_in_the_closure_puts_the_parameters_back(search: str | None) -> None:
    w = nn.Parameter(np.array([3.0]))
    optimizer = optim.LBFGS([w], line_search_fn=search)
    seen = []

    def closure() -> Any:
        seen.append(w.item())
        if len(seen) == 2:
            raise KeyboardInterrupt
        optimizer.zero_grad()
        loss = (w**4).sum()
        loss.backward()
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert seen[1] != 3.0
    assert w.item() == 3.0


def test_a_loss_that_is_no_number_makes_the_search_step_back() -> None:
    w = nn.Parameter(np.array([4.0]))
    optimizer = optim.LBFGS([w], lr=100.0, max_iter=30, line_search_fn="strong_wolfe")
    take_step(optimizer, lambda _: (w - ag.log(w)).sum(), 0)  # not a number below 0, lowest at 1
    assert w.item() == pytest.approx(1.0, abs=1e-5)


# ---------------------------------------------------------------------------------------- the search


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
def test_a_found_step_satisfies_the_strong_wolfe_conditions(first: float) -> None:
    nothing = ag.zeros(1)

    def point(t: float) -> Point:
        return Point(t, t**4 - 3 * t**3 - t, 4 * t**3 - 9 * t**2 - 1, nothing)

    start = point(0.0)
    found, calls = strong_wolfe(point, start, first, size=1.0, most=25)
    assert found.loss <= start.loss + 1e-4 * found.step * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert calls <= 12


def test_two_points_that_say_nothing_are_halved() -> None:
    nothing = ag.zeros(1)
    flat = [Point(0.0, 1.0, 0.0, nothing), Point(2.0, 1.0, 0.0, nothing)]
    assert cubic_minimum(*flat, 0.0, 2.0) == 1.0
    assert cubic_minimum(flat[0], flat[1]._replace(loss=np.inf), 0.0, 2.0) == 1.0
    assert cubic_minimum(flat[0], flat[0], 0.0, 0.0) == 0.0


@pytest.mark.parametrize(("loss", "given"), [(None, "a NoneType"), (ag.ones(2), r"a tensor of shape \(2,\)")])
def test_a_closure_that_returns_no_loss_is_refused(loss: Any, given: str) -> None:
    w = nn.Parameter(np.ones(2))
    w.grad = ag.ones(2, dtype="float64")
    with pytest.raises(ag.ArgumentError, match=f"the closure must return the loss, one number; it returned {given}"):
        optim.LBFGS([w]).step(lambda: loss)
    assert w.tolist() == [1.0, 1.0]

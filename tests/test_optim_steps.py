"""What a step of an optimizer does besides its formula: dtypes, groups, closures, rates, what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optim_tools import COUNTS, IDS, VARIANTS, assert_same, give_gradients, make, parameters, shapes_for, values

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_step_keeps_the_dtype_of_everything(name: str, options: dict[str, Any], dtype: str) -> None:
    params, exact = (parameters(dtype=dtype, shapes=shapes_for(name)) for _ in range(2))
    exact = [Parameter(p.numpy().astype("float64")) for p in exact]
    mine, reference = make(name, params, options), make(name, exact, options)
    for step in range(3):
        for p, g in zip(exact, give_gradients(params, step), strict=True):
            p.grad = ag.tensor(g.astype("float64"))
        mine.step()
        reference.step()
    tolerance = {"float16": 3e-2, "float32": 1e-5}[dtype]
    for p, q in zip(params, exact, strict=True):
        assert p.dtype == dtype
        assert {str(s.dtype) for k, s in mine.state[p].items() if k not in COUNTS} <= {dtype}
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Adamax"])
def test_a_gradient_of_zero_moves_nothing_in_float16(name: str) -> None:
    """Where eps would round to 0, and 0 / 0 were no number."""
    w = Parameter(ag.asarray([1.0, 2.0], dtype="float16"))
    optimizer = make(name, [w], {})
    for _ in range(7):
        w.grad = ag.asarray([0.0, 1.0], dtype="float16")
        optimizer.step()
    assert w[0].item() == 1.0
    assert 0.0 < w[1].item() < 2.0


def test_complex_parameters_descend_with_sgd() -> None:
    w = Parameter(np.array([1 + 2j]))
    w.grad = ag.tensor(np.array([1 - 1j]))
    optim.SGD([w], lr=0.5).step()
    assert w.tolist() == [0.5 + 2.5j]


def test_what_was_computed_before_a_step_keeps_its_value_and_gradient() -> None:
    w = Parameter(np.array([2.0, 3.0]))
    loss = (w * w * w).sum()
    w.grad = ag.tensor(np.array([1.0, 1.0]))
    optim.SGD([w], lr=1.0).step()
    w.grad = None
    loss.backward()
    assert w.tolist() == [1.0, 2.0]
    assert w.grad.tolist() == [12.0, 27.0]


def test_a_step_records_nothing() -> None:
    w = Parameter(np.ones(2))
    optimizer = optim.Adam([w])
    (w * w).sum().backward(create_graph=True)
    optimizer.step()
    assert w.is_leaf
    assert not any(s.requires_grad for s in optimizer.state[w].values())


def test_a_closure_is_run_with_recording_and_its_loss_returned() -> None:
    w = Parameter(np.array(3.0))
    optimizer = optim.SGD([w], lr=0.5)

    def closure() -> ag.Tensor:
        optimizer.zero_grad()
        loss = w * w
        loss.backward()
        return loss

    with ag.no_grad():
        loss = optimizer.step(closure)
    assert (loss.item(), w.item()) == (9.0, 0.0)


def test_groups_have_their_own_options() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.25)
    give = ag.ones(2, dtype="float64")
    a.grad = b.grad = give
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([0.75, 0.75], [0.5, 0.5])
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert (a.tolist(), b.tolist()) == ([0.5, 0.5], [0.5, 0.5])


def test_momentum_switched_on_in_mid_training_gets_its_state() -> None:
    w = Parameter(np.zeros(1))
    w.grad = ag.ones(1, dtype="float64")
    optimizer = optim.SGD([w], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert w.tolist() == [-3.5]


def test_options_changed_to_nonsense_are_refused_at_the_next_step() -> None:
    w = Parameter(np.zeros(1))
    w.grad = ag.ones(1, dtype="float64")
    optimizer = optim.SGD([w], lr=1.0, momentum=0.5)
    for option, value in (("lr", -1.0), ("lr", float("nan")), ("momentum", -0.5)):
        before = optimizer.param_groups[0][option]
        optimizer.param_groups[0][option] = value
        with pytest.raises(ag.ArgumentError, match=f"{option} must be a number in"):
            optimizer.step()
        optimizer.param_groups[0][option] = before
    assert w.tolist() == [0.0]


@pytest.mark.parametrize("lr", [ag.tensor(0.5), lambda step: 0.5, lambda step: ag.tensor(0.5)])
def test_a_rate_may_be_a_tensor_or_a_function(lr: Any) -> None:
    w = Parameter(np.ones(1))
    w.grad = ag.ones(1, dtype="float64")
    optim.SGD([w], lr=lr).step()
    assert w.tolist() == [0.5]


def test_a_schedule_sees_the_number_of_steps_taken() -> None:
    w = Parameter(np.zeros(1))
    w.grad = ag.ones(1, dtype="float64")
    rates = [1.0, 10.0, 100.0]
    seen = []
    optimizer = optim.SGD([w], lr=lambda step: seen.append(step.item()) or rates[step])
    for _ in rates:
        optimizer.step()
    assert seen == [0, 1, 2]
    assert w.tolist() == [-111.0]


def test_zero_grad_forgets_or_fills() -> None:
    w, v = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([w, v])
    w.grad = ag.ones(2, dtype="float64")
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    assert v.grad is None
    optimizer.zero_grad()
    assert w.grad is None


def test_a_step_without_any_gradient_warns_once_and_changes_nothing() -> None:
    w = Parameter(np.ones(2))
    optimizer = optim.SGD([w], weight_decay=0.1)
    with pytest.warns(UserWarning, match=r"none of the 1 parameters has a gradient.*loss.backward\(\)") as caught:
        optimizer.step()
    assert caught[0].filename == __file__
    optimizer.step()
    assert w.tolist() == [1.0, 1.0]
    assert optimizer.state_dict()["steps"] == 0


def test_a_subclass_writes_two_functions_of_one_parameter() -> None:
    class Lion(optim.Optimizer):
        def __init__(self, params: Any, lr: float):
            super().__init__(params, {"lr": lr})

        def init_single(self, param: ag.Tensor, group: dict[str, Any]) -> dict[str, ag.Tensor]:
            return {"momentum": ag.zeros_like(param)}

        def apply_single(self, param, grad, state, group):
            new = state["momentum"] * 0.9 + grad * 0.1
            return param - group["lr"] * ag.sign(new), {"momentum": new}

    w = Parameter(np.ones(2, np.float32))
    w.grad = ag.tensor([2.0, -2.0])
    optimizer = Lion([w], lr=0.5)
    optimizer.step()
    assert w.dtype == ag.float32
    assert w.tolist() == [0.5, 1.5]
    assert optimizer.state[w]["momentum"].tolist() == pytest.approx([0.2, -0.2])


def test_numbers_of_numpy_are_numbers() -> None:
    plain = {"lr": 0.125, "betas": (0.5, 0.75), "eps": 0.0625, "weight_decay": 0.25}
    given = {name: np.float32(x) if name != "betas" else tuple(map(np.float64, x)) for name, x in plain.items()}
    ours, same = (parameters(dtype="float32") for _ in range(2))
    mine, reference = optim.RAdam(ours, **given), optim.RAdam(same, **plain)
    for step in range(8):
        give_gradients(same, step)
        give_gradients(ours, step)
        mine.param_groups[0]["lr"], reference.param_groups[0]["lr"] = np.float32(0.5), 0.5
        mine.param_groups[0]["eps"], reference.param_groups[0]["eps"] = np.float64(0.5), 0.5
        mine.step()
        reference.step()
    assert_same(values(ours), values(same))
    assert {type(x) for x in mine.param_groups[0].values()} == {list, float, tuple, bool}

"""Optimizers walk PyTorch's path and refuse what makes no sense before anything changes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from optim_tools import IDS, VARIANTS, assert_same, give_gradients, make, parameters, shapes_for, values

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn import Parameter

# -------------------------------------------------------------------------------------- PyTorch's path

COUNTS = {"step", "mu_product", "eta", "mu"}  # state of every parameter that is one number, in float32
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


# -------------------------------------------------------------------------------------------- the step


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


# ---------------------------------------------------------------------------------------- bad input


def result() -> ag.Tensor:
    return Parameter(np.ones(2)) * 2


SHARED = Parameter(np.ones(2))


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ([], ag.ArgumentError, "list of parameters is empty"),
        (iter(()), ag.ArgumentError, "list of parameters is empty"),
        ([{"params": []}], ag.ArgumentError, "a group has no parameters"),
        (SHARED, ag.ArgumentError, r"got one tensor; write \[w\]"),
        ({"w": SHARED}, ag.ArgumentError, "got a dict"),
        ("w", ag.ArgumentError, "got a str"),
        (None, ag.ArgumentError, "got a NoneType"),
        ([np.ones(2)], ag.ArgumentError, "parameter 0 is a ndarray, not a tensor"),
        ([result()], ag.GradientError, "parameter 0 of shape .* is the result of an operation"),
        ([ag.tensor([1.0], requires_grad=True)], ag.ArgumentError, "immutable tensor; write w = nn.Parameter"),
        ([Parameter(np.ones(2, int), requires_grad=False)], ag.DTypeError, "parameter 0 has dtype int64"),
        ([SHARED, SHARED], ag.ArgumentError, "parameter 1 was given before, as parameter 0"),
        ([{"params": SHARED}, {"params": [SHARED]}], ag.ArgumentError, "parameter 1 was given before, as parameter 0"),
        ([("a", SHARED), ("b", SHARED)], ag.ArgumentError, "parameter 'b' was given before, as parameter 'a'"),
        ([("a", SHARED), Parameter(np.ones(1))], ag.ArgumentError, "a name to every parameter of a group, or to none"),
        ([{"params": SHARED}, SHARED], ag.ArgumentError, "mixes groups"),
        ([{"lr": 0.1}], ag.ArgumentError, "the key 'params'"),
        ([{"params": SHARED, "weigth_decay": 0.1}], ag.ArgumentError, r"unknown options \['weigth_decay'\]"),
    ],
)
def test_parameters_that_cannot_be_optimised_are_refused(params: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        optim.SGD(params)


def test_a_model_instead_of_its_parameters_gets_a_hint() -> None:
    class Model:
        def parameters(self) -> list[Parameter]:
            return [SHARED]

    with pytest.raises(ag.ArgumentError, match=r"write model.parameters\(\)"):
        optim.SGD(Model())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -0.1}, "SGD: lr must be a number"),
        ("SGD", {"lr": "fast"}, "SGD: lr must be a number"),
        ("SGD", {"lr": ag.zeros(2)}, r"lr must be one number, got a tensor of shape \(2,\)"),
        ("SGD", {"momentum": -1.0}, "momentum"),
        ("SGD", {"weight_decay": -1.0}, "weight_decay"),
        ("SGD", {"nesterov": True}, "nesterov=True needs a momentum"),
        ("SGD", {"maximize": "no"}, "SGD: maximize must be True or False, got 'no'"),
        ("Adam", {"amsgrad": None}, "Adam: amsgrad must be True or False, got None"),
        ("RMSprop", {"centered": 1}, "RMSprop: centered must be True or False, got 1"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov=True needs"),
        ("Adam", {"lr": float("nan")}, "Adam: lr"),
        ("Adam", {"betas": (0.9, 1.0)}, r"Adam: betas\[1\] must be a number in \[0, 1\)"),
        ("Adam", {"betas": 0.9}, "betas must be two numbers"),
        ("Adam", {"eps": -1e-8}, "eps"),
        ("AdamW", {"weight_decay": -0.1}, "AdamW: weight_decay"),
        ("Adagrad", {"lr_decay": -1.0}, "Adagrad: lr_decay"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        ("Adadelta", {"rho": 1.5}, "Adadelta: rho"),
        ("RMSprop", {"alpha": 1.0}, "RMSprop: alpha"),
        ("RMSprop", {"momentum": -1}, "RMSprop: momentum"),
        ("NAdam", {"momentum_decay": -0.1}, "NAdam: momentum_decay"),
        ("RAdam", {"betas": (0.9, -0.1)}, r"RAdam: betas\[1\]"),
        ("Adamax", {"eps": "small"}, "Adamax: eps"),
        ("Lion", {"betas": (1.0, 0.9)}, r"Lion: betas\[0\]"),
        ("Rprop", {"etas": (1.2, 0.5)}, "Rprop: etas must be below 1 and above 1"),
        ("Rprop", {"etas": 0.5}, "Rprop: etas must be two numbers"),
        ("Rprop", {"step_sizes": (1.0, 0.1)}, r"Rprop: step_sizes must be \(least, largest\)"),
        ("ASGD", {"t0": -1}, "ASGD: t0"),
        ("Muon", {"ns_steps": 100}, r"Muon: ns_steps must be a number in \[0, 100\)"),
        ("Muon", {"ns_steps": 2.5}, "Muon: ns_steps must be an int, got 2.5"),
        ("Muon", {"ns_coefficients": (1.0, 2.0)}, "ns_coefficients must be three numbers"),
        ("Muon", {"adjust_lr_fn": "fast"}, "adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got 'fast'"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        make(name, [Parameter(np.ones((2, 2)))], options)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([{"params": None}], "a group's 'params' must be a list of parameters, got a NoneType"),
        ([{"params": "weight"}], "a group's 'params' must be a list of parameters, got a str"),
        ([{"params": nn.Linear(2, 2)}], r"got a Linear; write model.parameters\(\)"),
        ({Parameter(np.ones(1))}, "params is a set, whose order is another in every run"),
        ([{"params": {Parameter(np.ones(1))}}], "params is a set"),
    ],
)
def test_groups_that_list_no_parameters_are_refused(params: Any, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        optim.SGD(params)


@pytest.mark.parametrize("name", ["SGD", "LBFGS"])
def test_a_closure_that_is_no_function_is_refused(name: str) -> None:
    with pytest.raises(ag.ArgumentError, match=f"{name}.step: closure must be a function .* got a Tensor"):
        make(name, [Parameter(np.ones(1))], {}).step(ag.ones(()))


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


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ag.ArgumentError, match=r"Muon: parameter 'bias' has shape \(2,\); .* give other .* to AdamW"):
        optim.Muon([("weight", Parameter(np.ones((2, 2)))), ("bias", Parameter(np.ones(2)))])


def test_a_group_that_does_not_fit_changes_nothing() -> None:
    optimizer = optim.SGD([SHARED])
    with pytest.raises(ag.ArgumentError, match="lr must be"):
        optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": -1.0})
    assert len(optimizer.param_groups) == 1


def test_a_gradient_that_does_not_fit_is_named_before_any_parameter_changes() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([("encoder.weight", a), ("encoder.bias", b)])
    a.grad = ag.ones(2, dtype="float64")
    for wrong, kind in ((ag.ones(3, dtype="float64"), ag.ShapeError), (ag.ones(2), ag.DTypeError)):
        b.node.grad = wrong
        with pytest.raises(kind, match=rf"'encoder.bias' is float64\[2\] on {a.device}, its gradient float"):
            optimizer.step()
    with ag.default_device("numpy"):
        b.node.grad = ag.ones(2, dtype="float64")
    with pytest.raises(ag.DeviceError, match="its gradient .* on numpy"):
        optimizer.step()
    assert a.tolist() == [1.0, 1.0]


def test_a_model_that_moved_after_the_first_step_is_noticed_and_can_go_on() -> None:
    w = Parameter(np.ones(2))
    optimizer = optim.SGD([w], lr=1.0, momentum=0.5)
    w.grad = ag.ones(2, dtype="float64")
    optimizer.step()
    w.convert_("numpy")
    with pytest.raises(ag.DeviceError, match="parameter 0 is on numpy, its optimizer state is not"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert str(w.device) == "numpy"
    assert w.tolist() == [-1.5, -1.5]


def test_no_warning_comes_from_diverging_numbers() -> None:
    w = Parameter(np.full(2, 1e38, np.float32))
    w.grad = ag.tensor(np.array([np.inf, 1e38], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.Adam([w], lr=1e38).step()
        optim.SGD([w], lr=1e38, momentum=0.9).step()

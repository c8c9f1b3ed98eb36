"""Optimizers walk PyTorch's path, refuse what makes no sense before anything changes, and resume exactly."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter
from autograd_core.optim import schedules

SHAPES = [(3, 4), (5,), (), (0, 2)]

# (name, options); every option of every optimizer appears, alone and with those it acts upon
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 0.1, "betas": (0.0, 0.5), "maximize": True}),
]
IDS = [f"{name}-{'-'.join(options) or 'defaults'}" for name, options in VARIANTS]


def make(name: str, params: Any, options: dict[str, Any]) -> optim.Optimizer:
    return getattr(optim, name)(params, **options)


def parameters(seed: int = 0, dtype: str = "float64", shapes: list[tuple[int, ...]] = SHAPES) -> list[Parameter]:
    rng = np.random.default_rng(seed)
    return [Parameter(np.asarray(rng.standard_normal(shape), dtype)) for shape in shapes]


def give_gradients(params: list[Parameter], step: int) -> list[np.ndarray]:
    rng = np.random.default_rng([step, 7])
    gradients = [np.asarray(rng.standard_normal(p.shape), p.dtype) for p in params]
    for p, g in zip(params, gradients, strict=True):
        p.grad = ag.asarray(g, copy=True, device=p.device)
    return gradients


def values(params: list[Parameter]) -> list[np.ndarray]:
    return [p.numpy().copy() for p in params]


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


# -------------------------------------------------------------------------------------- PyTorch's path


@pytest.mark.parametrize("device", ["cpu", "numpy"])
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_100_steps_follow_pytorch(name: str, options: dict[str, Any], device: str) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
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


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_defaults_are_those_of_pytorch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    mine = make(name, parameters(), options)
    reference = getattr(torch.optim, name)([torch.nn.Parameter(torch.zeros(1))], **options)
    for option, value in mine.defaults.items():
        assert reference.defaults[option] == value, option


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_a_training_goes_on_from_pytorchs_state(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(parameters())]
    reference = getattr(torch.optim, name)(theirs, **options)
    shadow = parameters()

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


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_pytorch_takes_our_state(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
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
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm_type", [1, 2, 2.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e3, 0.0])
def test_clipping_by_norm_is_pytorchs(norm_type: float, max_norm: float) -> None:
    torch = pytest.importorskip("torch")
    params = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in values(params)]
    for p, g in zip(theirs, give_gradients(params, 0), strict=True):
        p.grad = torch.tensor(g)
    if norm_type == float("inf"):  # PyTorch has no largest element of an empty gradient
        params, theirs = params[:3], theirs[:3]
    total = optim.clip_grad_norm_(params, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(total.numpy(), expected.numpy(), rtol=1e-12)
    for p, q in zip(params, theirs, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12)


# -------------------------------------------------------------------------------------------- the step


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_step_keeps_the_dtype_of_everything(name: str, options: dict[str, Any], dtype: str) -> None:
    params, exact = parameters(dtype=dtype), parameters(dtype=dtype)
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
        assert {str(s.dtype) for k, s in mine.state[p].items() if k != "step"} <= {dtype}
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=tolerance, atol=tolerance)


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
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov=True needs"),
        ("Adam", {"lr": float("nan")}, "Adam: lr"),
        ("Adam", {"betas": (0.9, 1.0)}, r"Adam: betas\[1\] must be a number in \[0, 1\)"),
        ("Adam", {"betas": 0.9}, "betas must be two numbers"),
        ("Adam", {"eps": -1e-8}, "eps"),
        ("AdamW", {"weight_decay": -0.1}, "AdamW: weight_decay"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        make(name, [Parameter(np.ones(2))], options)


def test_adam_refuses_complex_parameters() -> None:
    with pytest.raises(ag.DTypeError, match="complex128.*real and imaginary parts"):
        optim.Adam([Parameter(np.ones(2, complex))])


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
        with pytest.raises(kind, match=r"'encoder.bias' is float64\[2\] on cpu, its gradient float"):
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


# ------------------------------------------------------------------------------------ saving, resuming


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_a_resumed_training_is_the_same_to_the_last_bit(name: str, options: dict[str, Any], tmp_path: Any) -> None:
    options = {**options, "lr": schedules.warmup_cosine(0.1, 2, 10)}
    params = parameters()
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


# ------------------------------------------------------------------------------------------- clipping


def test_clipping_by_value() -> None:
    w, v = Parameter(np.zeros(3)), Parameter(np.zeros(1))
    w.grad = ag.tensor(np.array([-3.0, 0.5, 3.0]))
    optim.clip_grad_value_([w, v], 1.0)
    assert w.grad.tolist() == [-1.0, 0.5, 1.0]
    assert v.grad is None


def test_the_norm_of_no_gradients_is_zero() -> None:
    assert optim.clip_grad_norm_([Parameter(np.zeros(2))], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite_is_an_error_only_if_asked() -> None:
    w = Parameter(np.zeros(2))
    w.grad = ag.tensor(np.array([np.inf, 1.0]))
    with pytest.raises(ag.GradientError, match="the norm of the gradients is inf"):
        optim.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [np.inf, 1.0]
    optim.clip_grad_norm_([w], 1.0)
    assert np.isnan(w.grad.numpy()[0])


def test_half_precision_gradients_are_summed_in_single() -> None:
    w = Parameter(np.zeros(2, np.float16))
    w.grad = ag.tensor(np.array([300.0, 400.0], np.float16))
    assert optim.clip_grad_norm_(w, 5.0).item() == pytest.approx(500.0)
    assert w.grad.dtype == ag.float16
    assert w.grad.tolist() == pytest.approx([3.0, 4.0], rel=1e-3)


def test_gradients_on_two_devices_are_clipped_together() -> None:
    w = Parameter(np.zeros(1))
    with ag.default_device("numpy"):
        v = Parameter(np.zeros(1))
        v.grad = ag.tensor(np.array([4.0]))
    w.grad = ag.tensor(np.array([3.0]))
    total = optim.clip_grad_norm_([w, v], 1.0)
    assert (total.item(), str(total.device), str(v.grad.device)) == (5.0, "cpu", "numpy")
    assert (w.grad.item(), v.grad.item()) == (pytest.approx(0.6), pytest.approx(0.8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.clip_grad_norm_([SHARED], -1.0), "max_norm must not be negative"),
        (lambda: optim.clip_grad_norm_([SHARED], 1.0, 0), "norm_type must be above 0"),
        (lambda: optim.clip_grad_value_([SHARED], -1.0), "clip_value must not be negative"),
        (lambda: optim.clip_grad_norm_([np.ones(2)], 1.0), r"got a ndarray; write model.parameters\(\)"),
        (lambda: optim.clip_grad_value_(3, 1.0), r"got a int; write model.parameters\(\)"),
    ],
)
def test_clipping_refuses_nonsense(call: Any, message: str) -> None:
    with pytest.raises(ag.ArgumentError, match=message):
        call()


def test_no_warning_comes_from_diverging_numbers() -> None:
    w = Parameter(np.full(2, 1e38, np.float32))
    w.grad = ag.tensor(np.array([np.inf, 1e38], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optim.Adam([w], lr=1e38).step()
        optim.SGD([w], lr=1e38, momentum=0.9).step()

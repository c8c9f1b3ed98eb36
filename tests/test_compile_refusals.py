"""What compiled code could not repeat is an error that says what to write instead, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from compiled_networks import draw

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import CompileError, DataError, DeviceError

F = nn.functional


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * x.max().item(),
        lambda x: x * float(x[0]),
        lambda x: range(int(x[0])),
        lambda x: np.asarray(x) * 2,
    ],
)
def test_a_value_looked_at_is_an_error_that_names_the_line(device, f) -> None:
    told = r"is looked at inside the compiled function, at .*test_compile_refusals\.py:\d+"
    with pytest.raises(CompileError, match=told):
        ag.compile(f)(ag.ones(3))


def test_a_parameter_looked_at_is_an_error_too(device) -> None:
    w = nn.Parameter(ag.ones(1))
    with pytest.raises(CompileError, match="is looked at"):
        ag.compile(lambda x: x * w.item())(ag.ones(1))


def test_an_array_made_into_a_tensor_on_the_way_is_an_error(device) -> None:
    table = np.arange(3.0, dtype=np.float32)
    for f in (lambda x: x * ag.tensor(table), lambda x: x * table):
        with pytest.raises(CompileError, match="pass it as an argument"):
            ag.compile(f)(ag.ones(3))


def test_a_tensor_kept_outside_is_an_error(device) -> None:
    kept = []
    with pytest.raises(CompileError, match="is kept outside it"):
        ag.compile(lambda x: kept.append(x * 2))(ag.ones(3))


def test_a_shape_that_depends_on_values_is_an_error(device) -> None:
    with pytest.raises(CompileError):
        ag.compile(lambda x: ag.nonzero(x))(ag.ones(3))


def test_an_argument_of_another_device_is_an_error(device) -> None:
    other = "numpy" if device == "cpu" else "cpu"
    with pytest.raises(DeviceError):
        ag.compile(lambda x, y: x + y)(ag.ones(3), ag.ones(3, device=other))


def test_an_error_while_capturing_leaves_everything_as_it_was(device) -> None:
    w = nn.Parameter(ag.ones(2))

    @ag.compile
    def step(x):
        (w * x).sum().backward()
        w.assign_((w * 2.0).detach())
        raise KeyError("on the way")

    with pytest.raises(KeyError, match="on the way"):
        step(ag.ones(2))
    assert w.tolist() == [1, 1]
    assert w.grad is None
    assert (w + 0.0).tolist() == [1, 1]


def test_wrong_labels_raise_in_compiled_calls_and_change_nothing(device) -> None:
    model = nn.Linear(4, 3)
    optimizer = optim.Adam(model.parameters())

    @ag.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x, y = draw(5, 4), ag.tensor([0, 1, 2, 1, 0])
    for _ in range(4):
        step(x, y)
    before = model.weight.numpy().copy()
    with pytest.raises(DataError, match="label 3 at"):
        step(x, ag.tensor([0, 1, 2, 3, 0]))
    np.testing.assert_array_equal(model.weight.numpy(), before)
    # a label that stands for "ignored" changes what Python does: captured again, and right
    labels = ag.tensor([0, 1, 2, -100, 0])
    with ag.no_grad():
        expected = F.cross_entropy(model(x), labels).item()
    assert step(x, labels).item() == pytest.approx(expected, rel=1e-5)


def test_only_functions_are_compiled() -> None:
    with pytest.raises(CompileError, match=r"write ag\.compile\(step\), not step\(\)"):
        ag.compile(3.0)


def test_a_tensor_of_a_surrounding_transform_must_be_an_argument(device) -> None:
    def outer(x):
        return ag.compile(lambda y: y * x)(ag.ones(3)).sum()

    with pytest.raises(CompileError, match="pass it as an argument"):
        ag.jvp(outer, (ag.ones(3),), (ag.ones(3),))
    assert ag.grad(lambda x: ag.compile(lambda y: y * x)(ag.ones(3)).sum())(draw(3)).tolist() == [1, 1, 1]


def test_probabilities_that_a_model_computes_are_not_computed_twice_to_be_checked(device) -> None:
    """Given targets are looked at in every call; what comes of parameters and random numbers in captures alone."""
    with ag.random.fork(0):
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1), nn.Sigmoid())
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step(x: ag.Tensor, t: ag.Tensor) -> ag.Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        return loss

    x, t = ag.tensor(np.linspace(-1, 1, 15).reshape(5, 3), dtype="float32"), ag.ones((5, 1))
    start = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    with ag.random.fork(1):
        expected = [step(x, t).item() for _ in range(6)]
    model.load_state_dict(start)
    compiled = ag.compile(step)
    with ag.random.fork(1):
        found = [compiled(x, t).item() for _ in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    (variant,) = compiled.variants
    assert [len(look.graph.equations) for look in variant.looks] == [0]
    with pytest.raises(ag.errors.DataError, match=r"binary_cross_entropy: target.* is 1.5, outside \[0, 1\]"):
        compiled(x, 1.5 * t)

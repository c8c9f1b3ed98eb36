"""explain_grad: the exact reason, word for word, for every way in which a gradient can be missing or zero."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn

THIS = "This tensor (float32[3])"
ASK = (
    " If it should: detach(), no_grad, an operation without derivative or a way through NumPy lies between. Pass the "
    "function that computes y to see which: ag.explain_grad(x, lambda: loss(x))."
)


def leaf(*values: float) -> ag.Tensor:
    return ag.tensor(list(values or (1.0, -2.0, 3.0)), requires_grad=True)


def told(x: ag.Tensor, y: Any = None) -> tuple[str, str]:
    """Reason and text, this file's name and the line in it left out."""
    found = ag.explain_grad(x, y)
    return found.reason, re.sub(r"[^\s(]*test_explain\.py:\d+", "HERE", str(found))


def after_backward(f: Callable[[ag.Tensor], ag.Tensor]) -> ag.Tensor:
    x = leaf()
    f(x).backward()
    return x


def cleared() -> ag.Tensor:
    x = after_backward(ag.sum)
    x.grad = None
    return x


def frozen() -> ag.Tensor:
    return nn.Sequential(nn.Linear(3, 1)).requires_grad_(False)[0].weight


# ------------------------------------------------------------------------------------ the tensor alone

ALONE: list[tuple[str, Callable[[], ag.Tensor], str, str]] = [
    (
        "integers",
        lambda: ag.tensor([1, 2]),
        "integer",
        "This tensor (int64[2]) can have no gradient: derivatives are defined for floating and complex dtypes. Compute "
        "from x.astype('float32'), and differentiate by that.",
    ),
    (
        "a constant",
        lambda: ag.ones(3),
        "constant",
        f"{THIS} requires no gradient: it was made without requires_grad=True, detached, or computed under no_grad. "
        "Write x.requires_grad_() before anything is computed from it.",
    ),
    (
        "a frozen parameter",
        frozen,
        "constant",
        "'0.weight' (float32[1, 3]) requires no gradient: it was frozen by requires_grad_(False), or is a buffer, "
        "which never asks for one. Write x.requires_grad_() before anything is computed from it.",
    ),
    (
        "a result",
        lambda: leaf() * 2.0,
        "not a leaf",
        f"{THIS} is no leaf but the result of multiply, and backward keeps the gradients of leaves. Call "
        "x.retain_grad() before backward, or take ag.grad of a function of x.",
    ),
    (
        "before backward",
        leaf,
        "no backward",
        f"{THIS} requires a gradient, but no backward has reached it: none was called yet, or the result it was called "
        "on does not depend on x. ag.explain_grad(x, loss) tells which.",
    ),
    (
        "after zero_grad",
        cleared,
        "cleared",
        f"{THIS} had a gradient, which was cleared (zero_grad(), or x.grad = None). Look at it between backward() and "
        "zero_grad().",
    ),
    (
        "present",
        lambda: after_backward(lambda x: (x * x).sum()),
        "present",
        f"{THIS} has a gradient: float32[3] from -4 to 6.",
    ),
    (
        "partly zero",
        lambda: after_backward(lambda x: x.relu().sum()),
        "partly zero",
        f"{THIS} has a gradient: float32[3] from 0 to 1; 1 of its 3 elements are exactly zero.",
    ),
    (
        "zero",
        lambda: after_backward(lambda x: (x * 0.0).sum()),
        "zero",
        f"{THIS} has a gradient of exactly zero. ag.explain_grad(x, loss) says which operation made it so.",
    ),
    (
        "not finite",
        lambda: after_backward(lambda x: (x + 2.0).sqrt().sum()),
        "not finite",
        f"{THIS} has a gradient that is not finite: infinity in 1 of 3 elements (at [1]). ag.explain_grad(x, loss) "
        "says where it started.",
    ),
]


@pytest.mark.parametrize(("make", "reason", "text"), [c[1:] for c in ALONE], ids=[c[0] for c in ALONE])
def test_the_tensor_alone(make: Callable[[], ag.Tensor], reason: str, text: str) -> None:
    assert told(make()) == (reason, text)


# ------------------------------------------------------------------------------------ with a result


def zero(texts: str) -> str:
    return f"{THIS} gets a gradient of zero: {texts}."


def stopped(op: str, size: str, why: str) -> str:
    return zero(f"{op} stops it, where {size} (|g|) arrives and 0 goes on: {why}")


RESULTS: list[tuple[str, Callable[[ag.Tensor], Any], str, str]] = [
    ("present", lambda x: (x * x).sum(), "present", f"{THIS} has a gradient: float32[3] from -4 to 6."),
    ("itself", lambda x: x, "present", f"{THIS} has a gradient: float32[3] of 1."),
    (
        "another leaf",
        lambda x: (leaf() * 2.0).sum(),
        "not connected",
        f"{THIS} gets no gradient: y does not depend on it, but on one other leaf.{ASK}",
    ),
    (
        "leaves with names",
        lambda x: nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 1))(x.detach()),
        "not connected",
        f"{THIS} gets no gradient: y does not depend on it, but on '0.weight', '0.bias', '1.weight' and 1 more.{ASK}",
    ),
    (
        "integers",
        lambda x: x.argmax(),
        "y is constant",
        f"{THIS} gets no gradient. y has dtype int64: it is the result of an operation without derivative (a "
        f"comparison, argmax, a cast to integers), so no gradient comes back from it.{ASK}",
    ),
    (
        "a constant",
        lambda x: x.detach().sum(),
        "y is constant",
        f"{THIS} gets no gradient. y depends on no tensor that requires a gradient: it was computed under no_grad, "
        f"detached, or made from constants.{ASK}",
    ),
    (
        "dead units",
        lambda x: (x - 5.0).relu().sum(),
        "zero",
        stopped("relu", "1.73205", "no input of it is positive (dead units)"),
    ),
    (
        "a branch not taken",
        lambda x: ag.where(x > 9.0, x, 0.0).sum(),
        "zero",
        stopped("where", "1.73205", "no element of this operand was chosen"),
    ),
    (
        "limits",
        lambda x: ag.clip(x, 10.0, 11.0).sum(),
        "zero",
        stopped("clip", "1.73205", "every element of this operand lies outside its limits"),
    ),
    (
        "rounding",
        lambda x: (x.round() * 2.0).sum(),
        "zero",
        stopped("round", "3.4641", "its slope is 0 everywhere: it is constant in steps"),
    ),
    (
        "times zero",
        lambda x: (x * ag.zeros(3)).sum(),
        "zero",
        stopped("multiply", "1.73205", "the other operand is 0 there"),
    ),
    (
        "saturated",
        lambda x: (x * 1e4).square().tanh().sum(),
        "zero",
        stopped("tanh", "1.73205", "its derivative by operand x is 0 there (the result is float32[3] of 1)"),
    ),
    (
        "uses that cancel",
        lambda x: (x - x).sum(),
        "cancelled",
        zero("what comes back through its several uses adds up to exactly 0"),
    ),
    (
        "infinite",
        lambda x: (x + 2.0).sqrt().sum(),
        "not finite",
        f"{THIS} gets a gradient that is not finite (infinity in 1 of 3 elements (at [1])): the derivative of sqrt by "
        "operand x made it (the result is float32[3] from 0 to 2.23607).",
    ),
]


@pytest.mark.parametrize(("f", "reason", "text"), [c[1:] for c in RESULTS], ids=[c[0] for c in RESULTS])
def test_a_result(f: Callable[[ag.Tensor], Any], reason: str, text: str) -> None:
    x = leaf()
    with np.errstate(all="ignore"):
        assert told(x, f(x)) == (reason, text)
    assert x.grad is None


def test_a_freed_graph() -> None:
    x = leaf()
    y = (x * x).sum()
    y.backward()
    assert told(x, y) == (
        "freed",
        "An earlier backward has freed the graph of y, so it tells nothing more. Ask before backward, keep the graph "
        "with backward(retain_graph=True), or pass the function that computes y. The gradient that it left: float32[3] "
        "from -4 to 6.",
    )


def test_one_of_several_results() -> None:
    first, second = ag.split(leaf(1.0, 2.0, 3.0, 4.0), 2)
    y = (first * 3.0).sum()
    assert str(ag.explain_grad(first, y)) == "This tensor (float32[2]) has a gradient: float32[2] of 3."
    assert ag.explain_grad(second, y).reason == "not connected"


def test_a_parameter_that_was_replaced() -> None:
    layer = nn.Linear(3, 1)
    y = layer(ag.ones((1, 3))).sum()
    old = layer.weight
    layer.weight = nn.Parameter(ag.ones((1, 3)))
    assert "One of them is also called 'weight'" in str(ag.explain_grad(layer.weight, y))
    assert ag.explain_grad(old, y).reason == "present"


# ------------------------------------------------------------------------------------ with a function


def under_no_grad(x: ag.Tensor) -> ag.Tensor:
    with ag.no_grad():
        h = x * 3.0
    return (h + leaf()).sum()


def through_numpy(x: ag.Tensor) -> ag.Tensor:
    return (ag.tensor(x.detach().numpy() * 2.0) + leaf()).sum()


def detached_long_before(x: ag.Tensor) -> ag.Tensor:
    h = x.detach()
    h = h * 2.0
    h = h.exp()
    return (h * leaf()).sum()


CUT = f"{THIS} gets no gradient: its value reaches y, but its history does not: "
FUNCTIONS: list[tuple[str, Callable[[ag.Tensor], Any], str, str]] = [
    (
        "no_grad",
        under_no_grad,
        "cut",
        f"{CUT}multiply ran under no_grad (HERE in under_no_grad: h = x * 3.0).",
    ),
    (
        "detach",
        detached_long_before,
        "cut",
        f"{CUT}its value was detached (HERE in detached_long_before: h = x.detach()).",
    ),
    (
        "no derivative",
        lambda x: (x > 0.0) * leaf(),
        "cut",
        f"{CUT}greater has no derivative (HERE in <lambda>: lambda x: (x > 0.0) * leaf(),).",
    ),
    (
        "no derivative, nothing else",
        lambda x: x.argmax(),
        "cut",
        f"{CUT}argmax has no derivative (HERE in <lambda>: lambda x: x.argmax(),).",
    ),
    (
        "no part in it",
        lambda x: leaf().sum(),
        "not connected",
        f"{THIS} gets no gradient: y does not depend on it, but on one other leaf. Its value had no part in y, unless "
        "by way of NumPy or Python numbers, which no graph can follow.",
    ),
    (
        "a slope of 0, with its line",
        lambda x: ag.floor(x).sum(),
        "zero",
        zero(
            "floor (called at HERE in <lambda>: lambda x: ag.floor(x).sum(),) stops it, where 1.73205 (|g|) arrives "
            "and 0 goes on: its slope is 0 everywhere: it is constant in steps"
        ),
    ),
]


@pytest.mark.parametrize(("f", "reason", "text"), [c[1:] for c in FUNCTIONS], ids=[c[0] for c in FUNCTIONS])
def test_a_function(f: Callable[[ag.Tensor], Any], reason: str, text: str) -> None:
    x = leaf()
    assert told(x, lambda: f(x)) == (reason, text)


def test_a_way_through_numpy_cannot_be_followed() -> None:
    x = leaf()
    assert told(x, lambda: through_numpy(x)) == (
        "not connected",
        f"{THIS} gets no gradient: y does not depend on it, but on one other leaf. Its value had no part in y, unless "
        "by way of NumPy or Python numbers, which no graph can follow.",
    )


def test_several_cuts() -> None:
    x = leaf()

    def f() -> ag.Tensor:
        return (x.detach() * (x > 0.0)).sum() * leaf()

    found = ag.explain_grad(x, f)
    assert found.reason == "cut"
    assert found.ops == ("detach", "greater")
    assert [origin.function for origin in found.origins] == ["f", "f"]


def test_one_whole_way_is_enough() -> None:
    x = leaf()
    assert ag.explain_grad(x, lambda: (x * x.detach()).sum()).reason == "present"


def test_in_a_module_the_path_is_named() -> None:
    class Frozen(nn.Module):
        def forward(self, x: ag.Tensor) -> ag.Tensor:
            return x.detach()

    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Frozen()), nn.Linear(3, 1))
    found = ag.explain_grad(model[0].weight, lambda: model(ag.ones((2, 3))).sum())
    assert re.sub(r"[^\s(]*test_explain\.py:\d+", "HERE", str(found)) == (
        "'0.weight' (float32[3, 3]) gets no gradient: its value reaches y, but its history does not: its value was "
        "detached (HERE in forward: return x.detach(), in module 1.1 (Frozen))."
    )


def test_composed_operations_are_not_taken_for_no_grad() -> None:
    """Inside, they run unrecorded."""
    x = leaf()
    for f in (ag.logsumexp, lambda x: nn.functional.gelu(x).sum(), lambda x: x.std()):
        assert ag.explain_grad(x, lambda f=f: f(x)).reason in ("present", "partly zero")


# ------------------------------------------------------------------------------------ for programs


def test_fields() -> None:
    x = leaf()
    found = ag.explain_grad(x, (x * 0.0).sum())
    assert (found.reason, found.ops, found.origins) == ("zero", ("multiply",), ())
    assert found.gradient.tolist() == [0.0, 0.0, 0.0]
    assert repr(found) == str(found) == found.text


def test_twenty_thousand_operations() -> None:
    x = leaf()
    y = x * 0.0
    for _ in range(20_000):
        y = y + 1.0
    assert ag.explain_grad(x, y.sum()).ops == ("multiply",)


def test_mistakes() -> None:
    x = leaf()
    for bad, message in [
        (lambda: ag.explain_grad([1.0]), "explain_grad: takes a tensor, got list"),
        (lambda: ag.explain_grad(x, 3.0), "explain_grad: y is a tensor or a function that returns one, got float"),
        (
            lambda: ag.explain_grad(x, lambda: 3.0),
            "explain_grad: the function must return one tensor, it returned float",
        ),
    ]:
        with pytest.raises(ag.ArgumentError) as caught:
            bad()
        assert str(caught.value) == message

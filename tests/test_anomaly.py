"""detect_anomaly: the first NaN or infinity, by operation, module path and line of the user's code."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import op_checks
import pytest
from op_table import CASES, OpCase

import autograd_core as ag
from autograd_core import context, nn
from autograd_core.diagnostics.origins import origin_of


def told(f: Callable[[], Any], **options: Any) -> ag.AnomalyError:
    with pytest.raises(ag.AnomalyError) as caught, ag.detect_anomaly(**options):
        f()
    return caught.value


def text(error: Exception) -> str:
    """The message, this file's name and the line in it left out."""
    return re.sub(r"\S*test_anomaly\.py:\d+", "HERE", str(error))


def leaf(*values: float) -> ag.Tensor:
    return ag.tensor(list(values), requires_grad=True)


class Layer(nn.Module):
    def __init__(self) -> None:
        self.linear1 = nn.Linear(2, 2)

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        y = abs(self.linear1(x)) * 0.0
        return ag.log(y)


class Encoder(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Identity(), Layer())

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        return self.layers(x)


class Model(nn.Module):
    def __init__(self) -> None:
        self.encoder = Encoder()

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        return self.encoder(x).sum()


# ------------------------------------------------------------------------------------ golden texts


def test_forward() -> None:
    def f() -> None:
        ag.tensor([1.0, 0.0, -3.0]).log()

    assert text(told(f)) == (
        "log made the first NaN: 1 of 3 elements (at [2]) of its result float32[3], where x is -3. Operands: x "
        "float32[3] from -3 to 1. Called at HERE in f: ag.tensor([1.0, 0.0, -3.0]).log()"
    )


def test_a_division() -> None:
    def f() -> None:
        ag.tensor([[1.0, 4.0], [2.0, 3.0]]) / ag.tensor([[1.0, 0.0], [0.0, 5.0]])

    assert text(told(f)) == (
        "divide made the first infinity: 2 of 4 elements (the first at [0, 1]) of its result float32[2, 2], where x1 "
        "is 4 and x2 is 0. Operands: x1 float32[2, 2] from 1 to 4; x2 float32[2, 2] from 0 to 5. Called at HERE in f: "
        "ag.tensor([[1.0, 4.0], [2.0, 3.0]]) / ag.tensor([[1.0, 0.0], [0.0, 5.0]])"
    )


def test_in_a_module() -> None:
    error = told(lambda: Model()(ag.ones((1, 2))))
    assert text(error) == (
        "in encoder.layers.1 (Layer): log made the first infinity: 2 of 2 elements (the first at [0, 0]) of its result "
        "float32[1, 2], where x is 0. Operands: x float32[1, 2] of 0. Called at HERE in forward: return ag.log(y)"
    )
    assert (error.origin.module, error.origin.kind) == ("encoder.layers.1", "Layer")


def test_backward_names_the_forward_operation_and_its_line() -> None:
    def f() -> None:
        w = leaf(4.0, 0.0)
        y = w.sqrt()
        y.sum().backward()

    assert text(told(f)) == (
        "the derivative of sqrt made the first infinity: 1 of 2 elements (at [1]) of the gradient of its operand x, "
        "float32[2], where the result is 0. The gradient of its result: float32[2] of 1. sqrt was called at HERE in f: "
        "y = w.sqrt()"
    )


def test_backward_in_a_module_names_its_path() -> None:
    class Root(nn.Module):
        def forward(self, x: ag.Tensor) -> ag.Tensor:
            return ag.sqrt(x)

    model = nn.Sequential(nn.Flatten(), nn.Sequential(Root()))

    def f() -> None:
        loss = model(ag.zeros((1, 2)).requires_grad_()).sum()
        loss.backward()

    error = told(f)
    assert text(error).endswith("sqrt was called at HERE in forward: return ag.sqrt(x), in module 1.0 (Root)")
    assert (error.op, error.kind, error.direction) == ("sqrt", "infinity", "backward")


def test_a_graph_recorded_outside_has_no_lines() -> None:
    w = leaf(0.0)
    loss = w.sqrt().sum()
    error = told(loss.backward)
    assert text(error).endswith("To see the line that called sqrt, run the forward pass in this block too")
    assert error.origin is None


def test_nan_from_outside() -> None:
    data = ag.tensor([1.0, np.nan])

    def f() -> None:
        leaf(1.0, 2.0) * data

    assert text(told(f)) == (
        "multiply was given NaN, made by nothing that ran in this block (operand x2: 1 of 2 elements (at [1]) of "
        "float32[2]): look at the data and the parameters, ag.isnan(x).any(). Called at HERE in f: leaf(1.0, 2.0) * "
        "data"
    )


def test_nan_in_a_parameter() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.assign_(ag.full((2, 2), np.nan))
    assert "operand x2 ('0.weight'): 4 of 4 elements (the first at [0, 0]) of" in text(
        told(lambda: model(ag.ones((1, 2))))
    )


def test_a_cotangent_that_is_not_finite() -> None:
    def f() -> None:
        y = leaf(1.0) * 2.0
        y.backward(ag.tensor([np.inf]))

    assert text(told(f)) == (
        "the gradient of the result of multiply is not finite on arrival: float32[1], 1 infinite. The cotangent given "
        "to backward is not, or the sum of several overflowed. multiply was called at HERE in f: y = leaf(1.0) * 2.0"
    )


# ------------------------------------------------------------------------------------ in transforms


def test_forward_mode() -> None:
    def f() -> None:
        ag.jvp(lambda x: ag.sqrt(x), (ag.tensor([1.0, 0.0]),), (ag.ones(2),))

    error = told(f)
    assert "sqrt made the first infinity: 1 of 2 elements (at [1]) of its tangent (in forward mode)" in str(error)
    assert (error.op, error.direction) == ("sqrt", "tangent")


def test_vmap() -> None:
    def row(x: ag.Tensor) -> ag.Tensor:
        return x.log()

    error = told(lambda: ag.vmap(row)(ag.tensor([[1.0, 2.0], [3.0, 0.0]])))
    assert (error.op, error.origin.function) == ("log", "row")
    assert "at [1, 1]" in str(error)  # axis 0: the examples


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: lambda x: ag.grad(lambda z: f(z).sum())(x),
        lambda f: lambda x: ag.vjp(f, x)[1](ag.ones_like(x)),
        lambda f: lambda x: ag.jvp(ag.grad(lambda z: f(z).sum()), (x,), (ag.ones_like(x),)),
        lambda f: lambda x: ag.vmap(ag.grad(f))(x),
        lambda f: lambda x: ag.grad(lambda z: ag.vmap(f)(z).sum())(x),
        lambda f: lambda x: ag.hessian(lambda z: f(z).sum())(x),
    ],
    ids=["grad", "vjp", "jvp of grad", "vmap of grad", "grad of vmap", "hessian"],
)
def test_derivatives_in_transforms(transform: Callable) -> None:
    error = told(lambda: transform(lambda x: ag.sqrt(x))(ag.tensor([1.0, 0.0])))
    assert error.op == "sqrt"
    assert error.origin.function == "<lambda>"
    assert error.direction in ("backward", "tangent")


def test_second_order() -> None:
    """A slope that is finite, whose own slope is not: x ** 1.5 at 0."""

    def f() -> None:
        x = leaf(0.0)
        (g,) = ag.vjp(lambda z: z**1.5, x)[1](ag.ones(1))
        g.sum().backward()

    error = told(f)
    assert error.direction == "backward"
    assert "run by the derivative of" in str(error.origin)
    assert "z**1.5" in str(error.origin)


def test_inside_checkpoint() -> None:
    def block(x: ag.Tensor) -> ag.Tensor:
        return x.sqrt()

    error = told(lambda: ag.checkpoint(block)(leaf(0.0)).sum().backward())
    assert (error.op, error.direction) == ("sqrt", "backward")
    assert error.origin.function == "block"


def test_a_rule_of_the_users_is_the_users_code() -> None:
    @ag.custom_vjp
    def f(x: ag.Tensor) -> ag.Tensor:
        return x * 1.0

    def bwd(x: ag.Tensor, g: ag.Tensor) -> tuple[ag.Tensor]:
        return (g / x,)

    f.defvjp(lambda x: (f.f(x), x), bwd)
    error = told(lambda: f(leaf(0.0)).sum().backward())
    assert (error.op, error.origin.function) == ("divide", "bwd")


def test_a_rule_that_returns_nan_at_once_is_named_by_its_function() -> None:
    @ag.custom_vjp
    def broken(x: ag.Tensor) -> ag.Tensor:
        return x * 1.0

    broken.defvjp(lambda x: (broken.f(x), None), lambda _, g: (ag.full(g.shape, float("nan")),))
    error = told(lambda: broken(leaf(1.0)).sum().backward())
    assert (error.op, error.direction) == ("broken", "backward")


# ------------------------------------------------------------------------------------ what passes


def test_masks_pass() -> None:
    def f() -> ag.Tensor:
        scores = leaf(1.0, 2.0, 3.0)
        masked = ag.where(ag.tensor([True, False, True]), scores, -ag.inf)
        masked.softmax(-1)[0].backward()
        return scores.grad

    with ag.detect_anomaly():
        watched = f()
    assert np.array_equal(watched.numpy(), f().numpy())


def test_derivatives_not_taken_pass() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        return ag.where(x > 0, x.sqrt(), 0.0).sum()

    with ag.detect_anomaly():
        assert ag.grad(f)(ag.tensor([4.0, 0.0])).tolist() == [0.25, 0.0]


def test_infinities_pass_if_asked() -> None:
    with ag.detect_anomaly(infinities=False):
        y = ag.tensor([0.0, 1.0]).log()
    assert y.tolist() == [-np.inf, 0.0]
    error = told(lambda: ag.sqrt(y), infinities=False)
    assert (error.op, error.kind) == ("sqrt", "NaN")


@pytest.mark.parametrize("case", [case for case in CASES if case.argnums(op_checks.arrays(case))], ids=lambda c: c.name)
def test_no_operation_is_blamed_for_its_own_steps(case: OpCase) -> None:
    """Forward, backward and in forward mode: what is infinite on the way to a finite result does not count."""
    xs = op_checks.arrays(case)
    try:
        with ag.detect_anomaly():
            op_checks.pulled(case, xs)
            positions = case.argnums(xs)
            primals = tuple(ag.asarray(xs[i]) for i in positions)
            ag.jvp(op_checks.of_operands(case, xs, positions), primals, tuple(map(ag.ones_like, primals)))
    except ag.AnomalyError as error:
        found = [*op_checks.run(case, xs), *op_checks.pulled(case, xs)]
        if all(np.isfinite(np.asarray(y)).all() for y in found):
            raise AssertionError(f"{case.name}: all its results are finite") from error


# ------------------------------------------------------------------------------------ as a block


def test_nothing_is_watched_outside() -> None:
    with ag.detect_anomaly():
        pass
    assert context.current().observer is None
    assert ag.tensor([0.0]).log().tolist() == [-np.inf]


def test_as_a_decorator_and_nested() -> None:
    @ag.detect_anomaly()
    def f(x: ag.Tensor) -> ag.Tensor:
        return x.log()

    with pytest.raises(ag.AnomalyError):
        f(ag.zeros(1))
    with ag.record_origins(), ag.detect_anomaly():
        y = leaf(1.0).log()
    assert origin_of(y.node).function == "test_as_a_decorator_and_nested"
    assert context.current().observer is None


def test_entered_twice() -> None:
    watch, other = ag.detect_anomaly(), ag.record_origins()
    with watch, other, watch:
        assert leaf(1.0).log().tolist() == [0.0]
        with pytest.raises(ag.AnomalyError):
            ag.zeros(1).log()
    assert context.current().observer is None


def test_other_threads_are_not_watched() -> None:
    found: list[list[float]] = []
    with ag.detect_anomaly():
        thread = threading.Thread(target=lambda: found.append(ag.zeros(1).log().tolist()))
        thread.start()
        thread.join()
    assert found == [[-np.inf]]


def test_errors_leave_the_block_as_it_was() -> None:
    watch = ag.detect_anomaly()
    for _ in range(2):
        with pytest.raises(ag.AnomalyError), watch:
            ag.zeros(1).log()
        assert context.current().observer is None


# ------------------------------------------------------------------------------------ origins


def test_a_layer_used_twice_has_the_path_by_which_it_was_called() -> None:
    shared = nn.Linear(2, 2)
    model = nn.Sequential(nn.Sequential(shared), nn.Sequential(nn.Identity(), shared))
    with ag.record_origins():
        y = model(ag.ones((1, 2)))
    assert origin_of(y.node).module == "1.1"


def test_a_module_that_is_no_part_of_its_caller_is_called_by_its_class() -> None:
    helper = nn.Linear(2, 2)

    class Caller(nn.Module):
        def forward(self, x: ag.Tensor) -> ag.Tensor:
            return helper(x)

    with ag.record_origins():
        y = nn.Sequential(Caller())(ag.ones((1, 2)))
    assert origin_of(y.node).within == "Linear (Linear)"


def test_a_second_backward_names_the_line_of_what_it_reached() -> None:
    with ag.record_origins():
        x = leaf(1.0)
        h = x.exp()
    h.sum().backward()
    with pytest.raises(ag.GradientError) as caught:
        (h * 2.0).sum().backward()
    assert text(caught.value).startswith(
        "backward reached the result (shape (1,)) of 'exp', called at HERE in "
        "test_a_second_backward_names_the_line_of_what_it_reached: h = x.exp(), whose saved values"
    )


def test_a_checkpoint_has_an_origin_too() -> None:
    with ag.record_origins():
        y = ag.checkpoint(ag.exp)(leaf(1.0))
    assert origin_of(y.node).op == "checkpoint"


def test_origins_die_with_their_graph() -> None:
    with ag.GraphWatch() as watch:
        y = leaf(1.0) * 2.0
        assert watch.alive == 1
        del y
        assert watch.alive == 0

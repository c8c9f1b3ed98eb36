"""The passes over graphs: what they remove, and what they must leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compile_tools import captured, graph_of, run

import autograd_core as ag
from autograd_core.aval import Aval
from autograd_core.backend import get_device
from autograd_core.compiler.capture import evaluate
from autograd_core.compiler.fuse import schedule
from autograd_core.compiler.ir import Equation, Graph, Var, check
from autograd_core.compiler.simplify import (
    folded,
    identity,
    simplify,
    without_aliases,
    without_dead_code,
    without_duplicates,
)
from autograd_core.ops.arithmetic import add_p, multiply_p
from autograd_core.ops.creation import full_p

X = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)


def names(graph: Graph) -> list[str]:
    return [e.primitive.name for e in graph.equations]


def test_dead_code() -> None:
    def f(x: Any) -> Any:
        ag.exp(x) * 2.0
        return ag.tanh(x)

    graph = without_dead_code(graph_of(f, X))
    assert names(graph) == ["tanh"]
    assert graph.constants == {}


def test_equal_equations_are_one() -> None:
    graph = without_duplicates(graph_of(lambda x: (ag.exp(x) + 1.0, ag.exp(x) + 1.0, ag.sum(x, axis=0)), X))
    assert names(graph) == ["exp", "add", "sum"]
    assert graph.outputs[0] is graph.outputs[1]


def test_equal_is_more_than_equal_numbers() -> None:
    graph = without_duplicates(graph_of(lambda x: (ag.sum(x, axis=0), ag.sum(x, axis=1), x * 0.0, x * -0.0), X))
    assert names(graph) == ["sum", "sum", "multiply", "multiply"]


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (0.0, -0.0), ((1, 2), [1, 2]), (np.float32(1), 1.0)])
def test_parameters_that_are_not_the_same(pair: Any) -> None:
    first, second = pair
    assert identity({"a": first}) != identity({"a": second})


@pytest.mark.parametrize("value", [float("nan"), (1, (2.0, None)), np.dtype("float32"), {"b": np.arange(3)}])
def test_parameters_that_are_the_same(value: Any) -> None:
    assert identity(value) == identity(value)
    assert hash(identity(value)) == hash(identity(value))


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: ag.exp(x.detach()), ["exp"]),
        (lambda x: ag.exp(x.T.T), ["exp"]),
        (lambda x: ag.exp(x.reshape((6,)).reshape((2, 3))), ["exp"]),
        (lambda x: ag.exp(x.reshape((6,)).reshape((3, 2))), ["reshape", "exp"]),
        (lambda x: ag.exp(x[:, :, None].broadcast_to((2, 3, 4)).broadcast_to((2, 3, 4))), None),
        (lambda x: ag.exp(x.reshape((1, 2, 3)).broadcast_to((1, 2, 3)).broadcast_to((4, 2, 3))), None),
    ],
)
def test_views_of_views(f: Any, left: list[str] | None) -> None:
    found = captured(f, X)
    graph = simplify(found.graph)
    if left is not None:
        assert names(graph) == left
    _same(graph, found)


def test_outputs_stay_values_of_their_own() -> None:
    graph = without_aliases(graph_of(lambda x: (x.detach(), ag.exp(x).T.T), X))
    assert graph.outputs[0] is not graph.inputs[0]
    assert len(graph.outputs) == 2


def test_small_constants_are_folded() -> None:
    scale = Var(Aval((), np.dtype(np.float32)))
    product, y, x = (Var(Aval(s, np.dtype(np.float32))) for s in ((), (3,), (3,)))
    equations = [Equation(multiply_p, [scale, scale], {}, [product]), Equation(add_p, [x, product], {}, [y])]
    graph = check(Graph([x], equations, [y], {scale: np.full((), 3, np.float32)}))
    graph = simplify(graph)
    assert names(graph) == ["add"]
    assert [float(a) for a in graph.constants.values()] == [9.0]


def test_large_constants_stay_equations() -> None:
    big, y = (Var(Aval((100,), np.dtype(np.float32))) for _ in range(2))
    params = {"shape": (100,), "value": 1.0, "dtype": np.dtype(np.float32), "device": get_device("numpy")}
    graph = Graph([], [Equation(full_p, [], params, [big]), Equation(add_p, [big, big], {}, [y])], [y])
    assert names(folded(check(graph))) == ["full", "add"]


def test_what_is_handed_out_is_not_a_constant() -> None:
    graph = simplify(graph_of(lambda x: (ag.zeros(3), x), X))
    assert graph.outputs[0] not in graph.constants


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0])
def test_special_values_stay(value: float) -> None:
    x = np.full(3, value, np.float32)
    with np.errstate(invalid="ignore"):
        found = captured(lambda x: (x * 0.0, x + 0.0, x - x, x * 1.0, (x + 1.0) * 1.0, x - 0.0), x)
        graph = simplify(found.graph)
        _same(graph, found)
    for y, expected in zip(run(graph, schedule(graph), found.arrays), found.expected, strict=True):
        np.testing.assert_array_equal(y, expected)
        zeros = expected == 0
        np.testing.assert_array_equal(np.signbit(y[zeros]), np.signbit(expected[zeros]))


def test_random_numbers_of_different_keys_differ() -> None:
    generator = ag.random.Generator(0)
    found = captured(
        lambda x: (ag.random.uniform((3,), generator=generator), ag.random.uniform((3,), generator=generator)), X
    )
    assert len(simplify(found.graph).equations) == 2


def _same(graph: Graph, found: Any) -> None:
    """The simplified graph gives the same bits."""
    values = dict(zip(graph.inputs, found.arrays, strict=True))
    for y, expected in zip(evaluate(graph, get_device("numpy"), values), found.expected, strict=True):
        np.testing.assert_array_equal(y, expected)
        numbers = expected == expected
        np.testing.assert_array_equal(np.signbit(y[numbers]), np.signbit(expected[numbers]))

"""What a gradient keeps of the forward pass: the smallest cut, and what each half of the graph computes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from compile_tools import trace
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core import nn
from autograd_core.aval import Aval
from autograd_core.backend import get_device
from autograd_core.compiler.capture import evaluate
from autograd_core.compiler.ir import Graph, check
from autograd_core.compiler.partition import UNLIMITED, Network, Partition, partition
from autograd_core.transforms.derivatives import vjp

F = nn.functional


def cut(f: Callable[..., ag.Tensor], *shapes: tuple[int, ...]) -> tuple[Graph, Partition]:
    """A function and its pullback as one graph, and the two halves of it. The last shape is that of the cotangent."""

    def both(*values: ag.Tensor) -> tuple[ag.Tensor, ...]:
        y, pull = vjp(f, *values[:-1])
        return (y, *pull(values[-1]))

    joint = trace(both, [Aval(shape, np.dtype(np.float32)) for shape in shapes], "numpy")
    return joint, partition(joint, len(shapes) - 1, 1)


def names(graph: Graph) -> list[str]:
    return [e.primitive.name for e in graph.equations]


FUNCTIONS: dict[str, tuple[Callable[..., ag.Tensor], tuple[tuple[int, ...], ...], list[tuple[int, ...]]]] = {
    "what is computed from arguments alone, element by element, is not kept": (
        lambda x: F.gelu(ag.sin(x)) * x,
        ((3, 4), (3, 4)),
        [],
    ),
    "a product is kept, what activations make of it is not": (
        lambda x, w: ag.matmul(F.gelu(ag.matmul(x, w)), w),
        ((3, 4), (4, 4), (3, 4)),
        [(3, 4)],
    ),
    "of a sum of products the sum is kept": (
        lambda x, w: ag.sin(ag.matmul(x, w) + ag.matmul(w, x)),
        ((4, 4), (4, 4), (4, 4)),
        [(4, 4)],
    ),
    "a reduction is kept, which is small": (
        lambda x: x / ag.logsumexp(x, axis=1, keepdims=True),
        ((5, 64), (5, 64)),
        [(5, 1)],
    ),
    "a linear function keeps nothing": (lambda x: x.sum(axis=1).mT, ((3, 4, 2), (2, 3)), []),
    "views are not kept, what they are views of is": (
        lambda x, w, v: ag.matmul(x, w).mT.reshape(12) * v,
        ((3, 5), (5, 4), (12,), (12,)),
        [(3, 4)],
    ),
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_what_is_kept(what: str) -> None:
    f, shapes, kept = FUNCTIONS[what]
    _, parts = cut(f, *shapes)
    assert sorted(v.shape for v in parts.residuals) == kept


def test_products_run_once() -> None:
    joint, parts = cut(
        lambda x, w: ag.matmul(F.relu(ag.matmul(x, w)), w) + F.softmax(ag.matmul(x, x), 1), (4, 4), (4, 4), (4, 4)
    )
    assert names(parts.forward).count("matmul") == 3
    assert names(parts.backward).count("matmul") == names(joint).count("matmul") - 3
    assert "softmax" not in names(parts.backward)


@pytest.mark.parametrize("what", FUNCTIONS)
def test_the_halves_compute_what_the_whole_does(what: str) -> None:
    f, shapes, _ = FUNCTIONS[what]
    joint, parts = cut(f, *shapes)
    rng, device = np.random.default_rng(0), get_device("numpy")
    arrays = [rng.uniform(0.5, 1.5, shape).astype(np.float32) for shape in shapes]

    def run(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return evaluate(check(graph), device, dict(zip(graph.inputs, inputs, strict=True)))

    expected = run(joint, arrays)
    value, *residuals = run(parts.forward, arrays[:-1])
    held = [arrays[i] for i in parts.held]
    found = [value, *run(parts.backward, [*residuals, *held, arrays[-1]])]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(run(parts.again, held), residuals, strict=True):
        np.testing.assert_array_equal(a, b)


Edges = list[tuple[int, int, int]]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=14))
def test_the_cut_is_the_smallest_and_the_last_of_these(edges: Edges) -> None:
    """Every way to part six places, the first of which is the source and the last the sink, is tried."""
    edges = [(a, b, room) for a, b, room in edges if a != b]
    network = Network()
    places = [network.place() for _ in range(6)]
    for a, b, room in edges:
        network.join(places[a], places[b], room)
    behind = network.behind_the_last_cut(places[0], places[5])

    def across(side: set[int]) -> int:
        return sum(room for a, b, room in edges if a not in side and b in side)

    sides = [{5, *chosen} for n in range(5) for chosen in combinations(range(1, 5), n)]
    smallest = min(map(across, sides))
    assert across(behind) == smallest
    assert all(len(behind) <= len(side) for side in sides if across(side) == smallest)


def test_ways_without_limit_are_not_cut() -> None:
    network = Network()
    source, a, b, sink = (network.place() for _ in range(4))
    network.join(source, a, UNLIMITED)
    network.join(a, b, 7)
    network.join(b, sink, UNLIMITED)
    assert network.behind_the_last_cut(source, sink) == {b, sink}

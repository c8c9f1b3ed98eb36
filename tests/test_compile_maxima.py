"""Gradients of maxima are worked on window by window: fewer elements, the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compile_tools import captured, graph_of

import autograd_core as ag
from autograd_core import nn
from autograd_core.backend import get_device
from autograd_core.compiler.capture import evaluate
from autograd_core.compiler.ir import Graph
from autograd_core.compiler.maxima import in_windows
from autograd_core.compiler.simplify import simplify

F = nn.functional


def image(*shape: int) -> np.ndarray:
    """Rounded, so that maxima are equal, many are zero and some are not numbers."""
    rng = np.random.default_rng(0)
    x = np.round(2 * rng.standard_normal(shape)).astype(np.float32)
    x[rng.random(shape) < 0.02] = np.nan
    return x


def rewritten(f: Any, *arrays: np.ndarray) -> tuple[Graph, Graph]:
    """The graph before and after, which give the same to the last bit, or nearly where sums are taken."""
    found = captured(f, *arrays)
    before = simplify(found.graph)
    after = simplify(in_windows(before))
    results = evaluate(after, get_device("numpy"), dict(zip(after.inputs, found.arrays, strict=True)))
    for y, expected in zip(results, found.expected, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    return before, after


def sizes(graph: Graph, name: str) -> list[tuple[int, ...]]:
    return [e.inputs[0].shape for e in graph.equations if e.primitive.name == name]


def slope(x: Any, g: Any, kernel: Any, **how: Any) -> Any:
    y, pull = ag.vjp(lambda x: F.max_pool2d(F.relu(x), kernel, **how), x)
    (found,) = pull(g)
    return y, found


@pytest.mark.parametrize(
    ("kernel", "how", "size"),
    [(2, {}, (4, 5)), (3, {"stride": 2, "padding": 1}, (4, 5)), (3, {"stride": 1, "dilation": 2}, (4, 6))],
)
def test_slopes_before_a_pooling(kernel: int, how: dict[str, Any], size: tuple[int, int]) -> None:
    g = np.random.default_rng(1).standard_normal((2, 3, *size)).astype(np.float32)
    before, after = rewritten(lambda x, g: slope(x, g, kernel, **how), image(2, 3, 8, 10), g)
    assert sizes(before, "where_positive") == [(2, 3, 8, 10)]
    assert sizes(after, "where_positive") == [(2, 3, *size)]
    assert [e.primitive.name for e in after.equations][-1] == "pool_scatter"


@pytest.mark.parametrize("axes", [(0, 2, 3), (2, 3), (0, 1, 2, 3)])
def test_sums_of_what_was_scattered(axes: tuple[int, ...]) -> None:
    g = np.random.default_rng(1).standard_normal((2, 3, 4, 5)).astype(np.float32)
    before, after = rewritten(lambda x, g: slope(x, g, 2)[1].sum(axis=axes), image(2, 3, 8, 10), g)
    assert sizes(before, "sum") == [(2, 3, 8, 10)]
    assert sizes(after, "sum") == [(2, 3, 4, 5)]
    assert not sizes(after, "pool_scatter")


def test_what_is_not_of_the_windows_stays() -> None:
    g = np.ones((2, 3, 4, 5), np.float32)

    def one_axis(x: Any, g: Any) -> Any:
        return slope(x, g, 2)[1].sum(axis=3)

    def of_another(x: Any, g: Any, other: Any) -> Any:
        (found,) = ag.vjp(lambda x: F.max_pool2d(x, 2), x)[1](g)
        return ag.where(other > 0, found, 0.0)

    def seen(x: Any, g: Any) -> Any:
        relu = F.relu(x)
        (found,) = ag.vjp(lambda y: F.max_pool2d(y, 2), relu)[1](g)
        (before,) = ag.vjp(F.relu, x)[1](found)
        return found, before

    before, after = rewritten(one_axis, image(2, 3, 8, 10), g)
    assert sizes(after, "sum") == sizes(before, "sum") == [(2, 3, 8, 10)]
    for f, arrays in ((of_another, (image(2, 3, 8, 10), g, image(2, 3, 8, 10)[::-1])), (seen, (image(2, 3, 8, 10), g))):
        before, after = rewritten(f, *arrays)
        assert str(before) == str(after)


def test_nothing_to_do() -> None:
    graph = graph_of(lambda x: (x * 2).sum(), image(3, 4))
    assert str(in_windows(graph)) == str(graph)

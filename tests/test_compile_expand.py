"""Fused operations taken apart: where all parts can run, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compile_tools import captured, run, trace

from autograd_core.compiler.expand import expand
from autograd_core.compiler.fuse import OpaqueUnit, schedule
from autograd_core.compiler.ir import Equation
from autograd_core.compiler.simplify import simplify
from autograd_core.ops.attention import scaled_dot_product_attention
from autograd_core.ops.recurrent import lstm

R = np.random.default_rng(0)


def products(e: Equation) -> bool:
    return e.primitive.name == "matmul"


def attention(causal: bool) -> Any:
    def f(q: Any, k: Any, v: Any) -> Any:
        q, k, v = (x.requires_grad_() for x in (q, k, v))
        y = scaled_dot_product_attention(q, k, v, is_causal=causal)
        (y * y).sum().backward()
        return y.detach(), q.grad, k.grad, v.grad

    return f


@pytest.mark.parametrize("causal", [False, True])
def test_attention_becomes_products_and_loops(causal: bool) -> None:
    q, k, v = R.standard_normal((3, 2, 3, 5, 4))
    found = captured(attention(causal), q, k, v)
    graph = simplify(expand(simplify(found.graph), trace=trace, is_native=products))
    plan = schedule(graph, is_native=products)
    opaque = [u.equation.primitive.name for u in plan.units if isinstance(u, OpaqueUnit)]
    assert opaque == ["matmul"] * 6  # two forward, which backward does not repeat, and four of it
    for y, expected in zip(run(graph, plan, found.arrays), found.expected, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


def test_what_has_a_kernel_stays_whole() -> None:
    found = captured(attention(False), *R.standard_normal((3, 2, 3, 5, 4)))
    graph = expand(found.graph, trace=trace, is_native=lambda e: e.primitive.name.startswith(("matmul", "attention")))
    assert [e.primitive for e in graph.equations] == [e.primitive for e in found.graph.equations]


def test_without_native_products_nothing_is_gained() -> None:
    found = captured(attention(False), *R.standard_normal((3, 2, 3, 5, 4)))
    graph = expand(found.graph, trace=trace, is_native=lambda e: False)
    assert [e.primitive for e in graph.equations] == [e.primitive for e in found.graph.equations]


def test_scores_of_long_sequences_are_not_kept() -> None:
    found = captured(scaled_dot_product_attention, *R.standard_normal((3, 1, 1, 80, 2)).astype(np.float32))
    graph = expand(found.graph, trace=trace, is_native=products)
    assert [e.primitive.name for e in graph.equations] == ["attention"]


@pytest.mark.parametrize("steps", [3, 40])
def test_every_result_has_its_value(steps: int) -> None:
    x, w, u = R.standard_normal((steps, 2, 4)), R.standard_normal((8, 4)), R.standard_normal((8, 2))
    found = captured(lstm, x, w, u)
    native = ("matmul", "linear")
    graph = expand(found.graph, trace=trace, is_native=lambda e: e.primitive.name in native)
    names = [e.primitive.name for e in graph.equations]
    assert ("lstm" in names) == (steps == 40)  # many steps would be many kernels
    for y, expected in zip(run(graph, schedule(graph), found.arrays), found.expected, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)

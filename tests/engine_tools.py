"""Small networks and counters for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.graph import Leaf, Node
from autograd_core.interpreters.reverse import main_node


def f64(values: Any) -> ag.Tensor:
    return ag.tensor(np.array(values, np.float64))


def D(f: Callable[[ag.Tensor], ag.Tensor]) -> Callable[[ag.Tensor], ag.Tensor]:
    """The derivative of a function of one number, in forward mode."""
    return lambda x: ag.jvp(f, (x,), (1.0,))[1]


def pulled(f: Callable[[ag.Tensor], ag.Tensor]) -> Callable[[ag.Tensor], ag.Tensor]:
    return lambda x: ag.vjp(f, x)[1](1.0)[0]


MODES: dict[str, Callable] = {"grad": ag.grad, "jvp": D, "vjp": pulled}
one_mode = pytest.mark.parametrize("d", MODES.values(), ids=MODES.keys())


def leaf(*values: float) -> ag.Tensor:
    return ag.tensor(np.array(values, np.float64), requires_grad=True)


def scalar(value: float) -> ag.Tensor:
    return ag.tensor(np.array(value), requires_grad=True)


def nodes_under(y: ag.Tensor) -> list[Node | Leaf]:
    seen: dict[Node | Leaf, None] = {}
    stack = [main_node(y.node)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack += [main_node(p) for p in getattr(node, "parents", ())]
    return list(seen)


@ag.custom_vjp
def cubed(x: ag.Tensor) -> ag.Tensor:
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x * x * g,))


@ag.custom_jvp
def squared(x: ag.Tensor) -> ag.Tensor:
    return x * x


squared.defjvp(lambda primals, tangents: (squared(primals[0]), 2 * primals[0] * tangents[0]))


def network(w: ag.Tensor) -> ag.Tensor:
    """A function with saved outputs, saved operands, a fused operation, a composed one and several uses of ``w``."""
    h = ag.tanh(w * w + ag.exp(-w))
    h = h / (1 + abs(w)) + cubed(w) + squared(h)
    a, b = ag.split(ag.concat([h, w]), w.size)
    return (a * b).sum() + h.logsumexp() + ag.prod(w) + ag.einsum("i,j->", h, w) + w[ag.tensor([0, 0])].sum()

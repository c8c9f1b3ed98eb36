"""Random programs of elementwise operations, reductions and views: their schedules compute what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from compile_tools import captured, run, trace
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.compiler.fuse import schedule
from autograd_core.compiler.simplify import simplify
from autograd_core.ops import normalization, softmax

SHAPES = [(2, 3, 4), (6, 4), (24,), (4, 1, 6), (1,), (), (3, 8)]
UNARY = [ag.exp, ag.tanh, ag.square, ag.negative, ag.abs, lambda x: x * 2.0 + 1.0, lambda x: ag.where(x > 0, x, 0.0)]
BINARY = [ag.add, ag.multiply, ag.subtract, ag.maximum, lambda x, y: ag.where(x > y, x, y * 0.5)]
REDUCTIONS = [ag.sum, ag.mean, ag.max]


def _factors(draw: Any, size: int) -> tuple[int, ...]:
    shape = []
    while size > 1:
        n = draw(st.sampled_from([d for d in range(2, size + 1) if size % d == 0]))
        shape.append(n)
        size //= n
    at = draw(st.integers(0, len(shape)))
    return (*shape[:at], *([1] if draw(st.booleans()) else []), *shape[at:])


def _step(draw: Any, values: list[Any]) -> Any:
    """One more value, from those that there are."""
    x = draw(st.sampled_from(values))
    kind = draw(st.sampled_from(["unary", "unary", "binary", "binary", "reduce", "view", "rows", "product"]))
    if kind == "unary":
        return ag.tanh(draw(st.sampled_from(UNARY))(x))  # bounded, so that chains stay finite
    if kind == "binary":
        fits = [y for y in values if _broadcasts(x.shape, y.shape)]
        return ag.tanh(draw(st.sampled_from(BINARY))(x, draw(st.sampled_from(fits))))
    if not x.shape:
        return ag.broadcast_to(x, (2, 3))
    if kind == "product":
        x = x.reshape((-1, x.shape[-1]))
        return ag.tanh(x @ ag.matrix_transpose(x))
    if kind == "reduce":
        axes = draw(st.sets(st.integers(0, len(x.shape) - 1), min_size=1))
        return draw(st.sampled_from(REDUCTIONS))(x, axis=tuple(axes), keepdims=draw(st.booleans()))
    if kind == "rows":
        axis = draw(st.integers(0, len(x.shape) - 1))
        if axis == len(x.shape) - 1 and draw(st.booleans()):
            return normalization.layer_norm(x, x.shape[-1])
        return softmax.softmax(x, axis=axis)
    return _view(draw, x, values)


def _view(draw: Any, x: Any, values: list[Any]) -> Any:
    n = len(x.shape)
    kind = draw(st.sampled_from(["reshape", "permute", "slice", "flip", "concat", "pad", "broadcast"]))
    if kind == "reshape":
        return x.reshape(_factors(draw, x.size))
    if kind == "permute":
        return ag.permute_dims(x, draw(st.permutations(range(n))))
    if kind == "slice":
        bounds = [sorted(draw(st.lists(st.integers(0, k), min_size=2, max_size=2, unique=True))) for k in x.shape]
        return x[tuple(slice(a, b, draw(st.integers(1, 2))) for a, b in bounds)]
    axis = draw(st.integers(0, n - 1))
    if kind == "flip":
        return ag.flip(x, axis=axis)
    if kind == "pad":
        return ag.pad(x, [(draw(st.integers(0, 2)), 1) if i == axis else (0, 0) for i in range(n)])
    if kind == "broadcast":
        return ag.broadcast_to(x, (2, *x.shape))
    others = [y for y in values if len(y.shape) == n and _but(y.shape, axis) == _but(x.shape, axis)]
    return ag.concat([x, draw(st.sampled_from(others))], axis=axis)


def _but(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return np.prod(np.broadcast_shapes(a, b)) < 500
    except ValueError:
        return False


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_programs(data: Any) -> None:
    shapes = data.draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    rng = np.random.default_rng(0)
    given_arrays = [rng.standard_normal(shape) for shape in shapes]
    backward = data.draw(st.booleans())
    whole = data.draw(st.sets(st.sampled_from(["tanh", "add", "sum", "reshape", "where", "concat"]), max_size=2))

    def program(*tensors: Any) -> Any:
        tensors = tuple(x.requires_grad_() for x in tensors) if backward else tensors
        values = list(tensors)
        for _ in range(data.draw(st.integers(1, 12))):
            y = _step(data.draw, values)
            if y.size < 500:
                values.append(y)
        outputs = [values[-1], *data.draw(st.lists(st.sampled_from(values), max_size=2))]
        if backward:
            sum(y.sum() for y in outputs).backward()
            outputs += [x.grad for x in tensors if x.grad is not None]
        return [y.detach() for y in outputs]

    found = captured(program, *given_arrays)
    graph = simplify(found.graph)
    plan = schedule(graph, trace=trace, is_native=lambda e: e.primitive.name in whole)
    for y, expected in zip(run(graph, plan, found.arrays), found.expected, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)

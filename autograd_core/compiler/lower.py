"""From equations to expressions: a primitive's own formula is run with the namespace of expressions.

There is no list of operations: what a formula says is what is computed. A formula that the namespace cannot express is
replaced by the primitive's composed form, if that can be traced and all of it expressed; else the equation is opaque,
and ``Inexpressible`` says why. A few formulas are written for NumPy's sake, with indices that are arrays, and have an
expression of their own here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from ..aval import DEFAULT_FLOAT, HALF, Aval
from ..ops._windows import Windows
from ..ops.cross_entropy import softmax_cross_entropy_p, softmax_cross_entropy_slope_p
from ..ops.pooling import avg_spread_p, max_pool_p, pool_scatter_p
from ..primitive import Primitive
from .arrays import Array, operands
from .expression import Expressions, Inexpressible, Node
from .ir import Equation, Graph, Var
from .namespace import Namespace

Trace = Callable[[Callable[..., Any], Sequence[Aval]], Graph]
_SMALL = 16  # elements of a constant that are looked at, to see whether they are all the same


def lower(
    e: Equation,
    nodes: Sequence[Node],
    x: Expressions,
    trace: Trace | None = None,
    made: Mapping[Var, Equation] | None = None,
) -> tuple[Node, ...]:
    """The outputs of an equation as nodes over those of its inputs; Inexpressible if they have no expression.

    made: the equations that made values, for formulas that depend on what their operands are.
    """
    try:
        return _as_declared(e, _by_formula(e, nodes, x, made or {}), x)
    except Inexpressible as reason:
        if x.halves and any(node.dtype.char in HALF for node in nodes):
            return _in_single(e, nodes, x, trace, made)
        if trace is None or getattr(e.primitive, "composed", None) is None:
            raise
        try:
            return _as_declared(e, _by_composed_form(e, nodes, x, trace), x)
        except Inexpressible as second:
            raise Inexpressible(f"{reason}; composed: {second}") from None


def _as_declared(e: Equation, results: tuple[Node, ...], x: Expressions) -> tuple[Node, ...]:
    for node, v in zip(results, e.outputs, strict=True):
        if (node.shape, node.dtype) != (v.shape, v.dtype):
            raise Inexpressible(f"a result of {node.dtype}{list(node.shape)} where {v.aval} is declared")
        if not x.holds(v.dtype):  # views too: sooner or later one is copied, by a kernel
            raise Inexpressible(f"elements of {v.dtype}")
    return results


def _in_single(
    e: Equation, nodes: Sequence[Node], x: Expressions, trace: Trace | None, made: Mapping[Var, Equation] | None
) -> tuple[Node, ...]:
    """What is computed with halves, as eagerly: in float32, and rounded once, at the end."""
    wide = [x.cast(node, DEFAULT_FLOAT) if node.dtype.char in HALF else node for node in nodes]
    outputs = [Var(Aval(v.shape, DEFAULT_FLOAT)) if v.dtype.char in HALF else v for v in e.outputs]
    results = lower(Equation(e.primitive, e.inputs, e.params, outputs, e.origin), wide, x, trace, made)
    return tuple(x.cast(node, v.dtype) for node, v in zip(results, e.outputs, strict=True))


def _by_formula(e: Equation, nodes: Sequence[Node], x: Expressions, made: Mapping[Var, Equation]) -> tuple[Node, ...]:
    formula = LOWERINGS.get(e.primitive, e.primitive.forward)
    if e.primitive is pool_scatter_p and e.inputs[1] in made and made[e.inputs[1]].primitive is max_pool_p:
        formula = partial(_to_maxima, windows=made[e.inputs[1]].params["windows"])
    if formula is None:
        raise Inexpressible("no formula")
    try:
        y = formula(Namespace(x), *operands(x, nodes), **e.params)
    except (AttributeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        raise Inexpressible(f"{type(error).__name__}: {error}") from None
    results = y if isinstance(y, (tuple, list)) else (y,)
    if not all(isinstance(r, Array) for r in results):
        raise Inexpressible("a result that is no expression")
    return tuple(r.node for r in results)


def _by_composed_form(e: Equation, nodes: Sequence[Node], x: Expressions, trace: Trace) -> tuple[Node, ...]:
    composed = cast(Any, e.primitive).composed
    graph = trace(lambda *tensors: composed(*tensors, **e.params), [Aval(n.shape, n.dtype) for n in nodes])
    known = dict(zip(graph.inputs, nodes, strict=True))
    for v, array in graph.constants.items():
        node = constant_node(array, x)
        if node is None:
            raise Inexpressible("a constant array")
        known[v] = node
    for inner in graph.equations:
        try:
            results = lower(inner, [known[v] for v in inner.inputs], x, trace)
        except Inexpressible as reason:
            raise Inexpressible(f"{inner.primitive.name}: {reason}") from None
        known.update(zip(inner.outputs, results, strict=True))
    return tuple(known[v] for v in graph.outputs)


def constant_node(array: Any, x: Expressions) -> Node | None:
    """A constant all of whose elements are one number, as that number; None for others."""
    values = np.asarray(array)
    if not values.size or values.dtype.kind not in "biuf":
        return None
    first = values.reshape(-1)[0]
    if values.size > 1 and not (values.size <= _SMALL or all(s == 0 for s in values.strides)):
        return None
    bits = np.ascontiguousarray(values).view(np.uint8).reshape(values.size, -1) if values.size <= _SMALL else None
    if bits is not None and (bits != bits[0]).any():
        return None
    try:
        return x.broadcast(x.constant(first, values.dtype), values.shape)
    except Inexpressible:
        return None


# ------------------------------------------------------------------------------- formulas with indices that are arrays


def _own_class(xp: Any, scores: Any, labels: Any, axis: int) -> tuple[Any, Any]:
    """Whether each score is that of its sample's own class, and the shape of the labels with the axis of classes."""
    shape = (*labels.shape[:axis], 1, *labels.shape[axis:])
    classes = xp.arange(scores.shape[axis], dtype=labels.dtype).reshape(-1, *(1,) * (scores.ndim - axis - 1))
    return labels.reshape(shape) == classes, shape


def _cross_entropy(xp: Any, scores: Any, labels: Any, *, axis: int) -> Any:
    own, _ = _own_class(xp, scores, labels, axis)
    shifted = scores - scores.max(axis=axis, keepdims=True)
    return xp.log(xp.exp(shifted).sum(axis=axis)) - xp.where(own, shifted, 0.0).sum(axis=axis)


def _cross_entropy_slope(xp: Any, scale: Any, scores: Any, labels: Any, *, axis: int) -> Any:
    own, shape = _own_class(xp, scores, labels, axis)
    y = xp.exp(scores - scores.max(axis=axis, keepdims=True))
    scaled = y * (scale / y.sum(axis=axis)).reshape(shape)
    return xp.where(own, scaled - scale.reshape(shape), scaled)


# ------------------------------------------------------------------------------- windows that do not overlap


def _in_windows(xp: Any, v: Any, windows: Windows) -> Any:
    """For every element that a window covers, the element of ``v`` that belongs to the window."""
    if windows.kernel != windows.stride or any(windows.dilation[i] != 1 for i in range(len(windows.size))):
        raise Inexpressible("windows that overlap, or leave gaps")
    if windows.padded != windows.size:
        raise Inexpressible("windows over padding")
    apart, whole, covered = list(v.shape[:2]), list(v.shape[:2]), list(v.shape[:2])
    for n, k in zip(windows.output, windows.kernel, strict=True):
        apart += [n, 1]
        whole += [n, k]
        covered.append(n * k)
    return xp.broadcast_to(v.reshape(apart), tuple(whole)).reshape(covered)


def _whole(xp: Any, v: Any, size: Sequence[int]) -> Any:
    """``v`` with zeros after the last window."""
    if v.shape[2:] == tuple(size):
        return v
    result = xp.zeros((*v.shape[:2], *size), v.dtype)
    result[tuple(slice(0, n) for n in v.shape)] = v
    return result


def _to_maxima(xp: Any, v: Any, index: Any, *, size: Sequence[int], windows: Windows) -> Any:
    values, places = _in_windows(xp, v, windows), _in_windows(xp, index, windows)
    position, step = 0, 1
    for axis in reversed(range(len(size))):
        along = xp.arange(values.shape[2 + axis], dtype=index.dtype)
        position = position + along.reshape(-1, *(1,) * (len(size) - 1 - axis)) * step
        step *= size[axis]
    return _whole(xp, xp.where(places == position, values, 0), size)


def _avg_spread(xp: Any, v: Any, *, windows: Windows, divisor: Any) -> Any:
    if not isinstance(divisor, int):
        raise Inexpressible("windows of unequal sizes")
    return _whole(xp, _in_windows(xp, v / divisor, windows), windows.size)


LOWERINGS: dict[Primitive, Callable[..., Any]] = {
    softmax_cross_entropy_p: _cross_entropy,
    softmax_cross_entropy_slope_p: _cross_entropy_slope,
    avg_spread_p: _avg_spread,
}

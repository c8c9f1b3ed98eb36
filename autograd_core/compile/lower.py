"""From equations to expressions: a primitive's own formula is run with the namespace of expressions.

There is no list of operations: what a formula says is what is computed. A formula that the namespace cannot express is
replaced by the primitive's composed form, if that can be traced and all of it expressed; else the equation is opaque,
and ``Inexpressible`` says why. A few formulas are written for NumPy's sake, with indices that are arrays, and have an
expression of their own here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..aval import Aval
from ..ops.cross_entropy import softmax_cross_entropy_p, softmax_cross_entropy_slope_p
from ..primitive import Primitive
from .expression import Expressions, Inexpressible, Node
from .ir import Equation, Graph
from .namespace import Array, Namespace, operands

Trace = Callable[[Callable[..., Any], Sequence[Aval]], Graph]
_SMALL = 16  # elements of a constant that are looked at, to see whether they are all the same


def lower(e: Equation, nodes: Sequence[Node], x: Expressions, trace: Trace | None = None) -> tuple[Node, ...]:
    """The outputs of an equation as nodes over those of its inputs; Inexpressible if they have no expression."""
    try:
        results = _by_formula(e, nodes, x)
    except Inexpressible as reason:
        if trace is None or getattr(e.primitive, "composed", None) is None:
            raise
        try:
            results = _by_composed_form(e, nodes, x, trace)
        except Inexpressible as second:
            raise Inexpressible(f"{reason}; composed: {second}") from None
    for node, v in zip(results, e.outputs, strict=True):
        if (node.shape, node.dtype) != (v.shape, v.dtype):
            raise Inexpressible(f"a result of {node.dtype}{list(node.shape)} where {v.aval} is declared")
    return results


def _by_formula(e: Equation, nodes: Sequence[Node], x: Expressions) -> tuple[Node, ...]:
    formula = LOWERINGS.get(e.primitive, e.primitive.forward)
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
    graph = trace(lambda *tensors: e.primitive.composed(*tensors, **e.params), [Aval(n.shape, n.dtype) for n in nodes])
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


LOWERINGS: dict[Primitive, Callable[..., Any]] = {
    softmax_cross_entropy_p: _cross_entropy,
    softmax_cross_entropy_slope_p: _cross_entropy_slope,
}

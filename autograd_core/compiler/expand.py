"""Fused operations taken apart, where the parts run better than the whole.

Attention, for instance, is no loop nest, and not every target has a kernel for it; its composed form is products, which
have kernels, and elementwise work and reductions between them, which fuse with one another and with what comes before
and after. What the forward pass and its adjoint both compute is then found by ``without_duplicates`` and computed once.
"""

from __future__ import annotations

from collections.abc import Callable

from ..aval import Aval
from .expression import Expressions, Inexpressible
from .ir import Equation, Graph, Var, check
from .lower import Trace, constant_node, lower

# how much larger than the largest operand or result a value inside may be: scores of long sequences are better never
# in memory as a whole
MOST_GROWTH = 16
MOST_PARTS = 100  # recurrences in Python, step by step, are better run as they are than compiled


def expand(graph: Graph, *, trace: Trace, is_native: Callable[[Equation], bool]) -> Graph:
    """The graph with composed forms in place of equations that have neither a native kernel nor an expression.

    Only where every part has one or the other.
    """
    equations: list[Equation] = []
    constants = dict(graph.constants)
    for e in graph.equations:
        parts = None if runs_whole(e, is_native) else _parts(e, trace, is_native, constants)
        equations += [e] if parts is None else parts
    return check(graph.replace(equations=equations, constants=constants))


def runs_whole(e: Equation, is_native: Callable[[Equation], bool]) -> bool:
    """Whether the equation has a native kernel, or a formula that is an expression."""
    if is_native(e):
        return True
    x = Expressions()
    try:
        lower(e, [x.input(v) for v in e.inputs], x)
    except Inexpressible:
        return False
    return True


def _parts(
    e: Equation, trace: Trace, is_native: Callable[[Equation], bool], constants: dict[Var, object]
) -> list[Equation] | None:
    """The equations of the composed form, which leave the equation's own results; None if one of them cannot run."""
    composed = getattr(e.primitive, "composed", None)
    if composed is None:
        return None
    inner = trace(lambda *tensors: composed(*tensors, **e.params), [Aval(v.shape, v.dtype) for v in e.inputs])
    known = dict(zip(inner.inputs, e.inputs, strict=True))
    x = Expressions()
    if any(constant_node(array, x) is None for array in inner.constants.values()):
        return None
    results = dict(zip(inner.outputs, e.outputs, strict=True))
    made = {v for part in inner.equations for v in part.outputs}
    if len(inner.equations) > MOST_PARTS or len(results) < len(e.outputs) or not made.issuperset(inner.outputs):
        return None
    most = MOST_GROWTH * max(v.aval.size for v in (*e.inputs, *e.outputs))
    parts: list[Equation] = []
    for part in inner.equations:
        if any(v.aval.size > most for v in part.outputs):
            return None
        inputs = [known.get(v, v) for v in part.inputs]
        outputs = [results.get(v, v) for v in part.outputs]
        known.update(zip(part.outputs, outputs, strict=True))
        part = Equation(part.primitive, inputs, part.params, outputs, e.origin)
        own = [part] if runs_whole(part, is_native) else _parts(part, trace, is_native, constants)
        if own is None:
            return None
        parts += own
    constants.update(inner.constants)
    return parts

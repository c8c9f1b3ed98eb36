"""Why a gradient is missing, zero, or not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..aval import is_inexact
from ..errors import ArgumentError
from ..graph import AnyNode, Leaf, Node, Piece
from ..interpreters.reverse import main_node
from ..primitive import Elementwise
from ..tensor import Tensor, Variable
from .flow import Flow, graph_of, measure
from .origins import Origin, origin_of
from .provenance import Cut, follow
from .values import Finding, aval_text, number, operand_name, operand_positions, range_text, saved_operands

# What an operation with a slope of 0 has done there, in a user's words.
ZERO_SLOPES = {
    "relu": "no input of it is positive (dead units)",
    "relu6": "every input of it is below 0 or above 6",
    "where": "no element of this operand was chosen",
    "clip": "every element of this operand lies outside its limits",
    "maximum": "the other operand is larger everywhere",
    "minimum": "the other operand is smaller everywhere",
    "multiply": "the other operand is 0 there",
}
SHOWN = 3  # operations, leaves: a longer list is not read


class Explanation:
    """What ``explain_grad`` returns: ``str()`` of it is the text.

    reason: a word for programs: "present", "partly zero", "zero", "cancelled", "not finite", "integer", "constant",
    "not a leaf", "no backward", "cleared", "freed", "y is constant", "not connected", "cut".
    ops: the operations to blame; origins: the lines that called them, where ``record_origins`` or a function as ``y``
    told. gradient: what was found, if anything was.
    """

    def __init__(
        self,
        reason: str,
        text: str,
        ops: Sequence[str] = (),
        origins: Sequence[Origin | None] = (),
        gradient: Tensor | None = None,
    ):
        self.reason, self.text, self.ops, self.gradient = reason, text, tuple(ops), gradient
        self.origins = tuple(origin for origin in origins if origin is not None)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def explain_grad(x: Tensor, y: Tensor | Callable[[], Tensor] | None = None) -> Explanation:
    """Say exactly why the gradient of ``x`` is missing, zero or not finite.

    y: the result that was (to be) differentiated; a sweep of its own then finds the operation at which the gradient
    became zero or NaN, and leaves the graph and all ``grad`` as they are (gradient hooks are called). Or a function
    without arguments that computes it: then its run is watched, and what no graph records is known too: ``detach``,
    ``no_grad``, operations without derivative, each with its line. Without ``y``, what ``x`` itself tells.

    >>> import autograd_core as ag
    >>> w = ag.tensor([-1.0, -2.0], requires_grad=True)
    >>> ag.explain_grad(w, w.relu().sum())
    This tensor (float32[2]) gets a gradient of zero: relu stops it, where 1.41421 (|g|) arrives and 0 goes on: no input
    of it is positive (dead units).
    """
    if not isinstance(x, Tensor):
        raise ArgumentError(f"explain_grad: takes a tensor, got {type(x).__name__}")
    watched = None
    if y is not None and not isinstance(y, Tensor):
        if not callable(y):
            raise ArgumentError(f"explain_grad: y is a tensor or a function that returns one, got {type(y).__name__}")
        with follow(x) as watched:
            y = y()
        if not isinstance(y, Tensor):
            raise ArgumentError(f"explain_grad: the function must return one tensor, it returned {type(y).__name__}")
    found = _of_itself(x)
    if found is None:
        found = _without_result(x) if y is None else _of_result(x, y, watched)
    return found


def described(x: Tensor) -> str:
    """``'encoder.weight' (float32[3, 3])``, or ``This tensor (float32[2])``."""
    name = getattr(x, "name", None) or getattr(x.node, "name", None)
    return f"{name!r} ({aval_text(x)})" if name else f"This tensor ({aval_text(x)})"


# ------------------------------------------------------------------------------------ what x tells


def _of_itself(x: Tensor) -> Explanation | None:
    if not is_inexact(x.dtype):
        return Explanation(
            "integer",
            f"{described(x)} can have no gradient: derivatives are defined for floating and complex dtypes. Compute "
            "from x.astype('float32'), and differentiate by that.",
        )
    if x.node is None:
        made = "frozen by requires_grad_(False), or is a buffer, which never asks for one"
        if not isinstance(x, Variable):
            made = "made without requires_grad=True, detached, or computed under no_grad"
        return Explanation(
            "constant",
            f"{described(x)} requires no gradient: it was {made}. Write x.requires_grad_() before anything is computed "
            "from it.",
        )
    return None


def _without_result(x: Tensor) -> Explanation:
    if x.grad is not None:
        return _of_gradient(x, x.grad)
    if not isinstance(x.node, Leaf):
        node: Any = main_node(x.node)  # type: ignore[arg-type]
        return Explanation(
            "not a leaf",
            f"{described(x)} is no leaf but the result of {_named(node)}, and backward keeps the gradients of leaves. "
            "Call x.retain_grad() before backward, or take ag.grad of a function of x.",
            [node.pullback.primitive.name],
            [origin_of(node)],
        )
    if getattr(x.node, "cleared", False):
        return Explanation(
            "cleared",
            f"{described(x)} had a gradient, which was cleared (zero_grad(), or x.grad = None). Look at it between "
            "backward() and zero_grad().",
        )
    return Explanation(
        "no backward",
        f"{described(x)} requires a gradient, but no backward has reached it: none was called yet, or the result it "
        "was called on does not depend on x. ag.explain_grad(x, loss) tells which.",
    )


def _of_gradient(x: Tensor, g: Tensor) -> Explanation:
    found, values = Finding(g), np.abs(g.numpy())
    if found.nan or found.infinite:
        text = f"{described(x)} has a gradient that is not finite: {found.kind} in {found.counted}."
        return Explanation("not finite", f"{text} ag.explain_grad(x, loss) says where it started.", gradient=g)
    zeros = int((values == 0).sum())
    if zeros == found.size:
        text = (
            f"{described(x)} has a gradient of exactly zero. ag.explain_grad(x, loss) says which operation made it so."
        )
        return Explanation("zero", text, gradient=g)
    if zeros:
        text = f"{described(x)} has a gradient: {range_text(g)}; {zeros} of its {found.size} elements are exactly zero."
        return Explanation("partly zero", text, gradient=g)
    return Explanation("present", f"{described(x)} has a gradient: {range_text(g)}.", gradient=g)


# ------------------------------------------------------------------------------------ what a result tells


def _of_result(x: Tensor, y: Tensor, watched: follow | None) -> Explanation:
    if y.node is None:
        return _of_constant(x, y, watched)
    root = main_node(y.node)
    if isinstance(root, Node) and root.saved is None:
        kept = "" if x.grad is None else f" The gradient that it left: {range_text(x.grad)}."
        return Explanation(
            "freed",
            "An earlier backward has freed the graph of y, so it tells nothing more. Ask before backward, keep the "
            f"graph with backward(retain_graph=True), or pass the function that computes y.{kept}",
            gradient=x.grad,
        )
    graph = graph_of([y.node])
    if main_node(x.node) not in graph:  # type: ignore[arg-type]
        return _of_unconnected(x, y, graph, watched)
    flow, found = measure("explain_grad", [y], None, targets={main_node(x.node)})  # type: ignore[arg-type]
    g: Any = found.get(main_node(x.node))  # type: ignore[arg-type]
    if isinstance(x.node, Piece):
        g = None if g is None else g[x.node.index]
        if g is None:
            return _of_unconnected(x, y, graph, watched)
    if g is not None and not Finding(g).nan and not Finding(g).infinite and g.numpy().any():
        return _of_gradient(x, g)
    between = _leading_to(graph, main_node(x.node))  # type: ignore[arg-type]
    if g is not None and (Finding(g).nan or Finding(g).infinite):
        return _of_not_finite(x, g, flow, between)
    return _of_zero(x, g, flow, between)


def _of_constant(x: Tensor, y: Tensor, watched: follow | None) -> Explanation:
    cuts = None if watched is None else watched.cuts(y)
    if cuts:
        return _of_cuts(x, cuts)
    if not is_inexact(y.dtype):
        text = (
            f"y has dtype {y.dtype}: it is the result of an operation without derivative (a comparison, argmax, a cast "
            "to integers), so no gradient comes back from it."
        )
    else:
        text = (
            "y depends on no tensor that requires a gradient: it was computed under no_grad, detached, or made from "
            "constants."
        )
    hint = _hint(watched, f"{described(x)} had no part in it")
    return Explanation("y is constant", f"{described(x)} gets no gradient. {text}{hint}")


def _of_unconnected(x: Tensor, y: Tensor, graph: Sequence[AnyNode], watched: follow | None) -> Explanation:
    cuts = None if watched is None else watched.cuts(y)
    if cuts:
        return _of_cuts(x, cuts)
    leaves = [node for node in graph if isinstance(node, Leaf)]
    names = [repr(leaf.name) for leaf in leaves if leaf.name]
    shown = ", ".join(names[:SHOWN]) + (f" and {len(leaves) - SHOWN} more" if len(leaves) > SHOWN else "")
    others = shown if names else f"{len(leaves)} other leaves" if len(leaves) > 1 else "one other leaf"
    name = getattr(x.node, "name", None)
    twin = (
        f" One of them is also called {name!r}: it was replaced (a new module, requires_grad_() off and on) after y "
        "was computed, or before."
        if name is not None and any(leaf.name == name for leaf in leaves)
        else ""
    )
    hint = _hint(watched, "Its value had no part in y")
    return Explanation(
        "not connected",
        f"{described(x)} gets no gradient: y does not depend on it, but on {others}.{twin}{hint}",
    )


def _hint(watched: follow | None, otherwise: str) -> str:
    if watched is not None:
        return f" {otherwise}, unless by way of NumPy or Python numbers, which no graph can follow."
    return (
        " If it should: detach(), no_grad, an operation without derivative or a way through NumPy lies between. Pass "
        "the function that computes y to see which: ag.explain_grad(x, lambda: loss(x))."
    )


def _of_cuts(x: Tensor, cuts: Sequence[Cut]) -> Explanation:
    phrases = {
        "no_grad": lambda c: f"{c.op} ran under no_grad",
        "detach": lambda c: "its value was detached",
        "no derivative": lambda c: f"{c.op} has no derivative",
        "unseen": lambda c: f"its value lost its history before {c.op} used it",
    }
    reasons = [f"{phrases[c.reason](c)} ({c.origin.place}{_inside(c.origin)})" for c in cuts]
    return Explanation(
        "cut",
        f"{described(x)} gets no gradient: its value reaches y, but its history does not: {'; '.join(reasons)}.",
        [c.op for c in cuts],
        [c.origin for c in cuts],
    )


def _leading_to(graph: Sequence[AnyNode], target: AnyNode) -> set[AnyNode]:
    """The nodes by way of which a gradient can reach ``target``; ``graph`` has the oldest first."""
    leading = {target}
    for node in graph:
        if any(main_node(parent) in leading for parent in getattr(node, "parents", ())):
            leading.add(node)
    return leading


def _of_zero(x: Tensor, g: Tensor | None, flow: Flow, between: set[AnyNode]) -> Explanation:
    blamed: list[tuple[Node, int]] = []
    for node in flow.order:
        if node in between and flow.arrived[node] != 0:
            for i, parent in enumerate(node.parents):
                passage = flow.edges[node, i]
                if main_node(parent) in between and (passage is None or passage.is_zero):
                    blamed.append((node, i))
    if not blamed:
        return Explanation(
            "cancelled",
            f"{described(x)} gets a gradient of zero: what comes back through its several uses adds up to exactly 0.",
            gradient=g,
        )
    texts = []
    for node, i in blamed[:SHOWN]:
        why = _why_zero(node, i)
        texts.append(f"{_named(node)} stops it, where {number(flow.arrived[node])} (|g|) arrives and 0 goes on: {why}")
    more = f"; so do {len(blamed) - SHOWN} more operations" if len(blamed) > SHOWN else ""
    return Explanation(
        "zero",
        f"{described(x)} gets a gradient of zero: {'; '.join(texts)}{more}.",
        list(dict.fromkeys(node.pullback.primitive.name for node, _ in blamed)),
        [origin_of(node) for node, _ in blamed],
        g,
    )


def _why_zero(node: Node, edge: int) -> str:
    primitive, position = node.pullback.primitive, operand_positions(node)[edge]
    constant = getattr(primitive, "partials", None)
    if isinstance(primitive, Elementwise) and constant is not None and constant[position] == 0:
        return "its slope is 0 everywhere: it is constant in steps"
    if primitive.name in ZERO_SLOPES:
        return ZERO_SLOPES[primitive.name]
    kept = [f"{name} is {range_text(value)}" for name, value in saved_operands(node) if isinstance(value, Tensor)]
    operand = operand_name(primitive, position)
    return f"its derivative by operand {operand} is 0 there" + (f" ({'; '.join(kept)})" if kept else "")


def _of_not_finite(x: Tensor, g: Tensor, flow: Flow, between: set[AnyNode]) -> Explanation:
    found = Finding(g)
    head = f"{described(x)} gets a gradient that is not finite ({found.kind} in {found.counted})"
    for node in flow.order:
        if node not in between or not np.isfinite(flow.arrived[node]):
            continue
        for i, parent in enumerate(node.parents):
            passage = flow.edges[node, i]
            if main_node(parent) in between and passage is not None and not np.isfinite(passage.norm):
                operand = operand_name(node.pullback.primitive, operand_positions(node)[i])
                kept = [f"{n} is {range_text(v)}" for n, v in saved_operands(node) if isinstance(v, Tensor)]
                values = f" ({'; '.join(kept)})" if kept else ""
                return Explanation(
                    "not finite",
                    f"{head}: the derivative of {_named(node)} by operand {operand} made it{values}.",
                    [node.pullback.primitive.name],
                    [origin_of(node)],
                    g,
                )
    return Explanation("not finite", f"{head}: several finite ones overflow when they are added.", gradient=g)


def _named(node: Node) -> str:
    """``relu``, with the line and the module that called it where they are known."""
    origin = origin_of(node)
    name = node.pullback.primitive.name
    return name if origin is None else f"{name} (called at {origin.place}{_inside(origin)})"


def _inside(origin: Origin) -> str:
    return f", in module {origin.within}" if origin.within else ""

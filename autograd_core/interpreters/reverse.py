"""Reverse mode over the recorded graph: one sweep of cotangents from results back to variables.

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from threading import Lock
from typing import Any

from .. import context
from ..errors import DTypeError, GradientError, ShapeError
from ..graph import AnyNode, Leaf, Node, Piece
from ..ops import creation
from ..ops._apply import check_devices
from ..ops.casting import alias_p
from ..primitive import OUTPUT, record
from ..tensor import Tensor

_ACCUMULATING = Lock()  # threads that share a leaf must not lose each other's gradients


def sweep(
    roots: Sequence[tuple[AnyNode, Tensor]],
    targets: set[AnyNode] | None = None,
    *,
    retain_graph: bool,
    create_graph: bool,
) -> dict[AnyNode, Tensor]:
    """Pull cotangents from ``roots`` back to leaves (or to ``targets`` only), newest node first.

    A heap by order of creation visits every node after all its users, without recursion.
    """
    needed = None if targets is None else _ancestors_leading_to(roots, targets)
    pending: dict[AnyNode, Any] = {}
    owned: set[AnyNode] = set()
    found: dict[AnyNode, Tensor] = {}
    heap: list[tuple[int, Node]] = []
    observer = context.current().observer

    def deliver(node: AnyNode, g: Tensor) -> None:
        if type(node) is Piece:
            _deliver_piece(node, g, pending, heap)
        elif node in pending:
            pending[node] = _accumulate(pending[node], g, node in owned, create_graph)
            owned.add(node)
        else:
            pending[node] = g
            if type(node) is Node:
                heappush(heap, (node.order, node))

    for root, cotangent in roots:
        if needed is None or main_node(root) in needed:
            deliver(root, cotangent)
    with context.enable_grad() if create_graph else context.no_grad():
        while heap:
            node = heappop(heap)[1]
            g = pending.pop(node)
            if targets is not None and node in targets:
                hooks = getattr(node, "hooks", None)
                found[node] = g if hooks is None else hooks.applied(g)
                continue
            saved = node.saved
            if saved is None:
                raise _second_backward(node)
            if type(g) is list:
                g = _complete(g, node)
            if create_graph and OUTPUT in node.pullback.saves:
                saved = _with_output_attached(node, saved)
            parents = node.parents
            pulled = node.pullback.pull(g, saved, node.params, node.avals)
            if observer is not None:
                observer.pulled(node, g, pulled)
            if not retain_graph:
                node.saved = None
                node.parents = ()
            if len(parents) == 1:
                parent = parents[0]
                if pulled is not None and (needed is None or parent in needed):
                    deliver(parent, pulled)
                continue
            for parent, cotangent in zip(parents, pulled, strict=True):
                if cotangent is not None and (needed is None or parent in needed):
                    deliver(parent, cotangent)
        for leaf, g in pending.items():
            if isinstance(leaf, Leaf):
                found[leaf] = g if leaf.hooks is None else leaf.hooks.applied(g)
    return found


def _deliver_piece(piece: Piece, g: Tensor, pending: dict[AnyNode, Any], heap: list[tuple[int, Node]]) -> None:
    """One output's cotangent, kept in a list with those of the other outputs of its operation."""
    node = piece.node
    pieces = pending.get(node)
    if pieces is None:
        pieces = pending[node] = [None] * len(node.output)
        heappush(heap, (node.order, node))
    old = pieces[piece.index]
    pieces[piece.index] = g if old is None else old + g


def _complete(pieces: list[Tensor | None], node: Node) -> tuple[Tensor, ...]:
    """The cotangents of all outputs of an operation, zeros for those that nothing depended on."""
    device = next(piece.device for piece in pieces if piece is not None)
    return tuple(
        creation.zeros(aval.shape, dtype=aval.dtype, device=device) if piece is None else piece
        for piece, aval in zip(pieces, node.output, strict=True)
    )


def _accumulate(old: Tensor, new: Tensor, owned: bool, create_graph: bool) -> Tensor:
    """Borrow the first cotangent, allocate for the second, add in place from the third on."""
    plain = old.level == 0 == new.level and old.dtype == new.dtype
    if owned and plain and not create_graph and context.current().interpreter.base.in_place:
        old.device.backend.xp.add(old.data, new.data, out=old.data)
        return old
    return old + new


def _with_output_attached(node: Node, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the node saved, its own output connected to the graph again, for derivatives of the rule."""

    def attach(i: int, x: Any) -> Any:
        if i != OUTPUT:
            return x
        if type(x) is tuple:
            return tuple(piece.with_node(Piece(node, k)) for k, piece in enumerate(x))
        return x.with_node(node)

    return tuple(attach(i, x) for i, x in zip(node.pullback.saves, saved, strict=True))


def _second_backward(node: Node) -> GradientError:
    several = bool(node.output) and isinstance(node.output[0], tuple)
    described = f"the {len(node.output)} results" if several else f"the result (shape {node.output})"
    origin = getattr(node, "origin", None)
    line = f", called at {origin.place}" if origin is not None else " (ag.record_origins() would know its line)"
    return GradientError(
        f"backward reached {described} of {node.pullback.primitive.name!r}{line}, whose saved values an earlier "
        "backward has freed. If it was made outside the training loop, make it inside, or detach() it; to run "
        "backward twice through one graph, pass retain_graph=True the first time."
    )


def _ancestors_leading_to(roots: Iterable[tuple[AnyNode, Tensor]], targets: set[AnyNode]) -> set[AnyNode]:
    """The nodes between ``roots`` and ``targets``, both included: nothing else needs a cotangent."""
    oldest = max((node.order for node in targets), default=1)  # what was made before them does not lead to them
    leads: dict[AnyNode, bool] = {}
    stack: list[tuple[Any, bool]] = [(main_node(node), False) for node, _ in roots]
    pieces: dict[Node, set[Piece]] = {}
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            leads[node] = node in targets or any(leads[main_node(p)] for p in node.parents)
        elif node not in leads:
            if node in targets or isinstance(node, Leaf) or node.order > oldest:
                leads[node] = node in targets
                continue
            if node.saved is None:
                raise _second_backward(node)
            leads[node] = False
            stack.append((node, True))
            for parent in node.parents:
                if type(parent) is Piece:
                    pieces.setdefault(parent.node, set()).add(parent)
                stack.append((main_node(parent), False))
    needed = {node for node, leading in leads.items() if leading}
    return needed.union(*(found for main, found in pieces.items() if main in needed))


def main_node(node: AnyNode) -> Leaf | Node:
    return node.node if type(node) is Piece else node


def backward(y: Tensor, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False) -> None:
    """Add d y / d leaf (times ``gradient``) to the ``grad`` of every leaf that ``y`` was made from.

    >>> import autograd_core as ag
    >>> w = ag.tensor([3.0], requires_grad=True)
    >>> ag.backward((w * w).sum())
    >>> w.grad
    tensor([6.])
    """
    if not isinstance(y, Tensor) or y.node is None:
        raise GradientError(
            "backward: this value does not depend on any tensor with requires_grad=True "
            "(or was computed under no_grad); there is nothing to differentiate"
        )
    g = initial_cotangent("backward", y, gradient)
    g = g.snapshot() if create_graph else g.with_node(None)
    found = sweep([(y.node, g)], retain_graph=retain_graph or create_graph, create_graph=create_graph)
    leaf: Any  # a sweep without targets ends in leaves alone
    for leaf, g in found.items():
        if g.level and leaf.order > g.interpreter.opened:
            raise GradientError(
                f"backward: inside {g.interpreter.name} the gradient of a tensor from outside it would escape; take it "
                "with ag.grad and return it, or use ag.per_sample_grad"
            )
    with _ACCUMULATING:
        for leaf, found_gradient in found.items():
            leaf.grad = found_gradient if leaf.grad is None else leaf.grad + found_gradient


def initial_cotangent(op: str, y: Tensor, gradient: Any) -> Tensor:
    if gradient is None:
        if y.size != 1:
            raise GradientError(
                f"{op}: only a scalar has one gradient, this output has shape {y.shape}; reduce it "
                "(y.sum(), y.mean()) or pass a cotangent of its shape"
            )
        if y.dtype.kind == "c":
            raise GradientError(
                f"{op}: only a real number has one gradient, this output is {y.dtype}; take y.real, y.imag or abs(y), "
                "or pass a cotangent"
            )
        return y.new_ones(y.shape)
    g = gradient if isinstance(gradient, Tensor) else creation.made(op, gradient, None, y.device, copy=True)
    check_devices(op, (y, g))
    if g.shape != y.shape:
        raise ShapeError(f"{op}: the cotangent has shape {g.shape}, the output {y.shape}; they must be equal")
    if g.dtype.kind == "c" != y.dtype.kind:
        raise DTypeError(f"{op}: a cotangent of dtype {g.dtype} given for an output of dtype {y.dtype}; pass g.real")
    return g.astype(y.dtype)


def fresh(x: Tensor) -> Tensor:
    """``x`` as a variable of its own: its gradient can be asked for, and flows on if ``x`` has a history."""
    y = x.with_node(None)
    if x.node is not None and context.is_grad_enabled():
        return record(alias_p, (x,), y, {}, (x.node,), 0b11)
    y.node = Leaf()
    return y


def pull_back(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    variables: Sequence[Tensor],
    *,
    retain_graph: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """The cotangents of ``variables`` from those of ``outputs``; None where no output depends on one."""
    roots = [(y.node, g) for y, g in zip(outputs, cotangents, strict=True) if y.node is not None]
    nodes: list[Any] = [x.node for x in variables]
    found = sweep(roots, set(nodes), retain_graph=retain_graph, create_graph=create_graph)
    return [found.get(node) for node in nodes]


def captured(results: Iterable[Any], arguments: set[AnyNode], newest_outside: int) -> list[AnyNode]:
    """What the function that made ``results`` took from outside, other than its arguments: nodes as parents.

    newest_outside: the order of a node made just before the function ran. (Orders decrease.)
    """
    reached: dict[Any, AnyNode] = {}
    seen: set[AnyNode] = set(arguments)
    stack = [x.node for x in results if isinstance(x, Tensor) and x.node is not None]
    while stack:
        edge = stack.pop()
        node = main_node(edge)
        if node in seen:
            continue
        if node.order > newest_outside:
            reached.setdefault((node, edge.index) if type(edge) is Piece else node, edge)
        else:
            seen.add(node)
            stack.extend(getattr(node, "parents", ()))
    return list(reached.values())

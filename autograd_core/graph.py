"""The recorded graph: a Leaf for every variable, a Node for every recorded operation.

Edges run from a result's node to its operands' nodes; no node refers to a tensor that refers back to
it, so a graph is freed by reference counting the moment its last result goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, final

from .errors import GradientError
from .rules import Pullback

if TYPE_CHECKING:
    from .aval import Aval
    from .tensor import Tensor

_next_order = count(0, -1).__next__  # decreasing, so that a heap yields the newest first


class Leaf:
    """Where backward ends: a variable that asked for its gradient, which accumulates in ``grad``.

    ``cleared`` is set where somebody takes a gradient away, for those who ask where it is.
    """

    __slots__ = ("cleared", "grad", "hooks", "name", "order")

    cleared: bool

    def __init__(self, name: str | None = None):
        self.grad: Tensor | None = None
        self.hooks: Hooks | None = None
        self.name = name
        self.order = _next_order()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is as new as its making: an order from another process would say nothing here."""
        return Leaf, (self.name,), (self.grad, self.hooks)

    def __setstate__(self, state: tuple[Any, Any]) -> None:
        self.grad, self.hooks = state


class Node:
    """One recorded operation.

    ``parents`` and the cotangents that ``pullback`` returns are aligned: only operands that need a gradient appear.
    ``saved`` holds what the rules named and nothing else; a backward pass sets it to None. ``output`` is the result's
    shape; for several results, their Avals. ``origin`` is set by an observer, where one watches: the line that ran it;
    ``hooks`` and ``retained`` by ``Tensor.register_hook`` and ``retain_grad``.
    """

    __slots__ = ("avals", "hooks", "order", "origin", "output", "params", "parents", "pullback", "retained", "saved")

    origin: Any
    hooks: Hooks
    retained: Retained

    def __init__(
        self,
        pullback: Pullback,
        parents: Sequence[AnyNode],
        saved: tuple[Any, ...],
        params: dict[str, Any],
        avals: Sequence[Aval] | None,
        output: Any,
    ):
        self.pullback = pullback
        self.parents = parents
        self.saved: tuple[Any, ...] | None = saved
        self.params = params
        self.avals = avals
        self.output = output
        self.order = _next_order()

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        """A copy of a result shares the result's history."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise GradientError("a result that requires gradients cannot be pickled, its history stays here: x.detach()")


@final
class Piece:
    """One output of an operation that has several: ``node`` is the operation, ``index`` which output."""

    __slots__ = ("index", "node", "order", "retained")

    retained: Retained

    def __init__(self, node: Node, index: int):
        self.node = node
        self.index = index
        self.order = node.order


AnyNode = Leaf | Node | Piece


Hook = Callable[[Any], Any]


class Hooks(dict[int, tuple[int | None, Hook]]):
    """Functions of a node's cotangent, each for one output (None: the only one), in the order they were registered."""

    def applied(self, g: Any) -> Any:
        """The cotangent after all hooks; a hook that returns None leaves it as it is."""
        for index, hook in list(self.values()):
            if index is None:
                g = _hooked(hook, g)
            else:
                g = (*g[:index], _hooked(hook, g[index]), *g[index + 1 :])
        return g


def _hooked(hook: Hook, g: Any) -> Any:
    changed = hook(g)
    if changed is None:
        return g
    if getattr(changed, "shape", None) != g.shape or changed.dtype != g.dtype:
        raise GradientError(
            f"a gradient hook must return None or a tensor like the gradient it was given ({g.dtype}{list(g.shape)}), "
            f"it returned {getattr(changed, 'aval', type(changed).__name__)}"
        )
    return changed


class Retained:
    """The gradient of a result, kept by a hook; apart from the node, which would refer to itself."""

    __slots__ = ("grad",)

    def __init__(self) -> None:
        self.grad: Any = None

    def add(self, g: Any) -> None:
        self.grad = g.detach() if self.grad is None else self.grad + g.detach()


class HookHandle:
    """What registering a hook returns: ``remove()`` undoes it."""

    __slots__ = ("_places",)

    def __init__(self, places: Sequence[tuple[Hooks, int]]):
        self._places = places

    def remove(self) -> None:
        """Take the hook away; nothing happens the second time."""
        for hooks, key in self._places:
            hooks.pop(key, None)


def add_hook(at: AnyNode, hook: Hook) -> tuple[Hooks, int]:
    """Have every cotangent that reaches ``at`` go through ``hook``; where it stands now, and under which key.

    A node's pullback is replaced by one that asks its hooks first, so that nodes without hooks cost nothing.
    """
    node, index = (at.node, at.index) if type(at) is Piece else (at, None)
    hooks: Hooks | None = getattr(node, "hooks", None)
    if hooks is None:
        hooks = node.hooks = Hooks()
        if type(node) is Node:
            pull = node.pullback.pull
            node.pullback = Pullback(
                node.pullback.primitive,
                node.pullback.saves,
                lambda g, saved, params, avals: pull(hooks.applied(g), saved, params, avals),
                node.pullback.needs_avals,
            )
    key = max(hooks, default=0) + 1
    hooks[key] = (index, hook)
    return hooks, key

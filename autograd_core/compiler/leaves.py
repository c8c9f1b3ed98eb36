"""What a captured function rests on in tensors besides values: who requires gradients, who has one, which hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import Hook, Leaf
from ..tensor import Tensor, Variable


class Leaves:
    """The nodes of the tensors that a function met, as they were.

    met: (leaf of the arguments or None, ``Before``) of variables and of leaves. plain: other tensors from outside.
    arguments: those of the call. backward: whether gradients are left behind, which are added to those that are there.
    """

    def __init__(
        self,
        met: Sequence[tuple[int | None, Any]],
        plain: Sequence[Tensor],
        arguments: Sequence[Any],
        *,
        backward: bool,
    ):
        outside = {id(b.tensor): b for leaf, b in met if leaf is None or isinstance(b.tensor, Variable)}
        others = [x for x in plain if id(x) not in outside]
        nodes = [*((b.tensor, b.node) for b in outside.values()), *((x, x.node) for x in others)]
        self._leaves = [(x, node, node.hooks) for x, node in nodes if isinstance(node, Leaf)]
        self._others = [(x, node) for x, node in nodes if not isinstance(node, Leaf)]
        self._functions = [(leaf, functions_of(leaf)) for _, leaf, hooks in self._leaves if hooks is not None]
        given = [i for i, x in enumerate(arguments) if backward and is_own_leaf(x)]
        self._given = [(i, functions_of(arguments[i].node)) for i in given]
        # one tensor given twice has one gradient, to which both add
        self._unnamed = [leaf for x, leaf, _ in self._leaves if not isinstance(x, Variable)]
        self._several = len(self._given) + len(self._unnamed) > 1 and bool(self._given)
        self._same = self._which_are_same(arguments)
        seen = [(leaf, b) for leaf, b in met if backward and isinstance(b.node, Leaf) and not b.cleared]
        self._gradients = [(b.node, b.grad is None) for leaf, b in seen if leaf is None]
        self._gradients_given = [(leaf, b.grad is None) for leaf, b in seen if leaf is not None]

    @property
    def functions(self) -> list[Hook]:
        """Of gradients, which may read variables as any code."""
        return [f for _, hooks in (*self._functions, *self._given) for f in hooks]

    def changed(self, arguments: Sequence[Any]) -> str | None:
        """What is no longer as it was, in words; None if nothing is."""
        for x, leaf, hooks in self._leaves:
            if x.node is not leaf:
                return f"a tensor of shape {x.shape} requires gradients now, or no longer"
            if leaf.hooks is not hooks:
                return f"a tensor of shape {x.shape} has a hook on its gradient now"
        for x, node in self._others:
            if x.node is not node:
                return f"a tensor of shape {x.shape} requires gradients now"
        for node, was_missing in self._gradients:
            if (node.grad is None) is not was_missing:
                return "a gradient exists that did not, or is missing"
        return self._seldom_changed(arguments) if self._given or self._functions else None

    def _seldom_changed(self, arguments: Sequence[Any]) -> str | None:
        for leaf, before in self._functions:
            if functions_of(leaf) != before:
                return "a tensor has other hooks on its gradient"
        if self._several and self._which_are_same(arguments) != self._same:
            return "arguments that were one tensor are several, or one now"
        for i, before in self._given:
            if functions_of(arguments[i].node) != before:
                return "an argument has other hooks on its gradient"
        for i, was_missing in self._gradients_given:
            if (arguments[i].node.grad is None) is not was_missing:
                return "an argument has a gradient that had none, or has none"
        return None

    def _which_are_same(self, arguments: Sequence[Any]) -> list[int]:
        """For each argument with a gradient of its own the first place where its leaf stands."""
        if not self._several:
            return []
        nodes = [*self._unnamed, *(arguments[i].node for i, _ in self._given)]
        first = {id(node): k for k, node in reversed(list(enumerate(nodes)))}
        return [first[id(node)] for node in nodes]


def functions_of(leaf: Leaf) -> list[Hook]:
    """The hooks of a leaf, in order."""
    return [hook for _, hook in leaf.hooks.values()] if leaf.hooks else []


def is_own_leaf(x: Any) -> bool:
    return isinstance(x, Tensor) and not x.level and isinstance(x.node, Leaf)

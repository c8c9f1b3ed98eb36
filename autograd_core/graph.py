"""The recorded graph: a Leaf for every variable, a Node for every recorded operation.

Edges run from a result's node to its operands' nodes; no node refers to a tensor that refers back to
it, so a graph is freed by reference counting the moment its last result goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from .aval import Aval
    from .primitive import Pullback
    from .tensor import Tensor

_next_order = count(0, -1).__next__  # decreasing, so that a heap yields the newest first


class Leaf:
    """Where backward ends: a variable that asked for its gradient, which accumulates in ``grad``."""

    __slots__ = ("grad", "name", "order")

    def __init__(self, name: str | None = None):
        self.grad: Tensor | None = None
        self.name = name
        self.order = _next_order()


class Node:
    """One recorded operation.

    ``parents`` and the cotangents that ``pullback`` returns are aligned: only operands that need a gradient appear.
    ``saved`` holds what the rules named and nothing else; a backward pass sets it to None. ``output`` is the result's
    shape; for several results, their Avals. ``origin`` is set by an observer, where one watches: the line that ran it.
    """

    __slots__ = ("avals", "order", "origin", "output", "params", "parents", "pullback", "saved")

    origin: Any

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


@final
class Piece:
    """One output of an operation that has several: ``node`` is the operation, ``index`` which output."""

    __slots__ = ("index", "node", "order")

    def __init__(self, node: Node, index: int):
        self.node = node
        self.index = index
        self.order = node.order


AnyNode = Leaf | Node | Piece

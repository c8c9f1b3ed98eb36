"""What a compiled function does to tensors that were there before: assignments, and gradients set or cleared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..graph import Leaf
from ..tensor import Tensor
from .capture import Capture, Symbol
from .ir import Var


class Assign(NamedTuple):
    """``tensor`` gets the output as its value."""

    tensor: Tensor
    leaf: int | None = None

    def carry_out(self, value: Any, leaves: Sequence[Any]) -> None:
        self.tensor.data = value.data


class SetGrad(NamedTuple):
    """``tensor.grad`` becomes the output; None where the function cleared it. ``leaf``: of the arguments."""

    tensor: Tensor
    leaf: int | None

    def carry_out(self, value: Tensor | None, leaves: Sequence[Any]) -> None:
        target: Any = self.tensor if self.leaf is None else leaves[self.leaf]
        if value is None and target.node.grad is not None:
            target.node.cleared = True
        target.node.grad = value if value is None or value.node is None else value.with_node(None)


def effects_of(capture: Capture) -> list[tuple[Assign | SetGrad, Var | None]]:
    """Each effect of the function that was captured, with the value that it leaves; None for a gradient cleared."""
    effects: list[tuple[Assign | SetGrad, Var | None]] = []
    for before in capture.before.values():
        tensor, index = before.tensor, capture.arguments.get(id(before.tensor))
        if type(tensor.data) is Symbol and tensor.data.var is not before.var:
            effects.append((Assign(tensor), tensor.data.var))
        if isinstance(before.node, Leaf) and before.node.grad is not before.grad:
            grad = before.node.grad
            effects.append((SetGrad(tensor, index), None if grad is None else capture.var_of(grad)))
    return effects

"""Derivatives that a primitive leaves unstated, derived from what it does state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import context, tree
from ..aval import Aval
from ..primitive import OUTPUT, Primitive
from ..tensor import Tensor
from .eager import EAGER
from .forward import Dual, Forward
from .reverse import backward, fresh, pull_back

Composed = Callable[..., Any]


class Derived:
    """What the lower layers ask of this one; installed as ``EAGER.transforms``."""

    backward = staticmethod(backward)

    @staticmethod
    def pull_composed(
        composed: Composed, inputs: Sequence[Tensor], wanted: Sequence[int], g: Any, params: dict[str, Any]
    ) -> Any:
        """The vjp of ``composed`` for the operands ``wanted``: run it again, recorded, and pull back."""
        create_graph = context.is_grad_enabled()
        variables = {i: fresh(inputs[i]) for i in wanted}
        operands = [variables.get(i, x) for i, x in enumerate(inputs)]
        with context.scope(recording=True):
            outputs, _ = tree.flatten(composed(*operands, **params))
        cotangents, _ = tree.flatten(g)
        found = pull_back(
            outputs, cotangents, list(variables.values()), retain_graph=create_graph, create_graph=create_graph
        )
        return found if len(found) > 1 else found[0]

    @staticmethod
    def push_composed(
        composed: Composed, primals: Sequence[Tensor], tangents: Sequence[Tensor | None], params: dict[str, Any]
    ) -> Any:
        """The jvp of ``composed``: run it on dual numbers."""
        forward = Forward()
        with forward.scope():
            duals = [x if t is None else Dual(forward, x, t) for x, t in zip(primals, tangents, strict=True)]
            outputs, structure = tree.flatten(composed(*duals, **params))
        pairs = [forward.split(y) for y in outputs]
        return tree.unflatten(structure, [y.new_zeros(y.shape) if t is None else t for y, t in pairs])

    @staticmethod
    def transpose_pullback(
        primitive: Primitive,
        primals: Sequence[Tensor],
        tangents: Sequence[Tensor | None],
        output: Any,
        params: dict[str, Any],
    ) -> Any:
        """J t from the vjp rule alone: g -> g^T J is linear, and its transpose is t -> J t.

        Source: Townsend, A new trick for calculating Jacobian vector products, 2017.
        """
        create_graph = context.is_grad_enabled()
        wanted = [i for i, t in enumerate(tangents) if t is not None]
        pullback = primitive.pullback(sum(1 << i for i in wanted) | 1 << len(primals))
        outputs, structure = tree.flatten(output)
        with context.scope(recording=True):
            cotangents = [fresh(y.new_zeros(y.shape)) for y in outputs]
            saved = tuple(output if i == OUTPUT else primals[i] for i in pullback.saves)
            avals = [Aval(x.shape, x.dtype) for x in primals]
            pulled = pullback.pull(tree.unflatten(structure, cotangents), saved, params, avals)
        rows = (pulled,) if len(wanted) == 1 else pulled
        given: list[tuple[Tensor, Any]] = [
            (row, tangents[i]) for i, row in zip(wanted, rows, strict=True) if row is not None
        ]
        found = pull_back(
            [p for p, _ in given],
            [t for _, t in given],
            cotangents,
            retain_graph=create_graph,
            create_graph=create_graph,
        )
        filled = [y.new_zeros(y.shape) if t is None else t for y, t in zip(outputs, found, strict=True)]
        return tree.unflatten(structure, filled)


EAGER.transforms = Derived

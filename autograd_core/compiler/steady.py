"""Repetition in place: what makes a compiled call cheap when everything is where the last call left it."""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..tensor import Variable
from .capture import Gradient, Outer
from .effects import Assign, SetGrad

if TYPE_CHECKING:
    from .variant import Variant

_probe = [object()]
# What getrefcount says of an element of a list that nobody else refers to: arrays that are handed out count more while
# somebody holds them, and are not written to then.
ALONE = getrefcount(_probe[0])


class Steady:
    """Where the last call left everything, so that the next can find it there and go on in place.

    held: the tensors from outside, with their arrays. lent: variables that are only read, with weak references to
    theirs: whoever updates them must not take us for somebody who would see it. gradients: leaves with theirs.
    moving: inputs that each call brings along. kept: the outputs that stay where they are, and how many references
    each has.
    """

    references = ALONE + 2  # of a gradient: its leaf, ``gradients``, and the loop that asks

    def __init__(self, held: Any, lent: Any, gradients: Any, moving: Any, kept: Any):
        self.held, self.lent, self.gradients, self.moving, self.kept = held, lent, gradients, moving, kept

    def is_undisturbed(self) -> bool:
        """Whether all tensors hold what the last call left there, and nobody else has one of its gradients."""
        for tensor, array in self.held:
            if tensor.data is not array:
                return False
        for tensor, reference in self.lent:
            if tensor.data is not reference():
                return False
        for leaf, gradient in self.gradients:
            if leaf.grad is not gradient or getrefcount(gradient) > self.references:
                return False
        return True

    @classmethod
    def of(cls, variant: Variant) -> Steady | None:
        """None where a call cannot be repeated in place."""
        runner: Any = variant.runner
        if not hasattr(runner, "repeat"):
            return None
        outside = [s.tensor for s in variant.sources if type(s) is Outer]
        updated = {id(e.tensor) for e, _ in variant.effects if type(e) is Assign}
        lent = [(x, ref(x.data)) for x in outside if isinstance(x, Variable) and id(x) not in updated]
        held = [(x, x.data) for x in outside if id(x) in updated or not isinstance(x, Variable)]
        moving = [(i, s) for i, s in enumerate(variant.sources) if type(s) is not Outer]
        outer = {id(x) for x in outside}
        gradients: list[Any] = []
        kept: list[tuple[int, int]] = []
        k = variant.count
        for effect, var in variant.effects:
            if (
                var is None
                or (type(effect) is SetGrad and effect.leaf is not None)
                or any(type(s) is Gradient for _, s in moving)
            ):
                return None
            if not runner.can_repeat(k):
                return None
            if type(effect) is Assign:
                if id(effect.tensor) not in outer or k not in variant.in_place:
                    return None
                kept.append((k, 2))  # the tensor, and ``held``
            else:
                leaf: Any = effect.tensor.node
                gradients.append((leaf, leaf.grad))
                kept.append((k, 1))
            k += 1
        runner.settle()
        return cls(held, lent, gradients, moving, kept)

"""Repetition in place: what makes a compiled call cheap when everything is where the last call left it.

What a call leaves behind is kept where it is and written anew by the next, as long as nobody else holds it: updated
variables and gradients. What cannot be written in place (gradients that are added to, values that are read after their
successors are written, what a later kernel's error must not leave half done) is handed over after each run, from one
of two arrays that take turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from operator import attrgetter, is_
from sys import getrefcount
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..tensor import Tensor, Variable
from .capture import Gradient, Outer
from .effects import Assign, SetGrad

if TYPE_CHECKING:
    from .variant import Variant

_probe = [object()]
# What getrefcount says of an element of a list that nobody else refers to: arrays that are handed out count more while
# somebody holds them, and are not written to then.
ALONE = getrefcount(_probe[0])
_array_of = attrgetter("data")


def _in_a_loop() -> int:
    """The same of what a loop over pairs has in a variable, besides the pair: interpreters count differently."""
    count = 0
    for _, mine in [(0, object())]:
        count = getrefcount(mine)
    return count


LOOPED = _in_a_loop()


class Steady:
    """Where the last call left everything, so that the next can find it there and go on in place.

    updated: variables, written in place. lent: variables that are only read. Of both there are weak references to their
    arrays: whoever else updates them must not take us for somebody who would see it. held: other tensors with their
    arrays, which are read. gradients: of leaves, written in place. moving: inputs that each call brings along. handed:
    effects that each call carries out.
    """

    def __init__(self, variant: Variant, runner: Any):
        self._variant, self._runner = variant, runner
        self._updated: list[Any] = []
        self._updated_arrays: list[Any] = []
        self._places: list[int] = []  # of these, then of gradients: which output is written there
        self._held: list[tuple[Any, Any]] = []
        self._lent: list[Any] = []
        self._lent_arrays: list[Any] = []
        self._gradients: list[tuple[tuple[Any, Any], Any]] = []
        self._parted: list[int] = []  # by position there: what others hold, while it is written elsewhere
        self._moving: list[tuple[int, Any]] = []
        self._replaced: list[Any] = []  # tensors from outside among these
        self._handed: list[tuple[int | None, Any]] = []

    @classmethod
    def of(cls, variant: Variant) -> Steady | None:
        """None where a call cannot be repeated: nothing knows how, or another one has come in between."""
        runner: Any = variant.runner
        if not hasattr(runner, "repeat"):
            return None
        steady = cls(variant, runner)
        with runner.lock:
            kept = steady._sort_effects()
            if kept is None or not steady._sort_sources():
                return None
            runner.settle(kept)
        return steady

    def _sort_effects(self) -> list[int] | None:
        """The outputs that stay where they are; None if they are not what the runner wrote last."""
        variant, runner = self._variant, self._runner
        outer = {id(s.tensor) for s in variant.sources if type(s) is Outer}
        added_to = {id(s.tensor) for s in variant.sources if type(s) is Gradient}
        kept: tuple[list[int], list[int]] = ([], [])
        numbered: list[tuple[int | None, Any]] = []
        following = variant.count
        for effect, var in variant.effects:
            numbered.append((None if var is None else following, effect))
            following += var is not None
        places = Counter(runner.place(k) for k, _ in numbered if k is not None)
        for k, effect in numbered:
            if k is None or places[runner.place(k)] > 1:
                self._handed.append((k, effect))
                continue
            if type(effect) is Assign and k in runner.in_place and id(effect.tensor) in outer:
                array = effect.tensor.data
                self._updated.append(effect.tensor)
                self._updated_arrays.append(ref(array))
            elif _is_kept(effect, added_to) and runner.keeps(k):
                leaf: Any = effect.tensor.node
                if leaf.grad is None:
                    return None
                array = leaf.grad.data
                self._gradients.append(((leaf.grad, array), leaf))
            else:
                self._handed.append((k, effect))
                continue
            if runner.output(k) is not array:
                return None
            kept[type(effect) is SetGrad].append(k)
        self._places = [*kept[0], *kept[1]]
        return self._places

    def _sort_sources(self) -> bool:
        """False if an input is not what the runner read last."""
        variant, runner = self._variant, self._runner
        updated = set(map(id, self._updated))
        handed = {id(effect.tensor) for _, effect in self._handed if type(effect) is Assign}
        for i, source in enumerate(variant.sources):
            x = source.tensor if type(source) is Outer else None
            if x is None or id(x) in handed or not x.data.flags.c_contiguous:
                self._moving.append((i, source))
                if x is not None:
                    self._replaced.append(x)
            elif id(x) not in updated:
                if runner.input(i) is not x.data:
                    return False
                if isinstance(x, Variable):
                    self._lent.append(x)
                    self._lent_arrays.append(ref(x.data))
                else:
                    self._held.append((x, x.data))
        return True

    def repeated(self, leaves: Sequence[Any]) -> list[Tensor] | None:
        """Run once more and carry out the effects; the results. None, and nothing done, if something was disturbed."""
        variant, runner = self._variant, self._runner
        with runner.lock:
            reading = list(map(_array_of, self._lent))  # holds them while the program runs
            writing = list(map(_array_of, self._updated))
            if not all(map(is_, reading, [array() for array in self._lent_arrays])):
                return None
            if not all(map(is_, writing, [array() for array in self._updated_arrays])):
                return None
            if not self._is_undisturbed(writing) and not self._part(writing):
                return None
            # only now: to draw a random key is an effect
            runner.repeat([(i, variant.value(source, leaves)) for i, source in self._moving])
            if self._parted:
                self._move()
            for pair, leaf in self._gradients:
                leaf.grad = pair[0]
            for k, effect in self._handed:
                value = None if k is None else Tensor(runner.output(k), variant.device)
                effect.carry_out(value, leaves)
            return [Tensor(runner.output(k), variant.device) for k in range(variant.count)]

    def _is_undisturbed(self, writing: Sequence[Any]) -> bool:
        """Whether tensors hold what the last call left there, and nobody else has what is to be written over.

        writing: the arrays of the updated variables.
        """
        if self._parted:
            return False
        for tensor, array in self._held:
            if tensor.data is not array:
                return False
        for tensor in self._replaced:
            if tensor.data.shape != tensor.shape or tensor.data.dtype != tensor.dtype:
                return False
        for array in writing:  # who may have it: the variable
            if getrefcount(array) > LOOPED + 1:
                return False
        for (gradient, array), leaf in self._gradients:
            if getrefcount(array) > LOOPED + 2 or getrefcount(gradient) > LOOPED + (leaf.grad is gradient):
                return False
        return True

    def _part(self, writing: Sequence[Any]) -> bool:
        """Have what others hold written elsewhere; False if tensors hold other arrays than the last call left there,
        or if the runner cannot.
        """
        if self._parted:  # and never moved, since there was an error
            return False
        if any(tensor.data is not array for tensor, array in self._held):
            return False
        if any(x.data.shape != x.shape or x.data.dtype != x.dtype for x in self._replaced):
            return False
        found = []
        for i, array in enumerate(writing):
            if getrefcount(array) > LOOPED + 1:
                found.append(i)
        for i, ((gradient, array), leaf) in enumerate(self._gradients, len(self._updated)):
            if getrefcount(array) > LOOPED + 2 or getrefcount(gradient) > LOOPED + (leaf.grad is gradient):
                found.append(i)
        if not self._runner.part([self._places[i] for i in found]):
            return False
        self._parted = found
        return True

    def _move(self) -> None:
        """Have variables and leaves hold what was written elsewhere."""
        count = len(self._updated)
        for i in self._parted:
            array = self._runner.output(self._places[i])
            if i < count:
                self._updated[i].data = array
                self._updated_arrays[i] = ref(array)
            else:
                _, leaf = self._gradients[i - count]
                self._gradients[i - count] = ((Tensor(array, self._variant.device), array), leaf)
        self._runner.join(self._places[i] for i in self._parted)
        self._parted = []


def _is_kept(effect: Any, added_to: Collection[int]) -> bool:
    """Whether this is a gradient that the function sets, wherever it was before, and that it does not read."""
    return type(effect) is SetGrad and effect.leaf is None and id(effect.tensor) not in added_to

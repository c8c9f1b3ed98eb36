"""What random numbers mean inside ``vmap``: the generators that stand for its policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import context
from ..errors import BatchingError
from ..interpreters.batch import Batch, Batched
from ..ops._generator import Generator


class PerExample(Generator):
    """The generator of a ``vmap`` in which examples get numbers of their own: keys that are batched.

    Drawn with one key, the numbers of example i are row i of one draw for all examples.
    """

    __slots__ = ("batch", "outer")
    of_examples = True

    def __init__(self, batch: Batch, outer: Generator):
        self.batch = batch
        self.outer = outer

    def take(self, device: Any) -> Any:
        base = context.current().interpreter.base
        if base.generator is self:  # a function being captured is one of an example, and so is the key that it gets
            return base.random_key(self, device)
        return self._batched(self.outer.take(device))

    def state_dict(self) -> dict[str, int]:
        return self.outer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.outer.load_state_dict(state)

    @property
    def identity(self) -> tuple[Any, ...]:
        return ("each", *self.outer.identity)

    def for_examples(self, key: Any) -> Any:
        return self._batched(self.outer.for_examples(key))

    def _batched(self, key: Any) -> Any:
        return Batched(self.batch, key.broadcast_to((self.batch.size, *key.shape)))

    def next(self) -> tuple[int, int]:
        return self.outer.next()


class NoDraws(Generator):
    """The generator of a ``vmap`` in which it was not said what random numbers mean."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def next(self) -> tuple[int, int]:
        raise BatchingError(
            "vmap: the function draws random numbers; say randomness='different' (every example its own) or "
            "'same' (all examples the same); a function with derivatives of its own must get its numbers as arguments"
        )


def generator_for(batch: Batch, randomness: str) -> Any:
    """The default generator inside ``batch`` under the policy ``randomness``."""
    outer = context.current().generator
    return {"error": NoDraws, "same": lambda: outer, "different": lambda: PerExample(batch, outer)}[randomness]()

"""Where random numbers come from: a seed and a count of the calls made so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from .. import context
from ..errors import ArgumentError, StateDictError
from . import philox

WORDS = 2**64
_COUNTING = Lock()  # one for all generators: held for an addition, and no generator has to carry (or copy) its own


class Generator:
    """A stream of random numbers: every use takes the next call number under one seed.

    A number depends on the seed, the call and its place in the result alone (Philox4x32-10), so the state is two
    integers, and a call's numbers can be made again at any time, on any device, with the same bits.

    seed: 0 to 2**64 - 1; ArgumentError otherwise.

    >>> import autograd_core as ag
    >>> g = ag.random.Generator(7)
    >>> state = g.state_dict()
    >>> first = ag.random.normal((3,), generator=g)
    >>> g.load_state_dict(state)
    >>> ag.random.normal((3,), generator=g).tolist() == first.tolist()
    True
    """

    __slots__ = ("_call", "_seed")
    of_examples = False  # whether its keys differ among the examples of a ``vmap``

    def __init__(self, seed: int):
        self.reseed(seed)

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, call={self._call})"

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def call(self) -> int:
        """How many calls were taken under this seed: the number of the next one."""
        return self._call

    def reseed(self, seed: int) -> None:
        """Start again, at call 0 of ``seed``."""
        seed = _word("random.Generator", "seed", seed)
        with _COUNTING:
            self._seed, self._call = seed, 0

    def take(self, device: Any) -> Any:
        """Take one call: its key, a uint64 tensor (seed, call) on ``device``. Atomic between threads.

        An operand, not a parameter: a compiled step makes its keys on the device and is never compiled again for them.
        """
        return context.current().interpreter.base.random_key(self, device)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for generators from which the same numbers come, in the same way."""
        return (id(self),)

    def for_examples(self, key: Any) -> Any:
        """A key as ``take`` gives it: for every open ``vmap`` whose examples have numbers of their own, batched."""
        return key

    def spawn(self, n: int) -> list[Generator]:
        """``n`` generators whose streams are independent of this one's and of each other's; takes one call.

        Their seeds are the n random 64-bit words of that call.

        >>> import autograd_core as ag
        >>> [g.call for g in ag.random.Generator(0).spawn(2)]
        [0, 0]
        """
        if not hasattr(n, "__index__") or n < 0:
            raise ArgumentError(f"random.Generator.spawn: n is a number of generators, got {n!r}")
        return [Generator(seed) for seed in philox.random_words(np, *self.next(), int(n)).tolist()]

    def state_dict(self) -> dict[str, int]:
        """``{"seed": ..., "call": ...}``: all that there is to know of the stream's future."""
        seed, call = self._seed, self._call
        return {"seed": seed, "call": call}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken. StateDictError, and nothing changed, unless it has exactly seed and call."""
        if not isinstance(state, Mapping) or set(state) != {"seed", "call"}:
            given = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise StateDictError(f"random.Generator: a state dict has the keys seed and call, got {given}")
        try:
            seed, call = (_word("random.Generator", name, state[name]) for name in ("seed", "call"))
        except ArgumentError as error:
            raise StateDictError(str(error)) from None
        with _COUNTING:
            self._seed, self._call = seed, call

    def next(self) -> tuple[int, int]:
        """Take one call: its seed and number; while a checkpoint runs again, that of the first run."""
        tape = context.current().tape
        return self.advance() if tape is None else tape.draw(self)

    def advance(self) -> tuple[int, int]:
        """Take the next call: its seed and number."""
        with _COUNTING:
            seed, call = self._seed, self._call
            self._call = (call + 1) % WORDS
        return seed, call


def default_generator() -> Generator:
    """The generator that random functions use when none is given: that of the innermost ``fork``, or the process's.

    >>> import autograd_core as ag
    >>> with ag.random.fork(3):
    ...     ag.random.default_generator()
    Generator(seed=3, call=0)
    """
    return context.current().generator


def seed(seed: int, /) -> None:
    """Start the default generator again from ``seed`` (0 to 2**64 - 1). Unseeded, it starts from 0: runs repeat.

    For numbers that differ from run to run: ``ag.random.seed(secrets.randbits(64))``.

    >>> import autograd_core as ag
    >>> ag.random.seed(1)
    >>> first = ag.random.uniform((2,))
    >>> ag.random.seed(1)
    >>> ag.random.uniform((2,)).tolist() == first.tolist()
    True
    """
    default_generator().reseed(seed)


@contextmanager
def fork(seed: int | Generator | None = None) -> Iterator[Generator]:
    """A default generator of its own for the body, which draws nothing from the outer one.

    seed: the new generator's seed, or a generator to use; None spawns one, which takes one call of the outer generator.

    The scope belongs to its thread (and to its asyncio task). Threads that open none share the process's
    generator: none gets another's numbers, but which thread gets which depends on who comes first. For numbers that
    repeat, open a ``fork(seed)`` in each thread, with seeds of your choice or generators from ``Generator.spawn``.

    >>> import autograd_core as ag
    >>> with ag.random.fork(5):
    ...     inside = ag.random.integers(0, 100, (3,))
    >>> ag.random.integers(0, 100, (3,), generator=ag.random.Generator(5)).tolist() == inside.tolist()
    True
    """
    if isinstance(seed, Generator):
        generator = seed
    else:
        generator = default_generator().spawn(1)[0] if seed is None else Generator(seed)
    with context.scope(generator=generator):
        yield generator


def _word(op: str, name: str, value: Any) -> int:
    """``value`` as an int below 2**64; 0-d integer arrays and tensors count as ints."""
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise ArgumentError(f"{op}: {name} must be an int from 0 to 2**64 - 1, got {value!r}") from None
    if not 0 <= number < WORDS:
        raise ArgumentError(f"{op}: {name} must lie between 0 and 2**64 - 1, got {number}")
    return number


context.install_base_generator(Generator(0))

"""Random orders and generators as pure functions of a seed.

Every draw names its purpose and its place (the epoch, the number of the batch), so nothing depends on how much was
drawn before, on threads, or on NumPy's global state.
"""

from __future__ import annotations

import numpy as np

ORDER, TRANSFORM, SPLIT, EXPRESSIONS = range(4)  # purposes: streams under one seed that never meet


def bit_generator(seed: int, *place: int) -> np.random.BitGenerator:
    """A bit generator for one place under one seed."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place))


def permutation(length: int, seed: int, *place: int) -> np.ndarray:
    """A random order of ``range(length)``, intp, shape ``(length,)``.

    Sorts raw 64-bit draws: NumPy keeps the raw stream of a bit generator for ever, the stream of
    ``Generator.permutation`` only within a version (NEP 19), and a training must resume after an upgrade.
    """
    raw = bit_generator(seed, *place).random_raw(length)
    return np.argsort(raw, kind="stable")

"""What engines compute, tap by tap, by NumPy; each rounds as its kind does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np


class Windows(NamedTuple):
    before: Sequence[int]
    after: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int]

    def counts(self, size: Sequence[int], kernel: Sequence[int]) -> list[int]:
        """How many fit along each axis."""
        rows = zip(size, kernel, self.before, self.after, self.stride, self.dilation, strict=True)
        return [(n + a + z - d * (k - 1) - 1) // s + 1 for n, k, a, z, s, d in rows]

    def taps(self, kernel: Sequence[int], output: Sequence[int]) -> list[tuple[Any, Any]]:
        """The index of each tap within the kernel, and of what it meets within the padded image."""
        found = []
        for tap in product(*map(range, kernel)):
            starts = [k * d for k, d in zip(tap, self.dilation, strict=True)]
            rows = zip(starts, self.stride, output, strict=True)
            found.append(((..., *tap), (..., *(slice(a, a + s * (n - 1) + 1, s) for a, s, n in rows))))
        return found

    def padded(self, image: np.ndarray) -> np.ndarray:
        return np.pad(image, [(0, 0), (0, 0), *zip(self.before, self.after, strict=True)])


def forward(x: np.ndarray, w: np.ndarray, windows: Windows, groups: int) -> np.ndarray:
    output = windows.counts(x.shape[2:], w.shape[2:])
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *output), x.dtype)
    padded = windows.padded(x)
    for tap, seen in windows.taps(w.shape[2:], output):
        each = padded[seen].reshape(x.shape[0], groups, -1, *output)
        y += np.einsum("ngc...,goc->ngo...", each, w[tap].reshape(groups, -1, w.shape[1]))
    return y.reshape(x.shape[0], w.shape[0], *output)


def of_image(v: np.ndarray, w: np.ndarray, size: Sequence[int], windows: Windows, groups: int) -> np.ndarray:
    x = np.zeros((v.shape[0], w.shape[1] * groups, *size), v.dtype)
    padded = windows.padded(x)
    slopes = v.reshape(v.shape[0], groups, -1, *v.shape[2:])
    for tap, seen in windows.taps(w.shape[2:], v.shape[2:]):
        each = np.einsum("ngo...,goc->ngc...", slopes, w[tap].reshape(groups, -1, w.shape[1]))
        padded[seen] += each.reshape(x.shape[0], x.shape[1], *v.shape[2:])
    inside = [slice(a, a + n) for a, n in zip(windows.before, size, strict=True)]
    return np.ascontiguousarray(padded[(..., *inside)])


def of_weight(x: np.ndarray, v: np.ndarray, kernel: Sequence[int], windows: Windows, groups: int) -> np.ndarray:
    w = np.zeros((v.shape[1], x.shape[1] // groups, *kernel), x.dtype)
    padded = windows.padded(x)
    slopes = v.reshape(v.shape[0], groups, v.shape[1] // groups, -1)
    for tap, seen in windows.taps(kernel, v.shape[2:]):
        each = padded[seen].reshape(x.shape[0], groups, -1, slopes.shape[-1])
        w[tap] = np.einsum("ngop,ngcp->goc", slopes, each).reshape(w.shape[:2])
    return w


def rounded_to_tf32(a: np.ndarray) -> np.ndarray:
    """To 10 bits after the point."""
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    return ((bits + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)


class Engine(NamedTuple):
    """notes: on its numbers; factors: how it rounds them, None if its results are of no use; workspace: bytes."""

    name: str
    notes: frozenset[str]
    factors: Callable[[np.ndarray], np.ndarray] | None = None
    workspace: int = 0


def _as_they_are(a: np.ndarray) -> np.ndarray:
    return a


# In the order of preference: those that must not be chosen come first, and give no numbers.
ENGINES = (
    Engine("roomy", frozenset({"TENSOR_CORE"}), None, 1 << 40),
    Engine("roomier", frozenset(), None, 1 << 40),
    Engine("transform", frozenset({"FFT"})),
    Engine("atomic sums", frozenset({"TENSOR_CORE", "NONDETERMINISTIC"})),
    Engine("halved", frozenset({"TENSOR_CORE", "DOWN_CONVERT_INPUTS"})),
    Engine("short sums", frozenset({"TENSOR_CORE", "REDUCED_PRECISION_REDUCTION"})),
    Engine("large tiles", frozenset({"WINOGRAD", "WINOGRAD_TILE_6x6"})),
    Engine("largest tiles", frozenset({"WINOGRAD", "WINOGRAD_TILE_13x13"})),
    Engine("tensor cores", frozenset({"TENSOR_CORE"}), rounded_to_tf32, 12347),
    Engine("plain", frozenset(), _as_they_are, 80),
    Engine("small", frozenset(), _as_they_are),
)

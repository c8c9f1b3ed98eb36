"""What a worker times: one contender's statement of one row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

HOSTS = ("cpu", "numpy")  # devices whose work is done when a step returns
TOGETHER = 10  # steps that other devices are given before the host waits, as in a training loop


class Contestant(NamedTuple):
    """``step()`` does everything once; ``values`` of what it returned are the numbers to compare with others.

    They are the loss and, where nothing is trained, the norm of each gradient: of the leaves, then of the parameters.
    wait: returns when all that was begun is done, given the last step's result; None where that is so already.
    device_bytes: the most that was taken of the device's memory, by the account of the library's allocator. how: in
    words, how it is run; asked when all has been measured.
    """

    step: Callable[[], Any]
    values: Callable[[Any], list[float]]
    wait: Callable[[Any], Any] | None = None
    device_bytes: Callable[[], int] | None = None
    how: Callable[[], dict[str, Any]] | None = None

    @property
    def together(self) -> int:
        """Steps between two waits."""
        return 1 if self.wait is None else TOGETHER


def norm(gradient: Any) -> float:
    """Summed in double precision, part by part: in single precision millions of small squares lose three digits."""
    flat = np.asarray(gradient).reshape(-1)
    parts = (flat[at : at + 65_536] for at in range(0, len(flat), 65_536))
    return math.sqrt(math.fsum(float(np.square(part, dtype=np.float64).sum()) for part in parts))

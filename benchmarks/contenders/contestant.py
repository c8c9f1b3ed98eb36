"""What a worker times: one contender's statement of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Contestant(NamedTuple):
    """``step()`` does everything once; ``values`` of what it returned are the numbers to compare with others.

    They are the loss and, where nothing is trained, the norm of each gradient: of the leaves, then of the parameters.
    """

    step: Callable[[], Any]
    values: Callable[[Any], list[float]]

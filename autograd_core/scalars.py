"""Which Python objects are numbers: Python's own and NumPy's, but no truth values."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_real(value: Any) -> bool:
    """Whether ``value`` is one real number, infinities and NaN among them.

    >>> [is_real(x) for x in (1, 0.5, np.float32(0.5), np.int64(1), True, "1", None, 1j, np.ones(1))]
    [True, True, True, True, False, False, False, False, False]
    """
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether ``value`` is one integer.

    >>> [is_whole(x) for x in (1, np.int64(1), 1.0, True)]
    [True, True, False, False]
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)

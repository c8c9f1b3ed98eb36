"""What rounds to zero in float16."""

from __future__ import annotations

import numpy as np

SMALLEST = 2.0**-24  # float16's smallest number above zero


def visible(eps: float, dtype: np.dtype) -> float:
    """``eps`` as it is, but in float16 no less than its smallest number: as 0 it would let 0 / 0 be computed.

    >>> visible(1e-8, np.dtype("float32")), visible(1e-8, np.dtype("float16"))
    (1e-08, 5.960464477539063e-08)
    """
    return max(eps, SMALLEST) if dtype == np.float16 and eps > 0 else eps

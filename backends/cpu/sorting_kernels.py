"""Orders by the native kernel, which is stable and takes lines of any length alike; small ones by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.backend import Kernel
from autograd_core.ops.sorting import argsort_p
from autograd_core.primitive import Primitive

from .native import eager

MANY = 1 << 15  # elements, from which on a program saves milliseconds in each call


def argsorted(x: np.ndarray, *, axis: int, descending: bool = False) -> Any:
    """The places that sort ``x`` along ``axis``."""
    params = {"axis": axis, "descending": descending}
    if x.size >= MANY:
        y = eager.run(argsort_p, (x,), params)
        if y is not None:
            return y
    return argsort_p.forward(np, x, **params)


KERNELS: dict[Primitive, Kernel] = {argsort_p: argsorted}

"""NumPy as a backend: what every other backend is compared with."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from autograd_core.backend import Availability, Device, Kernel
from autograd_core.primitive import Primitive


class NumpyBackend:
    """Host arrays, no kernels of our own; always available."""

    name = "numpy"
    array_types: tuple[type, ...] = (np.ndarray,)
    xp: Any = np

    def availability(self) -> Availability:
        return Availability(True)

    def device_count(self) -> int:
        return 1

    def asarray(self, obj: Any, *, dtype: np.dtype | None, device: Device) -> np.ndarray:
        array = np.asarray(obj, dtype=dtype)
        # files are read in their own byte order; values are computed with, and kernels compiled for, this machine's
        return array if array.dtype.isnative else array.astype(array.dtype.type)

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        return array

    def synchronize(self, device: Device) -> None:
        """NumPy has finished when it returns."""

    def kernel(self, primitive: Primitive) -> Kernel | None:
        """The formula itself; where infinities and NaN are ordinary results, without NumPy's warnings."""
        if primitive.forward is None or not primitive.signals:
            return None
        return np.errstate(all="ignore")(partial(primitive.forward, np))

"""The CUDA backend's place: it says in words what is missing. Its arrays and kernels are not written yet."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any, NoReturn

import numpy as np

from autograd_core.backend import Availability, Device, Kernel
from autograd_core.errors import BackendUnavailableError
from autograd_core.primitive import Primitive


class CudaBackend:
    """CuPy arrays on NVIDIA GPUs: named, but not usable yet."""

    name = "cuda"
    array_types: tuple[type, ...] = ()

    @cached_property
    def _reason(self) -> str:
        if find_spec("cupy") is None:
            return "CuPy is not installed: pip install 'autograd_core[cuda13]' (or [cuda12] for a CUDA 12 driver)"
        try:
            import cupy
        except ImportError as error:
            return f"CuPy does not load: {error}"
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            return f"CuPy found no CUDA driver or GPU: {error}"
        return f"{count} CUDA device(s) found, but this version has no CUDA arrays and kernels yet; use 'cpu'"

    @property
    def xp(self) -> NoReturn:
        self._refuse()

    def availability(self) -> Availability:
        return Availability(False, self._reason)

    def device_count(self) -> int:
        return 0

    def asarray(self, obj: Any, *, dtype: np.dtype | None, device: Device) -> NoReturn:
        self._refuse()

    def to_numpy(self, array: Any) -> NoReturn:
        self._refuse()

    def synchronize(self, device: Device) -> None:
        """No device, no queue."""

    def kernel(self, primitive: Primitive) -> Kernel | None:
        return None

    def _refuse(self) -> NoReturn:
        raise BackendUnavailableError(f"device 'cuda' cannot be used here: {self._reason}")

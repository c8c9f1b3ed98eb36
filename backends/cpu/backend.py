"""NumPy arrays with Numba kernels for the primitives where compiled loops pay; plain NumPy without Numba."""

from __future__ import annotations

from autograd_core.backends.numpy import NumpyBackend


class CpuBackend(NumpyBackend):
    """The reference backend under the name that users write, with faster kernels where there are any."""

    name = "cpu"

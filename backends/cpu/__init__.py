"""The default CPU backend: NumPy arrays, Numba kernels where they pay."""

from .backend import CpuBackend

__all__ = ["CpuBackend"]

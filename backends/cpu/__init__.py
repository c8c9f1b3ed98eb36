"""The default CPU backend: NumPy arrays, Numba kernels where they pay."""

from .backend import CpuBackend
from .team_size import get_num_threads, set_num_threads

__all__ = ["CpuBackend", "get_num_threads", "set_num_threads"]

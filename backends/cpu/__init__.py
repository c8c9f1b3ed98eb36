"""The default backend: NumPy arrays with Numba kernels."""

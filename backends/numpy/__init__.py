"""The reference backend: NumPy arrays, no kernels."""

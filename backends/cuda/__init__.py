"""The CUDA backend: CuPy arrays and generated kernels."""

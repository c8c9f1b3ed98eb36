"""Reverse-mode automatic differentiation on NumPy arrays and CUDA."""

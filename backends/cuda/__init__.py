"""CUDA devices: registered, and explained where they cannot be used."""

from .backend import CudaBackend

__all__ = ["CudaBackend"]

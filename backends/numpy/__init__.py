"""The reference backend: NumPy arrays, every primitive by its own formula."""

from .backend import NumpyBackend

__all__ = ["NumpyBackend"]

"""CUDA C for loop kernels and random draws, with the launches that run it. Not yet run on hardware."""

from .loops import loop_kernel
from .random_bits import random_draw
from .source import Launch, Sizes, Source

__all__ = ["Launch", "Sizes", "Source", "loop_kernel", "random_draw"]

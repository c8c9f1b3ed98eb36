"""CUDA C for loop kernels and random draws, with the launches that run it. Not yet run on hardware."""

from .loops import loop_kernel
from .random_bits import random_draw
from .segments import segments, table
from .source import OPTIONS, Launch, Sizes, Source

__all__ = ["OPTIONS", "Launch", "Sizes", "Source", "loop_kernel", "random_draw", "segments", "table"]

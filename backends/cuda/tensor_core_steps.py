"""What kernels on tensor cores share: where they are used, who launches them, and steps of a compiled function.

Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from autograd_core.compiler.ir import Equation, Var

from .launching import Launcher
from .native import Source
from .native.modes import MODES

OLDEST_GPU = 8  # its compute capability's first number: the tensor cores of older ones have no TF32
SMALLEST = 1 << 20  # multiply-adds for which a kernel is compiled, if nobody asks for it
MOST = 1 << 30  # elements of an array: places are counted in 32 bits
PACK = 16  # bytes that arrays begin at multiples of


def usable(cupy: Any, index: int) -> bool:
    """Whether the device has what the kernels need."""
    return cupy.cuda.runtime.getDeviceProperties(index)["major"] >= OLDEST_GPU


def launchers(cupy: Any) -> Callable[[int], Launcher | None]:
    """Of each device by its number what launches kernels there; None where they cannot be used."""

    @lru_cache(None)
    def launcher(index: int) -> Launcher | None:
        return Launcher(cupy) if usable(cupy, index) else None

    return launcher


class RenderedStep(NamedTuple):
    """A convolution, attention, or a gradient of them in a compiled function, and where its results go.

    problem: in any mode. render: its source, by the problem and a name.
    """

    equation: Equation
    problem: Any
    render: Callable[[Any, str], Source]
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]] = frozenset()

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def flops(self) -> int:
        return 2 * self.problem.products

    def rendered(self, mode: str) -> Source:
        return self.render(self.problem.in_mode(mode), self.name)

    @property
    def workspace(self) -> int:
        """Bytes, in whatever mode it is run."""
        return max(self.rendered(mode).workspace for mode in MODES)

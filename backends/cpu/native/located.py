"""Where the operands of an equation lie, and what a lowering answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major

from .engine import KernelSpec


class Located(NamedTuple):
    """An operand: where its elements lie, counted in elements from the start of the array that holds it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def contiguous(self) -> bool:
        return all(s == t for n, s, t in zip(self.shape, self.strides, row_major(self.shape), strict=True) if n != 1)


class Lowered(NamedTuple):
    """A kernel and its operands in order: (False, i) is input i of the equation, (True, i) its output i."""

    spec: KernelSpec
    operands: tuple[tuple[bool, int], ...]


class Copies(NamedTuple):
    """The equation can be lowered if these inputs are copied to arrays without gaps."""

    inputs: tuple[int, ...]


Lowering = Callable[[Equation, Sequence[Located], Sequence[Located]], "Lowered | Copies | None"]


def operands_in_order(inputs: int, outputs: int = 1) -> tuple[tuple[bool, int], ...]:
    """All inputs, then all outputs: what most kernels take."""
    return (*((False, i) for i in range(inputs)), *((True, i) for i in range(outputs)))

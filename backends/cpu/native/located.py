"""Where the operands of an equation lie, and what a lowering answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from autograd_core.compiler.ir import Equation
from autograd_core.compiler.storage import Located

from .engine import KernelSpec


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

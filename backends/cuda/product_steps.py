"""Matrix products as steps of compiled functions."""

from __future__ import annotations

from typing import NamedTuple

from autograd_core.compiler.ir import Equation, Var
from autograd_core.ops.linear_algebra import linear_p, matmul_p

PRODUCTS = (matmul_p, linear_p)


class Product(NamedTuple):
    """A matrix product, and where its result goes."""

    equation: Equation
    operands: tuple[Var, ...]
    writes: tuple[int, ...] = (2,)
    overwrites: frozenset[tuple[Var, Var]] = frozenset()

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def flops(self) -> int:
        """A multiplication and an addition for every term."""
        return 2 * self.operands[2].aval.size * self.operands[0].shape[-1]

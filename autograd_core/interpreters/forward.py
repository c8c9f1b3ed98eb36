"""Forward mode: every value carries its tangent along (dual numbers).

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..aval import is_inexact
from ..graph import AnyNode
from ..primitive import Primitive, bind
from ..tensor import Tensor
from .level import Opened, Wrapper


class Dual(Wrapper):
    """A primal and its tangent (None: zero)."""

    __slots__ = ("tangent",)

    interpreter: Forward

    def __init__(self, interpreter: Forward, primal: Tensor, tangent: Tensor | None, node: AnyNode | None = None):
        super().__init__(interpreter, primal, primal.shape, node)
        self.tangent = tangent

    @property
    def primal(self) -> Tensor:
        return self.inner

    def __repr__(self) -> str:
        return repr(self.inner)

    def with_node(self, node: AnyNode | None) -> Dual:
        return Dual(self.interpreter, self.inner, self.tangent, node)


class Forward(Opened):
    """One ``jvp`` in progress."""

    name = "jvp"

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        primals, tangents = [], []
        for x in inputs:
            primal, tangent = self.split(x)
            primals.append(primal)
            tangents.append(tangent)
        y = bind(primitive, primals, params)
        if not primitive.differentiable:
            return y
        tangent = None if all(t is None for t in tangents) else primitive.jvp(primals, tangents, y, params)
        if type(y) is tuple:
            pieces = tangent if tangent is not None else (None,) * len(y)
            return tuple(Dual(self, p, t) for p, t in zip(y, pieces, strict=True))
        return Dual(self, y, tangent)

    def split(self, x: Any) -> tuple[Tensor, Tensor | None]:
        """``x`` as primal and tangent at this level; anything from below is a constant."""
        if not self.owns(x):
            return x, None
        if x.tangent is not None and not is_inexact(x.inner.dtype):
            return x.inner, None
        return x.inner, x.tangent

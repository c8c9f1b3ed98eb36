"""Forward mode: every value carries its tangent along (dual numbers).

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import context
from ..aval import is_inexact
from ..errors import GradientError
from ..graph import AnyNode
from ..primitive import Primitive, bind
from ..tensor import Tensor


class Dual(Tensor):
    """A primal and its tangent (None: zero). Its own ``node`` belongs to transforms opened inside this one."""

    __slots__ = ("interpreter", "level", "primal", "tangent")

    def __init__(self, interpreter: Forward, primal: Tensor, tangent: Tensor | None, node: AnyNode | None = None):
        super().__init__(primal.data, primal.device, node)
        self.interpreter = interpreter
        self.level = interpreter.level
        self.primal = primal
        self.tangent = tangent

    @property
    def inner(self) -> Tensor:
        return self.primal

    def with_node(self, node: AnyNode | None) -> Dual:
        return Dual(self.interpreter, self.primal, self.tangent, node)


class Forward:
    """One ``jvp`` in progress. Inputs of lower levels are constants to it."""

    def __init__(self, level: int):
        self.level = level

    @property
    def base(self) -> Any:
        return context.current().interpreter.base

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
        if x.level < self.level:
            return x, None
        if x.interpreter is not self:
            raise GradientError(
                "a value of a finished jvp was used after it ended: return it from the function instead"
            )
        if x.tangent is not None and not is_inexact(x.primal.dtype):
            return x.primal, None
        return x.primal, x.tangent

"""The first NaN or infinity: which operation made it, in which module, on which line of the user's code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..errors import AnomalyError
from ..graph import Node
from ..primitive import Primitive
from ..tensor import Tensor
from .origins import Call, origin_of, record_origins
from .values import (
    Finding,
    arrays_of,
    at_text,
    aval_text,
    operand_name,
    operand_positions,
    range_text,
    saved_operands,
)


class detect_anomaly(record_origins):
    """Inside, the first operation whose result is not finite raises AnomalyError: forward, backward, or in a jvp.

    The error names the operation, the module path, the line of your code that called it, how many elements are
    concerned and what the operands are there; for a backward pass, the operation whose derivative it was and the line
    that called *that*. What counts is a NaN that no operand held, and an infinity made from finite operands: the -inf
    of a mask passes. A NaN that comes in from outside (data, parameters) is an error at the first operation that
    passes it on. Derivatives may be infinite on the way if a cotangent of 0 makes 0 of it (``where``): only what they
    return counts.

    infinities: False looks for NaN alone.

    Works in every transform. Every result is read, so this is for debugging; outside nothing is looked at. A context
    manager and a decorator. The name is that of PyTorch's mode, which looks at backward alone.

    >>> import autograd_core as ag
    >>> with ag.detect_anomaly():
    ...     ag.log(ag.tensor([2.0, 0.0]))
    Traceback (most recent call last):
    ...
    autograd_core.errors.AnomalyError: log made the first infinity: 1 of 2 elements (at [1]) of its result ...
    """

    def __init__(self, *, infinities: bool = True):
        super().__init__()
        self.infinities = infinities

    def _recreate_cm(self) -> detect_anomaly:
        return type(self)(infinities=self.infinities)

    def ran(self, primitive: Primitive, inputs: Sequence[Any], output: Any) -> None:
        super().ran(primitive, inputs, output)
        for part in ("value", "tangent"):
            bad = self._first_bad(output, part)
            if bad is not None:
                call = Call(sys._getframe(1))
                if not call.by_rule:
                    self._judge_result(primitive, inputs, bad, part, call)

    def pulled(self, node: Node, g: Any, cotangents: Any) -> None:
        super().pulled(node, g, cotangents)
        found = cotangents if isinstance(cotangents, (tuple, list)) else (cotangents,)
        for position, cotangent in enumerate(found):
            bad = self._first_bad((cotangent,), "value")
            bad = self._first_bad((cotangent,), "tangent") if bad is None else bad
            if bad is not None and (_is_users(node) or not Call(sys._getframe(1).f_back).by_rule):
                self._judge_cotangent(node, g, position, bad)

    def _first_bad(self, value: Any, part: str) -> Tensor | None:
        for y in value if type(value) is tuple else (value,):
            for x in arrays_of(y, part):
                backend = x.device.backend
                if bool(backend.to_numpy(backend.xp.any(backend.xp.isnan(x.data)))) or (
                    self.infinities and not bool(backend.to_numpy(backend.xp.all(backend.xp.isfinite(x.data))))
                ):
                    return x
        return None

    # ------------------------------------------------------------------------------ verdicts

    def _judge_result(self, primitive: Primitive, inputs: Sequence[Any], bad: Tensor, part: str, call: Call) -> None:
        found = Finding(bad)
        named = [(operand_name(primitive, i), x) for i, x in enumerate(inputs)]
        before = [(n, z, x, Finding(x)) for n, z in named for p in {"value", part} for x in arrays_of(z, p)]
        if not inputs or (not found.nan and any(b.infinite for *_, b in before)):
            return  # a constant, or an infinity that an operand held: made on purpose
        origin = call.origin(primitive.name, self.paths)
        givers = [
            f"operand {_called(n, z)}: {b.counted} of {aval_text(x)}" for n, z, x, b in before if b.nan and found.nan
        ]
        if givers:
            text = (
                f"{primitive.name} was given NaN, made by nothing that ran in this block ({'; '.join(givers)}): look "
                "at the data and the parameters, ag.isnan(x).any()."
            )
        else:
            what = "result" if part == "value" else "tangent (in forward mode)"
            operands = "; ".join(f"{n} {range_text(x)}" for n, z in named for x in arrays_of(z))
            there = at_text(primitive, found.first, named, bad)
            given = f"Operands: {operands}." if operands else "It has no operands."
            text = (
                f"{primitive.name} made the first {found.kind}: {found.counted} of its {what} {aval_text(bad)}{there}. "
                f"{given}"
            )
        raise AnomalyError(
            f"{text} Called at {origin.place}",
            op=primitive.name,
            kind=found.kind,
            direction="forward" if part == "value" else "tangent",
            origin=origin,
        )

    def _judge_cotangent(self, node: Node, g: Any, position: int, bad: Tensor) -> None:
        primitive, found, origin = node.pullback.primitive, Finding(bad), origin_of(node)
        arrived = [x for piece in (g if type(g) is tuple else (g,)) for x in arrays_of(piece)]
        before = [Finding(x) for x in arrived]
        if any(b.nan if found.nan else b.infinite for b in before):
            text = (
                f"the gradient of the result of {primitive.name} is not finite on arrival: "
                f"{'; '.join(map(range_text, arrived))}. The cotangent given to backward is not, or the sum of several "
                "overflowed."
            )
        else:
            name = operand_name(primitive, operand_positions(node)[position])
            there = at_text(primitive, found.first, saved_operands(node), bad)
            text = (
                f"the derivative of {primitive.name} made the first {found.kind}: {found.counted} of the gradient of "
                f"its operand {name}, {aval_text(bad)}{there}. The gradient of its result: "
                f"{'; '.join(map(range_text, arrived))}."
            )
        if origin is None:
            called = f"To see the line that called {primitive.name}, run the forward pass in this block too"
        else:
            inside = f", in module {origin.within}" if origin.within else ""
            called = f"{primitive.name} was called at {origin.place}{inside}"
        raise AnomalyError(f"{text} {called}", op=primitive.name, kind=found.kind, direction="backward", origin=origin)


def _called(operand: str, x: Any) -> str:
    """``weight``, or ``x2 ('encoder.weight')`` where the tensor has a name."""
    name = getattr(x, "name", None)
    return operand if name is None else f"{operand} ({name!r})"


def _is_users(node: Node) -> bool:
    """Whether the user's code ran the operation, perhaps again (checkpoint), and not the rule of another."""
    origin = origin_of(node)
    return origin is not None and origin.derivative_of is None

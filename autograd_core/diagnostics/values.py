"""Values as diagnostics speak of them: what is not finite and where, ranges, the names of operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..aval import is_inexact
from ..graph import Node
from ..interpreters.forward import Dual
from ..primitive import OUTPUT, Elementwise, Primitive
from ..tensor import Tensor


def arrays_of(x: Any, part: str = "value") -> Iterator[Tensor]:
    """The plain floating tensors under the wrappers of transforms: those of the value, or those of its tangents."""
    if not isinstance(x, Tensor) or not is_inexact(x.dtype):
        return
    if isinstance(x, Dual):
        yield from arrays_of(x.primal, part)
        if part == "tangent":
            yield from arrays_of(x.tangent)
            yield from arrays_of(x.tangent, part)
    elif x.level:
        yield from arrays_of(x.inner, part)
    elif part == "value":
        yield x


class Finding:
    """How many elements of a tensor are NaN and infinite, and where the first such one is."""

    def __init__(self, x: Tensor):
        values = x.numpy()
        nan, infinite = np.isnan(values), np.isinf(values)
        self.size = values.size
        self.nan, self.infinite = int(nan.sum()), int(infinite.sum())
        worst = nan if self.nan else infinite
        self.first = tuple(int(i) for i in np.argwhere(worst)[0]) if worst.any() else None

    @property
    def kind(self) -> str:
        return "NaN" if self.nan else "infinity"

    @property
    def counted(self) -> str:
        """``2 of 6 elements, the first at [0, 1],`` or less where there is no choice."""
        count = self.nan or self.infinite
        if self.first is None or self.size == 1:
            return f"{count} of {self.size} element{'s' * (self.size > 1)}"
        first = "the first at" if count > 1 else "at"
        return f"{count} of {self.size} elements ({first} {list(self.first)})"


def aval_text(x: Any) -> str:
    """``float32[2, 3]``."""
    return f"{x.dtype}{list(x.shape)}"


def number(value: Any) -> str:
    """Six digits of a number."""
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.6g}" if isinstance(value, (float, complex)) else str(value)


def range_text(x: Tensor) -> str:
    """``float32[2, 3] from -1 to 2``, or what keeps it from having a range."""
    values = x.numpy()
    finite = values[np.isfinite(values)]
    text = aval_text(x)
    if finite.size and x.dtype.kind != "c":
        low, high = number(finite.min()), number(finite.max())
        text += f" of {low}" if low == high else f" from {low} to {high}"
    found = Finding(x)
    for count, what in ((found.nan, "NaN"), (found.infinite, "infinite")):
        text += f", {count} {what}" if count else ""
    return text


def operand_name(primitive: Primitive, position: int) -> str:
    """What the rules call an operand; those of one name are counted."""
    if primitive.variadic or position >= len(primitive.operands):
        return f"{position}"
    return primitive.operands[position]


def operand_positions(node: Node) -> list[int]:
    """Which operand each parent of the node was."""
    for mask, pullback in node.pullback.primitive._pullbacks.items():
        if pullback is node.pullback:
            return [i for i in range(mask.bit_length() - 1) if mask >> i & 1]
    return list(range(len(node.parents)))  # a pullback made for this node alone (custom_vjp)


def saved_operands(node: Node) -> list[tuple[str, Any]]:
    """(name, value) of what the node kept: operands, and "the result"."""
    primitive = node.pullback.primitive
    return [
        ("the result" if i == OUTPUT else operand_name(primitive, i), value)
        for i, value in zip(node.pullback.saves, node.saved or (), strict=False)
    ]


def at_text(primitive: Primitive, index: tuple[int, ...] | None, named: Sequence[tuple[str, Any]], like: Tensor) -> str:
    """``, where x1 is 0 and x2 is 3``: the operands at one element of an elementwise operation."""
    if index is None or not isinstance(primitive, Elementwise):
        return ""
    found = []
    for name, value in named:
        plain = next(arrays_of(value), None)
        if plain is not None and plain.shape in (like.shape, ()):
            found.append(f"{name} is {number(plain.numpy()[index if plain.shape else ()])}")
    return f", where {' and '.join(found)}" if found else ""

"""The vjp of a composed form, itself in public operations: from it derivatives of any order of a fused vjp follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import context


def pulled(
    composed: Callable[..., Any], operands: Sequence[Any], wanted: Sequence[int], g: Any, params: dict[str, Any]
) -> tuple[Any, ...]:
    """The cotangents of the operands ``wanted``, zeros where the result does not depend on one."""
    transforms = context.current().interpreter.base.transforms
    found = transforms.pull_composed(composed, operands, wanted, g, params)
    found = (found,) if len(wanted) == 1 else found
    return tuple(
        operands[i].new_zeros(operands[i].shape) if cotangent is None else cotangent
        for i, cotangent in zip(wanted, found, strict=True)
    )

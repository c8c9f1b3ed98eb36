"""The matrix of properties over the op table: a check a column, a verdict a cell.

A verdict is "" (the property was seen to hold), or in words what is refused, or why the property means nothing there. A
property that does not hold raises. Verdicts are kept, so that the tests and the page ``docs/operations.md`` share them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import op_batching
import op_checks
import op_dtypes
import op_extents
import op_jax
from op_table import OpCase


class Missing(Exception):
    """A judge that is not installed."""


@cache
def judge(name: str) -> Any:
    """PyTorch or JAX, or None."""
    try:
        if name == "jax":
            return op_jax.load()
        import torch

        return torch
    except ImportError:
        return None


def asked(name: str) -> Any:
    found = judge(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


@cache
def value(case: OpCase) -> str:
    op_checks.value(case)
    return ""


@cache
def derivatives(case: OpCase) -> str:
    """The reason why there are none, or "" after all were compared with finite differences."""
    if not case.argnums(op_checks.arrays(case)):
        return case.why_not or "no operand is floating"
    if not case.order:
        return "stands where there is no derivative; PyTorch's convention is compared"
    op_checks.gradients(case)
    return ""


@cache
def second_order(case: OpCase) -> str:
    reason = derivatives(case)
    if reason or case.order < 2:
        return reason or "its second derivative does not exist there"
    op_checks.symmetry(case)
    return ""


@cache
def layouts(case: OpCase) -> str:
    if not op_checks.arrays(case):
        return op_dtypes.NO_OPERANDS
    op_checks.layouts(case)
    return ""


@cache
def pytorch(case: OpCase) -> str:
    if case.torch is None:
        return case.no_torch
    op_checks.peer(case, asked("torch"))
    return ""


@cache
def jax(case: OpCase) -> str:
    return op_jax.check(case, asked("jax"))


def in_dtype(name: str) -> Callable[[OpCase], str]:
    @cache
    def check(case: OpCase) -> str:
        if name == "bfloat16":
            try:
                import ml_dtypes  # noqa: F401
            except ImportError:
                raise Missing("ml_dtypes is not installed") from None
        try:
            return op_dtypes.check(case, name, judge("torch"))
        except op_dtypes.NoJudge as judges:
            raise Missing(str(judges)) from None

    return check


COLUMNS: dict[str, Callable[[OpCase], str]] = {
    "value": value,
    "vjp": derivatives,
    "jvp": derivatives,
    "2nd order": second_order,
    "vmap": cache(op_batching.check),
    **{name: in_dtype(name) for name in op_dtypes.DTYPES},
    "strided": layouts,
    "zero-size": cache(op_extents.check),
    "PyTorch": pytorch,
    "JAX": jax,
}

"""The largest of several values, and where it was: of equal ones the first, and a NaN replaces everything before it."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..emit import Kernel, constant, type_of, vector


def lowest(dtype: np.dtype, width: int) -> ir.Constant:
    return constant(vector(type_of(dtype), width), -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min))


def replace(builder: Kernel, dtype: np.dtype, best: ir.Value, found: ir.Value, value: ir.Value, at: ir.Value) -> None:
    """Of equal elements the first stays; a NaN replaces everything before it."""
    before, before_at = builder.load(best, typ=value.type), builder.load(found, typ=at.type)
    if dtype.kind == "f":
        larger = builder.fcmp_ordered(">", value, before)
        better = builder.or_(larger, builder.fcmp_unordered("uno", value, value))
    else:
        better = (builder.icmp_signed if dtype.kind == "i" else builder.icmp_unsigned)(">", value, before)
    builder.store(builder.select(better, value, before), best)
    builder.store(builder.select(better, at, before_at), found)

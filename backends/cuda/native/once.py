"""Values that are the same at all points: computed before them, and what is costly by one thread for its block."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_core.compiler.loops import Map

from .c_types import c_type
from .form import Form
from .lanes import Lanes
from .writer import Writer

# a thread that computes these again takes longer than one that waits for them
COSTLY = frozenset(
    {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "erf", "pow", "sqrt", "rsqrt", "cbrt", "hypot"}
    | {"sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"}
    | {"div", "reciprocal", "floor_div", "mod", "fmod"}
)


def declare(w: Writer, found: Form, constant: Sequence[int], inside: Sequence[int]) -> None:
    """Places that a block shares: for what the statements ``inside`` use of the ``constant`` ones, where it pays."""
    for p in _shown(found, constant, inside):
        w.line(f"__shared__ {c_type(found.dtype(p))} once{p};")


def define(w: Writer, found: Form, constant: Sequence[int], inside: Sequence[int]) -> None:
    """Define these values; all threads of the block are here."""
    shown, lanes = _shown(found, constant, inside), Lanes(w, found)
    if not shown:
        for p in constant:
            lanes.value(p)
        return
    w.line("__syncthreads();")
    with w.block("if (threadIdx.x == 0)"):
        for p in constant:
            lanes.value(p)
        for p in shown:
            w.line(f"once{p} = x{p};")
    w.line("__syncthreads();")
    for p in shown:
        w.line(f"const {c_type(found.dtype(p))} x{p} = once{p};")


def _shown(found: Form, constant: Sequence[int], inside: Sequence[int]) -> list[int]:
    if not any(isinstance(found.body[p], Map) and found.body[p].op in COSTLY for p in constant):
        return []
    used: set[int] = set()
    for p in inside:
        s = found.body[p]
        used |= set(s.args) if isinstance(s, Map) else {s.arg} if hasattr(s, "arg") else set()
    return [p for p in constant if p in used]

"""Loop kernels: what fusion makes of many small operations, and what a target turns into one loop nest.

A ``LoopKernel`` visits the points of an iteration space  outer x inner  and runs ``body`` at each. The body is a list
of statements in which every statement is a value that later ones name by position:

    for every outer point, shared out among threads:
        the first stage, for every inner point:   loads, scalar operations, stores
        its reductions over the inner points are known now; the next stage, for every inner point, may use them
        ...
    reductions over the outer points are stored at the end.

So softmax is two reductions and three stages over rows that stay in the first-level cache, and so are layer norm, its
gradient, and all elementwise work before and after them in the same kernel. A target decides which values it computes
again in the next stage and which it keeps; a statement belongs to the first stage in which all it needs is known.

Positions are in elements. Dimensions of size 1 are left out and neighbours merged where all accesses allow it; the last
inner dimension is the one whose accesses are most often contiguous. ``outer`` may be empty, and so may ``inner``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Access(NamedTuple):
    """Where an operand holds the element of a point: offset + sum(strides[d] * point[d]), over outer then inner."""

    operand: int
    strides: tuple[int, ...]
    offset: int = 0


class Load(NamedTuple):
    """The operand's element, of the operand's dtype."""

    access: Access
    dtype: np.dtype


class Constant(NamedTuple):
    value: Any  # a Python number or bool
    dtype: np.dtype


class Index(NamedTuple):
    """start + step * the point's coordinate along one dimension (counted over outer then inner), as int64."""

    dimension: int
    step: int = 1
    start: int = 0


class Map(NamedTuple):
    """A scalar operation of ``SCALAR_OPS`` on the values at the positions ``args``; the result has ``dtype``."""

    op: str
    args: tuple[int, ...]
    dtype: np.dtype


class Reduce(NamedTuple):
    """kind ('sum', 'prod', 'max', 'min', 'any', 'all') of a value over all inner points: known from the next stage on.

    'max' and 'min' are NaN if any element is. The order of a sum is the target's choice.
    """

    kind: str
    arg: int
    dtype: np.dtype


class Store(NamedTuple):
    """Write a value to an operand; a value that does not vary over the inner points is written once an outer point."""

    access: Access
    arg: int


class Accumulate(NamedTuple):
    """kind of a value over all outer points, stored at the end.

    over_inner: the reduction also runs over the inner points, and one number is stored; otherwise one an inner point,
    or one alone for a value that does not vary over the inner points: it then counts once an outer point.
    ``access`` has stride 0 along every dimension that is reduced. Not to be used by later statements.
    """

    kind: str
    arg: int
    access: Access
    over_inner: bool


Statement = Load | Constant | Index | Map | Reduce | Store | Accumulate


class LoopKernel(NamedTuple):
    """outer, inner: sizes. operands: dtype of each; ``outputs``: the positions of those that are written."""

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    body: tuple[Statement, ...]
    operands: tuple[np.dtype, ...]
    outputs: tuple[int, ...]


# Comparisons and logic give bool; ``cast`` and ``select`` (condition, then, else) any dtype; the rest the dtype of
# their arguments. Integer division and remainder round down; shifts and bitwise operations are for integers.
_UNARY = """neg abs sign sqrt rsqrt reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh
    tanh asinh acosh atanh cbrt floor ceil trunc rint isnan isinf isfinite signbit not invert cast copy sigmoid erf"""
_BINARY = """add sub mul div floor_div mod fmod pow max min atan2 hypot copysign eq ne lt le gt ge and or xor bit_and
    bit_or bit_xor shl shr"""
SCALAR_OPS: dict[str, int] = {
    **dict.fromkeys(_UNARY.split(), 1),
    **dict.fromkeys(_BINARY.split(), 2),
    "select": 3,
    "fma": 3,
}  # name -> number of arguments

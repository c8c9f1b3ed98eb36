"""Winograd's minimal filtering F(2 x 2, 3 x 3): 16 multiplications for four sums of nine products.

    Y = A^T [ (G g G^T) * (B^T d B) ] A

with d a 4 x 4 tile of the source, g the 3 x 3 weights, Y the 2 x 2 tile of the result, and * elementwise, which summed
over channels is 16 matrix products. By transposition the weights' gradient is

    dg = G^T [ sum over tiles of (A dY A^T) * (B^T d B) ] G.

All factors are 0, 1, -1 or 1/2: in float32 the rounding error is about twice that of the sum of products. Each Y is
finite where that sum is; what would be infinite is mostly NaN, the difference of infinities.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from ..emit import constant

POINTS = 16  # of a transformed tile

Values = list[ir.Value]
Transform = Callable[[ir.IRBuilder, Sequence[ir.Value]], Values]


def source(b: ir.IRBuilder, d: Sequence[ir.Value]) -> Values:
    """B^T d: four values from four."""
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def weight(b: ir.IRBuilder, g: Sequence[ir.Value]) -> Values:
    """G g: four values from three."""
    half = constant(g[0].type, 0.5)
    outer, inner = b.fmul(b.fadd(g[0], g[2]), half), b.fmul(g[1], half)
    return [g[0], b.fadd(outer, inner), b.fsub(outer, inner), g[2]]


def result(b: ir.IRBuilder, m: Sequence[ir.Value]) -> Values:
    """A^T m: two values from four."""
    return [b.fadd(b.fadd(m[0], m[1]), m[2]), b.fsub(b.fsub(m[1], m[2]), m[3])]


def result_transposed(b: ir.IRBuilder, y: Sequence[ir.Value]) -> Values:
    """A y: four values from two."""
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


def weight_transposed(b: ir.IRBuilder, m: Sequence[ir.Value]) -> Values:
    """G^T m: three values from four."""
    half = constant(m[0].type, 0.5)
    both, difference = b.fmul(b.fadd(m[1], m[2]), half), b.fmul(b.fsub(m[1], m[2]), half)
    return [b.fadd(m[0], both), difference, b.fadd(both, m[3])]


def both_ways(b: ir.IRBuilder, transform: Transform, tile: Sequence[Sequence[ir.Value]]) -> Values:
    """The transform of the columns, then of the rows; a square in and a square out, row by row."""
    down = list(zip(*(transform(b, column) for column in zip(*tile))))
    return [value for row in down for value in transform(b, row)]

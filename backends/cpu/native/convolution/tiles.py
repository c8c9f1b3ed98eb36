"""Contractions over nested axes, one register tile at a time: what a convolution and its weight's gradient share.

    c[m][v] = sum over k of a[m, k] * b[k, v]

with m and k each a nest of axes (pixels of an image; taps and channels), every axis a distance in memory. Elements of
``a`` are broadcast, ``b`` and ``c`` are registers of neighbours. A tile holds as many points m as there are registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..emit import element, i64, loop
from ..machine import Machine
from ..products.tile import LONGEST_BODY, Segment, TileShape, accumulate, repeated, zeros

LONGEST_UNROLLED = 9  # terms of a short innermost sum (the taps of one channel) that stand one after another
LARGEST_UNROLLED = 288  # fma instructions in such a stretch


class Axis(NamedTuple):
    """One axis of the result: how far a step goes in a and in c."""

    length: int | ir.Value
    a: int
    c: int


class Term(NamedTuple):
    """One axis of the sum: how far a step goes in a and in b."""

    length: int | ir.Value
    a: int
    b: int


class Point(NamedTuple):
    """One row of a tile, by its distances from the tile's first."""

    a: int
    c: int


def block_vectors(machine: Machine, dtype: Any, outputs: int) -> int:
    """Registers of outputs in a tile: a divisor of those that ``outputs`` fill."""
    filled = -(-outputs // machine.lanes(dtype))
    most = (2, 3, 5) if machine.registers >= 32 else (2, 3)
    return next((v for v in most if filled % v == 0), 1)


def most_rows(machine: Machine, vectors: int) -> int:
    """Rows of a tile that fit into the registers, beside one row of b and one broadcast element.

    No more accumulators than let two terms stand in the innermost loop.
    """
    return min(20, LONGEST_BODY // 2 // vectors, (machine.registers - vectors - 1) // vectors)


def collapsed(axes: Sequence[Any]) -> list[Any]:
    """Nested axes of which one goes on where the next ends are one axis."""
    result: list[Any] = []
    for axis in reversed(axes):
        if isinstance(axis.length, int) and axis.length == 1:
            continue
        if result and _continues(axis, result[0]):
            result[0] = result[0]._replace(length=result[0].length * axis.length)
        else:
            result.insert(0, axis)
    return result or [axes[-1]]


def _continues(axis: Any, inner: Any) -> bool:
    """Whether each step of ``axis`` goes where ``inner`` would have gone next."""
    whole = isinstance(axis.length, int) and isinstance(inner.length, int)
    return whole and all(step == n * inner.length for step, n in zip(axis[1:], inner[1:]))


def tiles(
    builder: ir.IRBuilder,
    axes: Sequence[Axis],
    most: int,
    body: Callable[[ir.Value, ir.Value, list[Point]], None],
) -> None:
    """Call ``body(a, c, points)`` for every tile of at most ``most`` points; a, c: distances of its first.

    The innermost axes are enumerated as far as they fit, the next is cut into pieces of two sizes at most.
    """
    outer, points = collapsed(axes), [Point(0, 0)]
    while outer and isinstance(outer[-1].length, int) and outer[-1].length * len(points) <= most:
        points = _times(outer[-1], outer[-1].length, points)
        outer.pop()
    pieces = [(1, 0, 1)]  # points along the cut axis in a piece, where such pieces start, how many there are
    cut = Axis(1, 0, 0)
    if outer and isinstance(outer[-1].length, int) and most // len(points) > 1:
        cut = outer.pop()
        pieces = _pieces(cut.length, most // len(points))

    def nest(left: list[Axis], a: ir.Value, c: ir.Value) -> None:
        if left:
            with loop(builder, 0, left[0].length) as i:
                nest(left[1:], _moved(builder, a, i, left[0].a), _moved(builder, c, i, left[0].c))
            return
        for size, start, count in pieces:
            with loop(builder, 0, count) as i:
                at = builder.add(builder.mul(i, i64(size)), i64(start))
                body(_moved(builder, a, at, cut.a), _moved(builder, c, at, cut.c), _times(cut, size, points))

    nest(outer, i64(0), i64(0))


def _pieces(count: int, most: int) -> list[tuple[int, int, int]]:
    """Of one size where one divides the count that is not much smaller than it could be: each size is code."""
    even = next((size for size in range(min(most, count), (most + 1) // 2, -1) if count % size == 0), None)
    if even:
        return [(even, 0, count // even)]
    pieces = -(-count // most)
    small, bigger = divmod(count, pieces)
    return [(small + 1, 0, bigger), (small, bigger * (small + 1), pieces - bigger)]


def _times(axis: Axis, count: int, points: list[Point]) -> list[Point]:
    return [Point(i * axis.a + a, i * axis.c + c) for i in range(count) for a, c in points]


def _moved(builder: ir.IRBuilder, at: ir.Value, index: ir.Value, step: int) -> ir.Value:
    return builder.add(at, builder.mul(index, i64(step))) if step else at


def summed(
    builder: ir.IRBuilder,
    machine: Machine,
    dtype: np.dtype,
    points: Sequence[Point],
    vectors: int,
    terms: Sequence[Term],
    a: ir.Value,
    b: ir.Value,
    mask: ir.Value | None = None,
) -> list[list[ir.Value]]:
    """The sums of one tile: for each point its registers. mask: lanes of b's last register that may be read."""
    shape = TileShape(dtype, len(points), vectors, machine.lanes(dtype))
    offsets = [point.a for point in points]
    *outer, inner = collapsed(terms)
    short = isinstance(inner.length, int) and inner.length <= LONGEST_UNROLLED
    short = short and inner.length * len(points) * vectors <= LARGEST_UNROLLED

    def nest(left: Sequence[Term], a: ir.Value, b: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        if not left:
            segment = Segment(inner.length, a, offsets, inner.a, b, inner.b, mask=mask)
            return accumulate(builder, shape, sums, segment, inner.length if short else None)
        term = left[0]

        def body(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            a, b, *sums = carried
            sums = nest(left[1:], a, b, sums)
            return [element(builder, a, term.a, shape.scalar), element(builder, b, term.b, shape.scalar), *sums]

        return repeated(builder, term.length, [a, b, *sums], body)[2:]

    sums = nest(outer, a, b, zeros(shape))
    return [sums[row * vectors : (row + 1) * vectors] for row in range(len(points))]

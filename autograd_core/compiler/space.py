"""Points and places: which element of an array belongs to which point of an iteration space, in affine terms.

A space has dimensions of known sizes, the last running fastest. The coordinate of an array's axis is an ``Affine``
function of the point: offset + sum(coefficient * point[d]). From the coordinates of a view follow those of what it
views. A reshape can need dimensions cut in two (``Cut`` says which, and where); one that no cut makes affine raises
``Skewed``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .expression import Node, Shape


class Affine(NamedTuple):
    """offset + sum(coefficient * point[dimension]) over the (dimension, coefficient) pairs in ``terms``."""

    offset: int = 0
    terms: tuple[tuple[int, int], ...] = ()


ZERO = Affine()
Coordinates = tuple[Affine, ...]


class Cut(Exception):
    """Dimension ``dimension`` must be two, the inner one of size ``size``."""

    def __init__(self, dimension: int, size: int):
        self.dimension = dimension
        self.size = size


class Skewed(Exception):
    """Places that are no affine function of the point, however the dimensions are cut."""


def combine(parts: Sequence[tuple[Affine, int]]) -> Affine:
    """sum(factor * affine)."""
    offset = 0
    terms: dict[int, int] = {}
    for affine, factor in parts:
        offset += affine.offset * factor
        for d, c in affine.terms:
            terms[d] = terms.get(d, 0) + c * factor
    return Affine(offset, tuple(sorted((d, c) for d, c in terms.items() if c)))


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array without gaps, in elements."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def spread(shape: Shape, dims: Sequence[int], sizes: Sequence[int]) -> Coordinates:
    """The coordinates of an array whose elements, in row-major order, belong to the points over ``dims`` in order."""
    strides = row_major([sizes[d] for d in dims])
    linear = Affine(0, tuple(sorted((d, s) for d, s in zip(dims, strides, strict=True) if sizes[d] > 1)))
    return coordinates(linear, shape, sizes)


def coordinates(linear: Affine, shape: Shape, sizes: Sequence[int]) -> Coordinates:
    """The coordinates, in an array of ``shape``, of the element number ``linear``."""
    result, axes = [], [n for n in shape if n != 1]
    for n in reversed(shape):
        if n == 1:
            result.append(ZERO)
            continue
        axes.pop()
        if not axes:  # the outermost takes what is left
            result.append(linear)
            linear = ZERO
            continue
        linear, rest = _divided(linear, n, sizes)
        result.append(rest)
    return tuple(reversed(result))


def _divided(linear: Affine, n: int, sizes: Sequence[int]) -> tuple[Affine, Affine]:
    """Quotient and remainder of division by n."""
    quotient = [(d, c // n) for d, c in linear.terms if c % n == 0]
    rest = [(d, c) for d, c in linear.terms if c % n]
    for d, c in rest:
        if abs(c) < n and n % abs(c) == 0 and abs(c) * sizes[d] > n and sizes[d] % (n // abs(c)) == 0:
            raise Cut(d, n // abs(c))
    low = sum(min(0, c * (sizes[d] - 1)) for d, c in rest)
    high = sum(max(0, c * (sizes[d] - 1)) for d, c in rest)
    offset = linear.offset % n
    if offset + low < 0 or offset + high >= n:
        raise Skewed
    return Affine((linear.offset - offset) // n, tuple(quotient)), Affine(offset, tuple(rest))


def through(view: Node, at: Coordinates, sizes: Sequence[int]) -> Coordinates:
    """Where the argument of a view holds the element that the view has at ``at``."""
    source = view.args[0].shape
    if view.kind == "permute":
        found = [ZERO] * len(source)
        for axis, coordinate in zip(view.params, at, strict=True):
            found[axis] = coordinate
        return tuple(found)
    if view.kind == "broadcast":
        return tuple(ZERO if n == 1 else c for n, c in zip(source, at[len(at) - len(source) :], strict=True))
    if view.kind == "slice":
        return tuple(
            Affine(start + step * c.offset, tuple((d, step * k) for d, k in c.terms))
            for (start, step), c in zip(view.params, at, strict=True)
        )
    return _reshaped(source, view.shape, at, sizes)


def _reshaped(source: Shape, shape: Shape, at: Coordinates, sizes: Sequence[int]) -> Coordinates:
    """Axes are matched in groups of equal products; a group's element number is split among the axes of the source."""
    found: list[Affine] = []
    i, j = len(source), len(shape)
    while i or j:
        last_i, last_j = i, j
        i, j = max(i - 1, 0), max(j - 1, 0)
        while (size_i := math.prod(source[i:last_i])) != (size_j := math.prod(shape[j:last_j])):
            if size_i < size_j:
                i -= 1
            else:
                j -= 1
        group = list(zip(at[j:last_j], row_major(shape[j:last_j]), strict=True))
        found[:0] = coordinates(combine(group), source[i:last_i], sizes)
    return tuple(found)


class Place(NamedTuple):
    """An array whose element (i, j, ...) lies at offset + i * strides[0] + j * strides[1] ... of another's memory."""

    strides: tuple[int, ...]
    offset: int = 0


def viewed(view: Node, base: Place) -> Place | None:
    """The place of a view of an array that lies at ``base``; None where strides cannot say it."""
    source = view.args[0].shape
    if 0 in view.shape:
        return Place((0,) * len(view.shape))
    if view.kind == "permute":
        return Place(tuple(base.strides[a] for a in view.params), base.offset)
    if view.kind == "broadcast":
        own = tuple(0 if n == 1 else s for n, s in zip(source, base.strides, strict=True))
        return Place((0,) * (len(view.shape) - len(source)) + own, base.offset)
    if view.kind == "slice":
        offset = base.offset + sum(s * start for s, (start, _) in zip(base.strides, view.params, strict=True))
        return Place(tuple(s * step for s, (_, step) in zip(base.strides, view.params, strict=True)), offset)
    # runs of axes that lie without gaps between them are one axis, cut anew
    runs: list[list[int]] = []  # size, stride
    for n, s in zip(source, base.strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = [runs[-1][0] * n, s]
        else:
            runs.append([n, s])
    strides: list[int] = []
    for n in reversed(view.shape):
        if n == 1:
            strides.append(0)
            continue
        while runs and runs[-1][0] == 1:
            runs.pop()
        if not runs or runs[-1][0] % n:
            return None
        size, step = runs[-1]
        strides.append(step)
        runs[-1] = [size // n, step * n]
    return Place(tuple(reversed(strides)), base.offset)


def element(at: Coordinates, place: Place) -> Affine:
    """The position in memory of the element at ``at``."""
    linear = combine(list(zip(at, place.strides, strict=True)))
    return Affine(linear.offset + place.offset, linear.terms)

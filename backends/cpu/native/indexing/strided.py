"""Walks over elements that lie at distances known when the code is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from llvmlite import ir

from ..emit import ERROR, I8, I64, POINTER, Kernel, element, i64, load, loop, store, vector


def merged(
    shape: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The same walk in as few dimensions as can be; ``strides``: for each operand one a dimension."""
    dims = [(n, *steps) for n, *steps in zip(shape, *strides, strict=True) if n != 1]
    joined: list[tuple[int, ...]] = []
    for n, *steps in dims:
        if joined and all(outer == inner * n for outer, inner in zip(joined[-1][1:], steps, strict=True)):
            joined[-1] = (joined[-1][0] * n, *steps)
        else:
            joined.append((n, *steps))
    columns = list(zip(*joined, strict=True)) if joined else [()] * (1 + len(strides))
    return tuple(columns[0]), tuple(tuple(column) for column in columns[1:])


def coordinates(builder: ir.IRBuilder, position: ir.Value, shape: Sequence[int]) -> list[ir.Value]:
    """Of the element at ``position`` (not negative) in row-major order."""
    found: list[ir.Value] = []
    for dimension, n in reversed(list(enumerate(shape))):
        if dimension == 0:
            found.insert(0, position)
        else:
            found.insert(0, builder.urem(position, i64(n)))
            position = builder.udiv(position, i64(n))
    return found


def distance(builder: ir.IRBuilder, at: Sequence[ir.Value], strides: Sequence[int]) -> ir.Value:
    """How many elements from the first one lies the one at these coordinates."""
    total: ir.Value = i64(0)
    for coordinate, stride in zip(at, strides, strict=True):
        if stride:
            total = builder.add(total, builder.mul(coordinate, i64(stride)))
    return total


@contextmanager
def nest(builder: ir.IRBuilder, shape: Sequence[int]) -> Iterator[list[ir.Value]]:
    """A loop for each dimension, the last innermost; gives the coordinates."""
    with ExitStack() as loops:
        yield [loops.enter_context(loop(builder, 0, n)) for n in shape]


def copy(
    builder: ir.IRBuilder,
    kind: ir.Type,
    lanes: int,
    source: tuple[ir.Value, Sequence[int]],
    target: tuple[ir.Value, Sequence[int]],
    shape: Sequence[int],
) -> None:
    """Copy elements of a type; source, target: the first element's address, and the strides."""
    sizes, (from_strides, to_strides) = merged(shape, (source[1], target[1]))
    whole = bool(sizes) and from_strides[-1] == to_strides[-1] == 1
    outer = sizes[:-1] if whole else sizes
    with nest(builder, outer) as at:
        first, place = (
            element(builder, pointer, distance(builder, at, strides[: len(outer)]), kind)
            for pointer, strides in ((source[0], from_strides), (target[0], to_strides))
        )
        if whole:
            copy_row(builder, kind, lanes, first, place, sizes[-1])
        else:
            store(builder, load(builder, first, kind), place)


def copy_row(builder: ir.IRBuilder, kind: ir.Type, lanes: int, source: ir.Value, target: ir.Value, count: int) -> None:
    """Copy ``count`` neighbours."""
    for start, width in runs(builder, lanes, count):
        value = load(builder, element(builder, source, start, kind), vector(kind, width))
        store(builder, value, element(builder, target, start, kind))


def runs(builder: ir.IRBuilder, lanes: int, count: int) -> Iterator[tuple[ir.Value, int]]:
    """Where vectors start that cover ``count`` neighbours, and how wide they are: full ones in a loop, then ever
    narrower ones. The loop's body is what the caller emits before it asks for the next."""
    done, width = 0, lanes
    while done < count:
        number = (count - done) // width
        if number == 1:
            yield i64(done), width
        elif number:
            with loop(builder, done, done + number * width, width) as start:
                yield start, width
        done += number * width
        width = width // 2 if width % 2 == 0 else 1


def fail(builder: Kernel, code: int) -> None:
    """Tell the team that the results are of no use."""
    shared = builder.load(element(builder, builder.team, 2, I64), typ=POINTER)
    builder.atomic_rmw("xchg", element(builder, shared, ERROR, I8), i64(code), "monotonic")


def table(builder: Kernel, name: str, values: Sequence[float], kind: ir.Type) -> ir.GlobalVariable:
    """Numbers that are part of the code; of at most one table of that name in a kernel."""
    numbers = [ir.Constant(kind, value) for value in values] or [ir.Constant(kind, None)]
    array = ir.Constant(ir.ArrayType(kind, len(numbers)), numbers)
    made = ir.GlobalVariable(builder.module, array.type, f"{builder.function.name}.{name}")
    made.initializer, made.global_constant, made.linkage = array, True, "internal"
    return made

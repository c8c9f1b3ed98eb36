"""Rows picked, added and put by integer indices: ``take``, its transpose ``add_at``, and what makes indices of others.

Rows are picked by threads that share the rows of the result. Where several rows may go to one place, threads share the
columns, or the places, so that every sum has one owner and runs in the order of the indices. An index out of range
stores an error code, and nothing is read or written for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.space import row_major
from autograd_core.ops._elements import add_at_p, joint_positions_p, last_p, positions_along_p, put_p, take_p
from autograd_core.primitive import Primitive

from ..emit import I8, I64, TYPES, Kernel, constant, element, i64, load, loop, smaller, store, type_of, vector
from ..engine import KernelSpec
from ..failures import INDEX_OUT_OF_RANGE
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import Machine
from .strided import coordinates, copy, distance, fail, merged, nest

COLUMNS = 16  # that threads share out together: at least half a cache line
CHUNK = 256  # elements that are set together
SHARED = 8  # stacks of rows that threads share rather than what is in them
ALIGNED = 8  # bytes of an entry of the workspace


def _known(*operands: Located) -> bool:
    return all(x.dtype.name in TYPES for x in operands)


def _key(name: str, operands: Sequence[Located], *params: object) -> tuple:
    """Offsets are no part of it: kernels are given the first element's address."""
    return (name, *((x.shape, x.dtype.name, x.strides) for x in operands), *params)


# ------------------------------------------------------------------------------------------- one index


def _index(builder: Kernel, indices: ir.Value, at: ir.Value, dtype: np.dtype, length: int) -> tuple[ir.Value, ir.Value]:
    """The index that lies there, counted from the front, and whether it is in range."""
    value = load(builder, element(builder, indices, at, type_of(dtype)), type_of(dtype))
    if dtype.itemsize < 8:
        value = (builder.sext if dtype.kind == "i" else builder.zext)(value, I64)
    if dtype.kind == "i":
        negative = builder.icmp_signed("<", value, i64(0))
        value = builder.select(negative, builder.add(value, i64(length)), value)
    return value, builder.icmp_unsigned("<", value, i64(length))


@contextmanager
def _if_in_range(builder: Kernel, valid: ir.Value) -> Iterator[None]:
    """The body for an index in range; the error code for another."""
    with builder.if_else(valid, likely=True) as (then, otherwise):
        with otherwise:
            fail(builder, INDEX_OUT_OF_RANGE)
        with then:
            yield


def checked(equation: Equation) -> tuple[Var, int] | None:
    """The indices of which the kernel finds out whether they are below a number, and the number."""
    primitive, values = equation.primitive, (*equation.inputs, *equation.outputs)
    if primitive not in (take_p, add_at_p, put_p) or not all(v.aval.size for v in values):
        return None
    whole = equation.outputs[0] if primitive is add_at_p else equation.inputs[0]
    return equation.inputs[2 if primitive is put_p else 1], whole.shape[equation.params["axis"]]


# ------------------------------------------------------------------------------------------- take


def _take(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (x, indices), (y,), axis = inputs, outputs, equation.params["axis"]
    if not _known(x, indices) or indices.dtype.kind not in "iu":
        return None
    moved = prod(y.shape) * y.dtype.itemsize
    spec = KernelSpec(
        "take",
        _key("take", inputs, axis),
        3,
        partial(_emit_take, x=x, indices=indices, axis=axis),
        bytes=2 * moved + prod(indices.shape) * indices.dtype.itemsize,
        may_fail=True,
    )
    return Lowered(spec, operands_in_order(2))


def _emit_take(builder: Kernel, machine: Machine, *, x: Located, indices: Located, axis: int) -> None:
    """Rows of the result are jobs: those before the axis, times the indices."""
    kind, length, inner = type_of(x.dtype), x.shape[axis], x.shape[axis + 1 :]
    before, (before_strides,) = merged(x.shape[:axis], (x.strides[:axis],))
    listed, (listed_strides,) = merged(indices.shape, (indices.strides,))
    first, last = builder.share(prod(before) * prod(listed))
    with loop(builder, first, last) as job:
        *outer, number = coordinates(builder, job, (*before, prod(listed)))
        at = distance(builder, coordinates(builder, number, listed), listed_strides)
        index, valid = _index(builder, builder.operands[1], at, indices.dtype, length)
        with _if_in_range(builder, valid):
            place = distance(builder, [*outer, index], (*before_strides, x.strides[axis]))
            source = element(builder, builder.operands[0], place, kind)
            target = element(builder, builder.operands[2], builder.mul(job, i64(prod(inner))), kind)
            strides = x.strides[axis + 1 :]
            copy(builder, kind, machine.lanes(x.dtype), (source, strides), (target, row_major(inner)), inner)


# ------------------------------------------------------------------------------------------- add_at and put


def _scattered(
    name: str,
    rows: Located,
    indices: Located,
    length: int,
    axis: int,
    inputs: Sequence[Located],
    base: Located | None = None,
) -> Lowered | Copies | None:
    """Rows that are added to zeros, or replace those of ``base``, in the order of their indices."""
    inner = rows.shape[axis + len(indices.shape) :]
    sizes, strides = merged(inner, (rows.strides[axis + len(indices.shape) :],))
    wrong = () if len(sizes) < 2 and (not sizes or strides[0][0] == 1) else (len(inputs) - 2,)
    if base is not None and not base.contiguous:
        wrong = (*wrong, 0)
    if wrong:
        return Copies(wrong)
    moved = (prod(rows.shape) * 3 + prod(rows.shape[:axis]) * length * prod(inner)) * rows.dtype.itemsize
    spec = KernelSpec(
        name,
        _key(name, inputs, length, axis),
        len(inputs) + 1,
        partial(_emit_scattered, rows=rows, indices=indices, length=length, axis=axis, replace=base is not None),
        bytes=moved,
        may_fail=True,
    )
    return Lowered(spec, operands_in_order(len(inputs)))


def _emit_scattered(
    builder: Kernel, machine: Machine, *, rows: Located, indices: Located, length: int, axis: int, replace: bool
) -> None:
    """First what the rows are added to, then the rows: threads share what is before the axis, columns, or places."""
    inner, lanes = prod(rows.shape[axis + len(indices.shape) :]), machine.lanes(rows.dtype)
    before, (before_strides,) = merged(rows.shape[:axis], (rows.strides[:axis],))
    total = prod(before) * length * inner
    if not total:
        return
    _begin(builder, lanes, rows.dtype, total, replace)
    builder.barrier()
    walk = _Scatter(builder, lanes, rows, indices, length, axis, replace)
    every, columns, places = (i64(0), i64(prod(before))), (i64(0), i64(inner)), None
    if prod(before) >= SHARED:
        every = builder.share(prod(before))
    elif inner >= 2 * COLUMNS:
        columns = builder.share(inner, COLUMNS)
    else:
        places = builder.share(length, COLUMNS)
    with loop(builder, *every) as job:
        start = distance(builder, coordinates(builder, job, before), before_strides) if before else i64(0)
        walk.run(start, builder.mul(job, i64(length * inner)), columns, places)


def _begin(builder: Kernel, lanes: int, dtype: np.dtype, total: int, replace: bool) -> None:
    """Zeros, or the elements of the first operand."""
    kind = type_of(dtype)
    source, target = builder.operands[0], builder.operands[-1]
    zero = 0.0 if dtype.kind == "f" else 0
    for at, wide in _registers(builder, *builder.share(total, CHUNK), total, kind, lanes):
        value = load(builder, element(builder, source, at, kind), wide) if replace else constant(wide, zero)
        store(builder, value, element(builder, target, at, kind))


def _registers(
    builder: Kernel, first: ir.Value, last: ir.Value, total: int, kind: ir.Type, lanes: int
) -> Iterator[tuple[ir.Value, ir.Type]]:
    """Where registers start that cover [first, last), and their types; parts of ``total`` that begin at registers."""
    whole = total // lanes * lanes
    with loop(builder, first, smaller(builder, last, i64(whole)), lanes) as start:
        yield start, vector(kind, lanes)
    if whole < total:  # the rest belongs to who has the last element
        with loop(builder, whole, builder.select(builder.icmp_signed("==", last, i64(total)), last, i64(0))) as place:
            yield place, kind


class _Scatter:
    """Rows on their way to their places, in order."""

    def __init__(
        self,
        builder: Kernel,
        lanes: int,
        rows: Located,
        indices: Located,
        length: int,
        axis: int,
        replace: bool,
    ):
        self.builder, self.lanes, self.dtype, self.kind = builder, lanes, rows.dtype, type_of(rows.dtype)
        self.indices, self.length, self.replace = indices, length, replace
        self.inner = prod(rows.shape[axis + len(indices.shape) :])
        self.values, self.listed, self.target = builder.operands[-3:]
        steps = rows.strides[axis : axis + len(indices.shape)]
        self.shape, (self.row_steps, self.index_steps) = merged(indices.shape, (steps, indices.strides))

    def run(
        self,
        start: ir.Value,
        result: ir.Value,
        columns: tuple[ir.Value, ir.Value],
        places: tuple[ir.Value, ir.Value] | None,
    ) -> None:
        """start, result: where the first row is, and place 0 of the result. columns, places: the only ones to look
        after; None for all."""
        builder = self.builder
        with nest(builder, self.shape) as at:
            index, valid = _index(
                builder, self.listed, distance(builder, at, self.index_steps), self.indices.dtype, self.length
            )
            with _if_in_range(builder, valid):
                source = builder.add(start, distance(builder, at, self.row_steps))
                source = element(builder, self.values, source, self.kind)
                place = builder.add(result, builder.mul(index, i64(self.inner)))
                place = element(builder, self.target, place, self.kind)
                if places is None:
                    self._row(source, place, columns)
                else:
                    own = builder.and_(
                        builder.icmp_signed(">=", index, places[0]), builder.icmp_signed("<", index, places[1])
                    )
                    with builder.if_then(own):
                        self._row(source, place, columns)

    def _row(self, source: ir.Value, place: ir.Value, columns: tuple[ir.Value, ir.Value]) -> None:
        builder, kind = self.builder, self.kind
        add = builder.fadd if self.dtype.kind == "f" else builder.add
        for at, wide in _registers(builder, *columns, self.inner, kind, min(self.lanes, COLUMNS)):
            value, here = load(builder, element(builder, source, at, kind), wide), element(builder, place, at, kind)
            store(builder, value if self.replace else add(load(builder, here, wide), value), here)


def _add_at(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    v, indices = inputs
    if not _known(v, indices) or indices.dtype.kind not in "iu" or v.dtype.kind == "b":
        return None
    return _scattered("add_at", v, indices, equation.params["length"], equation.params["axis"], inputs)


def _put(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (x, v, indices), axis = inputs, equation.params["axis"]
    if not _known(*inputs) or indices.dtype.kind not in "iu":
        return None
    return _scattered("put", v, indices, x.shape[axis], axis, inputs, x)


# ------------------------------------------------------------------------------------------- last


def _last(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    (indices,), length = inputs, equation.params["length"]
    if not _known(indices) or indices.dtype.kind not in "iu":
        return None
    emit = partial(_emit_last, indices=indices, length=length)
    moved = prod(indices.shape) * (2 * indices.dtype.itemsize + 2 * ALIGNED + 1)
    spec = KernelSpec("last", _key("last", inputs, length), 2, emit, length * ALIGNED, bytes=moved, may_fail=True)
    return Lowered(spec, operands_in_order(1))


def _emit_last(builder: Kernel, machine: Machine, *, indices: Located, length: int) -> None:
    """Thread 0 notes who comes to each place, and looks who is noted at the end."""
    shape, (steps,) = merged(indices.shape, (indices.strides,))

    def each(body: Callable[[ir.Value, ir.Value], None]) -> None:
        with nest(builder, shape) as at:
            place = distance(builder, at, steps)
            index, valid = _index(builder, builder.operands[0], place, indices.dtype, length)
            with _if_in_range(builder, valid):
                body(element(builder, builder.scratch, index, I64), distance(builder, at, row_major(shape)))

    def compare(noted: ir.Value, number: ir.Value) -> None:
        is_last = builder.icmp_signed("==", load(builder, noted, I64), number)
        store(builder, builder.zext(is_last, I8), element(builder, builder.operands[1], number, I8))

    with builder.if_then(builder.icmp_signed("==", builder.index, i64(0))):
        each(lambda noted, number: store(builder, number, noted))
        each(compare)


# ------------------------------------------------------------------------------------------- positions


def _positions(
    name: str, inputs: Sequence[Located], lengths: Sequence[int], y: Located, add: Sequence[int], scale: Sequence[int]
) -> Lowered | None:
    """y = the sum of each index, counted from the front, times its scale, and of each coordinate times its ``add``."""
    if not _known(*inputs) or any(x.dtype.kind not in "iu" for x in inputs):
        return None
    emit = partial(
        _emit_positions, inputs=tuple(inputs), lengths=tuple(lengths), shape=y.shape, add=tuple(add), scale=tuple(scale)
    )
    moved = prod(y.shape) * (8 + sum(x.dtype.itemsize for x in inputs))
    key = _key(name, inputs, y.shape, tuple(lengths), tuple(add), tuple(scale))
    return Lowered(
        KernelSpec(name, key, len(inputs) + 1, emit, bytes=moved, may_fail=True), operands_in_order(len(inputs))
    )


def _emit_positions(
    builder: Kernel,
    machine: Machine,
    *,
    inputs: Sequence[Located],
    lengths: Sequence[int],
    shape: Sequence[int],
    add: Sequence[int],
    scale: Sequence[int],
) -> None:
    strides = [_stretched(x, len(shape)) for x in inputs]
    first, last = builder.share(prod(shape), 8)
    with loop(builder, first, last) as position:
        at = coordinates(builder, position, shape)
        total = distance(builder, at, add)
        every: ir.Value | None = None
        for x, steps, length, factor, operand in zip(
            inputs, strides, lengths, scale, builder.operands[:-1], strict=True
        ):
            index, valid = _index(builder, operand, distance(builder, at, steps), x.dtype, length)
            total = builder.add(total, builder.mul(index, i64(factor)))
            every = valid if every is None else builder.and_(every, valid)
        with _if_in_range(builder, every):
            store(builder, total, element(builder, builder.operands[-1], position, I64))


def _stretched(x: Located, dimensions: int) -> tuple[int, ...]:
    """The strides of x broadcast to so many dimensions."""
    own = tuple(0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True))
    return (0,) * (dimensions - len(own)) + own


def _joint_positions(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    lengths = equation.params["lengths"]
    (y,) = outputs
    return _positions("joint_positions", inputs, lengths, y, (0,) * len(y.shape), row_major(lengths))


def _positions_along(
    equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]
) -> Lowered | Copies | None:
    shape, axis = equation.params["shape"], equation.params["axis"]
    steps = row_major(shape)
    add = tuple(0 if i == axis else s for i, s in enumerate(steps))
    return _positions("positions_along", inputs, (shape[axis],), outputs[0], add, (steps[axis],))


LOWERINGS: dict[Primitive, Lowering] = {
    take_p: _take,
    add_at_p: _add_at,
    put_p: _put,
    last_p: _last,
    joint_positions_p: _joint_positions,
    positions_along_p: _positions_along,
}

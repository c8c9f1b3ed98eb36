"""What attention and its gradients share: the operands, the scores of a block of queries, a thread's workspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from ..elementary.exponentials import exp_of_negative
from ..elementary.float_arithmetic import Arithmetic
from ..emit import (
    I8,
    I32,
    I64,
    Kernel,
    constant,
    element,
    i64,
    load,
    loop,
    rounded_up,
    smaller,
    splat,
    store,
    type_of,
    vector,
)
from ..indexing.strided import coordinates, distance
from ..located import Copies, Located
from ..machine import Machine
from ..products.packing import load_first
from ..products.small_product import Factor, Finish, multiply, pack_transposed

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LEAST_ROWS, USUAL_ROWS, MOST_ROWS = 32, 64, 96  # of a block of queries
MOST_SCORES = 1 << 20  # of a block, in elements
FEW = 4  # registers of a row that are written out one by one
LINE = 64


class Problem(NamedTuple):
    """Sizes; where the operands of each name lie, and which number they have."""

    dtype: np.dtype
    lead: tuple[int, ...]
    rows: int
    keys: int
    features: int
    width: int
    scale: float
    causal: bool
    keep_scale: float
    operands: dict[str, Located]
    numbers: dict[str, int]

    @property
    def matrices(self) -> int:
        return prod(self.lead)

    @property
    def some_unseen(self) -> bool:
        """Whether there are keys that no query of some block looks at."""
        return self.causal and self.block < self.keys

    @property
    def block(self) -> int:
        """Queries at a time: all, or as many as divide them evenly."""
        if self.rows <= MOST_ROWS:
            return self.rows
        fits = [n for n in range(LEAST_ROWS, MOST_ROWS + 1) if self.rows % n == 0]
        return max(fits, default=USUAL_ROWS)


def problem_of(names: Sequence[str], operands: Sequence[Located], params: dict[str, Any]) -> Problem | Copies | None:
    by_name = dict(zip(names, operands, strict=True))
    q, k, v = by_name["q"], by_name["k"], by_name["v"]
    if q.dtype not in FLOATS or any(x.dtype not in (q.dtype, np.dtype(bool)) for x in operands):
        return None
    sizes = (prod(q.shape[:-2]), q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])
    if not all(sizes):
        return None
    gaps = tuple(i for i, (name, x) in enumerate(by_name.items()) if not _has_rows(name, x))
    if gaps:
        return Copies(gaps)
    found = Problem(
        q.dtype,
        q.shape[:-2],
        *sizes[1:],
        params["scale"],
        params["causal"],
        params["keep_scale"],
        by_name,
        {name: i for i, name in enumerate(names)},
    )
    return found if found.block * found.keys <= MOST_SCORES else None


def _has_rows(name: str, x: Located) -> bool:
    """Whether rows are contiguous, as far as they must be."""
    if name == "sums" or x.shape[-1] == 1:
        return True
    return x.strides[-1] in ((0, 1) if name == "mask" else (1,))


def key_of(name: str, inputs: Sequence[Located], params: dict[str, Any]) -> tuple:
    return (name, *((x.shape, x.dtype.name, x.strides) for x in inputs), tuple(sorted(params.items())))


# ------------------------------------------------------------------------------------------- what both runs share


class Attention:
    """One thread at work on blocks of queries."""

    def __init__(self, builder: Kernel, machine: Machine, problem: Problem, results: dict[str, int]):
        self.builder, self.machine, self.problem = builder, machine, problem
        self.dtype, self.kind, self.lanes = problem.dtype, type_of(problem.dtype), machine.lanes(problem.dtype)
        self.results = results
        self.stride = rounded_up(problem.keys, self.lanes)  # of a row of scores
        self.register = vector(self.kind, self.lanes)
        self.pointers: dict[str, ir.Value] = {}
        self.seen: ir.Value | None = None  # how many keys a block's queries look at, if not all
        sizes = workspace(problem)
        place = builder.gep(builder.scratch, [builder.mul(builder.index, i64(sum(sizes.values())))], source_etype=I8)
        self.work: dict[str, ir.Value] = {}
        for name, size in sizes.items():
            self.work[name] = place
            place = builder.gep(place, [i64(size)], source_etype=I8)

    def enter(self, matrix: ir.Value) -> None:
        """Find the operands and results of this matrix."""
        builder, p = self.builder, self.problem
        at = coordinates(builder, matrix, p.lead)
        for name, x in p.operands.items():
            lead = x.strides[:-1] if name == "sums" else x.strides[:-2]
            own = x.shape[: len(lead)]
            steps = tuple(0 if n == 1 else s for n, s in zip(own, lead, strict=True))
            kind = type_of(x.dtype)
            self.pointers[name] = element(
                builder, builder.operands[p.numbers[name]], distance(builder, at, steps), kind
            )
        shapes = {"y": (p.rows, p.width), "log": (p.rows,)}
        shapes |= {"dq": (p.rows, p.features), "dk": (p.keys, p.features), "dv": (p.keys, p.width)}
        for name, number in self.results.items():
            start = builder.mul(matrix, i64(prod(shapes[name])))
            self.pointers[name] = element(builder, builder.operands[number], start, self.kind)

    def factor(self, name: str, row: ir.Value | None = None) -> Factor:
        """An operand of this matrix as a matrix, from ``row`` on."""
        stride, pointer = self.problem.operands[name].strides[-2], self.pointers[name]
        if row is not None:
            pointer = element(self.builder, pointer, self.builder.mul(row, i64(stride)), self.kind)
        return Factor(pointer, stride)

    def turned(self, name: str) -> Factor:
        """The operand with its columns contiguous, as it was packed."""
        return Factor(self.work[name], self.stride)

    def pack(self, name: str, columns: int) -> None:
        shape = (self.problem.keys, columns)
        pack_transposed(self.builder, self.machine, self.dtype, self.factor(name), shape, self.work[name])

    def at(self, name: str, row: ir.Value, column: ir.Value) -> ir.Value:
        """The address in a block of scores."""
        position = self.builder.add(self.builder.mul(row, i64(self.stride)), column)
        return element(self.builder, self.work[name], position, self.kind)

    def scores(self, start: ir.Value, rows: int) -> None:
        """Scores of ``rows`` queries from ``start`` on, minus infinity where they may not look."""
        p = self.problem
        if p.some_unseen:
            self.seen = smaller(self.builder, self.builder.add(start, i64(rows)), i64(p.keys))

        def finish(b: Kernel, row: ir.Value, column: ir.Value, count: int, value: ir.Value) -> None:
            value = b.fmul(value, constant(self.register, p.scale))
            nothing = constant(self.register, -inf)
            if "mask" in p.operands:
                mask = self._mask(b.add(row, start), column, count)
                value = b.select(mask, value, nothing) if mask.type != value.type else b.fadd(value, mask)
            if p.causal or count < self.lanes:
                value = b.select(self._seen(b.add(row, start), column), value, nothing)
            store(b, value, self.at("scores", row, column))

        shape = (rows, p.keys, p.features)
        queries, keys = self.factor("q", start), self.turned("k")
        self.multiply(shape, queries, keys, finish, padded=True, columns_needed=self.seen)

    def multiply(self, shape: Sequence[Any], a: Factor, b: Factor, finish: Finish, **how: Any) -> None:
        m, n, k = shape
        multiply(self.builder, self.machine, self.dtype, (m, n, k), a, b, finish, **how)

    @property
    def keys(self) -> int | ir.Value:
        return self.problem.keys if self.seen is None else self.seen

    def _seen(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """Which keys from ``column`` on exist, and may be looked at by this query."""
        b, p = self.builder, self.problem
        last = smaller(b, row, i64(p.keys - 1)) if p.causal else i64(p.keys - 1)
        room = b.sub(last, column)
        if self.lanes == 1:
            return b.icmp_signed(">=", room, i64(0))
        steps = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return b.icmp_signed("<=", steps, splat(b, room, self.lanes))

    def _mask(self, row: ir.Value, column: ir.Value, count: int) -> ir.Value:
        b, mask = self.builder, self.problem.operands["mask"]
        down, across = (0 if n == 1 else s for n, s in zip(mask.shape[-2:], mask.strides[-2:], strict=True))
        kind = type_of(mask.dtype)
        position = b.add(b.mul(row, i64(down)), b.mul(column, i64(across)))
        address = element(b, self.pointers["mask"], position, kind)
        if across:
            value = load_first(b, address, count, vector(kind, self.lanes))
        else:
            value = splat(b, load(b, address, kind), self.lanes)
        return b.icmp_unsigned("!=", value, constant(value.type, 0)) if mask.dtype.kind == "b" else value

    def each_register(self, body: Callable[[ir.Value, int], None]) -> None:
        """``body(column, count)`` for the registers of a row of scores."""
        whole, rest = divmod(self.problem.keys, self.lanes)
        end = i64(whole * self.lanes)
        if whole <= FEW and self.seen is None:
            for number in range(whole):
                body(i64(number * self.lanes), self.lanes)
        else:
            with loop(
                self.builder, 0, end if self.seen is None else smaller(self.builder, end, self.seen), self.lanes
            ) as column:
                body(column, self.lanes)
        if rest and self.seen is None:
            body(end, rest)
        elif rest:
            with self.builder.if_then(self.builder.icmp_signed(">", self.seen, end)):
                body(end, rest)

    def kept(self, row: ir.Value, column: ir.Value, count: int) -> ir.Value:
        """1 / (1 - p) for weights that dropout keeps, 0 for others."""
        b, keep = self.builder, self.problem.operands["keep"]
        position = b.add(b.mul(row, i64(keep.strides[-2])), column)
        value = load_first(b, element(b, self.pointers["keep"], position, I8), count, vector(I8, self.lanes))
        kept = b.icmp_unsigned("!=", value, constant(value.type, 0))
        return b.select(kept, constant(self.register, self.problem.keep_scale), constant(self.register, 0.0))

    def raised(self, value: ir.Value) -> ir.Value:
        """e^value, of differences to a maximum or to the logarithm of a sum."""
        return exp_of_negative(Arithmetic(self.builder, value.type), value)

    def of_row(self, name: str, row: ir.Value) -> ir.Value:
        return element(self.builder, self.work[name], row, self.kind)

    def larger(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def over_lanes(self, combine: Callable[[ir.Value, ir.Value], ir.Value], value: ir.Value) -> ir.Value:
        """One number of all lanes, halves with halves."""
        b, lanes = self.builder, self.lanes
        while lanes > 1:
            lanes //= 2
            undefined = ir.Constant(value.type, ir.Undefined)
            halves = []
            for start in (0, lanes):
                chosen = ir.Constant(ir.VectorType(I32, lanes), list(range(start, start + lanes)))
                halves.append(b.shuffle_vector(value, undefined, chosen))
            value = combine(*halves)
        return value if not isinstance(value.type, ir.VectorType) else b.extract_element(value, i64(0))


def workspace(p: Problem) -> dict[str, int]:
    """Bytes of each part of a thread's workspace; registers may reach over the end of rows."""
    slack = LINE // p.dtype.itemsize
    stride = p.keys + slack
    sizes = {"k": p.features * stride, "scores": p.block * stride, "total": p.block + slack, "top": p.block + slack}
    if "g" in p.operands:
        sizes |= {"v": p.width * stride, "slopes": p.block * stride}
    return {name: rounded_up(size * p.dtype.itemsize, LINE) + LINE for name, size in sizes.items()}


def each_block(run: Attention, matrix_and_block: Sequence[ir.Value], body: Callable[[ir.Value, int], None]) -> None:
    """``body(first query, how many)`` for one block; the last may be smaller."""
    builder, p = run.builder, run.problem
    block = matrix_and_block[1]
    start, rest = builder.mul(block, i64(p.block)), p.rows % p.block
    if not rest:
        body(start, p.block)
        return
    with builder.if_else(builder.icmp_signed("<", block, i64(p.rows // p.block))) as (whole, last):
        with whole:
            body(start, p.block)
        with last:
            body(start, rest)

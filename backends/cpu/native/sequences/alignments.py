"""The sum over alignments that the loss of connectionist temporal classification is, and its gradient.

Threads share the sequences. The states of a step are a row of registers, between margins in which there is nothing but
what cannot be, so that each state finds those before and behind it at addresses next to its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_core.compiler.ir import Equation
from autograd_core.ops.ctc import NEVER, POSSIBLE, ctc_alignment_p, ctc_alignment_slope_p
from autograd_core.primitive import Primitive

from ..elementary.exponentials import exp
from ..elementary.float_arithmetic import Arithmetic
from ..elementary.logarithms import log
from ..emit import (
    CACHE_LINE,
    I8,
    I64,
    Kernel,
    constant,
    element,
    first_lanes,
    i64,
    load,
    local,
    loop,
    masked_load,
    masked_store,
    rounded_up,
    smaller,
    splat,
    store,
    type_of,
    vector,
)
from ..engine import KernelSpec
from ..located import Copies, Located, Lowered, Lowering, operands_in_order
from ..machine import WORKERS, Machine

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
MARGIN = 16  # elements on either side of a row, at least a register
OPERATIONS = 60  # for a state in a step: three exponentials and a logarithm


class Sizes(NamedTuple):
    """Of the log-probabilities (T, N, 2 S + 1)."""

    dtype: np.dtype
    steps: int
    sequences: int
    states: int

    @property
    def row(self) -> int:
        """Bytes of the states of a step with their margins."""
        return rounded_up((rounded_up(self.states, MARGIN) + 2 * MARGIN) * self.dtype.itemsize, CACHE_LINE)

    def workspace(self, rows: int, spec: KernelSpec) -> KernelSpec:
        """The kernel, with so many rows for each thread."""
        part = rows * self.row
        return spec._replace(scratch=WORKERS * part, parts=WORKERS, part=part)


class _Sequence:
    """One sequence: its rows begin at ``base``, the first of them says which states may be leapt to."""

    def __init__(self, builder: Kernel, machine: Machine, sizes: Sizes, base: ir.Value, operands: Sequence[ir.Value]):
        self.builder, self.sizes, self.base = builder, sizes, base
        self.e, self.leaps, self.steps, self.lengths = operands
        self.lanes = machine.lanes(sizes.dtype)
        self.scalar = type_of(sizes.dtype)
        self.kind = vector(self.scalar, self.lanes)
        self.a = Arithmetic(builder, self.kind)
        self.one = Arithmetic(builder, self.scalar)

    # ------------------------------------------------------------------------------- rows

    def row(self, number: ir.Value | int) -> ir.Value:
        """The first state of a row of the workspace."""
        b = self.builder
        number = i64(number) if isinstance(number, int) else number
        start = element(b, self.base, b.mul(number, i64(self.sizes.row)), I8)
        return element(b, start, MARGIN, self.scalar)

    def at(self, row: ir.Value, state: ir.Value, by: int = 0) -> ir.Value:
        b = self.builder
        return load(b, element(b, row, b.add(state, i64(by)), self.scalar), self.kind)

    def put(self, value: ir.Value, row: ir.Value, state: ir.Value) -> None:
        """Store a register of states; beyond the last one nothing can be."""
        b = self.builder
        value = b.select(self._exist(state), value, self.a.number(NEVER)) if self._uneven else value
        store(b, value, element(b, row, state, self.scalar))

    def clear(self, row: ir.Value) -> None:
        """Nothing can be, neither in the row nor in its margins."""
        b, count = self.builder, rounded_up(self.sizes.states, MARGIN) + MARGIN
        with loop(b, -MARGIN, count, self.lanes) as state:
            store(b, self.a.number(NEVER), element(b, row, state, self.scalar))

    @contextmanager
    def states(self) -> Iterator[ir.Value]:
        """The body for each register of states."""
        with loop(self.builder, 0, self.sizes.states, self.lanes) as state:
            yield state

    @property
    def _uneven(self) -> bool:
        return self.lanes > 1 and self.sizes.states % self.lanes > 0

    def _exist(self, state: ir.Value) -> ir.Value:
        return first_lanes(self.builder, self.builder.sub(i64(self.sizes.states), state), self.lanes)

    def place(self, array: ir.Value, t: ir.Value, n: ir.Value, state: ir.Value) -> ir.Value:
        """The address in an array (T, N, 2 S + 1)."""
        b, sizes = self.builder, self.sizes
        step = b.add(b.mul(t, i64(sizes.sequences)), n)
        return element(b, array, b.add(b.mul(step, i64(sizes.states)), state), self.scalar)

    def scores(self, t: ir.Value, n: ir.Value, state: ir.Value) -> ir.Value:
        """A register of log-probabilities, none of them below that of what cannot be."""
        b, place = self.builder, self.place(self.e, t, n, state)
        x = masked_load(b, place, self._exist(state), self.kind) if self._uneven else load(b, place, self.kind)
        low = b.fcmp_ordered("<", x, self.a.number(NEVER))  # not so for NaN
        return b.select(low, self.a.number(NEVER), x)

    def write(self, value: ir.Value, result: ir.Value, t: ir.Value, n: ir.Value, state: ir.Value) -> None:
        b, place = self.builder, self.place(result, t, n, state)
        if self._uneven:
            masked_store(b, value, place, self._exist(state))
        else:
            store(b, value, place)

    # ------------------------------------------------------------------------------- the recursions

    def logsum(self, values: Sequence[ir.Value], a: Arithmetic) -> ir.Value:
        b, highest = self.builder, values[0]
        for value in values[1:]:
            highest = b.select(b.fcmp_ordered(">", value, highest), value, highest)
        total: ir.Value | None = None
        for value in values:
            term = exp(a, b.fsub(value, highest))
            total = term if total is None else b.fadd(total, term)
        assert total is not None
        return b.fadd(highest, log(a, total))

    def allowed(self, value: ir.Value, state: ir.Value, by: int = 0) -> ir.Value:
        """What comes by a leap: nothing if there is none to the state, ``by`` places from it."""
        b = self.builder
        leap = b.fcmp_ordered("==", self.at(self.row(0), state, by), self.a.number(0.0))
        return b.select(leap, value, self.a.number(NEVER))

    def begin(self, n: ir.Value) -> None:
        """The row of leaps: 0 where there is one."""
        b, leaps = self.builder, self.row(0)
        self.clear(leaps)
        with loop(b, 0, self.sizes.states) as state:
            place = b.add(b.mul(n, i64(self.sizes.states)), state)
            leap = b.icmp_signed("!=", load(b, element(b, self.leaps, place, I8), I8), constant(I8, 0))
            value = b.select(leap, constant(self.scalar, 0.0), constant(self.scalar, NEVER))
            store(b, value, element(b, leaps, state, self.scalar))

    def forwards(self, n: ir.Value, steps: ir.Value, *, keep: bool) -> ir.Value:
        """alpha of each of the ``steps``, in rows 1, 2 ..., or in turn in rows 1 and 2; the last one's row."""
        b = self.builder

        def row_of(t: ir.Value) -> ir.Value:
            return self.row(b.add(t if keep else b.and_(t, i64(1)), i64(1)))

        first = row_of(i64(0))
        self.clear(first)
        with loop(b, 0, min(2, self.sizes.states)) as state:
            x = load(b, self.place(self.e, i64(0), n, state), self.scalar)
            low = b.fcmp_ordered("<", x, constant(self.scalar, NEVER))
            store(b, b.select(low, constant(self.scalar, NEVER), x), element(b, first, state, self.scalar))
        with loop(b, 1, steps) as t:
            before, now = row_of(b.sub(t, i64(1))), row_of(t)
            if keep:
                self.clear(now)
            else:
                with b.if_then(b.icmp_signed("==", t, i64(1))):
                    self.clear(now)
            with self.states() as state:
                leapt = self.allowed(self.at(before, state, -2), state)
                total = self.logsum([self.at(before, state), self.at(before, state, -1), leapt], self.a)
                self.put(b.fadd(total, self.scores(t, n, state)), now, state)
        return row_of(b.sub(steps, i64(1)))

    def total(self, n: ir.Value, alpha: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The logarithm of the sum over alignments, and whether there is one."""
        b, one = self.builder, self.one
        end = b.mul(load(b, element(b, self.lengths, n, I64), I64), i64(2))
        last, before = (load(b, element(b, alpha, b.sub(end, i64(k)), self.scalar), self.scalar) for k in (0, 1))
        total = self.logsum([last, before], one)  # before the first state is a margin
        return total, b.fcmp_ordered(">", total, constant(self.scalar, POSSIBLE))

    def backwards(self, n: ir.Value, steps: ir.Value, scale: ir.Value, total: ir.Value, slope: ir.Value) -> None:
        """The gradient of each step: how often it is in a state, times minus ``scale``."""
        b = self.builder
        beta, after = self.row(self.sizes.steps + 1), self.row(self.sizes.steps + 2)
        self.clear(beta)
        self.clear(after)
        end = b.mul(load(b, element(b, self.lengths, n, I64), I64), i64(2))
        for k in (0, 1):
            with b.if_then(b.icmp_signed(">=", end, i64(k))):
                store(b, constant(self.scalar, 0.0), element(b, beta, b.sub(end, i64(k)), self.scalar))
        with loop(b, 0, self.sizes.steps) as index:
            t = b.sub(i64(self.sizes.steps - 1), index)
            with b.if_else(b.icmp_signed("<", t, steps)) as (inside, outside):
                with inside:
                    with b.if_then(b.icmp_signed("<", t, b.sub(steps, i64(1)))):
                        self._back(t, n, beta, after)
                    alpha = self.row(b.add(t, i64(1)))
                    with self.states() as state:
                        path = b.fadd(self.at(alpha, state), self.at(beta, state))
                        visits = exp(self.a, b.fsub(path, self._splat(total)))
                        self.write(b.fmul(self._splat(scale), visits), slope, t, n, state)
                with outside, self.states() as state:
                    self.write(self.a.number(0.0), slope, t, n, state)

    def _back(self, t: ir.Value, n: ir.Value, beta: ir.Value, after: ir.Value) -> None:
        """beta of step t from that of the next one."""
        b = self.builder
        with self.states() as state:
            self.put(b.fadd(self.at(beta, state), self.scores(b.add(t, i64(1)), n, state)), after, state)
        with self.states() as state:
            leapt = self.allowed(self.at(after, state, 2), state, 2)
            self.put(self.logsum([self.at(after, state), self.at(after, state, 1), leapt], self.a), beta, state)

    def _splat(self, value: ir.Value) -> ir.Value:
        return splat(self.builder, value, self.lanes)


# ------------------------------------------------------------------------------------------- kernels


def _sizes(e: Located, others: Sequence[Located]) -> Sizes | Copies | None:
    """None if no kernel is for these operands; ``others``: what else is to lie without gaps."""
    leaps, steps, lengths = others[-3:]
    if e.dtype not in FLOATS or 0 in e.shape or leaps.dtype != np.bool_:
        return None
    if steps.dtype != np.int64 or lengths.dtype != np.int64:
        return None
    gaps = tuple(i for i, x in enumerate((*others[:-3], e, *others[-3:])) if not x.contiguous)
    return Copies(gaps) if gaps else Sizes(e.dtype, *e.shape)


def _alignment(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    sizes, impossible = _sizes(inputs[0], inputs[1:]), equation.params["impossible"]
    if not isinstance(sizes, Sizes):
        return sizes
    emit = partial(_emit_alignment, sizes=sizes, impossible=impossible)
    spec = _spec("ctc", sizes, (impossible,), 5, emit)
    return Lowered(sizes.workspace(3, spec), operands_in_order(4))


def _slope(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
    sizes = _sizes(inputs[1], (inputs[0], *inputs[2:]))
    if not isinstance(sizes, Sizes):
        return sizes
    spec = _spec("ctc_slope", sizes, (), 6, partial(_emit_slope, sizes=sizes))
    return Lowered(sizes.workspace(sizes.steps + 3, spec), operands_in_order(5))


def _spec(name: str, sizes: Sizes, params: tuple, operands: int, emit: partial) -> KernelSpec:
    elements = sizes.steps * sizes.sequences * sizes.states
    times = 2 if name == "ctc_slope" else 1
    return KernelSpec(
        f"{name}_{sizes.steps}x{sizes.sequences}x{sizes.states}",
        (name, *sizes, *params),
        operands,
        emit,
        flops=times * OPERATIONS * elements,
        bytes=times * elements * sizes.dtype.itemsize,
    )


@contextmanager
def _each(
    builder: Kernel, machine: Machine, sizes: Sizes, rows: int, operands: Sequence[ir.Value]
) -> Iterator[tuple[_Sequence, ir.Value, ir.Value]]:
    """The body for each sequence of this thread, with its number and its steps."""
    b = builder
    base = element(b, b.scratch, b.mul(b.index, i64(rows * sizes.row)), I8)
    first, last = b.share(sizes.sequences, most=WORKERS)
    with loop(b, first, last) as n:
        sequence = _Sequence(b, machine, sizes, base, operands)
        steps = smaller(b, load(b, element(b, sequence.steps, n, I64), I64), i64(sizes.steps))
        yield sequence, n, steps


def _emit_alignment(builder: Kernel, machine: Machine, *, sizes: Sizes, impossible: float) -> None:
    b, kind = builder, type_of(sizes.dtype)
    with _each(b, machine, sizes, 3, b.operands[:4]) as (sequence, n, steps):
        loss = local(b, kind)
        none = b.icmp_signed("==", load(b, element(b, sequence.lengths, n, I64), I64), i64(0))
        b.store(b.select(none, constant(kind, 0.0), constant(kind, impossible)), loss)
        with b.if_then(b.icmp_signed(">", steps, i64(0))):
            sequence.begin(n)
            total, possible = sequence.total(n, sequence.forwards(n, steps, keep=False))
            b.store(b.select(possible, b.fneg(total), constant(kind, impossible)), loss)
        store(b, b.load(loss, typ=kind), element(b, b.operands[4], n, kind))


def _emit_slope(builder: Kernel, machine: Machine, *, sizes: Sizes) -> None:
    b, kind = builder, type_of(sizes.dtype)
    g, *operands, slope = b.operands
    with _each(b, machine, sizes, sizes.steps + 3, operands) as (sequence, n, steps):
        scale, total = local(b, kind), local(b, kind)
        b.store(constant(kind, 0.0), scale)
        b.store(constant(kind, 0.0), total)
        sequence.begin(n)
        with b.if_then(b.icmp_signed(">", steps, i64(0))):
            found, possible = sequence.total(n, sequence.forwards(n, steps, keep=True))
            given = b.fneg(load(b, element(b, g, n, kind), kind))
            b.store(b.select(possible, given, constant(kind, 0.0)), scale)
            b.store(b.select(possible, found, constant(kind, 0.0)), total)
        sequence.backwards(n, steps, b.load(scale, typ=kind), b.load(total, typ=kind), slope)


LOWERINGS: dict[Primitive, Lowering] = {ctc_alignment_p: _alignment, ctc_alignment_slope_p: _slope}

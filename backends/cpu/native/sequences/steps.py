"""The steps of a recurrent layer, and of its adjoint: what is the same whatever the cell.

A sequence that ends before a step keeps its state: there the adjoint passes on what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from ..emit import I64, element, i64, load, loop
from .kernels import OfRow, Recurrence, Rows, Units, Weights


class Step(NamedTuple):
    """One step: its place ``t`` in the sequence, ``before``: of the step that the layer takes before it. first, last:
    whether the layer, or its adjoint, begins or ends with it."""

    t: ir.Value
    before: ir.Value
    first: ir.Value
    last: ir.Value


class Row(NamedTuple):
    """A sequence of the batch; ``live``: whether it has the step, None if all have every step."""

    index: ir.Value
    live: ir.Value | None

    def either(self, builder: ir.IRBuilder, value: ir.Value, otherwise: ir.Value) -> ir.Value:
        return value if self.live is None else builder.select(self.live, value, otherwise)


class Inputs(NamedTuple):
    """What a layer computes its sums of. x_strides: of steps, sequences; lengths: None if all have every step."""

    x: ir.Value
    x_strides: tuple[int, ...]
    weight_ih: ir.Value
    weight_hh: ir.Value
    h0: ir.Value
    lengths: ir.Value | None


class Cotangents(NamedTuple):
    """Of the states (gy; strides of steps, sequences), of the last state (gh) and, a result, of the first (dh0)."""

    gy: ir.Value
    gy_strides: tuple[int, ...]
    gh: ir.Value
    dh0: ir.Value


# for units: for a row and the place of its sums -> the new state
Cell = Callable[[Step, ir.Value], Callable[[Units], Callable[[Row, ir.Value], ir.Value]]]
# for units: for a row and its state's cotangent -> what of it goes past the gates to the state before
AdjointCell = Callable[[Step], Callable[[Units], Callable[[Row, ir.Value], "ir.Value | None"]]]


def forwards(run: Recurrence, inputs: Inputs, states: ir.Value, last: ir.Value, cell: Cell) -> None:
    """The layer: ``cell(step, h)`` makes of the sums of W_ih x + W_hh h, and of the state h before, the next state."""
    b, layer = run.builder, run.layer
    run.pack([Weights(inputs.weight_ih, 1, layer.features), Weights(inputs.weight_hh, 1, layer.hidden)])
    with loop(b, 0, layer.length) as index:
        step = step_at(run, index, layer.reverse)
        h = b.select(step.first, inputs.h0, run.step_of(states, step.before))
        x = Rows(run.at(inputs.x, (step.t, inputs.x_strides[0])), inputs.x_strides[1])
        new = run.step_of(states, step.t)
        of_units = cell(step, h)

        def body(units: Units, step: Step = step, h: ir.Value = h, new: ir.Value = new, of_units=of_units) -> OfRow:
            of_row = of_units(units)

            def one(index: ir.Value, place: ir.Value) -> None:
                row = row_at(run, index, step, inputs.lengths)
                y = of_row(row, place)
                if row.live is not None:
                    y = row.either(b, y, units.load(run.spot(h, index, units)))
                for to in (new, last):
                    units.store(y, run.spot(to, index, units))

            return one

        with run.blocks() as (chunk, block):
            run.multiply(chunk, block, [x, Rows(h, layer.hidden)])
            run.each_row(chunk, block, body)
        run.end_of_step()


def backwards(
    run: Recurrence,
    gates: int,
    weight_hh: ir.Value,
    slopes: ir.Value,
    g: Cotangents,
    cell: AdjointCell,
    *,
    lengths: ir.Value | None,
    carried: bool = False,
) -> None:
    """The adjoint: ``cell(step)`` makes of the state's cotangent those of the gates, ``slopes`` (length, batch,
    gates * hidden), which reach the state before by W_hh.

    carried: whether the cell also returns what goes past the gates. It waits in the place of dh0.
    """
    b, layer = run.builder, run.layer
    past = carried or lengths is not None
    zero = ir.Constant(run.kind, None)
    run.pack([Weights(weight_hh, layer.hidden, 1)])

    def result(units: Units) -> OfRow:
        def one(index: ir.Value, place: ir.Value) -> None:
            spot = run.spot(g.dh0, index, units)
            dh = run.gate(place, 0)
            units.store(b.fadd(dh, units.load(spot)) if past else dh, spot)

        return one

    # one step more than there are finds the cotangent of h0
    with loop(b, 0, layer.length + 1) as index:
        step = step_at(run, index, not layer.reverse)
        later = b.add(step.t, b.sub(step.t, step.before))
        rows = Rows(run.step_of(slopes, later, gates), gates * layer.hidden)
        gy = run.at(g.gy, (step.t, g.gy_strides[0]))
        of_units = cell(step)

        def body(units: Units, step: Step = step, gy: ir.Value = gy, of_units=of_units) -> OfRow:
            of_row = of_units(units)

            def one(index: ir.Value, place: ir.Value) -> None:
                row, spot = row_at(run, index, step, lengths), run.spot(g.dh0, index, units)
                dh = b.fadd(run.gate(place, 0), units.load(run.at(gy, (index, g.gy_strides[1]), (units.unit, 1))))
                if past:  # at first its place holds anything
                    dh = b.fadd(dh, b.select(step.first, zero, units.load(spot)))
                passed = of_row(row, dh)
                if past:
                    units.store(row.either(b, zero if passed is None else passed, dh), spot)

            return one

        with run.blocks() as (chunk, block):
            with b.if_else(step.first) as (then, otherwise):
                with then:
                    run.put(chunk, block, g.gh)
                with otherwise:
                    run.multiply(chunk, block, [rows])
            with b.if_else(b.icmp_signed("<", index, i64(layer.length))) as (then, otherwise):
                with then:
                    run.each_row(chunk, block, body)
                with otherwise:
                    run.each_row(chunk, block, result)
        run.end_of_step()


def step_at(run: Recurrence, index: ir.Value, from_end: bool) -> Step:
    """The step that comes ``index`` steps after the first that is taken."""
    b, last = run.builder, i64(run.layer.length - 1)
    t = b.sub(last, index) if from_end else index
    before = b.add(t, i64(1 if run.layer.reverse else -1))
    return Step(t, before, b.icmp_signed("==", index, i64(0)), b.icmp_signed("==", index, last))


def row_at(run: Recurrence, index: ir.Value, step: Step, lengths: ir.Value | None) -> Row:
    """A sequence at a step."""
    if lengths is None:
        return Row(index, None)
    b = run.builder
    return Row(index, b.icmp_signed("<", step.t, load(b, element(b, lengths, index, I64), I64)))

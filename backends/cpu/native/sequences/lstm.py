"""Long short-term memory over a whole sequence, and its adjoint, as kernels."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from llvmlite import ir

from ..elementary.exponentials import sigmoid, tanh
from ..elementary.float_arithmetic import Arithmetic
from ..emit import Kernel
from ..engine import KernelSpec
from ..machine import Machine
from .kernels import Arrangement, Layer, Recurrence, Units, span_of, workspace
from .steps import AdjointCell, Cell, Cotangents, Inputs, Row, Step, backwards, forwards

GATES = 4


def lstm(layer: Layer, x_strides: tuple[int, ...], *, bias: bool, lengths: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, c0, the bias and the lengths if there are any; states, last h, last c,
    gates, cells.

    x_strides: of x's steps and sequences, in elements; everything else lies without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"lstm_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("lstm", *layer, x_strides, bias, lengths),
        10 + bias + lengths,
        partial(_forward, layer, x_strides, bias, lengths),
        flops=2 * GATES * cells * (layer.features + layer.hidden),
        bytes=layer.dtype.itemsize * (inputs + (GATES + 2) * cells),
    )
    return workspace(layer, GATES, layer.features + layer.hidden, GATES).of(spec)


def _forward(
    layer: Layer, x_strides: tuple[int, ...], bias: bool, lengths: bool, builder: Kernel, machine: Machine
) -> None:
    x, weight_ih, weight_hh, h0, c0, *rest = builder.operands
    states, last_h, last_c, gates, cells = rest[bias + lengths :]
    inputs = Inputs(x, x_strides, weight_ih, weight_hh, h0, rest[bias] if lengths else None)
    run = Recurrence(builder, machine, layer, Arrangement(GATES, 1, 2, (layer.features, layer.hidden), GATES))
    forwards(run, inputs, states, last_h, cell_of(run, rest[0] if bias else None, c0, last_c, gates, cells))


def cell_of(
    run: Recurrence, bias: ir.Value | None, c0: ir.Value, last_c: ir.Value, gates: ir.Value, cells: ir.Value
) -> Cell:
    """o tanh(c) of the gates' sums; the gates and the cells are kept."""
    builder, layer, a = run.builder, run.layer, Arithmetic(run.builder, run.kind)

    def cell(step: Step, h: ir.Value):
        c, new_c = builder.select(step.first, c0, last_c), run.step_of(cells, step.t)
        new_gates = run.step_of(gates, step.t, GATES)

        def of_units(units: Units):
            given = range(GATES) if bias is not None else ()
            biases = [units.load(run.at(bias, (units.unit, 1), (k, layer.hidden))) for k in given]

            def of_row(row: Row, place: ir.Value) -> ir.Value:
                sums = [run.gate(place, k) for k in range(GATES)]
                if biases:
                    sums = [a.add(z, b) for z, b in zip(sums, biases, strict=True)]
                i, f, o = (sigmoid(a, sums[k]) for k in (0, 1, 3))
                g = tanh(a, sums[2])
                before = units.load(run.spot(c, row.index, units))
                value = row.either(builder, a.fma(f, before, a.mul(i, g)), before)
                for k, gate in enumerate((i, f, g, o)):
                    units.store(gate, run.spot(new_gates, row.index, units, k, GATES))
                for to in (new_c, last_c):
                    units.store(value, run.spot(to, row.index, units))
                return a.mul(o, tanh(a, value))

            return of_row

        return of_units

    return cell


def lstm_adjoint(layer: Layer, gy_strides: tuple[int, ...], *, lengths: bool) -> KernelSpec:
    """Operands: the cotangents of the states, of the last h and the last c; gates, cells, weight_hh, c0, the lengths if
    there are any; and the results: the cotangents of the gates before their nonlinearities, of h0 and of c0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"lstm_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("lstm_adjoint", *layer._replace(features=0), gy_strides, lengths),
        10 + lengths,
        partial(_adjoint, layer, gy_strides, lengths),
        flops=2 * GATES * cells * layer.hidden,
        bytes=layer.dtype.itemsize * (2 * GATES + 2) * cells,
    )
    return workspace(layer, 1, GATES * layer.hidden).of(spec)


def _adjoint(layer: Layer, gy_strides: tuple[int, ...], lengths: bool, builder: Kernel, machine: Machine) -> None:
    gy, gh, gc, gates, cells, weight_hh, c0, *rest = builder.operands
    slopes, dh0, dc0 = rest[lengths:]
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, min(span, 2), (GATES * layer.hidden,), span))
    given = Cotangents(gy, gy_strides, gh, dh0)
    cell = adjoint_cell(run, Cells(gates, cells, c0, gc), dc0, slopes)
    backwards(run, GATES, weight_hh, slopes, given, cell, lengths=rest[0] if lengths else None)


class Cells(NamedTuple):
    """What the adjoint reads of the layer: its gates and cells, the first cell, the last one's cotangent."""

    gates: ir.Value
    cells: ir.Value
    first: ir.Value
    cotangent: ir.Value


def adjoint_cell(
    run: Recurrence, known: Cells, dc0: ir.Value, slopes: ir.Value, made: ir.Value | None = None
) -> AdjointCell:
    """The gates' cotangents from that of o tanh(c), which is kept in ``made`` if that is given."""
    builder, a, (gates, cells, c0, gc) = run.builder, Arithmetic(run.builder, run.kind), known

    def cell(step: Step):
        before = builder.select(step.last, c0, run.step_of(cells, step.before))
        dc = builder.select(step.first, gc, dc0)
        now_cells = run.step_of(cells, step.t)
        now_gates, now_slopes = run.step_of(gates, step.t, GATES), run.step_of(slopes, step.t, GATES)

        def of_units(units: Units):
            def of_row(row: Row, dh: ir.Value) -> None:
                i, f, g, o = (units.load(run.spot(now_gates, row.index, units, k, GATES)) for k in range(GATES))
                squashed = tanh(a, units.load(run.spot(now_cells, row.index, units)))
                if made is not None:
                    units.store(a.mul(o, squashed), run.spot(run.step_of(made, step.t), row.index, units))
                dho = a.mul(dh, o)
                through = a.fma(a.neg(a.mul(squashed, squashed)), dho, dho)
                given = units.load(run.spot(dc, row.index, units))
                d = a.add(given, through)
                d_out = a.mul(a.mul(dho, squashed), a.sub(1.0, o))
                kept = a.mul(d, f)
                d_forget = a.mul(a.mul(kept, units.load(run.spot(before, row.index, units))), a.sub(1.0, f))
                let_in = a.mul(d, i)
                d_new = a.fma(a.neg(a.mul(g, g)), let_in, let_in)
                d_in = a.mul(a.mul(let_in, g), a.sub(1.0, i))
                for k, value in enumerate((d_in, d_forget, d_new, d_out)):
                    value = row.either(builder, value, a.number(0.0))
                    units.store(value, run.spot(now_slopes, row.index, units, k, GATES))
                units.store(row.either(builder, kept, given), run.spot(dc0, row.index, units))

            return of_row

        return of_units

    return cell

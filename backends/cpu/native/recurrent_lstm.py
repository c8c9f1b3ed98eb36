"""Long short-term memory over a whole sequence, and its adjoint, as kernels."""

from __future__ import annotations

from functools import partial

from llvmlite import ir

from .emit import Kernel
from .engine import KernelSpec
from .exponentials import sigmoid, tanh
from .float_arithmetic import Arithmetic
from .machine import Machine
from .recurrent import (
    Arrangement,
    Body,
    Layer,
    OfRow,
    Recurrence,
    Rows,
    Step,
    Units,
    backwards,
    forwards,
    span_of,
    workspace,
)

GATES = 4


def lstm(layer: Layer, x_strides: tuple[int, ...], *, bias: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, c0, the bias if there is one; states, last h, last c, gates, cells.

    x_strides: of x's steps and sequences, in elements; everything else lies without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"lstm_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("lstm", *layer, x_strides, bias),
        10 + bias,
        partial(_forward, layer, x_strides, bias),
        workspace(layer, GATES, GATES, layer.features + layer.hidden),
        2 * GATES * cells * (layer.features + layer.hidden),
        layer.dtype.itemsize * (inputs + (GATES + 2) * cells),
    )


def _forward(layer: Layer, x_strides: tuple[int, ...], bias: bool, builder: Kernel, machine: Machine) -> None:
    x, weight_ih, weight_hh, h0, c0, *rest = builder.operands
    states, last_h, last_c, gates, cells = rest[bias:]
    run = Recurrence(builder, machine, layer, Arrangement(GATES, 1, 2, (layer.features, layer.hidden), GATES))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step, h: ir.Value) -> Body:
        c = builder.select(step.first, c0, last_c)
        new_h, new_c = run.step_of(states, step.t), run.step_of(cells, step.t)
        new_gates = run.step_of(gates, step.t, GATES)

        def of_units(units: Units) -> OfRow:
            biases = [units.load(run.at(rest[0], (units.unit, 1), (k, layer.hidden))) for k in range(GATES) if bias]

            def of_row(row: ir.Value, place: ir.Value) -> None:
                sums = [run.gate(place, k) for k in range(GATES)]
                if bias:
                    sums = [a.add(z, b) for z, b in zip(sums, biases, strict=True)]
                i, f, o = (sigmoid(a, sums[k]) for k in (0, 1, 3))
                g = tanh(a, sums[2])
                value = a.fma(f, units.load(run.spot(c, row, units)), a.mul(i, g))
                y = a.mul(o, tanh(a, value))
                for k, gate in enumerate((i, f, g, o)):
                    units.store(gate, run.spot(new_gates, row, units, k, GATES))
                for to, what in ((new_c, value), (last_c, value), (new_h, y), (last_h, y)):
                    units.store(what, run.spot(to, row, units))

            return of_row

        return of_units

    forwards(run, Rows(x, x_strides[1]), x_strides[0], (weight_ih, weight_hh), h0, states, cell)


def lstm_adjoint(layer: Layer, gy_strides: tuple[int, ...]) -> KernelSpec:
    """Operands: the cotangents of the states, of the last h and the last c; gates, cells, weight_hh, c0; and the
    results: the cotangents of the gates before their nonlinearities, of h0 and of c0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"lstm_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("lstm_adjoint", *layer._replace(features=0), gy_strides),
        10,
        partial(_adjoint, layer, gy_strides),
        workspace(layer, 1, 2, GATES * layer.hidden),
        2 * GATES * cells * layer.hidden,
        layer.dtype.itemsize * (2 * GATES + 2) * cells,
    )


def _adjoint(layer: Layer, gy_strides: tuple[int, ...], builder: Kernel, machine: Machine) -> None:
    gy, gh, gc, gates, cells, weight_hh, c0, slopes, dh0, dc0 = builder.operands
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, span, (GATES * layer.hidden,), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step) -> Body:
        before = builder.select(step.last, c0, run.step_of(cells, step.before))
        dc = builder.select(step.first, gc, dc0)
        now_gy, now_cells = run.at(gy, (step.t, gy_strides[0])), run.step_of(cells, step.t)
        now_gates, now_slopes = run.step_of(gates, step.t, GATES), run.step_of(slopes, step.t, GATES)

        def of_units(units: Units) -> OfRow:
            def of_row(row: ir.Value, place: ir.Value) -> None:
                i, f, g, o = (units.load(run.spot(now_gates, row, units, k, GATES)) for k in range(GATES))
                dh = a.add(run.gate(place, 0), units.load(run.at(now_gy, (row, gy_strides[1]), (units.unit, 1))))
                squashed = tanh(a, units.load(run.spot(now_cells, row, units)))
                dho = a.mul(dh, o)
                through = a.fma(a.neg(a.mul(squashed, squashed)), dho, dho)
                d = a.add(units.load(run.spot(dc, row, units)), through)
                d_out = a.mul(a.mul(dho, squashed), a.sub(1.0, o))
                kept = a.mul(d, f)
                d_forget = a.mul(a.mul(kept, units.load(run.spot(before, row, units))), a.sub(1.0, f))
                let_in = a.mul(d, i)
                d_new = a.fma(a.neg(a.mul(g, g)), let_in, let_in)
                d_in = a.mul(a.mul(let_in, g), a.sub(1.0, i))
                for k, value in enumerate((d_in, d_forget, d_new, d_out)):
                    units.store(value, run.spot(now_slopes, row, units, k, GATES))
                units.store(kept, run.spot(dc0, row, units))

            return of_row

        return of_units

    def result(units: Units) -> OfRow:
        return lambda row, place: units.store(run.gate(place, 0), run.spot(dh0, row, units))

    backwards(run, GATES, weight_hh, slopes, gh, cell, result)

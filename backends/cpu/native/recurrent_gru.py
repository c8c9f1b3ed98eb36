"""Gated recurrent units over a whole sequence, and their adjoint, as kernels."""

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

GATES = 3
SLOTS = 4  # n's sums over x and over h stay apart


def gru(layer: Layer, x_strides: tuple[int, ...], *, bias_ih: bool, bias_hh: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, those biases that there are; states, last h, gates, inner.

    inner: the hidden part of n before r scales it. x_strides: of x's steps and sequences, in elements; everything else
    lies without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"gru_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("gru", *layer, x_strides, bias_ih, bias_hh),
        8 + bias_ih + bias_hh,
        partial(_forward, layer, x_strides, bias_ih, bias_hh),
        workspace(layer, GATES, SLOTS, layer.features + layer.hidden),
        2 * GATES * cells * (layer.features + layer.hidden),
        layer.dtype.itemsize * (inputs + (GATES + 2) * cells),
    )


def _forward(
    layer: Layer, x_strides: tuple[int, ...], bias_ih: bool, bias_hh: bool, builder: Kernel, machine: Machine
) -> None:
    x, weight_ih, weight_hh, h0, *rest = builder.operands
    states, last_h, gates, inner = rest[bias_ih + bias_hh :]
    arrangement = Arrangement(GATES, 1, GATES, (layer.features, layer.hidden), SLOTS, split=True)
    run = Recurrence(builder, machine, layer, arrangement)
    a = Arithmetic(builder, run.kind)

    def cell(step: Step, h: ir.Value) -> Body:
        new_h, new_inner = run.step_of(states, step.t), run.step_of(inner, step.t)
        new_gates = run.step_of(gates, step.t, GATES)

        def of_units(units: Units) -> OfRow:
            given = [rest[0]] * bias_ih + [rest[bias_ih]] * bias_hh
            loaded = [[units.load(run.at(b, (units.unit, 1), (k, layer.hidden))) for k in range(GATES)] for b in given]
            both = [a.add(*pair) if len(pair) == 2 else pair[0] for pair in zip(*loaded, strict=True)]
            of_new, of_inner = loaded[0][2] if bias_ih else None, loaded[-1][2] if bias_hh else None

            def sum_of(place: ir.Value, slot: int, bias: ir.Value | None) -> ir.Value:
                value = run.gate(place, slot)
                return value if bias is None else a.add(value, bias)

            def of_row(row: ir.Value, place: ir.Value) -> None:
                r, z = (sigmoid(a, sum_of(place, k, both[k] if both else None)) for k in range(2))
                u = sum_of(place, 2, of_inner)
                n = tanh(a, a.fma(r, u, sum_of(place, SLOTS - 1, of_new)))
                y = a.fma(a.sub(units.load(run.spot(h, row, units)), n), z, n)
                for k, gate in enumerate((r, z, n)):
                    units.store(gate, run.spot(new_gates, row, units, k, GATES))
                for to, what in ((new_inner, u), (new_h, y), (last_h, y)):
                    units.store(what, run.spot(to, row, units))

            return of_row

        return of_units

    forwards(run, Rows(x, x_strides[1]), x_strides[0], (weight_ih, weight_hh), h0, states, cell)


def gru_adjoint(layer: Layer, gy_strides: tuple[int, ...]) -> KernelSpec:
    """Operands: the cotangents of the states and of the last one; gates, inner, states, weight_hh, h0; and the
    results: the cotangents of the gates' input parts, of their hidden parts, and of h0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"gru_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("gru_adjoint", *layer._replace(features=0), gy_strides),
        10,
        partial(_adjoint, layer, gy_strides),
        workspace(layer, 1, 2, GATES * layer.hidden),
        2 * GATES * cells * layer.hidden,
        layer.dtype.itemsize * (3 * GATES + 3) * cells,
    )


def _adjoint(layer: Layer, gy_strides: tuple[int, ...], builder: Kernel, machine: Machine) -> None:
    gy, gh, gates, inner, states, weight_hh, h0, d_input, d_hidden, dh0 = builder.operands
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, span, (GATES * layer.hidden,), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step) -> Body:
        before = builder.select(step.last, h0, run.step_of(states, step.before))
        now_gy, now_inner = run.at(gy, (step.t, gy_strides[0])), run.step_of(inner, step.t)
        now_gates, now_input, now_hidden = (run.step_of(p, step.t, GATES) for p in (gates, d_input, d_hidden))

        def of_units(units: Units) -> OfRow:
            def of_row(row: ir.Value, place: ir.Value) -> None:
                r, z, n = (units.load(run.spot(now_gates, row, units, k, GATES)) for k in range(GATES))
                dh = a.add(run.gate(place, 0), units.load(run.at(now_gy, (row, gy_strides[1]), (units.unit, 1))))
                # what has come past the gates: in the place of the result, which at first holds anything
                past = units.load(run.spot(dh0, row, units))
                dh = a.add(dh, builder.select(step.first, a.number(0.0), past))
                kept = a.mul(dh, z)
                d_outer = a.sub(dh, kept)
                d_outer = a.fma(a.neg(a.mul(n, n)), d_outer, d_outer)
                d_inner = a.mul(d_outer, r)
                d_reset = a.mul(a.mul(d_inner, units.load(run.spot(now_inner, row, units))), a.sub(1.0, r))
                d_update = a.mul(a.sub(units.load(run.spot(before, row, units)), n), a.mul(kept, a.sub(1.0, z)))
                for to, last in ((now_input, d_outer), (now_hidden, d_inner)):
                    for k, value in enumerate((d_reset, d_update, last)):
                        units.store(value, run.spot(to, row, units, k, GATES))
                units.store(kept, run.spot(dh0, row, units))

            return of_row

        return of_units

    def result(units: Units) -> OfRow:
        def of_row(row: ir.Value, place: ir.Value) -> None:
            spot = run.spot(dh0, row, units)
            units.store(a.add(run.gate(place, 0), units.load(spot)), spot)

        return of_row

    backwards(run, GATES, weight_hh, d_hidden, gh, cell, result)

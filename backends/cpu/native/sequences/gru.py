"""Gated recurrent units over a whole sequence, and their adjoint, as kernels."""

from __future__ import annotations

from functools import partial

from llvmlite import ir

from ..elementary.exponentials import sigmoid, tanh
from ..elementary.float_arithmetic import Arithmetic
from ..emit import Kernel
from ..engine import KernelSpec
from ..machine import Machine
from .kernels import Arrangement, Layer, Recurrence, Units, span_of, workspace
from .steps import Cotangents, Inputs, Row, Step, backwards, forwards

GATES = 3
SLOTS = 4  # n's sums over x and over h stay apart


def gru(layer: Layer, x_strides: tuple[int, ...], *, bias_ih: bool, bias_hh: bool, lengths: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, those biases that there are, the lengths if there are any; states, last h,
    gates, inner.

    inner: the hidden part of n before r scales it. x_strides: of x's steps and sequences, in elements; everything else
    lies without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"gru_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("gru", *layer, x_strides, bias_ih, bias_hh, lengths),
        8 + bias_ih + bias_hh + lengths,
        partial(_forward, layer, x_strides, (bias_ih, bias_hh), lengths),
        flops=2 * GATES * cells * (layer.features + layer.hidden),
        bytes=layer.dtype.itemsize * (inputs + (GATES + 2) * cells),
    )
    return workspace(layer, GATES, layer.features + layer.hidden, SLOTS).of(spec)


def _forward(
    layer: Layer,
    x_strides: tuple[int, ...],
    has_biases: tuple[bool, bool],
    lengths: bool,
    builder: Kernel,
    machine: Machine,
) -> None:
    x, weight_ih, weight_hh, h0, *rest = builder.operands
    biases, rest = rest[: sum(has_biases)], rest[sum(has_biases) :]
    states, last_h, gates, inner = rest[lengths:]
    inputs = Inputs(x, x_strides, weight_ih, weight_hh, h0, rest[0] if lengths else None)
    arrangement = Arrangement(GATES, 1, GATES, (layer.features, layer.hidden), SLOTS, split=True)
    run = Recurrence(builder, machine, layer, arrangement)
    a = Arithmetic(builder, run.kind)

    def cell(step: Step, h: ir.Value):
        new_inner, new_gates = run.step_of(inner, step.t), run.step_of(gates, step.t, GATES)

        def of_units(units: Units):
            loaded = [[units.load(run.at(b, (units.unit, 1), (k, layer.hidden))) for k in range(GATES)] for b in biases]
            addends: dict[int, ir.Value] = {}  # of each slot
            for k in range(GATES - 1):
                if loaded:
                    addends[k] = a.add(loaded[0][k], loaded[1][k]) if len(loaded) == 2 else loaded[0][k]
            if has_biases[0]:
                addends[SLOTS - 1] = loaded[0][2]
            if has_biases[1]:
                addends[2] = loaded[-1][2]

            def sum_of(place: ir.Value, slot: int) -> ir.Value:
                value = run.gate(place, slot)
                return a.add(value, addends[slot]) if slot in addends else value

            def of_row(row: Row, place: ir.Value) -> ir.Value:
                r, z = (sigmoid(a, sum_of(place, k)) for k in range(2))
                u = sum_of(place, 2)
                n = tanh(a, a.fma(r, u, sum_of(place, SLOTS - 1)))
                for k, gate in enumerate((r, z, n)):
                    units.store(gate, run.spot(new_gates, row.index, units, k, GATES))
                units.store(u, run.spot(new_inner, row.index, units))
                return a.fma(a.sub(units.load(run.spot(h, row.index, units)), n), z, n)

            return of_row

        return of_units

    forwards(run, inputs, states, last_h, cell)


def gru_adjoint(layer: Layer, gy_strides: tuple[int, ...], *, lengths: bool) -> KernelSpec:
    """Operands: the cotangents of the states and of the last one; gates, inner, states, weight_hh, h0, the lengths if
    there are any; and the results: the cotangents of the gates' input parts, of their hidden parts, and of h0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"gru_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("gru_adjoint", *layer._replace(features=0), gy_strides, lengths),
        10 + lengths,
        partial(_adjoint, layer, gy_strides, lengths),
        flops=2 * GATES * cells * layer.hidden,
        bytes=layer.dtype.itemsize * (3 * GATES + 3) * cells,
    )
    return workspace(layer, 1, GATES * layer.hidden).of(spec)


def _adjoint(layer: Layer, gy_strides: tuple[int, ...], lengths: bool, builder: Kernel, machine: Machine) -> None:
    gy, gh, gates, inner, states, weight_hh, h0, *rest = builder.operands
    d_input, d_hidden, dh0 = rest[lengths:]
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, min(span, 2), (GATES * layer.hidden,), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step):
        before, now_inner = builder.select(step.last, h0, run.step_of(states, step.before)), run.step_of(inner, step.t)
        now_gates, now_input, now_hidden = (run.step_of(p, step.t, GATES) for p in (gates, d_input, d_hidden))

        def of_units(units: Units):
            def of_row(row: Row, dh: ir.Value) -> ir.Value:
                r, z, n = (units.load(run.spot(now_gates, row.index, units, k, GATES)) for k in range(GATES))
                kept = a.mul(dh, z)
                d_outer = a.sub(dh, kept)
                d_outer = a.fma(a.neg(a.mul(n, n)), d_outer, d_outer)
                d_inner = a.mul(d_outer, r)
                d_reset = a.mul(a.mul(d_inner, units.load(run.spot(now_inner, row.index, units))), a.sub(1.0, r))
                change = a.sub(units.load(run.spot(before, row.index, units)), n)
                d_update = a.mul(change, a.mul(kept, a.sub(1.0, z)))
                for to, last in ((now_input, d_outer), (now_hidden, d_inner)):
                    for k, value in enumerate((d_reset, d_update, last)):
                        value = row.either(builder, value, a.number(0.0))
                        units.store(value, run.spot(to, row.index, units, k, GATES))
                return kept

            return of_row

        return of_units

    given = Cotangents(gy, gy_strides, gh, dh0)
    lengths_at = rest[0] if lengths else None
    backwards(run, GATES, weight_hh, d_hidden, given, cell, lengths=lengths_at, carried=True)

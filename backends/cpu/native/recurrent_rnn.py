"""Elman's recurrent layer over a whole sequence, and its adjoint, as kernels."""

from __future__ import annotations

from functools import partial

from llvmlite import ir

from .emit import Kernel
from .engine import KernelSpec
from .exponentials import tanh
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


def rnn(layer: Layer, x_strides: tuple[int, ...], *, nonlinearity: str, bias: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, the bias if there is one; states, the last state.

    nonlinearity: ``"tanh"`` or ``"relu"``. x_strides: of x's steps and sequences, in elements; everything else lies
    without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"rnn_{nonlinearity}_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("rnn", *layer, x_strides, nonlinearity, bias),
        6 + bias,
        partial(_forward, layer, x_strides, nonlinearity, bias),
        workspace(layer, 1, 2, layer.features + layer.hidden),
        2 * cells * (layer.features + layer.hidden),
        layer.dtype.itemsize * (inputs + cells),
    )


def _forward(
    layer: Layer, x_strides: tuple[int, ...], nonlinearity: str, bias: bool, builder: Kernel, machine: Machine
) -> None:
    x, weight_ih, weight_hh, h0, *rest = builder.operands
    states, last_h = rest[bias:]
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, span, (layer.features, layer.hidden), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step, h: ir.Value) -> Body:
        new_h = run.step_of(states, step.t)

        def of_units(units: Units) -> OfRow:
            addend = units.load(run.at(rest[0], (units.unit, 1))) if bias else None

            def of_row(row: ir.Value, place: ir.Value) -> None:
                value = run.gate(place, 0)
                if addend is not None:
                    value = a.add(value, addend)
                y = a.at_least(value, 0.0) if nonlinearity == "relu" else tanh(a, value)
                for to in (new_h, last_h):
                    units.store(y, run.spot(to, row, units))

            return of_row

        return of_units

    forwards(run, Rows(x, x_strides[1]), x_strides[0], (weight_ih, weight_hh), h0, states, cell)


def rnn_adjoint(layer: Layer, gy_strides: tuple[int, ...], *, nonlinearity: str) -> KernelSpec:
    """Operands: the cotangents of the states and of the last one; states, weight_hh; and the results: the cotangents
    of the gate before its nonlinearity, and of h0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    return KernelSpec(
        f"rnn_{nonlinearity}_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("rnn_adjoint", *layer._replace(features=0), gy_strides, nonlinearity),
        6,
        partial(_adjoint, layer, gy_strides, nonlinearity),
        workspace(layer, 1, 2, layer.hidden),
        2 * cells * layer.hidden,
        layer.dtype.itemsize * 3 * cells,
    )


def _adjoint(layer: Layer, gy_strides: tuple[int, ...], nonlinearity: str, builder: Kernel, machine: Machine) -> None:
    gy, gh, states, weight_hh, slopes, dh0 = builder.operands
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, span, (layer.hidden,), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step) -> Body:
        now_gy, now_h = run.at(gy, (step.t, gy_strides[0])), run.step_of(states, step.t)
        now_slopes = run.step_of(slopes, step.t)

        def of_units(units: Units) -> OfRow:
            def of_row(row: ir.Value, place: ir.Value) -> None:
                h = units.load(run.spot(now_h, row, units))
                dh = a.add(run.gate(place, 0), units.load(run.at(now_gy, (row, gy_strides[1]), (units.unit, 1))))
                if nonlinearity == "relu":
                    slope = a.select(a.compare(">", h, 0.0), 1.0, 0.0)
                else:
                    slope = a.fma(a.neg(h), h, 1.0)
                units.store(a.mul(slope, dh), run.spot(now_slopes, row, units))

            return of_row

        return of_units

    def result(units: Units) -> OfRow:
        return lambda row, place: units.store(run.gate(place, 0), run.spot(dh0, row, units))

    backwards(run, 1, weight_hh, slopes, gh, cell, result)

"""Elman's recurrent layer over a whole sequence, and its adjoint, as kernels."""

from __future__ import annotations

from functools import partial

from llvmlite import ir

from ..elementary.exponentials import tanh
from ..elementary.float_arithmetic import Arithmetic
from ..emit import Kernel
from ..engine import KernelSpec
from ..machine import Machine
from .kernels import Arrangement, Layer, Recurrence, Units, span_of, workspace
from .steps import Cotangents, Inputs, Row, Step, backwards, forwards


def rnn(layer: Layer, x_strides: tuple[int, ...], *, nonlinearity: str, bias: bool, lengths: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, the bias and the lengths if there are any; states, the last state.

    nonlinearity: ``"tanh"`` or ``"relu"``. x_strides: of x's steps and sequences, in elements; everything else lies
    without gaps.
    """
    inputs, cells = layer.length * layer.batch * layer.features, layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"rnn_{nonlinearity}_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("rnn", *layer, x_strides, nonlinearity, bias, lengths),
        6 + bias + lengths,
        partial(_forward, layer, x_strides, nonlinearity, bias, lengths),
        flops=2 * cells * (layer.features + layer.hidden),
        bytes=layer.dtype.itemsize * (inputs + cells),
    )
    return workspace(layer, 1, layer.features + layer.hidden).of(spec)


def _forward(
    layer: Layer,
    x_strides: tuple[int, ...],
    nonlinearity: str,
    bias: bool,
    lengths: bool,
    builder: Kernel,
    machine: Machine,
) -> None:
    x, weight_ih, weight_hh, h0, *rest = builder.operands
    states, last_h = rest[bias + lengths :]
    inputs = Inputs(x, x_strides, weight_ih, weight_hh, h0, rest[bias] if lengths else None)
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, min(span, 2), (layer.features, layer.hidden), span))
    a = Arithmetic(builder, run.kind)

    def of_units(units: Units):
        addend = units.load(run.at(rest[0], (units.unit, 1))) if bias else None

        def of_row(row: Row, place: ir.Value) -> ir.Value:
            value = run.gate(place, 0)
            if addend is not None:
                value = a.add(value, addend)
            return a.at_least(value, 0.0) if nonlinearity == "relu" else tanh(a, value)

        return of_row

    forwards(run, inputs, states, last_h, lambda step, h: of_units)


def rnn_adjoint(layer: Layer, gy_strides: tuple[int, ...], *, nonlinearity: str, lengths: bool) -> KernelSpec:
    """Operands: the cotangents of the states and of the last one; states, weight_hh, the lengths if there are any; and
    the results: the cotangents of the gate before its nonlinearity, and of h0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    cells = layer.length * layer.batch * layer.hidden
    spec = KernelSpec(
        f"rnn_{nonlinearity}_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("rnn_adjoint", *layer._replace(features=0), gy_strides, nonlinearity, lengths),
        6 + lengths,
        partial(_adjoint, layer, gy_strides, nonlinearity, lengths),
        flops=2 * cells * layer.hidden,
        bytes=layer.dtype.itemsize * 3 * cells,
    )
    return workspace(layer, 1, layer.hidden).of(spec)


def _adjoint(
    layer: Layer, gy_strides: tuple[int, ...], nonlinearity: str, lengths: bool, builder: Kernel, machine: Machine
) -> None:
    gy, gh, states, weight_hh, *rest = builder.operands
    slopes, dh0 = rest[lengths:]
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, min(span, 2), (layer.hidden,), span))
    a = Arithmetic(builder, run.kind)

    def cell(step: Step):
        now_h, now_slopes = run.step_of(states, step.t), run.step_of(slopes, step.t)

        def of_units(units: Units):
            def of_row(row: Row, dh: ir.Value) -> None:
                h = units.load(run.spot(now_h, row.index, units))
                if nonlinearity == "relu":
                    slope = a.select(a.compare(">", h, 0.0), 1.0, 0.0)
                else:
                    slope = a.fma(a.neg(h), h, 1.0)
                value = row.either(builder, a.mul(slope, dh), a.number(0.0))
                units.store(value, run.spot(now_slopes, row.index, units))

            return of_row

        return of_units

    given = Cotangents(gy, gy_strides, gh, dh0)
    backwards(run, 1, weight_hh, slopes, given, cell, lengths=rest[0] if lengths else None)

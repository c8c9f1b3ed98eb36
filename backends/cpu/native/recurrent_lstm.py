"""Long short-term memory over a whole sequence, and its adjoint, as kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llvmlite import ir

from .emit import Kernel, i64, loop
from .engine import KernelSpec
from .exponentials import sigmoid, tanh
from .float_arithmetic import Arithmetic
from .machine import Machine
from .recurrent import (
    Arrangement,
    Layer,
    Recurrence,
    Rows,
    Units,
    Weights,
    is_first,
    span_of,
    workspace,
)

GATES = 4


def lstm(layer: Layer, x_strides: tuple[int, int], *, bias: bool) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, h0, c0, the bias if there is one; states, last h, last c, gates, cells.

    x_strides: of x's steps and sequences, in elements; everything else lies without gaps.
    """
    size = layer.dtype.itemsize
    return KernelSpec(
        f"lstm_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}",
        ("lstm", *layer, x_strides, bias),
        10 + bias,
        partial(_forward, layer, x_strides, bias),
        workspace(layer, GATES, GATES, layer.features + layer.hidden),
        2 * GATES * layer.length * layer.batch * layer.hidden * (layer.features + layer.hidden),
        size * layer.length * layer.batch * (layer.features + 6 * layer.hidden),
    )


def _forward(layer: Layer, x_strides: tuple[int, int], bias: bool, builder: Kernel, machine: Machine) -> None:
    x, weight_ih, weight_hh, h0, c0, *rest = builder.operands
    states, last_h, last_c, gates, cells = rest[bias:]
    width, step_size = layer.hidden, layer.batch * layer.hidden
    arrangement = Arrangement(GATES, 1, 2, (layer.features, width), GATES)
    run = Recurrence(builder, machine, layer, arrangement)
    a = Arithmetic(builder, run.kind)
    run.pack([Weights(weight_ih, 1, layer.features), Weights(weight_hh, 1, width)])
    with loop(builder, 0, layer.length) as step:
        t, first = run.time(step, False), is_first(builder, step)
        before = run.at(states, (t, step_size), (1 if layer.reverse else -1, step_size))
        h, c = builder.select(first, h0, before), builder.select(first, c0, last_c)
        new_h, new_c = run.at(states, (t, step_size)), run.at(cells, (t, step_size))
        new_gates = run.at(gates, (t, GATES * step_size))

        def cell(units: Units, c=c, new_h=new_h, new_c=new_c, new_gates=new_gates) -> Callable:
            biases = [units.load(run.at(rest[0], (units.unit, 1), (k, width))) for k in range(GATES)] if bias else []

            def of_row(row: ir.Value, place: ir.Value) -> None:
                here = (row, width), (units.unit, 1)
                sums = [run.gate(place, k) for k in range(GATES)]
                sums = [a.add(z, b) for z, b in zip(sums, biases, strict=True)] if bias else sums
                i, f, o = (sigmoid(a, sums[k]) for k in (0, 1, 3))
                g = tanh(a, sums[2])
                value = a.fma(f, units.load(run.at(c, *here)), a.mul(i, g))
                y = a.mul(o, tanh(a, value))
                for k, gate in enumerate((i, f, g, o)):
                    units.store(gate, run.at(new_gates, (row, GATES * width), (units.unit, 1), (k, width)))
                for to in (new_c, last_c):
                    units.store(value, run.at(to, *here))
                for to in (new_h, last_h):
                    units.store(y, run.at(to, *here))

            return of_row

        with run.blocks() as (chunk, block):
            at_x = run.at(x, (t, x_strides[0]))
            run.multiply(chunk, block, [Rows(at_x, x_strides[1]), Rows(h, width)])
            run.each_row(chunk, block, cell)
        run.end_of_step()


def lstm_adjoint(layer: Layer, gy_strides: tuple[int, int]) -> KernelSpec:
    """Operands: the cotangents of the states, the last h and the last c; gates, cells, weight_hh, c0; and the results:
    the cotangents of the gates before their nonlinearities, of h0 and of c0.

    gy_strides: of the states' cotangent, its steps and sequences; everything else lies without gaps.
    """
    return KernelSpec(
        f"lstm_adjoint_{layer.length}x{layer.batch}x{layer.hidden}",
        ("lstm_adjoint", *layer._replace(features=0), gy_strides),
        10,
        partial(_adjoint, layer, gy_strides),
        workspace(layer, 1, 2, GATES * layer.hidden),
        2 * GATES * layer.length * layer.batch * layer.hidden**2,
        layer.dtype.itemsize * layer.length * layer.batch * 10 * layer.hidden,
    )


def _adjoint(layer: Layer, gy_strides: tuple[int, int], builder: Kernel, machine: Machine) -> None:
    gy, gh, gc, gates, cells, weight_hh, c0, slopes, dh0, dc0 = builder.operands
    width, step_size = layer.hidden, layer.batch * layer.hidden
    span = span_of(layer, machine)
    run = Recurrence(builder, machine, layer, Arrangement(1, span, span, (GATES * width,), span))
    a = Arithmetic(builder, run.kind)
    run.pack([Weights(weight_hh, width, 1)])
    # one step more than there are: it finds the cotangent of h0
    with loop(builder, 0, layer.length + 1) as step:
        t = run.time(step, True)
        towards_start = 1 if layer.reverse else -1
        later = run.at(slopes, (t, GATES * step_size), (-towards_start, GATES * step_size))
        last = builder.icmp_signed("==", step, i64(layer.length - 1))
        before = builder.select(last, c0, run.at(cells, (t, step_size), (towards_start, step_size)))
        dc = builder.select(is_first(builder, step), gc, dc0)
        now_gy, now_cells = run.at(gy, (t, gy_strides[0])), run.at(cells, (t, step_size))
        now_gates, now_slopes = (run.at(p, (t, GATES * step_size)) for p in (gates, slopes))

        def cell(
            units: Units, before=before, dc=dc, gy=now_gy, cells=now_cells, gates=now_gates, slopes=now_slopes
        ) -> Callable:
            def of_row(row: ir.Value, place: ir.Value) -> None:
                here = (row, width), (units.unit, 1)
                each = [((row, GATES * width), (units.unit, 1), (k, width)) for k in range(GATES)]
                i, f, g, o = (units.load(run.at(gates, *one)) for one in each)
                dh = a.add(run.gate(place, 0), units.load(run.at(gy, (row, gy_strides[1]), (units.unit, 1))))
                squashed = tanh(a, units.load(run.at(cells, *here)))
                dho = a.mul(dh, o)
                through = a.fma(a.neg(a.mul(squashed, squashed)), dho, dho)
                d = a.add(units.load(run.at(dc, *here)), through)
                d_out = a.mul(a.mul(dho, squashed), a.sub(1.0, o))
                d_kept = a.mul(d, f)
                d_forget = a.mul(a.mul(d_kept, units.load(run.at(before, *here))), a.sub(1.0, f))
                d_in = a.mul(d, i)
                d_new = a.fma(a.neg(a.mul(g, g)), d_in, d_in)
                d_in = a.mul(a.mul(d_in, g), a.sub(1.0, i))
                for one, value in zip(each, (d_in, d_forget, d_new, d_out), strict=True):
                    units.store(value, run.at(slopes, *one))
                units.store(d_kept, run.at(dc0, *here))

            return of_row

        def keep(units: Units) -> Callable:
            def of_row(row: ir.Value, place: ir.Value) -> None:
                units.store(run.gate(place, 0), run.at(dh0, (row, width), (units.unit, 1)))

            return of_row

        with run.blocks() as (chunk, block):
            with builder.if_else(is_first(builder, step)) as (then, otherwise):
                with then:
                    run.put(chunk, block, gh)
                with otherwise:
                    run.multiply(chunk, block, [Rows(later, GATES * width)])
            with builder.if_else(builder.icmp_signed("<", step, i64(layer.length))) as (then, otherwise):
                with then:
                    run.each_row(chunk, block, cell)
                with otherwise:
                    run.each_row(chunk, block, keep)
        run.end_of_step()

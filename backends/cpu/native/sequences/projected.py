"""Long short-term memory with projected states, h = W_hr (o tanh(c)): two products a step, each with its own units.

The first has the units of the cells, the second those of the states. All threads wait between them, unless each keeps
the same sequences in both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from llvmlite import ir

from ..emit import CACHE_LINE, I8, Kernel, element, i64, loop, rounded_up
from ..engine import KernelSpec
from ..machine import WORKERS, Machine
from .kernels import Arrangement, Layer, OfRow, Place, Recurrence, Rows, Units, Weights, Workspace, span_of, workspace
from .lstm import GATES, Cells, adjoint_cell, cell_of
from .steps import row_at, step_at


class Parts(NamedTuple):
    """Where the workspace has what belongs to the cells, to the states, and o tanh(c) of a step."""

    cells: Place
    states: Place
    unprojected: int
    fixed: int

    def of(self, spec: KernelSpec) -> KernelSpec:
        """The kernel with this workspace: what all threads share, and behind it what each has of its own."""
        each = self.cells.each
        return spec._replace(scratch=self.fixed + WORKERS * each, parts=WORKERS, part=each)


def _parts(layer: Layer, of_cells: Workspace, of_states: Workspace) -> Parts:
    states = rounded_up(of_cells.packed, CACHE_LINE)
    unprojected = states + rounded_up(of_states.packed, CACHE_LINE)
    fixed = unprojected + rounded_up(layer.batch * layer.hidden * layer.dtype.itemsize, CACHE_LINE)
    first = rounded_up(of_cells.buffer, CACHE_LINE)
    each = first + rounded_up(of_states.buffer, CACHE_LINE)
    return Parts(Place(0, fixed, each), Place(states, fixed + first, each), unprojected, fixed)


def _spread(layer: Layer, machine: Machine, depth: int) -> Arrangement:
    """One column a unit."""
    span = span_of(layer, machine)
    return Arrangement(1, span, min(span, 2), (depth,), span)


def _waiting(one: Recurrence, other: Recurrence) -> Callable[[], None]:
    """What stands where one product reads what the other made."""
    b = one.builder
    alike = one.arrangement.vectors == other.arrangement.vectors  # then they cut the sequences alike
    together = b.not_(b.and_(one.alone, other.alone)) if alike else None

    def wait() -> None:
        if together is None:
            b.barrier()
        else:
            with b.if_then(together):
                b.barrier()

    return wait


# ------------------------------------------------------------------------------------------- the layer


def lstm_projected(layer: Layer, x_strides: tuple[int, ...], *, bias: bool, lengths: bool, states: int) -> KernelSpec:
    """Operands: x, weight_ih, weight_hh, weight_hr, h0, c0, the bias and the lengths if there are any; states, last h,
    last c, gates, cells.

    states: how many features h has. x_strides: of x's steps and sequences, in elements.
    """
    of_states = layer._replace(hidden=states)
    depth = layer.features + states
    parts = _parts(layer, workspace(layer, GATES, depth, GATES), workspace(of_states, 1, layer.hidden))
    rows = layer.length * layer.batch
    spec = KernelSpec(
        f"lstm_{layer.length}x{layer.batch}x{layer.features}x{layer.hidden}_to_{states}",
        ("lstm_projected", *layer, states, x_strides, bias, lengths),
        11 + bias + lengths,
        partial(_forward, layer, of_states, parts, x_strides, bias, lengths),
        flops=2 * rows * layer.hidden * (GATES * depth + states),
        bytes=layer.dtype.itemsize * rows * (layer.features + (GATES + 1) * layer.hidden + states),
    )
    return parts.of(spec)


def _forward(
    layer: Layer,
    of_states: Layer,
    parts: Parts,
    x_strides: tuple[int, ...],
    bias: bool,
    lengths: bool,
    builder: Kernel,
    machine: Machine,
) -> None:
    b = builder
    x, weight_ih, weight_hh, weight_hr, h0, c0, *rest = b.operands
    states, last_h, last_c, gates, cells = rest[bias + lengths :]
    ends, width = rest[bias] if lengths else None, of_states.hidden
    arrangement = Arrangement(GATES, 1, 2, (layer.features, width), GATES)
    inner = Recurrence(b, machine, layer, arrangement, parts.cells)
    outer = Recurrence(b, machine, of_states, _spread(of_states, machine, layer.hidden), parts.states)
    made = element(b, b.scratch, parts.unprojected, I8)
    cell = cell_of(inner, rest[0] if bias else None, c0, last_c, gates, cells)
    wait = _waiting(inner, outer)
    inner.pack([Weights(weight_ih, 1, layer.features), Weights(weight_hh, 1, width)])
    outer.pack([Weights(weight_hr, 1, layer.hidden)])
    with loop(b, 0, layer.length) as index:
        step = step_at(inner, index, layer.reverse)
        h, new = b.select(step.first, h0, outer.step_of(states, step.before)), outer.step_of(states, step.t)
        given = Rows(inner.at(x, (step.t, x_strides[0])), x_strides[1])
        of_units = cell(step, h)

        def unprojected(units: Units, step=step, of_units=of_units) -> OfRow:
            of_row = of_units(units)

            def one(index: ir.Value, place: ir.Value) -> None:
                units.store(of_row(row_at(inner, index, step, ends), place), inner.spot(made, index, units))

            return one

        def projected(units: Units, step=step, h=h, new=new) -> OfRow:
            def one(index: ir.Value, place: ir.Value) -> None:
                row, y = row_at(outer, index, step, ends), outer.gate(place, 0)
                if row.live is not None:
                    y = row.either(b, y, units.load(outer.spot(h, index, units)))
                for to in (new, last_h):
                    units.store(y, outer.spot(to, index, units))

            return one

        with inner.blocks() as (chunk, block):
            inner.multiply(chunk, block, [given, Rows(h, width)])
            inner.each_row(chunk, block, unprojected)
        wait()
        with outer.blocks() as (chunk, block):
            outer.multiply(chunk, block, [Rows(made, layer.hidden)])
            outer.each_row(chunk, block, projected)
        wait()


# ------------------------------------------------------------------------------------------- its adjoint


def lstm_projected_adjoint(layer: Layer, gy_strides: tuple[int, ...], *, lengths: bool, states: int) -> KernelSpec:
    """Operands: the cotangents of the states, of the last h and the last c; gates, cells, weight_hh, weight_hr, c0, the
    lengths if there are any; and the results: the cotangents of the gates before their nonlinearities, of h0, of c0 and
    of the projected states, and o tanh(c).

    gy_strides: of the states' cotangent, its steps and sequences.
    """
    of_states = layer._replace(hidden=states)
    parts = _parts(layer, workspace(layer, 1, states), workspace(of_states, 1, GATES * layer.hidden))
    rows = layer.length * layer.batch
    spec = KernelSpec(
        f"lstm_adjoint_{layer.length}x{layer.batch}x{layer.hidden}_to_{states}",
        ("lstm_projected_adjoint", *layer._replace(features=0), states, gy_strides, lengths),
        13 + lengths,
        partial(_adjoint, layer, of_states, parts, gy_strides, lengths),
        flops=2 * rows * layer.hidden * states * (GATES + 1),
        bytes=layer.dtype.itemsize * rows * ((2 * GATES + 2) * layer.hidden + 2 * states),
    )
    return parts.of(spec)


def _adjoint(
    layer: Layer,
    of_states: Layer,
    parts: Parts,
    gy_strides: tuple[int, ...],
    lengths: bool,
    builder: Kernel,
    machine: Machine,
) -> None:
    b = builder
    gy, gh, gc, gates, cells, weight_hh, weight_hr, c0, *rest = b.operands
    slopes, dh0, dc0, dy, made = rest[lengths:]
    ends, width = rest[0] if lengths else None, of_states.hidden
    inner = Recurrence(b, machine, layer, _spread(layer, machine, width), parts.cells)
    outer = Recurrence(b, machine, of_states, _spread(of_states, machine, GATES * layer.hidden), parts.states)
    zero = ir.Constant(outer.kind, None)
    cell = adjoint_cell(inner, Cells(gates, cells, c0, gc), dc0, slopes, made)
    wait = _waiting(inner, outer)
    inner.pack([Weights(weight_hr, layer.hidden, 1)])
    outer.pack([Weights(weight_hh, width, 1)])

    def first_state(units: Units) -> OfRow:
        def one(index: ir.Value, place: ir.Value) -> None:
            spot, dh = outer.spot(dh0, index, units), outer.gate(place, 0)
            units.store(b.fadd(dh, units.load(spot)) if lengths else dh, spot)

        return one

    # one step more than there are finds the cotangent of h0
    with loop(b, 0, layer.length + 1) as index:
        step = step_at(outer, index, not layer.reverse)
        is_step = b.icmp_signed("<", index, i64(layer.length))
        later = b.add(step.t, b.sub(step.t, step.before))
        given = outer.at(gy, (step.t, gy_strides[0]))
        now = outer.step_of(dy, step.t)
        of_units = cell(step)

        def of_state(units: Units, step=step, given=given, now=now) -> OfRow:
            def one(index: ir.Value, place: ir.Value) -> None:
                row, spot = row_at(outer, index, step, ends), outer.spot(dh0, index, units)
                dh = b.fadd(outer.gate(place, 0), units.load(outer.at(given, (index, gy_strides[1]), (units.unit, 1))))
                if row.live is not None:  # what waits in the place of dh0; at first that holds anything
                    dh = b.fadd(dh, b.select(step.first, zero, units.load(spot)))
                    units.store(row.either(b, zero, dh), spot)
                units.store(row.either(b, dh, zero), outer.spot(now, index, units))

            return one

        def of_cell(units: Units, step=step, of_units=of_units) -> OfRow:
            of_row = of_units(units)

            def one(index: ir.Value, place: ir.Value) -> None:
                of_row(row_at(inner, index, step, ends), inner.gate(place, 0))

            return one

        with outer.blocks() as (chunk, block):
            with b.if_else(step.first) as (then, otherwise):
                with then:
                    outer.put(chunk, block, gh)
                with otherwise:
                    rows = Rows(inner.step_of(slopes, later, GATES), GATES * layer.hidden)
                    outer.multiply(chunk, block, [rows])
            with b.if_else(is_step) as (then, otherwise):
                with then:
                    outer.each_row(chunk, block, of_state)
                with otherwise:
                    outer.each_row(chunk, block, first_state)
        wait()
        with b.if_then(is_step), inner.blocks() as (chunk, block):
            inner.multiply(chunk, block, [Rows(now, width)])
            inner.each_row(chunk, block, of_cell)
        wait()

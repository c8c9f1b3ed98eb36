"""Products of few rows with a matrix whose columns are contiguous: dot products, with nothing packed.

Each column of the result has an accumulator whose lanes are parts of its sum. In the end they are transposed and
added: as many columns as a register has lanes become one register of the result.
"""

from __future__ import annotations

from llvmlite import ir

from ..emit import constant, element, fma
from .packing import Panel, load_first, transposed
from .tile import Values, repeated

CHAINS = 8  # sums that the processor must have under way at once


def dots(
    builder: ir.IRBuilder, panel: Panel, count: int, row: ir.Value, columns: ir.Value, column_stride: int
) -> ir.Value:
    """The register of the products of one contiguous row with ``panel.columns`` contiguous columns."""
    lanes, valid = panel.lanes, panel.columns
    parts = max(1, min(-(-CHAINS // valid), count // lanes))

    def step(sums: Values, row: ir.Value, columns: ir.Value, start: int, part: int, lengths: int) -> Values:
        sums = list(sums)
        factor = load_first(builder, element(builder, row, start, panel.scalar), lengths, panel.register)
        for column in range(valid):
            address = element(builder, columns, start + column * column_stride, panel.scalar)
            place = part * valid + column
            sums[place] = fma(builder, load_first(builder, address, lengths, panel.register), factor, sums[place])
        return sums

    def body(_: ir.Value, carried: Values) -> Values:
        row, columns, *sums = carried
        for part in range(parts):
            sums = step(sums, row, columns, part * lanes, part, lanes)
        distance = parts * lanes
        return [element(builder, row, distance, panel.scalar), element(builder, columns, distance, panel.scalar), *sums]

    zeros = [constant(panel.register, 0.0)] * (parts * valid)
    times, rest = divmod(count, parts * lanes)
    row, columns, *sums = repeated(builder, times, [row, columns, *zeros], body)
    for start in range(0, rest, lanes):
        sums = step(sums, row, columns, start, 0, min(lanes, rest - start))
    totals = [_total(builder, sums[column::valid]) for column in range(valid)]
    totals += [constant(panel.register, 0.0)] * (lanes - valid)
    return _total(builder, transposed(builder, totals))


def _total(builder: ir.IRBuilder, values: Values) -> ir.Value:
    """Their sum, in pairs."""
    while len(values) > 1:
        pairs = [builder.fadd(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(values) - len(values) % 2 :]
    return values[0]

"""How a matrix product of a known shape is cut into tiles, panels and blocks."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np

from ..machine import Machine

BLOCK_BYTES = 512 * 1024  # of packed B: half of a second-level cache
DEPTH_BYTES = 1536  # of one row of A in a block along k: a tile's rows stay in the first-level cache
REGISTER_BYTES = 64  # of the widest machine
WHOLE_BYTES = 3200  # a row of A that is not cut: blocks are more code, and another pass over C
TALLEST = 16
FEW = 4  # rows of A that do not pay for packing B
STREAMED = 16  # rows of B that are read side by side where A has a single row
PLANNED_THREADS = 2
PAGE = 4096


class MatrixLayout(NamedTuple):
    """Element (i, j) lies at ``i * row_stride + j * column_stride``, counted in elements."""

    row_stride: int
    column_stride: int

    @property
    def transposed(self) -> MatrixLayout:
        return MatrixLayout(self.column_stride, self.row_stride)


class Blocking(NamedTuple):
    """rows: ``tall`` tiles of ``base + 1`` rows come first, then ``short`` tiles of ``base``. columns: ``panels`` of
    ``vectors`` registers, then ``rest`` columns. by_rows: whether threads share the tiles of rows, or the panels.
    depth: of one block along k, of which there are ``blocks``. group: how many panels are packed at once.
    pack_a: ``""`` (read where it is), ``"rows"`` (copied to rows that do not collide in the cache), ``"panel"``.
    dots: whether B's columns are contiguous and multiplied where they are, each lane of a register a part of the sum.
    """

    base: int
    tall: int
    short: int
    vectors: int
    panels: int
    rest: int
    by_rows: bool
    depth: int
    blocks: int
    group: int
    pack_a: str = ""
    pack_b: bool = False
    dots: bool = False

    @property
    def row_tiles(self) -> int:
        return self.tall + self.short

    @property
    def column_panels(self) -> int:
        return self.panels + bool(self.rest)


def depth_of(k: int, dtype: np.dtype) -> tuple[int, int]:
    """(length, number) of the blocks along k. The last may be shorter, but no shorter than any machine's register:
    what packs it moves whole registers."""
    if k * dtype.itemsize <= WHOLE_BYTES:
        return k, 1
    depth = ceil(k / ceil(k * dtype.itemsize / DEPTH_BYTES))
    while (k - 1) % depth + 1 < REGISTER_BYTES // dtype.itemsize:
        depth += 1
    return depth, ceil(k / depth)


def choose(
    m: int, n: int, k: int, dtype: np.dtype, a: MatrixLayout, b: MatrixLayout, products: int, machine: Machine
) -> Blocking:
    """The cheapest cut by a model of the processor's cycles; ``products`` is the size of the batch."""
    lanes = machine.lanes(dtype)
    registers = ceil(n / lanes)
    if lanes > 1 and m <= FEW and a.column_stride == b.row_stride == 1 and (n == 1 or b.column_stride != 1):
        return Blocking(1, 0, m, 1, *divmod(n, lanes), by_rows=False, depth=k, blocks=1, group=1, dots=True)
    if m == 1 and b.column_stride == 1 and k * n * dtype.itemsize > BLOCK_BYTES:
        blocks = ceil(k / STREAMED)
        vectors = min(8, machine.registers // 2)
        panels, rest = divmod(n, vectors * lanes)
        return Blocking(1, 0, 1, vectors, panels, rest, by_rows=False, depth=STREAMED, blocks=blocks, group=1)
    best, lowest = None, float("inf")
    for vectors in range(1, min(registers, machine.registers // 4, 6) + 1):
        tallest = min(m, TALLEST, (machine.registers - 1 - vectors) // vectors)
        for rows in range(max(1, min(tallest, (tallest + 1) // 2)), tallest + 1):
            for by_rows in (True, False) if products == 1 else (True,):
                candidate = _cut(m, n, k, rows, vectors, by_rows, dtype, a, b, machine)
                cost = _cycles(candidate, n, k, b, products, lanes)
                if cost < lowest:
                    best, lowest = candidate, cost
    assert best is not None
    return best


def _cut(
    m: int,
    n: int,
    k: int,
    rows: int,
    vectors: int,
    by_rows: bool,
    dtype: np.dtype,
    a: MatrixLayout,
    b: MatrixLayout,
    machine: Machine,
) -> Blocking:
    lanes = machine.lanes(dtype)
    tiles = ceil(m / rows)
    base, tall = divmod(m, tiles)
    panels, rest = divmod(n, vectors * lanes)
    columns = panels + bool(rest)
    depth, blocks = depth_of(k, dtype)
    pack_b = b.column_stride != 1 and n > 1
    if not pack_b and lanes > 1:
        pack_b = tiles > 2 and k * n * dtype.itemsize > 2 * PAGE
    pack_a = ""
    if columns > 2 and a.column_stride != 1:
        pack_a = "panel"
    elif columns > 3 and depth >= lanes and a.row_stride * dtype.itemsize % (PAGE // 2) == 0:
        pack_a = "rows"
    panel_bytes = max(1, depth * vectors * lanes * dtype.itemsize)
    group = max(1, min(columns, BLOCK_BYTES // panel_bytes)) if tiles > 2 else 1
    return Blocking(base, tall, tiles - tall, vectors, panels, rest, by_rows, depth, blocks, group, pack_a, pack_b)


def _cycles(cut: Blocking, n: int, k: int, b: MatrixLayout, products: int, lanes: int) -> float:
    """Estimated cycles of the slower of two threads."""

    def tile(rows: int, vectors: int) -> float:
        if not rows or not vectors:
            return 0.0
        work = max(rows * vectors / 2, 0.62 * (rows + vectors), 5.0) + 0.7
        return work * k + (40 + 1.5 * rows * vectors) * cut.blocks

    rest = ceil(cut.rest / lanes)

    def strip(panels: int) -> float:
        """All rows, over so many panels."""
        last = panels == cut.column_panels and rest
        return sum(
            count * ((panels - bool(last)) * tile(rows, cut.vectors) + (tile(rows, rest) if last else 0))
            for count, rows in ((cut.tall, cut.base + 1), (cut.short, cut.base))
        )

    whole = strip(cut.column_panels)
    packing = (0.25 if b.column_stride != 1 else 0.12) * 16 / lanes * n * k if cut.pack_b else 0.0
    variants = (bool(cut.tall) + bool(cut.short)) * (bool(cut.panels) + bool(cut.rest))
    alone = (whole + packing) * products
    if products >= PLANNED_THREADS:
        shared = alone / PLANNED_THREADS
    elif cut.by_rows:
        shared = whole * ceil(cut.row_tiles / PLANNED_THREADS) / cut.row_tiles + packing
    else:
        shared = (whole + packing) * ceil(cut.column_panels / PLANNED_THREADS) / cut.column_panels
    return (shared + 0.2 * alone) * (1 + 0.02 * variants)

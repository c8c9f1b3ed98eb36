"""Elementwise kernels, and totals: every thread takes a few neighbouring points, then those a whole grid further."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from math import prod

from autograd_core.compiler.loops import Constant, Load, LoopKernel, Map

from . import once
from .form import Form, live, shared
from .grain import along_the_grain
from .lanes import Lanes
from .signature import Head
from .source import Launch, Sizes, Source
from .totals import Finish, Totals, memory, totals_of
from .writer import Writer

WARP = 32
ALONE = 16  # turns that one block takes rather than leaving partial results


def grid_of(turns: int, totals: bool, sizes: Sizes) -> int:
    """How many blocks do so many blocks' work."""
    if totals and turns <= ALONE:
        return 1
    return max(1, min(turns, sizes.partial if totals else sizes.blocks))


def _threads(packs: int, sizes: Sizes) -> int:
    """Of a block: fewer where there is little to do, so that more of the device does it."""
    threads = sizes.threads
    while threads > WARP and packs < threads * (sizes.few if threads > 2 * WARP else 1):
        threads //= 2
    return threads


def points(kernel: LoopKernel, found: Form, name: str, sizes: Sizes, misaligned: Collection[int]) -> Source:
    found, width = along_the_grain(found, sizes.vector, misaligned)
    w, head = Writer(), Head(found, name, shared(kernel))
    positions, needed = range(len(found.body)), live(found)
    constant = [p for p in needed if isinstance(found.body[p], Load | Constant | Map) and not found.varies[p]]
    work = [p for p in needed if p not in constant]
    packs = prod(found.sizes[:-1]) * -(-found.sizes[-1] // width)
    totals = totals_of(found, positions)
    threads = sizes.threads if totals else _threads(packs, sizes)
    grid = grid_of(-(-packs // threads), bool(totals), sizes)
    sums, finish = Totals(head, totals, grid, threads), Finish(head, sizes)
    finish.add(sums)
    lanes = Lanes(w, found, width, misaligned)
    with head.entry(w, name, threads, regions=sums.regions):
        if totals:
            memory(w, threads)
        once.declare(w, found, constant, work)
        once.define(w, found, constant, work)
        sums.declare(w)
        index, last = head.index, len(found.sizes) - 1
        first = f"({index})blockIdx.x * {threads} + threadIdx.x"
        turn = f"for ({index} i = {first}; i < {packs}; i += ({index})gridDim.x * {threads})"
        with ExitStack() as inside:
            inside.enter_context(w.block(turn))
            _coordinates(w, head, width, last)
            lanes.run(work, reduced=lambda p, x: w.line(f"total{p} = {lanes.combined(p, f'total{p}', x)};"))
        sums.finish(w)
    launches = [Launch(name, grid, threads)] if packs or totals else []
    launches += finish.emit(w)
    return Source(w.text, tuple(launches), lanes.alignment(), head.workspace.size, shared(kernel))


def _coordinates(w: Writer, head: Head, width: int, last: int) -> None:
    if width == 1:
        head.coordinates(w, "i", range(last + 1), head.used)
        return
    columns = -(-head.form.sizes[last] // width)
    if last == 0:
        w.line(f"const {head.index} c0 = {width} * i;")
        return
    row, pack = ("i", "0") if columns == 1 else (f"i / {columns}", f"i % {columns} * {width}")
    w.line(f"const {head.index} row = {row}, c{last} = {pack};")
    head.coordinates(w, "row", range(last), head.used)
